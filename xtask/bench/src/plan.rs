//! Which figures a run takes: parts, and the cases of each.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

use super::loads::{Load, Shape};
use super::marks::Set;
use super::programs::NEUTRAL;

/// One thing that is measured of every peer that offers it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) load: Load,
    pub(crate) shape: Shape,
}

/// How a case is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A server's CPU time and rate under h2load.
    ServerCpu,
    /// Each call's time as h2load has it.
    ServerLatency,
    /// A server's CPU time and rate where each call has a connection of its own, over TLS.
    Handshakes,
    /// Memory of connections, on a fresh server.
    IdleConnections,
    /// Memory of calls, on a fresh server.
    CallsInFlight,
    /// System calls of a server under h2load.
    SystemCalls,
    /// Bytes that a server sends.
    ServerWire,
    /// A client's CPU time, rate and latency on a neutral server.
    Client { server: &'static str },
    /// Bytes that a client sends.
    ClientWire { server: &'static str },
    /// The connections that a client opens for calls in flight.
    Connections { server: &'static str },
    /// A client on its own library's server.
    Pair,
    /// `import grpc`, in Python.
    Import,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, load, shape } = self;
        let what = match kind {
            Kind::ServerCpu => "servers",
            Kind::ServerLatency => "latency of servers",
            Kind::Handshakes => "handshakes",
            Kind::IdleConnections => "memory of idle connections",
            Kind::CallsInFlight => "memory of calls in flight",
            Kind::SystemCalls => "system calls of servers",
            Kind::ServerWire => "bytes of servers",
            Kind::Client { server } => {
                return write!(f, "clients on {server}, {} at {shape}", load.name);
            }
            Kind::ClientWire { .. } => "bytes of clients",
            Kind::Connections { .. } => "connections of clients",
            Kind::Pair => "clients on their own servers",
            Kind::Import => "`import grpc`",
        };
        write!(f, "{what}, {} at {shape}", load.name)
    }
}

impl Kind {
    /// What a peer enters it with.
    pub(crate) fn is_for_servers(self) -> bool {
        !matches!(
            self,
            Self::Client { .. }
                | Self::ClientWire { .. }
                | Self::Connections { .. }
                | Self::Pair
                | Self::Import
        )
    }

    /// What a count or a size is no better for being taken again.
    pub(crate) fn is_counted(self) -> bool {
        matches!(
            self,
            Self::SystemCalls
                | Self::ServerWire
                | Self::ClientWire { .. }
                | Self::Connections { .. }
        )
    }

    /// Memory of a fresh process varies little, and takes long.
    pub(crate) fn is_memory(self) -> bool {
        matches!(self, Self::IdleConnections | Self::CallsInFlight)
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    /// Rounds of what is read from fresh servers.
    pub(crate) memory_rounds: usize,
    /// Of load in a run.
    pub(crate) seconds: f64,
    /// Every shape for clients, too.
    pub(crate) full: bool,
    /// Only what these marks are about.
    pub(crate) marks: Option<Set>,
}

impl Extent {
    pub(crate) fn rounds(&self, kind: Kind) -> usize {
        if kind.is_counted() {
            1
        } else if kind.is_memory() {
            self.memory_rounds.min(self.rounds)
        } else {
            self.rounds
        }
    }
}

/// The parts, and what they are for.
pub(crate) const PARTS: [&str; 11] = [
    "cpu", "tls", "latency", "handlers", "streams", "echo", "memory", "wire", "clients", "pairs",
    "import",
];

/// The cases of the parts that are wanted (none named: all), in the order in which they run.
pub(crate) fn cases(extent: &Extent, only: &[String], shapes: &[Shape]) -> Result<Vec<Case>> {
    if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part {unknown}; there are {}", PARTS.join(", "));
    }
    let mut cases = Vec::new();
    for part in PARTS {
        if only.is_empty() || only.iter().any(|wanted| wanted == part) {
            self::part(part, extent, shapes, &mut cases);
        }
    }
    if let Some(marks) = extent.marks {
        cases.retain(|case| marks.needs(case));
    }
    Ok(cases)
}

fn part(name: &str, extent: &Extent, shapes: &[Shape], cases: &mut Vec<Case>) {
    let mut add = |kind, load: &Load, shapes: &[Shape]| {
        cases.extend(shapes.iter().map(|shape| Case { kind, load: load.clone(), shape: *shape }));
    };
    // Where shapes are asked for, they are for the CPU figures of servers and clients.
    let of = |default: &'static [Shape]| if shapes.is_empty() { default } else { shapes };
    let small = Load::small();
    match name {
        "cpu" => {
            add(Kind::ServerCpu, &small, of(&ALL));
            add(Kind::ServerCpu, &Load::metadata(), &[MANY]);
        }
        "tls" => {
            add(Kind::ServerCpu, &Load::tls(), &[SEVERAL]);
            add(Kind::Handshakes, &Load::handshake(), &[HANDSHAKES]);
        }
        "latency" => {
            for load in [small, Load::large()] {
                add(Kind::ServerLatency, &load, &IN_FLIGHT);
            }
        }
        "handlers" => {
            add(Kind::ServerCpu, &Load::handler("yields"), &[MANY]);
            add(Kind::ServerCpu, &Load::handler("sleeps"), &[MANY]);
            add(Kind::ServerCpu, &Load::handler("computes"), &[FEW]);
        }
        "streams" => {
            add(Kind::ServerCpu, &Load::server_stream(), &[ONE]);
            add(Kind::ServerCpu, &Load::bidi(), &[ONE]);
        }
        "echo" => {
            add(Kind::ServerCpu, &Load::echo("echo of 1 MiB", MIB), &[ONE, FEW]);
            add(Kind::ServerCpu, &Load::echo(MIB_16_NAME, MIB_16), &[ONE]);
        }
        "memory" => {
            let connections = Shape::new(super::memory::CONNECTIONS, 0);
            let calls =
                Shape::new(super::memory::CALL_CONNECTIONS, super::memory::CALLS_EACH as usize);
            add(Kind::IdleConnections, &small.clone().named("nothing"), &[connections]);
            add(Kind::CallsInFlight, &small.named("headers only"), &[calls]);
        }
        "wire" => {
            for load in [small.clone(), Load::metadata()] {
                add(Kind::ServerWire, &load, &[ONE]);
                add(Kind::ClientWire { server: NEUTRAL[0] }, &load, &[ONE]);
            }
            add(Kind::SystemCalls, &small, &[ONE, MANY]);
            add(Kind::Connections { server: NEUTRAL[0] }, &small, &[MANY, THOUSAND]);
        }
        "clients" => {
            let shapes = of(if extent.full { &ALL } else { &[ONE, MANY] });
            for server in NEUTRAL {
                add(Kind::Client { server }, &small, shapes);
            }
            if extent.full {
                add(Kind::Client { server: NEUTRAL[0] }, &Load::metadata(), &[MANY]);
            }
        }
        "pairs" => {
            add(Kind::Pair, &Load::echo("echo of 1 MiB", MIB), &[ONE, FEW]);
            add(Kind::Pair, &Load::echo(MIB_16_NAME, MIB_16), &[ONE]);
            add(Kind::Pair, &Load::server_stream(), &[ONE]);
            add(Kind::Pair, &Load::bidi(), &[ONE]);
        }
        "import" => add(Kind::Import, &small.named("import"), &[ONE]),
        _ => {}
    }
}

/// About how long a case takes, for the estimate and the progress bar.
pub(crate) fn cost(case: &Case, extent: &Extent, python: bool) -> Duration {
    let rounds = extent.rounds(case.kind) as f64;
    let start = if python { 0.6 } else { 0.1 };
    let run = match case.kind {
        Kind::ServerCpu | Kind::ServerLatency | Kind::Handshakes => extent.seconds + 0.1,
        Kind::Client { .. } | Kind::Pair => extent.seconds * 1.1 + start,
        Kind::IdleConnections | Kind::CallsInFlight => 2.0,
        Kind::SystemCalls => 1.0,
        Kind::ServerWire => 0.1,
        Kind::Import => 1.0,
        Kind::ClientWire { .. } | Kind::Connections { .. } => start + 0.2,
    };
    let calibration = match case.kind {
        Kind::ServerCpu | Kind::ServerLatency | Kind::Handshakes => 0.3,
        Kind::Client { .. } | Kind::Pair => 0.3 + 2.0 * start,
        _ => 0.0,
    };
    Duration::from_secs_f64(rounds * run + calibration)
}

const ONE: Shape = Shape::new(1, 1);
const FEW: Shape = Shape::new(1, 8);
const MANY: Shape = Shape::new(1, 100);
const THOUSAND: Shape = Shape::new(1, 1000);
const SEVERAL: Shape = Shape::new(10, 100);
/// At once; a server's list of connections that wait has to hold them all.
const HANDSHAKES: Shape = Shape::new(100, 1);
const ALL: [Shape; 6] = [ONE, FEW, Shape::new(1, 64), MANY, SEVERAL, Shape::new(100, 1)];
const IN_FLIGHT: [Shape; 3] = [ONE, FEW, Shape::new(1, 64)];
const MIB: usize = 1 << 20;
/// grpc-go and grpc-java take messages of 16 MiB, what is around the payload included.
const MIB_16: usize = (16 << 20) - 64;
const MIB_16_NAME: &str = "echo of 16 MiB less 64";

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent =
        Extent { rounds: 3, memory_rounds: 1, seconds: 0.4, full: false, marks: None };

    #[test]
    fn every_part_has_cases() {
        for part in PARTS {
            let only = [part.to_owned()];
            assert!(!cases(&EXTENT, &only, &[]).expect("it is known").is_empty(), "{part}");
        }
        cases(&EXTENT, &["speed".to_owned()], &[]).expect_err("no such part");
    }

    #[test]
    fn shapes_are_for_the_cpu_figures() {
        let shapes = [Shape::new(3, 5)];
        let cases = cases(&EXTENT, &["cpu".to_owned()], &shapes).expect("it is known");
        assert_eq!(cases[0].shape, shapes[0]);
        assert_eq!(cases.len(), 2);
    }
}
