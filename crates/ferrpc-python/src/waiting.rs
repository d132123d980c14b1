//! Waiting with the interpreter left to others.

use std::cell::Cell;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// When a wait of so many seconds is over; no end for None, and for times beyond reckoning.
pub(crate) fn limit(seconds: Option<f64>) -> PyResult<Option<Instant>> {
    let Some(seconds) = seconds else { return Ok(None) };
    Ok(duration(seconds)?.and_then(|duration| Instant::now().checked_add(duration)))
}

/// So many seconds; none for negative ones, None if there are too many.
pub(crate) fn duration(seconds: f64) -> PyResult<Option<Duration>> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err("a timeout is a number of seconds, not nan"));
    }
    Ok(Duration::try_from_secs_f64(seconds.max(0.0)).ok().filter(|timeout| *timeout < FOREVER))
}

/// Waits, detached: `wait` is asked until it has something, or `limit`. The main thread lets
/// signal handlers run meanwhile; what they raise ends the wait.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    limit: Option<Instant>,
    mut wait: impl FnMut(Option<Instant>) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    if !is_main_thread() {
        return Ok(py.detach(|| wait(limit)));
    }
    loop {
        let slice = Instant::now() + SLICE;
        let until = limit.map_or(slice, |limit| limit.min(slice));
        if let Some(found) = py.detach(|| wait(Some(until))) {
            return Ok(Some(found));
        }
        py.check_signals()?;
        if limit.is_some_and(|limit| limit <= Instant::now()) {
            return Ok(None);
        }
    }
}

/// Whether signal handlers run on this thread.
fn is_main_thread() -> bool {
    thread_local!(static KNOWN: Cell<Option<(u64, bool)>> = const { Cell::new(None) });
    let generation = crate::fork::generation();
    match KNOWN.get() {
        Some((known, main)) if known == generation => main,
        _ => {
            let main = rustix::thread::gettid() == rustix::process::getpid();
            KNOWN.set(Some((generation, main)));
            main
        }
    }
}

/// As in grpcio: what Ctrl-C waits for at most.
const SLICE: Duration = Duration::from_millis(100);

/// Ten years: further ahead than clocks of all kinds reckon.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
