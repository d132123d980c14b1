//! What a child process makes of the engine of its parent.
//!
//! A fork copies the memory, not the threads: locks of the engine may be held for ever, and the
//! sockets are the parent's. So the child touches nothing that was made before: whatever holds
//! something of the engine's remembers the generation it was made in, and lets go of it unseen
//! (the memory is not given back) when that is over.
//!
//! What is locked for the whole process is locked by threads that are attached to the interpreter
//! alone, so that at a fork, which is one of Python's, it is free.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How many forks lie between this process and the one that loaded the module.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The number of this process in its line; cheaper than asking the system for its id.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Relaxed)
}

/// This process was just forked off: runs before anything of the package does.
#[pyfunction]
fn _after_fork_in_child() {
    GENERATION.fetch_add(1, Relaxed);
}

/// Has Python tell of forks.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let after = PyDict::new(module.py());
    after.set_item("after_in_child", wrap_pyfunction!(_after_fork_in_child, module)?)?;
    let os = module.py().import("os")?;
    // Where there is no fork there is nothing to register.
    if let Ok(register) = os.getattr("register_at_fork") {
        register.call((), Some(&after))?;
    }
    Ok(())
}

/// Something of the engine's that belongs to the process that made it. In the child of a fork it is
/// never dropped: the threads it works with stayed behind, perhaps while they held its locks.
pub(crate) struct Owned<T> {
    generation: u64,
    value: Option<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { generation: generation(), value: Some(value) }
    }

    /// The value, in the process that made it.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| !self.is_inherited())
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
