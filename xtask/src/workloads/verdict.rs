//! Where ferrpc is worse than grpcio: a result, the time, or what is said on stderr.

use super::case::{Case, Excused};
use super::runner::Outcome;

/// What the comparison found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Where ferrpc is worse, or the case does not hold: each a failure.
    pub(crate) worse: Vec<String>,
    /// Results that differ as the case says.
    pub(crate) known: Vec<String>,
    /// Tests that pass on ferrpc alone.
    pub(crate) better: Vec<String>,
}

/// Compares the two.
pub(crate) fn judge(case: &Case, grpcio: &Outcome, ferrpc: &Outcome) -> Verdict {
    let suite = case.about.suite.as_ref();
    let mut verdict = Verdict::default();
    if let Some(reason) = &grpcio.broken {
        verdict.worse.push(format!("the case is broken, on grpcio: {reason}"));
    }
    let minimum = suite.map_or(1, |suite| suite.minimum);
    if grpcio.good() < minimum {
        let good = grpcio.good();
        verdict.worse.push(format!("the case is broken: {good} good on grpcio, not {minimum}"));
    }
    if let Some(reason) = &ferrpc.broken {
        verdict.worse.push(format!("on ferrpc: {reason}"));
    }
    results(suite.is_some(), &case.about.differs, grpcio, ferrpc, &mut verdict);
    if ferrpc.seconds > grpcio.seconds * TIMES + SECONDS {
        let (theirs, ours) = (grpcio.seconds, ferrpc.seconds);
        verdict.worse.push(format!("time: {ours:.1} s, {theirs:.1} s on grpcio"));
    }
    if ferrpc.tracebacks > grpcio.tracebacks {
        let (theirs, ours) = (grpcio.tracebacks, ferrpc.tracebacks);
        verdict.worse.push(format!("stderr: {ours} tracebacks, {theirs} on grpcio"));
    } else if ferrpc.stderr_lines > grpcio.stderr_lines * 2 + LINES {
        let (theirs, ours) = (grpcio.stderr_lines, ferrpc.stderr_lines);
        verdict.worse.push(format!("stderr: {ours} lines, {theirs} on grpcio"));
    }
    verdict
}

/// Of a suite, what passes on grpcio passes on ferrpc. Of a program, every line is the same.
fn results(
    is_suite: bool,
    differs: &[Excused],
    grpcio: &Outcome,
    ferrpc: &Outcome,
    verdict: &mut Verdict,
) {
    let nothing = "missing".to_owned();
    let flat: Vec<_> = differs
        .iter()
        .flat_map(|excused| excused.names.iter().map(move |name| (name, &excused.reason)))
        .collect();
    let mut used = vec![false; flat.len()];
    let names = grpcio.results.keys();
    let more = ferrpc.results.keys().filter(|name| !grpcio.results.contains_key(*name));
    for name in names.chain(more) {
        let theirs = grpcio.results.get(name).unwrap_or(&nothing);
        let ours = ferrpc.results.get(name).unwrap_or(&nothing);
        let same = theirs == ours || (is_suite && theirs != "passed");
        if same {
            if theirs != ours && ours == "passed" {
                verdict.better.push(name.clone());
            }
        } else if let Some(place) = flat.iter().position(|(known, _)| name.starts_with(*known)) {
            used[place] = true;
            verdict.known.push(format!("{name}: {ours}, {theirs} on grpcio ({})", flat[place].1));
        } else {
            verdict.worse.push(format!("{name}: {ours}, {theirs} on grpcio"));
        }
    }
    for ((name, _), _) in flat.iter().zip(used).filter(|(_, used)| !used) {
        verdict.worse.push(format!("{name}: no longer differs; case.toml says that it does"));
    }
}

/// Times vary with what else the machine does; a test that waits for its own limit is seen.
const TIMES: f64 = 2.0;
const SECONDS: f64 = 20.0;
/// Lines on stderr beyond twice grpcio's: warnings that are said once are few.
const LINES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(results: &[(&str, &str)]) -> Outcome {
        let results = results.iter().map(|(name, result)| ((*name).into(), (*result).into()));
        Outcome { results: results.collect(), ..Outcome::default() }
    }

    fn compared(is_suite: bool, differs: &[(&str, &str)], pair: [&[(&str, &str)]; 2]) -> Verdict {
        let excused = |(name, reason): &(&str, &str)| Excused {
            names: vec![(*name).to_owned()],
            reason: (*reason).to_owned(),
        };
        let differs: Vec<_> = differs.iter().map(excused).collect();
        let mut verdict = Verdict::default();
        let [grpcio, ferrpc] = pair.map(outcome);
        results(is_suite, &differs, &grpcio, &ferrpc, &mut verdict);
        verdict
    }

    #[test]
    fn a_test_that_passes_on_grpcio_alone_is_worse() {
        let grpcio = [("a", "passed"), ("b", "failed"), ("c", "passed"), ("d", "failed")];
        let ferrpc = [("a", "failed"), ("b", "error"), ("d", "passed")];
        let verdict = compared(true, &[], [&grpcio, &ferrpc]);
        assert_eq!(verdict.worse, ["a: failed, passed on grpcio", "c: missing, passed on grpcio"]);
        assert_eq!(verdict.better, ["d"]);
    }

    #[test]
    fn a_line_that_differs_is_worse() {
        let verdict = compared(false, &[], [&[("n", "3")], &[("n", "2"), ("m", "")]]);
        assert_eq!(verdict.worse, ["n: 2, 3 on grpcio", "m: , missing on grpcio"]);
    }

    #[test]
    fn a_known_difference_must_be_one() {
        let differs = [("a", "why"), ("b", "once")];
        let pair: [&[_]; 2] =
            [&[("a", "passed"), ("b", "passed")], &[("a", "failed"), ("b", "passed")]];
        let verdict = compared(true, &differs, pair);
        assert_eq!(verdict.known, ["a: failed, passed on grpcio (why)"]);
        assert_eq!(verdict.worse, ["b: no longer differs; case.toml says that it does"]);
    }
}
