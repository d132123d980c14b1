//! What was measured: the file of figures, from which tables, charts and verdicts are made.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One run of the bench.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) machine: Machine,
    /// The commit that was measured, `-dirty` behind it if files differed.
    pub(crate) commit: String,
    /// UTC, as `date` says it.
    pub(crate) date: String,
    /// The command line of the run.
    pub(crate) command: String,
    /// How each program was started, by side and name.
    pub(crate) programs: Vec<Started>,
    pub(crate) skipped: Vec<Skipped>,
    /// What went wrong while it was measured.
    pub(crate) failures: Vec<Skipped>,
    pub(crate) rows: Vec<Row>,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// Processes that wanted to run, over the minute before the bench began.
    pub(crate) load_average: f64,
    pub(crate) h2load: String,
}

/// A program, and the line that starts it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) side: Side,
    pub(crate) peer: String,
    pub(crate) command: String,
}

/// A peer that is not there or failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skipped {
    pub(crate) peer: String,
    pub(crate) reason: String,
}

/// One figure of one peer, in every round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) side: Side,
    pub(crate) peer: String,
    /// The load generator or the server on the other side.
    pub(crate) against: String,
    /// What was sent.
    pub(crate) load: String,
    /// Connections x streams.
    pub(crate) shape: String,
    pub(crate) figure: Figure,
    pub(crate) unit: String,
    /// Calls in each round.
    pub(crate) calls: usize,
    pub(crate) rounds: Vec<f64>,
    /// What the load was made with.
    pub(crate) command: String,
}

/// Whose figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// A server's, under a load generator that is the same for all.
    Server,
    /// A client's, on a server that is the same for all.
    Client,
    /// A client's on the server of its own library.
    Pair,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Figure {
    CpuPerCall,
    CallsPerSecond,
    CpuPerHandshake,
    HandshakesPerSecond,
    P50,
    P99,
    CpuPerMessage,
    MessagesPerSecond,
    Throughput,
    MemoryPerConnection,
    MemoryPerCall,
    FirstCallBytes,
    RepeatedCallBytes,
    SystemCalls,
    Connections,
    ImportTime,
    ImportMemory,
}

impl Figure {
    /// How it is called in tables.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::CpuPerCall => "CPU per call",
            Self::CallsPerSecond => "calls per second",
            Self::CpuPerHandshake => "CPU per full handshake",
            Self::HandshakesPerSecond => "full handshakes per second",
            Self::P50 => "p50 latency",
            Self::P99 => "p99 latency",
            Self::CpuPerMessage => "CPU per message",
            Self::MessagesPerSecond => "messages per second",
            Self::Throughput => "payload, one way",
            Self::MemoryPerConnection => "resident memory per idle connection",
            Self::MemoryPerCall => "resident memory per call in flight",
            Self::FirstCallBytes => "bytes sent for a connection's first call",
            Self::RepeatedCallBytes => "bytes sent for each call after it",
            Self::SystemCalls => "system calls per 1,000 calls",
            Self::Connections => "TCP connections",
            Self::ImportTime => "time of `import grpc`",
            Self::ImportMemory => "resident memory of `import grpc`",
        }
    }

    /// What it is counted in.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::CpuPerCall
            | Self::CpuPerHandshake
            | Self::P50
            | Self::P99
            | Self::CpuPerMessage => "us",
            Self::CallsPerSecond | Self::HandshakesPerSecond | Self::MessagesPerSecond => "1/s",
            Self::Throughput => "MB/s",
            Self::MemoryPerConnection | Self::MemoryPerCall => "KiB",
            Self::FirstCallBytes | Self::RepeatedCallBytes => "bytes",
            Self::SystemCalls | Self::Connections => "",
            Self::ImportTime => "ms",
            Self::ImportMemory => "MiB",
        }
    }

    /// Whether less of it is better.
    pub(crate) fn less_is_better(self) -> bool {
        !matches!(
            self,
            Self::CallsPerSecond
                | Self::HandshakesPerSecond
                | Self::MessagesPerSecond
                | Self::Throughput
        )
    }
}

impl Row {
    /// Over the rounds.
    pub(crate) fn median(&self) -> f64 {
        median(self.rounds.iter().copied())
    }
}

impl Figures {
    /// Reads a file that `write` wrote.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| format!("{} has no figures", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }

    /// Adds a round's figure to its row.
    pub(crate) fn add(&mut self, row: Row) {
        let same = |other: &&mut Row| {
            (other.side, other.figure, &other.peer, &other.against, &other.load, &other.shape)
                == (row.side, row.figure, &row.peer, &row.against, &row.load, &row.shape)
        };
        match self.rows.iter_mut().find(same) {
            Some(same) => same.rounds.extend(row.rounds),
            None => self.rows.push(row),
        }
    }
}

/// The middle one, or the mean of the two in the middle; NaN of nothing.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    quantile(figures, 0.5)
}

/// The figure below which that share lies, between its neighbours; NaN of nothing.
pub(crate) fn quantile(figures: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let Some(last) = figures.len().checked_sub(1) else { return f64::NAN };
    let at = last as f64 * share;
    let (below, above) = (figures[at.floor() as usize], figures[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Three digits that matter.
pub(crate) fn shown(value: f64) -> String {
    match value {
        // A count, or a clock that has no finer ticks.
        0.0..1000.0 if value.fract() == 0.0 => format!("{value:.0}"),
        1_000_000.0.. => format!("{:.2} M", value / 1e6),
        10_000.0.. => format!("{:.0} k", value / 1e3),
        1_000.0.. => format!("{:.1} k", value / 1e3),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn quantiles() {
        assert_eq!(quantile((0..=100).map(f64::from), 0.99), 99.0);
        assert_eq!(quantile([1.0, 2.0], 0.75), 1.75);
    }

    #[test]
    fn rounds_of_a_row_come_together() {
        let row = |peer: &str, round| Row {
            side: Side::Server,
            peer: peer.to_owned(),
            against: String::new(),
            load: String::new(),
            shape: String::new(),
            figure: Figure::P50,
            unit: String::new(),
            calls: 1,
            rounds: vec![round],
            command: String::new(),
        };
        let mut figures = Figures::default();
        for (peer, round) in [("a", 1.0), ("b", 5.0), ("a", 2.0), ("a", 9.0)] {
            figures.add(row(peer, round));
        }
        assert_eq!(figures.rows.len(), 2);
        assert_eq!(figures.rows[0].median(), 2.0);
    }

    #[test]
    fn digits() {
        assert_eq!(shown(0.8349), "0.83");
        assert_eq!(shown(93.0), "93");
        assert_eq!(shown(43_210.0), "43 k");
        assert_eq!(shown(2_050_000.0), "2.05 M");
    }
}
