//! The process-wide runtime: made with the first server or channel that wants one, made anew in
//! the child of a fork.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// The runtime, and the process that made it.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

/// More workers than this gain nothing: the interpreter runs one thread at a time.
const MOST_WORKERS: usize = 4;

/// The runtime of this process.
pub(crate) fn runtime() -> PyResult<Arc<Runtime>> {
    let pid = process::id();
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((owner, runtime)) = &*slot
        && *owner == pid
    {
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
    if let Some((_, inherited)) = slot.replace((pid, Arc::clone(&runtime))) {
        // Its threads stayed in the parent: to shut it down would wait for them for ever.
        std::mem::forget(inherited);
    }
    Ok(runtime)
}
