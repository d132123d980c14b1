//! What happened, for the one Python thread of this process that runs callbacks.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use pyo3::prelude::*;

/// Tags of what happened, each with a number: 0 for the end of a call, or a channel's state.
#[derive(Default)]
pub(crate) struct Completions {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    happened: VecDeque<(u64, u32)>,
    stopped: bool,
}

/// Those of this process. Only locked by threads that are attached to the interpreter, and never
/// for long: at a fork it is free.
static CURRENT: Mutex<Option<Arc<Completions>>> = Mutex::new(None);

/// The completions of this process.
pub(crate) fn completions() -> Arc<Completions> {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(current.get_or_insert_default())
}

/// The child of a fork has its own.
pub(super) fn forked() {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::forget(current.take());
}

impl Completions {
    /// Something happened.
    pub(crate) fn push(&self, tag: u64, value: u32) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.happened.push_back((tag, value));
        drop(queue);
        self.filled.notify_one();
    }

    fn take(&self) -> Option<Vec<(u64, u32)>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        while queue.happened.is_empty() && !queue.stopped {
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let taken: Vec<_> = queue.happened.drain(..).collect();
        (!taken.is_empty() || !queue.stopped).then_some(taken)
    }
}

/// Waits for something to happen: a list of pairs of tag and value; None once it was stopped.
#[pyfunction]
pub(crate) fn take_completions(py: Python<'_>) -> Option<Vec<(u64, u32)>> {
    let completions = completions();
    py.detach(|| completions.take())
}

/// The thread that takes completions is to end: the interpreter does.
#[pyfunction]
pub(crate) fn stop_completions() {
    let completions = completions();
    let mut queue = completions.queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.stopped = true;
    drop(queue);
    completions.filled.notify_all();
}

/// The completions have this tag now.
#[pyfunction]
pub(crate) fn complete(tag: u64) {
    completions().push(tag, 0);
}

/// The completions have this tag so many seconds from now.
#[pyfunction]
pub(crate) fn complete_later(tag: u64, seconds: f64) -> PyResult<()> {
    let Some(time) = super::waiting::duration(seconds)? else { return Ok(()) };
    let completions = completions();
    crate::runtime::runtime()?.spawn(async move {
        tokio::time::sleep(time).await;
        completions.push(tag, 0);
    });
    Ok(())
}
