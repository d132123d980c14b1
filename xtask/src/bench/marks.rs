//! What ferrpc's figures have to be, and whether they are.

use std::fmt;

use super::figures::{Figure, Figures, Row, Side, shown};
use super::programs::FLOOR;

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
    beside: &'static str,
    bound: Bound,
}

/// All marks.
pub(crate) fn judge(figures: &Figures) -> Vec<Verdict> {
    MARKS.iter().map(|mark| mark.judge(figures)).collect()
}

impl Mark {
    fn judge(&self, figures: &Figures) -> Verdict {
        let Self { place, beside, bound } = self;
        let row = |peer: &str| {
            figures.rows.iter().find(|row| {
                row.peer == peer
                    && (row.side, row.figure) == (place.side, place.figure)
                    && (row.load.as_str(), row.shape.as_str()) == (place.load, place.shape)
                    && (place.against.is_empty() || row.against == place.against)
            })
        };
        let (own, other) = (row(OWN), row(beside));
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
            Side::Client => format!("client on {}", place.against),
            Side::Pair => "own server".to_owned(),
        };
        let what = format!(
            "{}, {of}, {} at {}{}{unit}",
            place.figure.title(),
            place.load,
            place.shape,
            if unit.is_empty() { "" } else { ", " },
        );
        let other = other_median.filter(|_| !matches!(bound, Bound::AtMost(_)));
        let range = range.filter(|_| other.is_some());
        let what =
            if *beside == FLOOR && other.is_some() { format!("{what}, floor") } else { what };
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
    let place =
        Place { side: Side::Server, against: "", load: "small", shape, figure: Figure::CpuPerCall };
    Mark { place, beside, bound }
}

const fn server(load: &'static str, shape: &'static str, figure: Figure, bound: Bound) -> Mark {
    let place = Place { side: Side::Server, against: "", load, shape, figure };
    Mark { place, beside: TONIC, bound }
}

const fn latency(load: &'static str, shape: &'static str) -> Mark {
    let place = Place { side: Side::Server, against: "", load, shape, figure: Figure::P50 };
    Mark { place, beside: TONIC, bound: Bound::Below }
}

const fn client(server: &'static str) -> Mark {
    let place = Place {
        side: Side::Client,
        against: server,
        load: "small",
        shape: "1x100",
        figure: Figure::CpuPerCall,
    };
    Mark { place, beside: TONIC, bound: Bound::Ratio(1.0 / 5.0) }
}

const fn pair(load: &'static str, shape: &'static str, figure: Figure, times: f64) -> Mark {
    let place = Place { side: Side::Pair, against: "", load, shape, figure };
    Mark { place, beside: TONIC, bound: Bound::Times(times) }
}

const OWN: &str = "ferrpc";
const TONIC: &str = "tonic";
/// The peers that the marks are about.
pub(crate) const PEERS: [&str; 3] = [OWN, TONIC, FLOOR];

const HANDSHAKE: &str = "TLS 1.3, one call a connection";

const MARKS: &[Mark] = &[
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::{self, Extent, Kind};

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
        Figures { rows: vec![row(OWN, own), row(TONIC, other)], ..Figures::default() }
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
        let extent = Extent { rounds: 5, memory_rounds: 3, seconds: 1.0, full: false, marks: true };
        let cases = plan::cases(&extent, &[], &[]).expect("all parts");
        for Mark { place, .. } in MARKS {
            let found = cases.iter().any(|case| {
                let side = match case.kind {
                    Kind::Pair => Side::Pair,
                    Kind::Client { server } if server == place.against => Side::Client,
                    Kind::Client { .. } => return false,
                    _ => Side::Server,
                };
                side == place.side
                    && case.load.name == place.load
                    && case.shape.to_string() == place.shape
            });
            assert!(found, "{} at {}", place.load, place.shape);
        }
    }
}
