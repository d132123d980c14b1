//! Tables of the figures: for a terminal, and for BENCHMARKS.md.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::figures::{Figure, Figures, Row, Side, shown};
use super::marks::Verdict;
use crate::report;

/// A table: a peer a line, a load or a shape a column.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) lines: Vec<Vec<String>>,
}

/// What goes into one table.
struct Sheet {
    title: &'static str,
    side: Side,
    figures: &'static [Figure],
    wanted: fn(&Row) -> bool,
}

/// All tables that have lines.
pub(crate) fn tables(figures: &Figures) -> Vec<Table> {
    SHEETS.iter().filter_map(|sheet| table(figures, sheet)).collect()
}

fn table(figures: &Figures, sheet: &Sheet) -> Option<Table> {
    let fits = |row: &&Row| {
        row.side == sheet.side && sheet.figures.contains(&row.figure) && (sheet.wanted)(row)
    };
    let rows: Vec<_> = figures.rows.iter().filter(fits).collect();
    let first = *rows.first()?;
    let several = |of: fn(&Row) -> &str| rows.iter().any(|row| of(row) != of(first));
    let (loads, shapes) = (several(|row| &row.load), several(|row| &row.shape));
    let figures = rows.iter().any(|row| row.figure != first.figure);
    let servers = sheet.side == Side::Client && several(|row| &row.against);
    let column = |row: &Row| {
        let mut parts = Vec::new();
        if figures {
            let unit = if row.unit.is_empty() { String::new() } else { format!(", {}", row.unit) };
            parts.push(format!("{}{unit}", row.figure.title()));
        }
        if loads && (row.load != "small" || !shapes) {
            parts.push(row.load.clone());
        }
        if shapes {
            parts.push(row.shape.clone());
        }
        if servers {
            parts.push(format!("on {}", row.against));
        }
        if parts.is_empty() { row.figure.title().to_owned() } else { parts.join(", ") }
    };
    let (mut columns, mut peers): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for row in &rows {
        if !columns.contains(&column(row)) {
            columns.push(column(row));
        }
        if !peers.contains(&row.peer.as_str()) {
            peers.push(&row.peer);
        }
    }
    let cell = |peer: &str, wanted: &String| {
        let row = rows.iter().find(|row| row.peer == peer && column(row) == *wanted);
        row.map_or_else(String::new, |row| shown(row.median()))
    };
    let lines = peers
        .into_iter()
        .map(|peer| {
            let cells = columns.iter().map(|column| cell(peer, column));
            [peer.to_owned()].into_iter().chain(cells).collect()
        })
        .collect();
    let unit =
        if figures || first.unit.is_empty() { String::new() } else { format!(", {}", first.unit) };
    let header = [first_column(sheet.side).to_owned()].into_iter().chain(columns).collect();
    Some(Table { title: format!("{}{unit}", sheet.title), header, lines })
}

fn first_column(side: Side) -> &'static str {
    match side {
        Side::Server => "server",
        Side::Client => "client",
        Side::Pair => "client and server",
    }
}

/// Prints all of it: tables, marks, who is missing, what went wrong.
pub(crate) fn print(figures: &Figures, verdicts: &[Verdict]) {
    for Table { title, header, lines } in tables(figures) {
        let mut table = report::table(&header);
        for line in lines {
            table.add_row(line);
        }
        println!("\n{title}\n{table}");
    }
    if !verdicts.is_empty() {
        let mut table =
            report::table(["mark", "ferrpc", "beside", "ratio", "of a round", "wanted", ""]);
        for verdict in verdicts {
            let mut line: Vec<_> = verdict.line().into_iter().map(comfy_table::Cell::new).collect();
            if let Some(last) = line.last_mut() {
                *last = report::cell(verdict.word(), verdict.met == Some(true));
            }
            table.add_row(line);
        }
        println!("\nMarks\n{table}");
    }
    println!("\n{}", about(figures));
    for failure in &figures.failures {
        println!("FAILED: {}: {}", failure.peer, failure.reason);
    }
}

/// Machine, commit and command, in words.
fn about(figures: &Figures) -> String {
    let Figures { machine, commit, date, command, .. } = figures;
    format!(
        "Measured on {date} at commit {commit} with `{command}`. Machine: {}, {} cores, Linux {}, \
         load average {:.1} before the run; {}; {}. Medians of interleaved rounds; servers on core \
         0, {}the load on core 1.",
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.load_average,
        machine.rustc,
        machine.h2load,
        if machine.cores > 1 { "" } else { "which is the only one and carries " },
    )
}

/// Puts tables, marks and charts between the markers of a file.
pub(crate) fn write(
    path: &Path,
    figures: &Figures,
    verdicts: &[Verdict],
    charts: &[(String, String)],
) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let text = report::between(&text, MARKERS, &markdown(figures, verdicts, charts))
        .with_context(|| format!("{} has no lines {}", path.display(), MARKERS.join(" and ")))?;
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn markdown(figures: &Figures, verdicts: &[Verdict], charts: &[(String, String)]) -> String {
    let mut text = about(figures) + "\n";
    for skipped in &figures.skipped {
        let reason = skipped.reason.lines().last().unwrap_or_default();
        writeln!(text, "\nSkipped: {}: {reason}", skipped.peer).expect("a string takes all");
    }
    for failure in &figures.failures {
        let reason = failure.reason.lines().next().unwrap_or_default();
        writeln!(text, "\nFailed: {}: {reason}", failure.peer).expect("a string takes all");
    }
    if !verdicts.is_empty() {
        text.push_str("\n### Marks\n\n");
        let header = ["mark", "ferrpc", "beside", "ratio", "of a round", "wanted", ""];
        lines(&mut text, &header.map(str::to_owned), verdicts.iter().map(Verdict::line));
    }
    for (title, link) in charts {
        write!(text, "\n![{title}]({link})\n").expect("a string takes all");
    }
    for Table { title, header, lines: cells } in tables(figures) {
        write!(text, "\n### {title}\n\n").expect("a string takes all");
        lines(&mut text, &header, cells);
    }
    text
}

fn lines(text: &mut String, header: &[String], lines: impl IntoIterator<Item = Vec<String>>) {
    let rule = vec!["---".to_owned(); header.len()];
    for line in [header.to_vec(), rule].into_iter().chain(lines) {
        writeln!(text, "| {} |", line.join(" | ")).expect("a string takes all");
    }
}

const fn sheet(
    title: &'static str,
    side: Side,
    figures: &'static [Figure],
    wanted: fn(&Row) -> bool,
) -> Sheet {
    Sheet { title, side, figures, wanted }
}

fn is_small(row: &Row) -> bool {
    row.load.starts_with("small") && !is_handler(row)
}

fn is_handler(row: &Row) -> bool {
    row.load.starts_with("small, handler")
}

fn is_tls(row: &Row) -> bool {
    row.load.starts_with("TLS")
}

fn is_echo(row: &Row) -> bool {
    row.load.starts_with("echo")
}

fn is_any(_: &Row) -> bool {
    true
}

const SHEETS: &[Sheet] = &[
    sheet("Server CPU per call, by h2load", Side::Server, &[Figure::CpuPerCall], is_small),
    sheet("Server, calls per second, by h2load", Side::Server, &[Figure::CallsPerSecond], is_small),
    sheet(
        "Server over TLS 1.3, CPU per call, by h2load",
        Side::Server,
        &[Figure::CpuPerCall],
        is_tls,
    ),
    sheet(
        "Server over TLS 1.3, full handshakes, by h2load",
        Side::Server,
        &[Figure::CpuPerHandshake, Figure::HandshakesPerSecond],
        is_any,
    ),
    sheet(
        "Server CPU per call, by what the handler does",
        Side::Server,
        &[Figure::CpuPerCall],
        is_handler,
    ),
    sheet("p50 latency as h2load has it", Side::Server, &[Figure::P50], is_any),
    sheet("p99 latency as h2load has it", Side::Server, &[Figure::P99], is_any),
    sheet(
        "Server, streams of a thousand messages, by h2load",
        Side::Server,
        &[Figure::CpuPerMessage, Figure::MessagesPerSecond],
        is_any,
    ),
    sheet("Server, echo by h2load", Side::Server, &[Figure::Throughput], is_any),
    sheet("Server CPU per echo, by h2load", Side::Server, &[Figure::CpuPerCall], is_echo),
    sheet(
        "Server's resident memory",
        Side::Server,
        &[Figure::MemoryPerConnection, Figure::MemoryPerCall],
        is_any,
    ),
    sheet(
        "Bytes that a server sends",
        Side::Server,
        &[Figure::FirstCallBytes, Figure::RepeatedCallBytes],
        is_any,
    ),
    sheet("Server's system calls per 1,000 calls", Side::Server, &[Figure::SystemCalls], is_any),
    sheet("Client CPU per call", Side::Client, &[Figure::CpuPerCall], is_any),
    sheet("Client, calls per second", Side::Client, &[Figure::CallsPerSecond], is_any),
    sheet("Client, p50 latency", Side::Client, &[Figure::P50], is_any),
    sheet("Client, p99 latency", Side::Client, &[Figure::P99], is_any),
    sheet(
        "Bytes that a client sends",
        Side::Client,
        &[Figure::FirstCallBytes, Figure::RepeatedCallBytes],
        is_any,
    ),
    sheet(
        "TCP connections of a client, by calls in flight",
        Side::Client,
        &[Figure::Connections],
        is_any,
    ),
    sheet(
        "`import grpc`, in a fresh interpreter",
        Side::Client,
        &[Figure::ImportTime, Figure::ImportMemory],
        is_any,
    ),
    sheet(
        "Client and server of one library, messages",
        Side::Pair,
        &[Figure::MessagesPerSecond],
        is_any,
    ),
    sheet(
        "Client and server of one library, payload one way",
        Side::Pair,
        &[Figure::Throughput],
        is_any,
    ),
    sheet(
        "Client and server of one library, client CPU per echo",
        Side::Pair,
        &[Figure::CpuPerCall],
        is_echo,
    ),
];

const MARKERS: [&str; 2] =
    ["<!-- figures: written by cargo xtask bench --write -->", "<!-- figures: end -->"];

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: &str, load: &str, shape: &str, figure: Figure, round: f64) -> Row {
        Row {
            side: Side::Server,
            peer: peer.to_owned(),
            against: "h2load".to_owned(),
            load: load.to_owned(),
            shape: shape.to_owned(),
            figure,
            unit: figure.unit().to_owned(),
            calls: 1,
            rounds: vec![round],
            command: String::new(),
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_peer_and_a_gap_where_nothing_was_measured() {
        let cpu = Figure::CpuPerCall;
        let figures = Figures {
            rows: vec![
                row("a", "small", "1x1", cpu, 1.0),
                row("a", "small", "1x8", cpu, 2.0),
                row("b", "small", "1x8", cpu, 30.0),
            ],
            ..Figures::default()
        };
        let tables = tables(&figures);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].title, "Server CPU per call, by h2load, us");
        assert_eq!(tables[0].header, ["server", "1x1", "1x8"]);
        assert_eq!(tables[0].lines, [["a", "1", "2"], ["b", "", "30"]]);
    }

    #[test]
    fn several_figures_name_their_columns() {
        let figures = Figures {
            rows: vec![
                row("a", "nothing", "1000x0", Figure::MemoryPerConnection, 1.0),
                row("a", "headers only", "1000x0", Figure::MemoryPerCall, 2.0),
            ],
            ..Figures::default()
        };
        let header = &tables(&figures)[0].header;
        assert!(header[1].starts_with("resident memory per idle connection, KiB"), "{header:?}");
    }
}
