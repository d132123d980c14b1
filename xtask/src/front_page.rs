//! The three figures of README.md: taken from the marks of BENCHMARKS.md, so that they are what was
//! measured last.

use std::fs;

use anyhow::{Context, Result};

use crate::report;
use crate::workspace::Workspace;

/// What README.md says of a mark, the mark, its unit with a space, and what it is beside.
struct Line {
    says: &'static str,
    mark: &'static str,
    unit: &'static str,
    beside: &'static str,
}

const LINES: [Line; 3] = [
    Line {
        says: "CPU time of a Rust server per unary call, 100 in flight on one connection",
        mark: "CPU per call, server, small at 1x100, us",
        unit: " us",
        beside: "tonic",
    },
    Line {
        says: "CPU time of a Python server per unary call, the same",
        mark: "ferrpc-python, CPU per call, server, small at 1x100, us",
        unit: " us",
        beside: "grpcio",
    },
    Line {
        says: "calls per second of a Python client, one at a time",
        mark: "ferrpc-python, calls per second, client on ferrpc, small at 1x1, 1/s",
        unit: "",
        beside: "grpcio",
    },
];

/// README.md as it should be.
pub(crate) fn readme(workspace: &Workspace) -> Result<String> {
    let read = |name: &str| fs::read_to_string(workspace.root.join(name)).context(name.to_owned());
    let table = table(&read("BENCHMARKS.md")?)?;
    report::between(&read(README)?, MARKERS, &table)
        .with_context(|| format!("{README} has no lines {}", MARKERS.join(" and ")))
}

fn table(benchmarks: &str) -> Result<String> {
    let mut text = "| | ferrpc | beside it |\n|---|---|---|\n".to_owned();
    for Line { says, mark, unit, beside } in LINES {
        let cells = benchmarks
            .lines()
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
            // The same mark without somebody beside it has an empty cell.
            .find(|cells| {
                cells.get(1) == Some(&mark) && cells.get(3).is_some_and(|it| !it.is_empty())
            });
        let cells = cells.with_context(|| format!("BENCHMARKS.md has no mark {mark:?}"))?;
        text += &format!("| {says} | {}{unit} | {beside}: {}{unit} |\n", cells[2], cells[3]);
    }
    Ok(text)
}

pub(crate) const README: &str = "README.md";
const MARKERS: [&str; 2] = [
    "<!-- three figures: written by cargo xtask gen from BENCHMARKS.md -->",
    "<!-- end of the figures -->",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_marks() {
        let marks =
            LINES.map(|line| format!("| {0} | 1 |  |  |\n| {0} | 2.5 | 10 | 0.25 |\n", line.mark));
        let table = table(&marks.concat()).expect("all marks are there");
        assert!(table.ends_with("one at a time | 2.5 | grpcio: 10 |\n"), "{table}");
        assert!(super::table(&marks[0]).is_err());
    }
}
