//! `cargo xtask demo`: who asked whom, and what came back.
//!
//! A server of `example.TestService` in every language, in Rust and Python (with threads and with
//! asyncio) on ferrpc; a caller in every language asks each of them, once in its own name and once as a caller that no server
//! knows.

use std::fmt;

use anyhow::Result;
use clap::Args;

use crate::peers::{self, Party};
use crate::process::{self, Server};
use crate::report::{self, Progress, Tally};
use crate::workspace::Workspace;

/// How to run the demo.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// A language whose toolchain is missing is an error; else it is skipped aloud.
    #[arg(long)]
    pub(crate) require_all: bool,
    /// The peers among themselves, without ferrpc: shows whether a peer is at fault.
    #[arg(long, hide = true)]
    pub(crate) peers_only: bool,
}

/// Runs the demo; each answer is one check.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<Tally> {
    let progress = Progress::new();
    let (peers, mut skipped) = peers::prepare(workspace, &progress, &peers::LANGUAGES)?;
    let mut parties = Vec::new();
    if !options.peers_only {
        parties.push(peers::examples(workspace, &progress)?);
        let (python, missing) = peers::python_examples(workspace, &progress)?;
        parties.extend(python);
        skipped.extend(missing);
    }
    peers::announce(&skipped, options.require_all)?;
    parties.extend(peers);

    let mut servers = Vec::new();
    for party in &parties {
        progress.detail(&format!("starting the server of {}", party.name));
        servers.push(Server::start(&mut party.server(), party.name)?);
    }
    let header = ["asked by".to_owned()].into_iter();
    let header = header
        .chain(parties.iter().map(|party| format!("{} server\n({})", party.language, party.name)));
    let mut table = report::table(header);
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for stranger in [false, true] {
        for client in &parties {
            let caller = if stranger { STRANGER } else { client.language };
            let who = if stranger {
                format!("{} client\nas {STRANGER}", client.language)
            } else {
                format!("{} client\n({})", client.language, client.name)
            };
            let mut row = vec![who.into()];
            for (party, server) in parties.iter().zip(&mut servers) {
                progress.detail(&format!("{} asks {} as {caller}", client.name, party.name));
                let answer = ask(client, server.address(), caller)?;
                let expected = Answer::expected(caller, stranger, party.language);
                let right = answer == expected;
                if !right {
                    wrong.push(format!(
                        "{} asked {} as {caller}: expected {expected}, got {answer}",
                        client.name, party.name
                    ));
                }
                server.check()?;
                tally.count(right);
                row.push(report::cell(answer.to_string().replace("->", "\n->"), right));
            }
            table.add_row(row);
        }
    }
    drop(progress);
    println!("\nWho asked whom, and what came back (two results; once where they are the same):");
    println!("{table}");
    for line in &wrong {
        println!("WRONG: {line}");
    }
    Ok(tally)
}

/// What came back.
#[derive(PartialEq, Eq)]
enum Answer {
    Results(String, String),
    Error(String),
}

impl Answer {
    fn expected(caller: &str, stranger: bool, server: &str) -> Self {
        if stranger {
            return Self::Results("f1".to_owned(), "fn1".to_owned());
        }
        let result = format!("res1-{caller}-client->{server}-server");
        Self::Results(result.clone(), result)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Results(one, other) if one == other => f.write_str(one),
            Self::Results(one, other) => write!(f, "{one} {other}"),
            Self::Error(why) => f.write_str(why),
        }
    }
}

/// Has a client ask once. That it fails is an answer too, if a wrong one.
fn ask(client: &Party, address: &str, caller: &str) -> Result<Answer> {
    let mut command = client.client(address);
    command.args(["--as", caller]);
    let finished = process::finish(&mut command, client.name, process::MINUTE)?;
    let lines: Vec<_> = finished.stdout.lines().collect();
    Ok(match (finished.status.is_some_and(|status| status.success()), lines.as_slice()) {
        (true, [one, other]) => Answer::Results((*one).to_owned(), (*other).to_owned()),
        _ => Answer::Error(finished.account()),
    })
}

/// No server knows it.
const STRANGER: &str = "nobody";
