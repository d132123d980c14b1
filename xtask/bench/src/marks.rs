//! What ferrpc's figures have to be, and whether they are.

use std::fmt;

use clap::ValueEnum;

use super::figures::{Figure, Figures, Row, Side, shown};
use super::plan::{Case, Kind};
use super::programs::FLOOR;

/// Marks that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// The Rust server and channel, beside tonic and the floor.
    Engine,
    /// The synchronous Python API, beside grpcio and pygrpc-native.
    Python,
    /// The asyncio API, beside the same.
    Asyncio,
}

/// A wish, and what became of it.
#[derive(Debug)]
pub(crate) struct Verdict {
    what: String,
    own: Option<f64>,
    other: Option<f64>,
    /// The least and the greatest ratio of a round.
    range: Option<(f64, f64)>,
    bound: Bound,
    /// `None`: it was not measured.
    pub(crate) met: Option<bool>,
}

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    /// Ours over the other's is at most this.
    Ratio(f64),
    /// Ours is below the other's.
    Below,
    /// Ours is at least so many times the other's.
    Times(f64),
    /// Ours is at most this, whatever the other's is.
    AtMost(f64),
}

/// Where a figure stands.
#[derive(Clone, Copy)]
struct Place {
    side: Side,
    /// The server of a client's figure; empty: whichever.
    against: &'static str,
    load: &'static str,
    shape: &'static str,
    figure: Figure,
}

struct Mark {
    place: Place,
    own: &'static str,
    beside: &'static str,
    bound: Bound,
}

/// Each mark of these sets.
pub(crate) fn judge(sets: &[Set], figures: &Figures) -> Vec<Verdict> {
    sets.iter().flat_map(|set| set.marks()).map(|mark| mark.judge(figures)).collect()
}

impl Set {
    /// The peers that its marks are about.
    pub(crate) const fn peers(self) -> &'static [&'static str] {
        match self {
            Self::Engine => &[ENGINE, TONIC, FLOOR],
            Self::Python => &[PYTHON, GRPCIO, NATIVE],
            Self::Asyncio => &[ASYNCIO, GRPCIO_AIO, NATIVE_AIO],
        }
    }

    /// Whether one of its marks is judged by this case.
    pub(crate) fn needs(self, case: &Case) -> bool {
        self.marks().iter().any(|mark| mark.place.is_of(case))
    }

    const fn marks(self) -> &'static [Mark] {
        match self {
            Self::Engine => ENGINE_MARKS,
            Self::Python => PYTHON_MARKS,
            Self::Asyncio => ASYNCIO_MARKS,
        }
    }
}

impl Place {
    fn is_of(&self, case: &Case) -> bool {
        let side = match case.kind {
            Kind::Pair => Side::Pair,
            Kind::Client { server } if server == self.against => Side::Client,
            Kind::Import => Side::Client,
            Kind::ServerCpu if self.figure == Figure::CpuPerCall => Side::Server,
            Kind::ServerLatency if self.figure == Figure::P50 => Side::Server,
            Kind::Handshakes => Side::Server,
            Kind::IdleConnections if self.figure == Figure::MemoryPerConnection => Side::Server,
            Kind::CallsInFlight if self.figure == Figure::MemoryPerCall => Side::Server,
            _ => return false,
        };
        side == self.side && case.load.name == self.load && case.shape.to_string() == self.shape
    }
}

impl Mark {
    fn judge(&self, figures: &Figures) -> Verdict {
        let Self { place, own, beside, bound } = self;
        let row = |peer: &str| {
            figures.rows.iter().find(|row| {
                row.peer == peer
                    && (row.side, row.figure) == (place.side, place.figure)
                    && (row.load.as_str(), row.shape.as_str()) == (place.load, place.shape)
                    && (place.against.is_empty() || row.against == place.against)
            })
        };
        let whose = if *own == ENGINE { String::new() } else { format!("{own}, ") };
        let (own, other) = (row(own), row(beside));
        let [own_median, other_median] = [own, other].map(|row| row.map(Row::median));
        let ratio = own_median.zip(other_median).map(|(own, other)| own / other);
        let range = own.zip(other).map(|(own, other)| {
            let ratios = own.rounds.iter().zip(&other.rounds).map(|(own, other)| own / other);
            ratios.fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), ratio| {
                (least.min(ratio), most.max(ratio))
            })
        });
        let met = match bound {
            Bound::Ratio(most) => ratio.map(|ratio| ratio <= *most),
            Bound::Below => ratio.map(|ratio| ratio < 1.0),
            Bound::Times(least) => ratio.map(|ratio| ratio >= *least),
            Bound::AtMost(most) => own_median.map(|own| own <= *most),
        };
        let unit = place.figure.unit();
        let of = match place.side {
            Side::Server => "server".to_owned(),
            Side::Client if place.against.is_empty() => "client".to_owned(),
            Side::Client => format!("client on {}", place.against),
            Side::Pair => "own server".to_owned(),
        };
        let what = format!(
            "{whose}{}, {of}, {} at {}{}{unit}",
            place.figure.title(),
            place.load,
            place.shape,
            if unit.is_empty() { "" } else { ", " },
        );
        let other = other_median.filter(|_| !matches!(bound, Bound::AtMost(_)));
        let range = range.filter(|_| other.is_some());
        let named = [FLOOR, NATIVE, NATIVE_AIO].contains(beside) && other.is_some();
        let what = if named { format!("{what}, beside {beside}") } else { what };
        Verdict { what, own: own_median, other, range, bound: *bound, met }
    }
}

impl Verdict {
    /// As cells.
    pub(crate) fn line(&self) -> Vec<String> {
        let number = |number: Option<f64>| number.map(shown).unwrap_or_default();
        let ratio = self.own.zip(self.other).map(|(own, other)| format!("{:.2}", own / other));
        let range = self.range.map(|(least, most)| format!("{least:.2} to {most:.2}"));
        vec![
            self.what.clone(),
            number(self.own),
            number(self.other),
            ratio.unwrap_or_default(),
            range.unwrap_or_default(),
            self.bound.to_string(),
            self.word().to_owned(),
        ]
    }

    pub(crate) fn word(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) => write!(f, "ratio <= {ratio:.3}"),
            Self::Below => f.write_str("ratio < 1"),
            Self::Times(times) => write!(f, "ratio >= {times}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

const fn cpu(shape: &'static str, beside: &'static str, bound: Bound) -> Mark {
    python(ENGINE, shape, beside, bound)
}

const fn python(
    own: &'static str,
    shape: &'static str,
    beside: &'static str,
    bound: Bound,
) -> Mark {
    let place =
        Place { side: Side::Server, against: "", load: "small", shape, figure: Figure::CpuPerCall };
    Mark { place, own, beside, bound }
}

const fn server(load: &'static str, shape: &'static str, figure: Figure, bound: Bound) -> Mark {
    let place = Place { side: Side::Server, against: "", load, shape, figure };
    Mark { place, own: ENGINE, beside: TONIC, bound }
}

const fn latency(load: &'static str, shape: &'static str) -> Mark {
    let place = Place { side: Side::Server, against: "", load, shape, figure: Figure::P50 };
    Mark { place, own: ENGINE, beside: TONIC, bound: Bound::Below }
}

const fn client(server: &'static str) -> Mark {
    let place = Place {
        side: Side::Client,
        against: server,
        load: "small",
        shape: "1x100",
        figure: Figure::CpuPerCall,
    };
    Mark { place, own: ENGINE, beside: TONIC, bound: Bound::Ratio(1.0 / 5.0) }
}

const fn import(figure: Figure) -> Mark {
    let place = Place { side: Side::Client, against: "", load: "import", shape: "1x1", figure };
    Mark { place, own: PYTHON, beside: GRPCIO, bound: Bound::Ratio(0.5) }
}

/// Calls per second of a Python client.
const fn calls(
    [own, beside]: [&'static str; 2],
    against: &'static str,
    shape: &'static str,
    times: f64,
) -> Mark {
    let figure = Figure::CallsPerSecond;
    let place = Place { side: Side::Client, against, load: "small", shape, figure };
    Mark { place, own, beside, bound: Bound::Times(times) }
}

const fn pair(load: &'static str, shape: &'static str, figure: Figure, times: f64) -> Mark {
    let place = Place { side: Side::Pair, against: "", load, shape, figure };
    Mark { place, own: ENGINE, beside: TONIC, bound: Bound::Times(times) }
}

/// Messages per second of a library's client on its own server.
const fn stream([own, beside]: [&'static str; 2], load: &'static str, times: f64) -> Mark {
    let figure = Figure::MessagesPerSecond;
    let place = Place { side: Side::Pair, against: "", load, shape: "1x1", figure };
    Mark { place, own, beside, bound: Bound::Times(times) }
}

const ENGINE: &str = "ferrpc";
const TONIC: &str = "tonic";
const PYTHON: &str = "ferrpc-python";
const GRPCIO: &str = "grpcio";
const NATIVE: &str = "pygrpc-native";
const ASYNCIO: &str = "ferrpc-python-aio";
const GRPCIO_AIO: &str = "grpcio-aio";
const NATIVE_AIO: &str = "pygrpc-native-aio";

const HANDSHAKE: &str = "TLS 1.3, one call a connection";

const ENGINE_MARKS: &[Mark] = &[
    // One call at a time is bound by the kernel: as good as equal counts as equal.
    cpu("1x1", TONIC, Bound::Ratio(1.05)),
    cpu("1x100", TONIC, Bound::Ratio(1.0 / 5.0)),
    cpu("10x100", TONIC, Bound::Ratio(1.0 / 5.0)),
    cpu("100x1", TONIC, Bound::Ratio(1.0 / 1.6)),
    // What a prototype without most of the features took.
    cpu("1x100", TONIC, Bound::AtMost(1.0)),
    cpu("10x100", TONIC, Bound::AtMost(0.8)),
    cpu("100x1", TONIC, Bound::AtMost(9.1)),
    cpu("1x100", FLOOR, Bound::Ratio(2.0)),
    cpu("10x100", FLOOR, Bound::Ratio(2.0)),
    cpu("100x1", FLOOR, Bound::Ratio(2.0)),
    server("TLS 1.3, small", "10x100", Figure::CpuPerCall, Bound::Ratio(1.0 / 3.0)),
    server(HANDSHAKE, "100x1", Figure::CpuPerHandshake, Bound::Ratio(1.0)),
    server(HANDSHAKE, "100x1", Figure::HandshakesPerSecond, Bound::Times(1.0)),
    latency("small", "1x1"),
    latency("small", "1x8"),
    latency("small", "1x64"),
    latency("64 KiB up", "1x1"),
    latency("64 KiB up", "1x8"),
    latency("64 KiB up", "1x64"),
    server("nothing", "1000x0", Figure::MemoryPerConnection, Bound::AtMost(16.0)),
    server("headers only", "10x100", Figure::MemoryPerCall, Bound::Ratio(0.5)),
    client("ferrpc"),
    client("tonic"),
    pair("echo of 1 MiB", "1x1", Figure::Throughput, 1.3),
    pair("echo of 1 MiB", "1x8", Figure::Throughput, 1.3),
    pair("echo of 16 MiB less 64", "1x1", Figure::Throughput, 1.3),
    pair("server streaming of 8 bytes", "1x1", Figure::MessagesPerSecond, 3.0),
];

const PYTHON_MARKS: &[Mark] = &[
    python(PYTHON, "1x1", GRPCIO, Bound::Ratio(0.4)),
    python(PYTHON, "1x100", GRPCIO, Bound::Ratio(1.0 / 12.0)),
    python(PYTHON, "10x100", GRPCIO, Bound::Ratio(1.0 / 12.0)),
    python(PYTHON, "100x1", GRPCIO, Bound::Ratio(1.0 / 6.0)),
    python(PYTHON, "1x1", NATIVE, Bound::Below),
    python(PYTHON, "1x100", NATIVE, Bound::Below),
    python(PYTHON, "10x100", NATIVE, Bound::Below),
    python(PYTHON, "100x1", NATIVE, Bound::Below),
    calls([PYTHON, GRPCIO], "ferrpc", "1x1", 2.5),
    calls([PYTHON, GRPCIO], "tonic", "1x1", 2.5),
    calls([PYTHON, GRPCIO], "ferrpc", "1x100", 4.0),
    calls([PYTHON, GRPCIO], "tonic", "1x100", 4.0),
    stream([PYTHON, GRPCIO], "server streaming of 8 bytes", 4.0),
    import(Figure::ImportTime),
    import(Figure::ImportMemory),
];

const ASYNCIO_MARKS: &[Mark] = &[
    python(ASYNCIO, "1x1", GRPCIO_AIO, Bound::Ratio(0.4)),
    python(ASYNCIO, "1x100", GRPCIO_AIO, Bound::Ratio(1.0 / 12.0)),
    python(ASYNCIO, "10x100", GRPCIO_AIO, Bound::Ratio(1.0 / 12.0)),
    python(ASYNCIO, "100x1", GRPCIO_AIO, Bound::Ratio(1.0 / 8.0)),
    python(ASYNCIO, "1x1", NATIVE_AIO, Bound::Below),
    python(ASYNCIO, "1x100", NATIVE_AIO, Bound::Below),
    python(ASYNCIO, "10x100", NATIVE_AIO, Bound::Below),
    python(ASYNCIO, "100x1", NATIVE_AIO, Bound::Below),
    calls([ASYNCIO, GRPCIO_AIO], "ferrpc", "1x1", 2.5),
    calls([ASYNCIO, GRPCIO_AIO], "tonic", "1x1", 2.5),
    calls([ASYNCIO, GRPCIO_AIO], "ferrpc", "1x100", 5.0),
    calls([ASYNCIO, GRPCIO_AIO], "tonic", "1x100", 5.0),
    stream([ASYNCIO, GRPCIO_AIO], "server streaming of 8 bytes", 5.0),
    stream([ASYNCIO, GRPCIO_AIO], "both ways, 8 bytes", 5.0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Extent};

    fn figures(own: &[f64], other: &[f64]) -> Figures {
        let row = |peer: &str, rounds: &[f64]| Row {
            side: Side::Server,
            peer: peer.to_owned(),
            against: "h2load".to_owned(),
            load: "small".to_owned(),
            shape: "1x100".to_owned(),
            figure: Figure::CpuPerCall,
            unit: "us".to_owned(),
            calls: 1,
            rounds: rounds.to_vec(),
            command: String::new(),
        };
        Figures { rows: vec![row(ENGINE, own), row(TONIC, other)], ..Figures::default() }
    }

    #[test]
    fn bounds() {
        let figures = figures(&[1.0, 9.0, 1.0], &[5.0, 5.0, 6.0]);
        let verdict = |bound| cpu("1x100", TONIC, bound).judge(&figures);
        assert_eq!(verdict(Bound::Ratio(0.2)).met, Some(true));
        assert_eq!(verdict(Bound::Ratio(0.2)).range, Some((1.0 / 6.0, 1.8)));
        assert_eq!(verdict(Bound::Ratio(0.19)).met, Some(false));
        assert_eq!(verdict(Bound::Below).met, Some(true));
        assert_eq!(verdict(Bound::Times(0.3)).met, Some(false));
        assert_eq!(verdict(Bound::AtMost(1.0)).met, Some(true));
        assert_eq!(cpu("1x1", TONIC, Bound::Below).judge(&figures).met, None);
        assert_eq!(cpu("1x100", FLOOR, Bound::Ratio(2.0)).judge(&figures).met, None);
    }

    #[test]
    fn a_figure_that_is_not_a_number_meets_nothing() {
        let verdict = cpu("1x100", TONIC, Bound::Ratio(0.2)).judge(&figures(&[], &[]));
        assert_eq!(verdict.met, Some(false));
    }

    #[test]
    fn every_mark_is_measured() {
        for set in Set::value_variants() {
            let marks = Some(*set);
            let extent = Extent { rounds: 5, memory_rounds: 3, seconds: 1.0, full: false, marks };
            let cases = plan::cases(&extent, &[], &[]).expect("all parts");
            for Mark { place, own, beside, .. } in set.marks() {
                let found = cases.iter().any(|case| place.is_of(case));
                assert!(found, "{} at {}", place.load, place.shape);
                assert!(set.peers().contains(own) && set.peers().contains(beside), "{own}");
            }
        }
    }
}
