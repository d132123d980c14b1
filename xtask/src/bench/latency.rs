//! The median latency as h2load sees it, with 1, 8 and 64 calls in flight on one connection.

use anyhow::Result;

use super::load::{H2load, Payload, Shape};
use super::marks::{Comparison, Mark, median};
use super::subject::Subject;
use crate::report::Progress;

/// Calls in flight, small and large messages.
pub(crate) fn measure(
    subjects: &mut [Subject; 2],
    h2load: &H2load,
    rounds: usize,
    progress: &Progress,
) -> Result<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    for (payload, calls) in
        [(Payload::small(), [5_000, 20_000, 50_000]), (Payload::large(), [1_000, 3_000, 5_000])]
    {
        for (streams, calls) in [1, 8, 64].into_iter().zip(calls) {
            let shape = Shape { connections: 1, streams };
            let mut figures = [Vec::new(), Vec::new()];
            for subject in subjects.iter_mut() {
                h2load.run(subject, shape, calls / 5, &payload)?;
            }
            for round in 1..=rounds {
                for (subject, figures) in subjects.iter_mut().zip(&mut figures) {
                    let (name, payload_name) = (subject.name, payload.name);
                    progress.say(&format!(
                        "latency {payload_name}, {streams} in flight, round {round} of {rounds}: {name}"
                    ));
                    let times = h2load.times(subject, shape, calls, &payload)?;
                    figures.push(median(times.into_iter().map(f64::from)));
                }
            }
            comparisons.push(Comparison {
                what: format!("p50 latency, {}, {streams} in flight", payload.name),
                unit: "us",
                mark: Some(Mark::Below),
                figures,
            });
        }
    }
    Ok(comparisons)
}
