//! The process-wide runtime: made with the first server or channel that wants one, made anew in
//! the child of a fork.

use std::ops::Deref;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
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

/// How many forks lie between this process and the one that loaded the module.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of this process in its line; cheaper than asking the system for its id.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// To be called in the child of each fork.
#[pyfunction]
fn _after_fork_in_child() {
    GENERATION.fetch_add(1, Relaxed);
}

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let function = wrap_pyfunction!(_after_fork_in_child, module)?;
    let after = pyo3::types::PyDict::new(module.py());
    after.set_item("after_in_child", function)?;
    let os = module.py().import("os")?;
    // Where there is no fork there is nothing to register.
    if let Ok(register) = os.getattr("register_at_fork") {
        register.call((), Some(&after))?;
    }
    Ok(())
}

/// Something that belongs to the process that made it. In the child of a fork it is never dropped:
/// the threads it works with stayed behind, perhaps while they held its locks.
pub(crate) struct Owned<T> {
    value: Option<T>,
    generation: u32,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), generation: generation() }
    }

    /// Whether it was made in a process that this one was forked from.
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation != generation()
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("taken only when it is dropped")
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.is_inherited() {
            std::mem::forget(self.value.take());
        }
    }
}
