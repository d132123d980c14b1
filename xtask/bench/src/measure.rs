//! A run of the bench: who enters a case, how many calls a round has, and the rounds, interleaved
//! (A B C A B C ...).
//!
//! A peer that fails in a case (an answer that is wrong or does not come, a server that ends) is
//! out of that case; what happened is kept with the figures, and the run as a whole has failed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::clients;
use super::figures::{Figure, Figures, Row, Side, Skipped, Started, median, quantile};
use super::h2load::{self, H2load};
use super::imports;
use super::loads::{Load, Shape};
use super::memory;
use super::plan::{self, Case, Extent, Kind};
use super::programs::{FLOOR, NEUTRAL, Offers, Program, Programs};
use super::relay::{Relay, Sender};
use super::subject::Subject;
use super::syscalls;
use crate::report::Progress;
use crate::workspace::Workspace;

/// What is at hand while the cases run.
pub(crate) struct Bench<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) progress: &'a Progress,
    pub(crate) h2load: &'a H2load,
    pub(crate) programs: &'a Programs,
    pub(crate) extent: Extent,
    /// Names of the peers that were asked for; none: all.
    pub(crate) peers: &'a [String],
    /// All servers, each running until it fails.
    servers: Vec<Subject>,
    figures: Figures,
}

/// A peer in a case.
#[derive(Clone, Copy)]
enum Entrant {
    /// A server, by its place among those that run.
    Server(usize),
    /// A client, with the server that it asks.
    Client(&'static Program, usize),
}

type Measured = Vec<(Figure, f64)>;

impl<'a> Bench<'a> {
    pub(crate) fn new(
        workspace: &'a Workspace,
        progress: &'a Progress,
        h2load: &'a H2load,
        programs: &'a Programs,
        extent: Extent,
        peers: &'a [String],
    ) -> Self {
        let (servers, figures) = (Vec::new(), Figures::default());
        Self { workspace, progress, h2load, programs, extent, peers, servers, figures }
    }

    /// About how long the cases take.
    pub(crate) fn estimate(&self, cases: &[Case]) -> Duration {
        cases.iter().map(|case| self.cost_of_all(case)).sum()
    }

    fn cost_of_all(&self, case: &Case) -> Duration {
        let programs = if case.kind.is_for_servers() {
            &self.programs.servers
        } else {
            &self.programs.clients
        };
        let enters = programs.iter().filter(|program| self.wanted(program, case));
        enters.map(|program| self.cost(case, program)).sum()
    }

    fn cost(&self, case: &Case, program: &Program) -> Duration {
        let python = ["grpcio", "pygrpc", "python"].iter().any(|part| program.name.contains(part));
        plan::cost(case, &self.extent, python)
    }

    /// Whether a peer was asked for and can do it.
    fn wanted(&self, program: &Program, case: &Case) -> bool {
        let asked = self.peers.is_empty() || self.peers.iter().any(|name| name == program.name);
        asked
            && match case.kind {
                Kind::ServerCpu | Kind::Handshakes => case.load.fits(program.offers),
                // Who takes small unary calls alone (pajamax) says no settings before the first.
                Kind::IdleConnections | Kind::CallsInFlight => {
                    !matches!(program.offers, Offers::Echo | Offers::SmallUnary)
                }
                Kind::ServerLatency | Kind::SystemCalls | Kind::ServerWire => {
                    program.offers != Offers::Echo && case.load.fits(program.offers)
                }
                Kind::Pair => self.programs.server(program.own_server()).is_some(),
                Kind::Import => program.interpreter(self.workspace).is_some(),
                Kind::Client { .. } | Kind::ClientWire { .. } | Kind::Connections { .. } => true,
            }
    }

    /// Runs all cases.
    pub(crate) fn run(mut self, cases: &[Case]) -> Result<Figures> {
        memory::raise_descriptors()?;
        self.start_servers()?;
        for case in cases {
            self.case(case)?;
        }
        self.figures.skipped.clone_from(&self.programs.skipped);
        Ok(self.figures)
    }

    /// Starts every server, and has a real client look at its answers.
    fn start_servers(&mut self) -> Result<()> {
        let verifier = self.programs.client("tonic").or_else(|| self.programs.client("ferrpc"));
        let verifier = verifier.context("ferrpc's client is always there")?;
        for program in &self.programs.servers {
            let asked = self.peers.is_empty() || self.peers.iter().any(|name| name == program.name);
            if !asked && !NEUTRAL.contains(&program.name) {
                continue;
            }
            self.progress.detail(&format!("starting the server of {}", program.name));
            let server = Subject::start(self.workspace, program, None, None).and_then(|server| {
                self.warm_up(&server, verifier)?;
                Ok(server)
            });
            match server {
                Ok(server) => self.servers.push(server),
                Err(error) => self.failed(program.name, "starting", &error),
            }
            self.started(Side::Server, program);
        }
        for program in &self.programs.clients {
            self.started(Side::Client, program);
        }
        Ok(())
    }

    fn started(&mut self, side: Side, program: &Program) {
        let (peer, command) = (program.name.to_owned(), program.shown());
        self.figures.programs.push(Started { side, peer, command });
    }

    fn warm_up(&self, server: &Subject, verifier: &Program) -> Result<()> {
        let (load, shape) = (Load::small(), Shape::new(1, 100));
        if !server.speaks_grpc() {
            clients::echo(self.workspace, server.address(), shape, 1000)?;
            return Ok(());
        }
        clients::run(self.workspace, verifier, server.address(), &load, Shape::new(1, 1), 1)?;
        // A virtual machine compiles what is hot, and only that.
        let calls = if server.name() == JAVA { 200_000 } else { 2000 };
        self.h2load.run(self.h2load_run(server, &load, shape, calls, false))?;
        Ok(())
    }

    fn h2load_run<'r>(
        &self,
        server: &'r Subject,
        load: &'r Load,
        shape: Shape,
        calls: usize,
        times: bool,
    ) -> h2load::Run<'r> {
        let (address, language) = (server.address(), server.program.language);
        h2load::Run { address, language, load, shape, calls, times }
    }

    /// One case: everyone's number of calls, then the rounds.
    fn case(&mut self, case: &Case) -> Result<()> {
        self.progress.say(&case.to_string());
        let begun = self.servers.len();
        let mut entrants: Vec<(Entrant, usize)> = Vec::new();
        let mut spent = Duration::ZERO;
        for entrant in self.entrants(case)? {
            match self.calls(case, entrant) {
                Ok(calls) => entrants.push((entrant, calls)),
                Err(error) => self.case_failed(case, entrant, &error),
            }
        }
        let rounds = self.extent.rounds(case.kind);
        for round in 1..=rounds {
            let mut failed = Vec::new();
            for (entrant, calls) in &entrants {
                let name = self.name(*entrant);
                self.progress.detail(&format!("{case}, round {round} of {rounds}: {name}"));
                match self.once(case, *entrant, *calls) {
                    Ok(measured) => self.keep(case, *entrant, *calls, measured),
                    Err(error) => {
                        self.case_failed(case, *entrant, &error);
                        failed.push(name);
                    }
                }
                let cost = self.cost(case, self.program(*entrant)) / rounds as u32;
                self.progress.advance(cost);
                spent += cost;
            }
            entrants.retain(|(entrant, _)| !failed.contains(&self.name(*entrant)));
        }
        self.progress.advance(self.cost_of_all(case).saturating_sub(spent));
        // Those that were started for this case alone.
        self.servers.truncate(begun);
        Ok(())
    }

    fn entrants(&mut self, case: &Case) -> Result<Vec<Entrant>> {
        let place = |servers: &[Subject], name: &str| {
            servers.iter().position(|server| server.name() == name && !server.special)
        };
        let mut entrants = Vec::new();
        if case.kind.is_for_servers() {
            for program in &self.programs.servers {
                if !self.wanted(program, case) {
                    continue;
                }
                if case.load.handler.is_some() || case.load.tls {
                    let folder = self.workspace.target.join(CERTIFICATES);
                    let folder = case.load.tls.then_some(&*folder);
                    self.servers.push(Subject::start(
                        self.workspace,
                        program,
                        case.load.handler,
                        folder,
                    )?);
                    entrants.push(Entrant::Server(self.servers.len() - 1));
                } else if let Some(place) = place(&self.servers, program.name) {
                    entrants.push(Entrant::Server(place));
                }
            }
            return Ok(entrants);
        }
        for program in &self.programs.clients {
            let server = match case.kind {
                Kind::Pair => program.own_server(),
                Kind::Import => NEUTRAL[0],
                Kind::Client { server }
                | Kind::ClientWire { server }
                | Kind::Connections { server } => server,
                _ => continue,
            };
            if let Some(place) = place(&self.servers, server)
                && self.wanted(program, case)
            {
                entrants.push(Entrant::Client(program, place));
            }
        }
        Ok(entrants)
    }

    fn program(&self, entrant: Entrant) -> &'static Program {
        match entrant {
            Entrant::Server(place) => self.servers[place].program,
            Entrant::Client(program, _) => program,
        }
    }

    fn name(&self, entrant: Entrant) -> &'static str {
        self.program(entrant).name
    }

    /// How many calls take as long as a run is to take. Finding out is the warm-up, too.
    fn calls(&mut self, case: &Case, entrant: Entrant) -> Result<usize> {
        match case.kind {
            Kind::IdleConnections => return Ok(memory::CONNECTIONS),
            Kind::CallsInFlight => return Ok(case.shape.in_flight()),
            Kind::Handshakes => return self.handshakes(case, entrant),
            Kind::SystemCalls => return Ok(2000),
            Kind::ServerWire | Kind::ClientWire { .. } => return Ok(WIRE_CALLS),
            Kind::Connections { .. } => return Ok(2 * case.shape.in_flight()),
            Kind::Import => return Ok(1),
            _ => {}
        }
        let seconds = self.extent.seconds;
        let mut calls = case.shape.in_flight().max(if case.load.payload > 0 { 2 } else { 20 });
        loop {
            let rate = self.rate(case, entrant, calls)?;
            ensure!(rate > 0.0, "no calls in any time");
            let wanted = ((rate * seconds) as usize).max(case.shape.in_flight()).max(2);
            // The first calls of a process say little of those after them.
            if wanted <= 4 * calls || calls as f64 / rate > seconds / 4.0 {
                return Ok(wanted);
            }
            calls = (wanted / 3).max(calls + 1);
        }
    }

    /// How many handshakes take as long as a run is to take: whole runs of h2load, each of as many
    /// connections as the shape has.
    fn handshakes(&mut self, case: &Case, entrant: Entrant) -> Result<usize> {
        let connections = case.shape.in_flight();
        let measured = self.once(case, entrant, 2 * connections)?;
        let found = measured.iter().find(|(figure, _)| *figure == Figure::HandshakesPerSecond);
        let rate = found.context("handshakes have a rate")?.1;
        let runs = (rate * self.extent.seconds / connections as f64).ceil();
        Ok((runs as usize).max(2) * connections)
    }

    fn rate(&mut self, case: &Case, entrant: Entrant, calls: usize) -> Result<f64> {
        let measured = self.once(case, entrant, calls)?;
        let found = measured.iter().find(|(figure, _)| *figure == Figure::CallsPerSecond);
        Ok(found.context("every load has a rate")?.1)
    }

    /// One round of one peer.
    fn once(&mut self, case: &Case, entrant: Entrant, calls: usize) -> Result<Measured> {
        let place = match entrant {
            Entrant::Server(place) | Entrant::Client(_, place) => place,
        };
        self.servers[place].check()?;
        let measured = match entrant {
            Entrant::Server(_) => self.server_once(case, &self.servers[place], calls)?,
            Entrant::Client(client, _) => {
                self.client_once(case, client, &self.servers[place], calls)?
            }
        };
        self.servers[place].check()?;
        Ok(measured)
    }

    fn server_once(&self, case: &Case, server: &Subject, calls: usize) -> Result<Measured> {
        let load = || self.h2load_run(server, &case.load, case.shape, calls, false);
        Ok(match case.kind {
            Kind::ServerLatency => {
                let done = self.h2load.run(h2load::Run { times: true, ..load() })?;
                vec![
                    (Figure::P50, median(done.times.iter().copied())),
                    (Figure::P99, quantile(done.times, 0.99)),
                    (Figure::CallsPerSecond, done.calls_per_second),
                ]
            }
            Kind::Handshakes => {
                let connections = case.shape.in_flight();
                let before = server.cpu()?;
                let mut seconds = 0.0;
                for _ in 0..calls / connections {
                    let run = h2load::Run { calls: connections, ..load() };
                    seconds += connections as f64 / self.h2load.run(run)?.calls_per_second;
                }
                let used = server.cpu()?.saturating_sub(before);
                vec![
                    (Figure::CpuPerHandshake, used.as_secs_f64() * 1e6 / calls as f64),
                    (Figure::HandshakesPerSecond, calls as f64 / seconds),
                ]
            }
            Kind::IdleConnections | Kind::CallsInFlight => {
                let mut fresh = Subject::start(self.workspace, server.program, None, None)?;
                let memory = if case.kind == Kind::IdleConnections {
                    (Figure::MemoryPerConnection, memory::per_connection(&mut fresh)?)
                } else {
                    (Figure::MemoryPerCall, memory::per_call(&mut fresh)?)
                };
                vec![memory]
            }
            Kind::SystemCalls => {
                let folder = self.workspace.target.join("bench");
                let count = syscalls::count(server, &folder, || {
                    self.h2load.run(load())?;
                    Ok(())
                })?;
                vec![(Figure::SystemCalls, count as f64 * 1000.0 / calls as f64)]
            }
            Kind::ServerWire => {
                let relay = Relay::start(server.address())?;
                self.h2load.run(h2load::Run { address: &relay.address, ..load() })?;
                wire(&relay, Sender::Server, calls)?
            }
            _ => {
                let before = server.cpu()?;
                let calls_per_second = if server.speaks_grpc() {
                    self.h2load.run(load())?.calls_per_second
                } else {
                    clients::echo(self.workspace, server.address(), case.shape, calls)?
                        .number("calls_per_s")?
                };
                let used = server.cpu()?.saturating_sub(before);
                let cpu = used.as_secs_f64() * 1e6 / calls as f64;
                let mut measured =
                    vec![(Figure::CpuPerCall, cpu), (Figure::CallsPerSecond, calls_per_second)];
                let messages = case.load.messages as f64;
                if case.load.messages > 1 {
                    measured.push((Figure::CpuPerMessage, cpu / messages));
                    measured.push((Figure::MessagesPerSecond, calls_per_second * messages));
                }
                if case.load.payload > 0 && case.load.messages == 1 {
                    let bytes = calls_per_second * case.load.payload as f64;
                    measured.push((Figure::Throughput, bytes / 1e6));
                }
                measured
            }
        })
    }

    fn client_once(
        &self,
        case: &Case,
        client: &Program,
        server: &Subject,
        calls: usize,
    ) -> Result<Measured> {
        if case.kind == Kind::Import {
            let python = client.interpreter(self.workspace).context("looked for before")?;
            let [time, memory] = imports::once(&python)?;
            return Ok(vec![(Figure::ImportTime, time), (Figure::ImportMemory, memory)]);
        }
        let run = |address: &str| {
            clients::run(self.workspace, client, address, &case.load, case.shape, calls)
        };
        if matches!(case.kind, Kind::ClientWire { .. } | Kind::Connections { .. }) {
            let relay = Relay::start(server.address())?;
            run(&relay.address)?;
            return if matches!(case.kind, Kind::Connections { .. }) {
                Ok(vec![(Figure::Connections, relay.connections() as f64)])
            } else {
                // The client's warm-up is a tenth of the calls, and goes through the relay as well.
                wire(&relay, Sender::Client, calls + calls.div_ceil(10))
            };
        }
        let done = run(server.address())?;
        let mut measured = vec![
            (Figure::CpuPerCall, done.number("cpu_us_per_call")?),
            (Figure::CallsPerSecond, done.number("calls_per_s")?),
        ];
        if case.load.messages > 1 {
            measured.push((Figure::CpuPerMessage, done.number("cpu_us_per_message")?));
            measured.push((Figure::MessagesPerSecond, done.number("messages_per_s")?));
        } else {
            measured.push((Figure::P50, done.number("p50_us")?));
            measured.push((Figure::P99, done.number("p99_us")?));
        }
        if case.load.payload > 0 && case.load.messages == 1 {
            measured.push((Figure::Throughput, done.number("mb_per_s")?));
        }
        Ok(measured)
    }

    fn keep(&mut self, case: &Case, entrant: Entrant, calls: usize, measured: Measured) {
        let (peer, (load, shape)) = (self.name(entrant), (&case.load, case.shape));
        let (side, against, command) = match entrant {
            Entrant::Server(_) if case.kind.is_memory() => {
                (Side::Server, "frames by hand".to_owned(), String::new())
            }
            Entrant::Server(_) if peer == FLOOR => {
                let command = clients::echo_shown(shape, calls);
                (Side::Server, "raw_echo client".to_owned(), command)
            }
            Entrant::Server(place) => {
                let times = case.kind == Kind::ServerLatency;
                // One run of several.
                let calls = if case.kind == Kind::Handshakes { shape.in_flight() } else { calls };
                let run = self.h2load_run(&self.servers[place], load, shape, calls, times);
                (Side::Server, "h2load".to_owned(), H2load::shown(run))
            }
            Entrant::Client(..) if case.kind == Kind::Import => {
                (Side::Client, String::new(), "python -c 'import grpc'".to_owned())
            }
            Entrant::Client(client, place) => {
                let side = if case.kind == Kind::Pair { Side::Pair } else { Side::Client };
                let server = self.servers[place].name().to_owned();
                (side, server, clients::shown(client, load, shape, calls))
            }
        };
        for (figure, value) in measured {
            // The rate of a run that writes every call down is not the server's.
            if case.kind == Kind::ServerLatency && figure == Figure::CallsPerSecond {
                continue;
            }
            self.figures.add(Row {
                side,
                peer: peer.to_owned(),
                against: against.clone(),
                load: load.name.to_owned(),
                shape: shape.to_string(),
                figure,
                unit: figure.unit().to_owned(),
                calls,
                rounds: vec![value],
                command: command.clone(),
            });
        }
    }

    fn case_failed(&mut self, case: &Case, entrant: Entrant, error: &anyhow::Error) {
        self.failed(self.name(entrant), &case.to_string(), error);
    }

    fn failed(&mut self, peer: &str, what: &str, error: &anyhow::Error) {
        let reason = format!("{what}: {error:#}");
        self.progress.say(&format!("FAILED: {peer}: {reason}"));
        self.figures.failures.push(Skipped { peer: peer.to_owned(), reason });
    }
}

fn wire(relay: &Relay, sender: Sender, calls: usize) -> Result<Measured> {
    let [first, repeated] = relay.sent(sender, calls)?;
    Ok(vec![(Figure::FirstCallBytes, first), (Figure::RepeatedCallBytes, repeated)])
}

/// Below the target folder: made anew for each run.
pub(crate) const CERTIFICATES: &str = "bench/certificates";
const JAVA: &str = "grpc-java";
const WIRE_CALLS: usize = 1000;
