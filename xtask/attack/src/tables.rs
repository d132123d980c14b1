//! What was seen, for a terminal and for SECURITY.md.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use xtask_base::peers::Party;
use xtask_base::report::{self, Tally};
use xtask_base::workspace::Workspace;

use crate::rows::{Row, servers};
use crate::subject::{Outcome, is_ours};

/// The outcome of each row at each server.
pub(crate) struct Figures {
    servers: Vec<&'static str>,
    rows: Vec<(&'static str, &'static str)>,
    outcomes: Vec<(usize, usize, Result<Outcome>)>,
}

impl Figures {
    pub(crate) fn new(parties: &[Party], rows: &[Row]) -> Self {
        Self {
            servers: parties.iter().map(|party| party.name).collect(),
            rows: rows.iter().map(|row| (row.number, row.what)).collect(),
            outcomes: Vec::new(),
        }
    }

    /// Those of the rows against clients.
    pub(crate) fn of_clients(parties: &[Party]) -> Self {
        let rows = servers::all();
        Self {
            servers: parties.iter().map(|party| party.name).collect(),
            rows: rows.iter().map(|row| (row.number, row.what)).collect(),
            outcomes: Vec::new(),
        }
    }

    /// Adds an outcome.
    pub(crate) fn add(&mut self, server: usize, row: usize, outcome: Result<Outcome>) {
        self.outcomes.push((server, row, outcome));
    }

    /// Prints all; each row at one of our servers is a check.
    pub(crate) fn print(&mut self, what: &str) -> Tally {
        self.outcomes.sort_by_key(|(server, row, _)| (*row, *server));
        let mut table = report::table([
            "row", "attack", "server", "reaction", "after", "sent", "held", "a byte", "kept",
            "CPU", "p99", "wrong",
        ]);
        let mut tally = Tally::default();
        for (server, row, outcome) in &self.outcomes {
            let (number, what) = self.rows[*row];
            let name = self.servers[*server];
            let cells = match outcome {
                Ok(outcome) => {
                    if is_ours(name) {
                        tally.count(outcome.wrong.is_empty());
                    }
                    let wrong = report::cell(outcome.wrong.join("; "), !is_ours(name));
                    let after = outcome.time.map(short).unwrap_or_default();
                    let mut cells: Vec<_> = [
                        number.to_owned(),
                        what.to_owned(),
                        name.to_owned(),
                        outcome.reaction.clone(),
                        after,
                        size(outcome.sent),
                        size(outcome.held),
                        format!("{:.1}", outcome.factor),
                        format!("{} of {}", size(outcome.kept), size(outcome.before)),
                        short(outcome.cpu),
                        short(outcome.honest.p99()),
                    ]
                    .map(|text| report::cell(text, true))
                    .to_vec();
                    cells.push(wrong);
                    cells
                }
                Err(error) => {
                    if is_ours(name) {
                        tally.count(false);
                    }
                    let words = [number, what, name, "", "", "", "", "", "", "", ""];
                    let mut cells: Vec<_> = words.map(|text| report::cell(text, true)).to_vec();
                    cells.push(report::cell(format!("{error:#}"), false));
                    cells
                }
            };
            table.add_row(cells);
        }
        println!("\n{what}\n{table}");
        tally
    }

    fn markdown(&self) -> String {
        let mut out = String::from(
            "| row | attack | server | reaction | after | sent | held | a byte | CPU | honest calls: lost, p99 |\n\
             |---|---|---|---|---|---|---|---|---|---|\n",
        );
        for (server, row, outcome) in &self.outcomes {
            let (number, what) = self.rows[*row];
            let name = self.servers[*server];
            // Writing to a String does not fail.
            let _ = match outcome {
                Ok(outcome) => writeln!(
                    out,
                    "| {number} | {what} | {name} | {} | {} | {} | {} | {:.1} | {} | {}, {} |",
                    outcome.reaction.replace('|', "/"),
                    outcome.time.map(short).unwrap_or_default(),
                    size(outcome.sent),
                    size(outcome.held),
                    outcome.factor,
                    short(outcome.cpu),
                    outcome.honest.lost.len(),
                    short(outcome.honest.p99()),
                ),
                Err(error) => {
                    let error = format!("{error:#}").replace(['|', '\n'], " ");
                    writeln!(out, "| {number} | {what} | {name} | {error} | | | | | | |")
                }
            };
        }
        out
    }
}

/// Puts the tables, of servers and of clients, into SECURITY.md.
pub(crate) fn write(
    workspace: &Workspace,
    [servers, clients]: &[Figures; 2],
    quick: bool,
) -> Result<()> {
    let path = workspace.root.join("SECURITY.md");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let tables = format!(
        "Measured on {} at {}{}.\n\n### Servers\n\n{}\n### Clients\n\nA hostile server does this to \
         the first call of a client, whose program ends if a call to another server is lost.\n\n{}",
        workspace.date(),
        workspace.commit(),
        if quick { ", shortened" } else { "" },
        servers.markdown(),
        clients.markdown(),
    );
    let new = report::between(&text, MARKERS, &tables);
    std::fs::write(&path, new.context("SECURITY.md lacks the markers of the table")?)?;
    Ok(())
}

/// `850 us`, `3.2 ms`, `1.5 s`.
fn short(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1000 => format!("{micros} us"),
        1000..1_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// `12 B`, `3.4 KiB`, `5.6 MiB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64),
    }
}

const MARKERS: [&str; 2] = ["<!-- attack: begin -->", "<!-- attack: end -->"];
