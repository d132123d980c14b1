//! What the runs gave: a file in `target/workloads`, a table on the terminal, and docs/workloads.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::runner::Outcome;
use crate::report;

/// The last run of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) about: String,
    pub(crate) suite: bool,
    pub(crate) versions: Vec<String>,
    /// What ferrpc was: a commit, or the file of a wheel.
    pub(crate) ferrpc: String,
    pub(crate) python: String,
    pub(crate) date: String,
    /// On grpcio and on ferrpc; empty if the case could not be run.
    pub(crate) outcomes: Option<[Outcome; 2]>,
    pub(crate) worse: Vec<String>,
    pub(crate) known: Vec<String>,
    pub(crate) better: Vec<String>,
    /// Why it was not run.
    pub(crate) skipped: Option<String>,
}

/// All that are kept, by case.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Records(BTreeMap<String, Record>);

impl Records {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| path.display().to_string()),
            Err(_) => Ok(Self::default()),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }

    pub(crate) fn insert(&mut self, case: &str, record: Record) {
        self.0.insert(case.to_owned(), record);
    }

    /// Those of these cases.
    pub(crate) fn only(mut self, cases: &[&str]) -> Self {
        self.0.retain(|name, _| cases.contains(&name.as_str()));
        self
    }

    /// For the terminal.
    pub(crate) fn print(&self) {
        let mut table = report::table(HEADER);
        for (name, record) in &self.0 {
            let mut cells: Vec<_> =
                record.cells(name).into_iter().map(comfy_table::Cell::new).collect();
            if let Some(last) = cells.last_mut() {
                *last = report::cell(record.word(), record.is_good());
            }
            table.add_row(cells);
        }
        println!("\n{table}");
    }

    /// The same as Markdown, with what differs below it.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let line = |text: &mut String, cells: &[String]| {
            writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes all");
        };
        line(&mut text, &HEADER.map(str::to_owned));
        line(&mut text, &HEADER.map(|_| "---".to_owned()));
        for (name, record) in &self.0 {
            line(&mut text, &record.cells(name));
        }
        for (title, of) in [
            ("Worse", (|record| &record.worse) as fn(&Record) -> &Vec<String>),
            ("Known differences", |record| &record.known),
            ("Passes on ferrpc alone", |record| &record.better),
        ] {
            let found: Vec<_> = self
                .0
                .iter()
                .flat_map(|(name, record)| of(record).iter().map(move |what| (name, what)))
                .collect();
            if !found.is_empty() {
                write!(text, "\n### {title}\n\n").expect("a string takes all");
            }
            for (name, what) in found {
                let what = what.replace(['|', '<', '>', '`'], " ");
                writeln!(text, "- {name}: {what}").expect("a string takes all");
            }
        }
        text
    }

    /// Puts the Markdown between the markers of a file.
    pub(crate) fn write_into(&self, path: &PathBuf) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let text = report::between(&text, MARKERS, &self.markdown()).with_context(|| {
            format!("{} has no lines {}", path.display(), MARKERS.join(" and "))
        })?;
        fs::write(path, text).with_context(|| path.display().to_string())
    }
}

impl Record {
    pub(crate) fn is_good(&self) -> bool {
        self.worse.is_empty()
    }

    fn word(&self) -> &'static str {
        match (&self.skipped, self.is_good()) {
            (Some(_), _) => "skipped",
            (None, true) if self.known.is_empty() => "as on grpcio",
            (None, true) => "known differences",
            (None, false) => "WORSE",
        }
    }

    fn cells(&self, name: &str) -> Vec<String> {
        let mut cells = vec![name.to_owned(), self.about.clone(), self.versions.join(", ")];
        match &self.outcomes {
            Some(outcomes) => {
                cells.extend(outcomes.iter().map(|outcome| result(outcome, self.suite)));
                let of =
                    |figure: fn(&Outcome) -> String| outcomes.each_ref().map(figure).join(" / ");
                cells.push(of(|outcome| format!("{:.1}", outcome.seconds)));
                cells.push(of(|outcome| outcome.stderr_lines.to_string()));
            }
            None => cells.extend([const { String::new() }; 4]),
        }
        cells.push(self.ferrpc.clone());
        cells.push(self.word().to_owned());
        cells
    }
}

/// `156 passed, 2 skipped`, `31 lines`.
fn result(outcome: &Outcome, suite: bool) -> String {
    let mut text = if suite {
        let mut counts = BTreeMap::<&str, usize>::new();
        for result in outcome.results.values() {
            *counts.entry(result).or_default() += 1;
        }
        ["passed", "failed", "error", "skipped"]
            .iter()
            .filter_map(|result| Some(format!("{} {result}", counts.get(result)?)))
            .collect::<Vec<_>>()
            .join(", ")
    } else {
        format!("{} lines", outcome.results.len())
    };
    if let Some(reason) = &outcome.broken {
        write!(text, " ({reason})").expect("a string takes all");
    }
    text
}

const HEADER: [&str; 9] = [
    "case",
    "what it is",
    "versions",
    "on grpcio",
    "on ferrpc",
    "seconds",
    "stderr lines",
    "commit",
    "verdict",
];
const MARKERS: [&str; 2] =
    ["<!-- workloads: written by cargo xtask workloads --write -->", "<!-- workloads: end -->"];
