//! The process-wide runtime: made with the first server or channel that wants one, made anew in
//! the child of a fork.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::fork::Owned;

static RUNTIME: Mutex<Option<Owned<Arc<Runtime>>>> = Mutex::new(None);

/// More workers than this gain nothing: the interpreter runs one thread at a time.
const MOST_WORKERS: usize = 4;

/// The runtime of this process. Threads that are attached ask for it, so that no fork finds its lock
/// held.
pub(crate) fn runtime(_: Python<'_>) -> PyResult<Arc<Runtime>> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = slot.as_ref().and_then(Owned::get) {
        return Ok(Arc::clone(runtime));
    }
    let workers = thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("ferrpc")
        .enable_all()
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("cannot start threads: {error}")))?;
    let runtime = Arc::new(runtime);
    // That of the parent, if there is one, is not shut down: its threads stayed there, and would be
    // waited for for ever.
    *slot = Some(Owned::new(Arc::clone(&runtime)));
    Ok(runtime)
}
