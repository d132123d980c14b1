//! Charts of the figures, as SVG: a bar for each peer, the best on top.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figures::{Figure, Figures, Row, Side, shown};

/// What a chart shows.
struct Chart {
    file: &'static str,
    title: &'static str,
    side: Side,
    /// Of a client: the server; else empty.
    against: &'static str,
    load: &'static str,
    shape: &'static str,
    figure: Figure,
}

/// Draws all charts whose figures were measured; the title and the path from the root of each.
pub(crate) fn draw(figures: &Figures, folder: &Path) -> Result<Vec<(String, String)>> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut drawn = Vec::new();
    for chart in CHARTS {
        let bars = bars(figures, chart);
        if bars.len() < 2 {
            continue;
        }
        let path = folder.join(chart.file);
        // The library writes a file that ends without the end of its last line.
        let text = svg(chart, &bars)? + "\n";
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        drawn.push((chart.title.to_owned(), path.display().to_string()));
    }
    Ok(drawn)
}

/// Peers and their medians, the best first.
fn bars<'a>(figures: &'a Figures, chart: &Chart) -> Vec<(&'a str, f64)> {
    let fits = |row: &&Row| {
        (row.side, row.figure) == (chart.side, chart.figure)
            && (row.load.as_str(), row.shape.as_str()) == (chart.load, chart.shape)
            && (chart.against.is_empty() || row.against == chart.against)
    };
    let rows = figures.rows.iter().filter(fits);
    let mut bars: Vec<_> = rows.map(|row| (row.peer.as_str(), row.median())).collect();
    bars.sort_by(|(_, one), (_, other)| {
        let order = one.total_cmp(other);
        if chart.figure.less_is_better() { order } else { order.reverse() }
    });
    bars
}

fn svg(chart: &Chart, bars: &[(&str, f64)]) -> Result<String> {
    let mut text = String::new();
    let height = HEAD + BAR * bars.len() as u32 + FOOT;
    let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
    let drawn = paint(&root, chart, bars, height);
    drop(root);
    drawn.map_err(|error| anyhow!("{}: {error}", chart.file))?;
    Ok(text)
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    chart: &Chart,
    bars: &[(&str, f64)],
    height: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let font = |size: f64| ("sans-serif", size).into_font().color(&INK);
    let anchor = |horizontal| Pos::new(horizontal, VPos::Center);
    root.fill(&PAPER)?;
    root.draw_text(chart.title, &font(16.0).pos(Pos::new(HPos::Left, VPos::Top)), (12, 10))?;
    let less = if chart.figure.less_is_better() { "less" } else { "more" };
    let unit = chart.figure.unit();
    let legend = if unit.is_empty() {
        format!("{less} is better")
    } else {
        format!("{unit}, {less} is better")
    };
    root.draw_text(&legend, &font(12.0).pos(anchor(HPos::Left)), (12, height as i32 - 12))?;
    let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let room = f64::from(WIDTH - NAMES - VALUES);
    for (number, (peer, value)) in bars.iter().enumerate() {
        let top = (HEAD + BAR * number as u32) as i32;
        let middle = top + BAR as i32 / 2;
        let own = peer.starts_with("ferrpc");
        let color = if own { OWN } else { OTHER };
        let left = NAMES as i32;
        // The least bar is still seen.
        let right = left + ((value / most * room) as i32).max(1);
        let corners = [(left, top + 3), (right, top + BAR as i32 - 3)];
        root.draw(&Rectangle::new(corners, color.filled()))?;
        root.draw_text(peer, &font(13.0).pos(anchor(HPos::Right)), (left - 8, middle))?;
        root.draw_text(&shown(*value), &font(13.0).pos(anchor(HPos::Left)), (right + 6, middle))?;
    }
    root.present()?;
    Ok(())
}

const fn server(
    file: &'static str,
    title: &'static str,
    load: &'static str,
    shape: &'static str,
    figure: Figure,
) -> Chart {
    Chart { file, title, side: Side::Server, against: "", load, shape, figure }
}

const fn pair(
    file: &'static str,
    title: &'static str,
    load: &'static str,
    figure: Figure,
) -> Chart {
    Chart { file, title, side: Side::Pair, against: "", load, shape: "1x1", figure }
}

const fn client(file: &'static str, title: &'static str, shape: &'static str) -> Chart {
    let (side, against, figure) = (Side::Client, "tonic", Figure::CpuPerCall);
    Chart { file, title, side, against, load: "small", shape, figure }
}

const CHARTS: &[Chart] = &[
    server(
        "server-cpu-1x100.svg",
        "Server CPU per unary call, 1 connection, 100 calls in flight",
        "small",
        "1x100",
        Figure::CpuPerCall,
    ),
    server(
        "server-cpu-100x1.svg",
        "Server CPU per unary call, 100 connections, 1 call in flight on each",
        "small",
        "100x1",
        Figure::CpuPerCall,
    ),
    server(
        "server-cpu-1x1.svg",
        "Server CPU per unary call, one after the other",
        "small",
        "1x1",
        Figure::CpuPerCall,
    ),
    server(
        "server-p50-1x64.svg",
        "p50 latency, 64 calls in flight on one connection",
        "small",
        "1x64",
        Figure::P50,
    ),
    server(
        "server-memory.svg",
        "Server's resident memory per idle connection",
        "nothing",
        "1000x0",
        Figure::MemoryPerConnection,
    ),
    server(
        "server-memory-per-call.svg",
        "Server's resident memory per call in flight",
        "headers only",
        "10x100",
        Figure::MemoryPerCall,
    ),
    client("client-cpu-1x1.svg", "Client CPU per unary call, one after the other, on tonic", "1x1"),
    client("client-cpu-1x100.svg", "Client CPU per unary call, 100 in flight, on tonic", "1x100"),
    pair(
        "messages.svg",
        "Messages per second of a server's stream, client and server of one library",
        "server streaming of 8 bytes",
        Figure::MessagesPerSecond,
    ),
    pair(
        "echo-1-mib.svg",
        "Echo of 1 MiB, one at a time, client and server of one library",
        "echo of 1 MiB",
        Figure::Throughput,
    ),
];

const WIDTH: u32 = 760;
/// For the title, for the legend, for a bar, for names and for values beside the bars.
const HEAD: u32 = 40;
const FOOT: u32 = 28;
const BAR: u32 = 24;
const NAMES: u32 = 170;
const VALUES: u32 = 80;
/// Painted, so that the text can be read on a dark page.
const PAPER: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(40, 40, 48);
const OWN: RGBColor = RGBColor(206, 91, 24);
const OTHER: RGBColor = RGBColor(150, 163, 181);

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let row = |peer: &str, round| Row {
            side: Side::Server,
            peer: peer.to_owned(),
            against: "h2load".to_owned(),
            load: "small".to_owned(),
            shape: "1x100".to_owned(),
            figure: Figure::CpuPerCall,
            unit: "us".to_owned(),
            calls: 1,
            rounds: vec![round],
            command: String::new(),
        };
        Figures { rows: vec![row("tonic", 11.4), row("ferrpc", 1.88)], ..Figures::default() }
    }

    #[test]
    fn the_best_comes_first() {
        let figures = figures();
        let bars = bars(&figures, &CHARTS[0]);
        assert_eq!(bars, [("ferrpc", 1.88), ("tonic", 11.4)]);
    }

    #[test]
    fn a_chart_has_names_and_values() {
        let figures = figures();
        let svg = svg(&CHARTS[0], &bars(&figures, &CHARTS[0])).expect("it can be drawn");
        roxmltree::Document::parse(&svg).expect("it is XML");
        for text in ["ferrpc", "tonic", "1.88", "11.4", "us, less is better"] {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
    }
}
