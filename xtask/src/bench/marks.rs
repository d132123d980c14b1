//! What the figures have to be, and how they are shown.

use std::fmt;

use serde_json::{Value, json};

use super::load::Shape;
use crate::report;

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mark {
    /// Ours over the other's is at most this.
    Ratio(f64),
    /// Ours is below the other's.
    Below,
    /// Ours is at most this, whatever the other's is.
    AtMost(f64),
}

impl Mark {
    /// The marks on server CPU per call.
    pub(crate) fn of_cpu(shape: Shape) -> Option<Self> {
        match (shape.connections, shape.streams) {
            // One call at a time is bound by the kernel: as good as equal counts as equal.
            (1, 1) => Some(Self::Ratio(1.05)),
            (1 | 10, 100) => Some(Self::Ratio(1.0 / 5.0)),
            (100, 1) => Some(Self::Ratio(1.0 / 1.6)),
            _ => None,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) => write!(f, "ratio <= {ratio:.3}"),
            Self::Below => f.write_str("ratio < 1"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

/// One figure of both servers, in every round: ours first.
pub(crate) struct Comparison {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) mark: Option<Mark>,
    pub(crate) figures: [Vec<f64>; 2],
}

impl Comparison {
    fn medians(&self) -> [f64; 2] {
        self.figures.each_ref().map(|figures| median(figures.iter().copied()))
    }

    /// Ours over the other's, of the medians.
    fn ratio(&self) -> f64 {
        let [own, other] = self.medians();
        own / other
    }

    /// The least and the greatest ratio of a round.
    fn range(&self) -> (f64, f64) {
        let [own, other] = &self.figures;
        let ratios = own.iter().zip(other).map(|(own, other)| own / other);
        ratios
            .fold((f64::INFINITY, 0.0), |(least, most), ratio| (least.min(ratio), most.max(ratio)))
    }

    /// Whether the mark is reached, if there is one.
    pub(crate) fn met(&self) -> Option<bool> {
        Some(match self.mark? {
            Mark::Ratio(most) => self.ratio() <= most,
            Mark::Below => self.ratio() < 1.0,
            Mark::AtMost(most) => self.medians()[0] <= most,
        })
    }
}

/// The middle one, or the mean of the two in the middle; NaN of nothing.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

/// A table of all comparisons.
pub(crate) fn print(names: [&str; 2], comparisons: &[Comparison]) {
    let mut table =
        report::table(["figure", "unit", names[0], names[1], "ratio", "of a round", "mark", ""]);
    for comparison in comparisons {
        let [own, other] = comparison.medians();
        let (least, most) = comparison.range();
        let (mark, verdict) = match (comparison.mark, comparison.met()) {
            (Some(mark), Some(met)) => {
                (mark.to_string(), report::cell(if met { "met" } else { "MISSED" }, met))
            }
            _ => (String::new(), "".into()),
        };
        table.add_row([
            comparison.what.as_str().into(),
            comparison.unit.into(),
            figure(own).into(),
            figure(other).into(),
            format!("{:.3}", comparison.ratio()).into(),
            format!("{least:.3} to {most:.3}").into(),
            mark.into(),
            verdict,
        ]);
    }
    println!("{table}");
}

/// Three digits that matter.
fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Every figure of every round.
pub(crate) fn json(names: [&str; 2], comparisons: &[Comparison], cores: usize) -> Value {
    let comparison = |comparison: &Comparison| {
        let [own, other] = &comparison.figures;
        json!({
            "figure": comparison.what,
            "unit": comparison.unit,
            "rounds": { names[0]: own, names[1]: other },
            "ratio_of_medians": comparison.ratio(),
            "mark": comparison.mark.map(|mark| mark.to_string()),
            "met": comparison.met(),
        })
    };
    json!({
        "own": names[0],
        "other": names[1],
        "cores": cores,
        "comparisons": comparisons.iter().map(comparison).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(mark: Mark, own: &[f64], other: &[f64]) -> Comparison {
        let figures = [own.to_vec(), other.to_vec()];
        Comparison { what: String::new(), unit: "us", mark: Some(mark), figures }
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn marks() {
        let ratio = comparison(Mark::Ratio(0.2), &[1.0, 9.0, 1.0], &[5.0, 5.0, 6.0]);
        assert_eq!(ratio.met(), Some(true));
        assert_eq!(ratio.range(), (1.0 / 6.0, 1.8));
        assert_eq!(comparison(Mark::Below, &[5.0], &[5.0]).met(), Some(false));
        assert_eq!(comparison(Mark::AtMost(16.0), &[16.0], &[1.0]).met(), Some(true));
    }

    #[test]
    fn a_figure_that_is_not_a_number_meets_nothing() {
        assert_eq!(comparison(Mark::Ratio(0.2), &[], &[]).met(), Some(false));
    }
}
