//! `cargo xtask interop`: gRPC's interop cases, each peer's client on ferrpc's server and ferrpc's
//! client on each peer's server, ferrpc on itself, the same for ferrpc's Python package, on which the
//! programs of grpcio run; then h2spec. The cases are described in `interop/README.md`.

use std::iter;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::h2spec;
use crate::lifetime;
use crate::peers::{self, PEERS, PYTHON_ENDS, Party, TLS_PEERS, Tls};
use crate::process::{self, Server};
use crate::proxies;
use crate::report::{self, Progress, Tally};
use crate::workspace::Workspace;

/// What to run.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only these peers: ferrpc-python, ferrpc-python-aio, grpcio, grpcio-aio, grpc-java, grpc-go,
    /// grpc-js, tonic.
    #[arg(long, value_delimiter = ',', value_name = "PEER")]
    pub(crate) peer: Vec<String>,
    /// Only the four kinds of calls.
    #[arg(long)]
    pub(crate) reduced: bool,
    /// A peer whose toolchain is missing is an error; else it is skipped aloud.
    #[arg(long)]
    pub(crate) require_all: bool,
    /// Leave h2spec out.
    #[arg(long)]
    pub(crate) no_h2spec: bool,
    /// Only keepalive and age, with grpcio, both ways: some minutes.
    #[arg(long)]
    pub(crate) keepalive: bool,
    /// Only through nginx, HAProxy and Envoy.
    #[arg(long)]
    pub(crate) proxies: bool,
    /// The peers among themselves, without ferrpc: shows whether a peer is at fault.
    #[arg(long, hide = true)]
    pub(crate) peers_only: bool,
}

/// Runs the cases; each case of each pair is one check, as is each case of h2spec.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let progress = Progress::new();
    if options.keepalive {
        return lifetime::run(workspace, &progress);
    }
    let folder = workspace.target.join("interop-certificates");
    if options.proxies {
        return proxies::run(workspace, &progress, options.require_all, &folder);
    }
    let is_own = |name: &str| PYTHON_ENDS.iter().any(|(own, _)| *own == name);
    let names: Vec<_> = if options.peer.is_empty() {
        PEERS.iter().map(|peer| peer.name).collect()
    } else {
        options.peer.iter().map(String::as_str).filter(|name| !is_own(name)).collect()
    };
    let (parties, mut skipped) = peers::prepare(workspace, &progress, &names)?;
    let (python, missing) = peers::python_ends(workspace, &progress, |name| {
        options.peer.is_empty() || options.peer.iter().any(|asked| asked == name)
    })?;
    skipped.extend(missing);
    peers::announce(&skipped, options.require_all)?;
    let cases = if options.reduced { REDUCED } else { CASES };

    let mut tally = Tally::default();
    if options.peers_only {
        let servers = start(&parties, &progress)?;
        for client in &parties {
            let pairs: Vec<_> = parties.iter().zip(&servers).map(|pair| (client, pair)).collect();
            let title = format!("The client of {} on the server of ...", client.name);
            tally += matrix(&title, &progress, cases, &pairs, |(_, (server, _))| server.name)?;
        }
        return Ok(tally);
    }

    let ferrpc = peers::interop_peer(workspace, &progress)?;
    let servers = start(&parties, &progress)?;
    let peers: Vec<_> = parties.iter().zip(&servers).collect();
    let python_servers = start(&python, &progress)?;
    let python_ends: Vec<_> = python.iter().zip(&python_servers).collect();
    tally += both_ways(&ferrpc, &[python_ends, peers.clone()].concat(), cases, "", &progress)?;
    drop(python_servers);
    for end in &python {
        tally += both_ways(end, &peers, cases, "", &progress)?;
    }
    drop(servers);

    ferrpc.make_certificates(&folder)?;
    let parties = [python, parties].concat();
    for tls in [Tls::Server, Tls::Mutual] {
        tally += over_tls(tls, &folder, &ferrpc, &parties, &progress)?;
    }

    tally += with_optional_certificates(&folder, &ferrpc, &parties, &progress)?;

    if !options.reduced && options.peer.is_empty() {
        tally += proxies::run(workspace, &progress, options.require_all, &folder)?;
    }

    if !options.no_h2spec {
        match h2spec::prepare(workspace, &progress)? {
            Ok(program) => tally += h2spec::run(workspace, &progress, &program)?,
            Err(skipped) => peers::announce(&[skipped], options.require_all)?,
        }
    }
    Ok(tally)
}

/// The cases of one of ours with itself and with others, in both directions.
fn both_ways(
    own: &Party,
    others: &[(&Party, &Server)],
    cases: &[&str],
    how: &str,
    progress: &Progress,
) -> Result<Tally> {
    let server = Server::start(&mut own.server(), own.name)?;
    let clients = iter::once(own).chain(others.iter().map(|(party, _)| *party));
    let pairs: Vec<_> = clients.map(|client| (client, (own, &server))).collect();
    let title = format!("On the server of {}{how}, the client of ...", own.name);
    let mut tally = matrix(&title, progress, cases, &pairs, |(client, _)| client.name)?;

    let pairs: Vec<_> = others.iter().map(|pair| (own, *pair)).collect();
    let title = format!("The client of {}{how} on the server of ...", own.name);
    tally += matrix(&title, progress, cases, &pairs, |(_, (server, _))| server.name)?;
    Ok(tally)
}

/// The four kinds of calls over TLS, both ways.
fn over_tls(
    tls: Tls,
    folder: &Path,
    ferrpc: &Party,
    parties: &[Party],
    progress: &Progress,
) -> Result<Tally> {
    let parties: Vec<_> = parties
        .iter()
        .filter(|party| TLS_PEERS.contains(&party.name))
        .map(|party| party.over_tls(tls, folder))
        .collect();
    let servers = start(&parties, progress)?;
    let peers: Vec<_> = parties.iter().zip(&servers).collect();
    let how = match tls {
        Tls::Server => " over TLS",
        Tls::Mutual => " over mutual TLS",
    };
    both_ways(&ferrpc.over_tls(tls, folder), &peers, REDUCED, how, progress)
}

/// On ferrpc's server that asks for certificates and does not insist: everyone with one, and
/// everyone without.
fn with_optional_certificates(
    folder: &Path,
    ferrpc: &Party,
    parties: &[Party],
    progress: &Progress,
) -> Result<Tally> {
    let own = [ferrpc.over_tls(Tls::Mutual, folder).taking_all()];
    let servers = start(&own, progress)?;
    let mut tally = Tally::default();
    for (tls, what) in [(Tls::Mutual, "with"), (Tls::Server, "without")] {
        let clients: Vec<_> = [ferrpc]
            .into_iter()
            .chain(parties.iter().filter(|party| TLS_PEERS.contains(&party.name)))
            .map(|party| party.over_tls(tls, folder))
            .collect();
        let pairs: Vec<_> = clients.iter().map(|client| (client, (&own[0], &servers[0]))).collect();
        let title = format!("On ferrpc's server, {what} the certificate it asks for, ...");
        tally += matrix(&title, progress, REDUCED, &pairs, |(client, _)| client.name)?;
    }
    Ok(tally)
}

fn start(parties: &[Party], progress: &Progress) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for party in parties {
        progress.detail(&format!("starting the server of {}", party.name));
        servers.push(Server::start(&mut party.server(), party.name)?);
    }
    Ok(servers)
}

/// A client, and a server with its process.
pub(crate) type Pair<'a> = (&'a Party, (&'a Party, &'a Server));

/// Runs the cases of several pairs and prints them: a row a case, a column a pair.
pub(crate) fn matrix(
    title: &str,
    progress: &Progress,
    cases: &[&str],
    pairs: &[Pair<'_>],
    column: impl Fn(&Pair<'_>) -> &'static str,
) -> Result<Tally> {
    if pairs.is_empty() {
        return Ok(Tally::default());
    }
    let mut columns = Vec::new();
    for (client, (party, server)) in pairs {
        progress.say(&format!("the client of {} on the server of {}", client.name, party.name));
        columns.push(outcomes(client, server, cases)?);
    }
    let header = ["case"].into_iter().chain(pairs.iter().map(column));
    let mut table = report::table(header);
    let mut tally = Tally::default();
    let mut red = Vec::new();
    for (row, case) in cases.iter().enumerate() {
        let mut cells = vec![(*case).into()];
        for (pair, outcomes) in pairs.iter().zip(&columns) {
            let good = outcomes[row].is_ok();
            tally.count(good);
            cells.push(report::cell(if good { "ok" } else { "FAIL" }, good));
            if let Err(reason) = &outcomes[row] {
                let (client, (server, _)) = pair;
                red.push(format!("FAIL {case}: {} on {}: {reason}", client.name, server.name));
            }
        }
        table.add_row(cells);
    }
    println!("\n{title}\n{table}");
    for line in &red {
        println!("{line}");
    }
    Ok(tally)
}

/// What became of each case.
fn outcomes(client: &Party, server: &Server, cases: &[&str]) -> Result<Vec<Outcome>> {
    let limit = process::MINUTE + CASE_LIMIT * cases.len() as u32;
    let mut command = client.client(server.address());
    command.args(["--case", &cases.join(",")]);
    let finished = process::finish(&mut command, client.name, limit)?;
    Ok(cases
        .iter()
        .map(|case| {
            outcome(&finished.stdout, case)
                .unwrap_or_else(|| Err(format!("the client did not say; {}", finished.account())))
        })
        .collect())
}

/// Finds a case's line, `ok CASE` or `FAIL CASE: reason`.
fn outcome(said: &str, case: &str) -> Option<Outcome> {
    said.lines().find_map(|line| match line.split_once(' ')? {
        ("ok", name) if name.trim_end() == case => Some(Ok(())),
        ("FAIL", rest) => {
            let (name, reason) = rest.split_once(':').unwrap_or((rest, "no reason given"));
            (name.trim_end() == case).then(|| Err(reason.trim().to_owned()))
        }
        _ => None,
    })
}

type Outcome = Result<(), String>;

/// What a client gives a case (`interop/README.md`).
const CASE_LIMIT: Duration = Duration::from_secs(30);

/// The four kinds of calls.
const REDUCED: &[&str] =
    &["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong"];

/// All cases of `interop/README.md`, in its order.
pub(crate) const CASES: &[&str] = &[
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "big_unary",
    "many_messages",
    "gzip",
];

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "ok empty_unary\nFAIL gzip: size 7: not 8\nFAIL ping_pong\nok\n";

    #[test]
    fn lines_of_a_client() {
        assert_eq!(outcome(SAID, "empty_unary"), Some(Ok(())));
        assert_eq!(outcome(SAID, "gzip"), Some(Err("size 7: not 8".to_owned())));
        assert_eq!(outcome(SAID, "ping_pong"), Some(Err("no reason given".to_owned())));
        assert_eq!(outcome(SAID, "empty"), None);
    }

    #[test]
    fn every_case_is_described() {
        let described = include_str!("../../interop/README.md");
        for case in CASES.iter().chain(REDUCED) {
            assert!(described.contains(&format!("`{case}`")), "{case}");
        }
    }
}
