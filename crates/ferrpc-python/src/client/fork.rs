//! What a child process makes of channels and calls of its parent.
//!
//! A fork copies the memory, not the threads: locks of the engine may be held for ever, and the
//! sockets are the parent's. So the child touches nothing that was made before: whatever holds
//! something of the engine's remembers the generation it was made in, and lets go of it unseen
//! (the memory is not given back) when that is over.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;

/// How many forks led to this process.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// This process was just forked off; called by Python in the child, before anything else runs.
#[pyfunction]
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    super::completions::forked();
}

pub(super) fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Something of the engine's, usable in the process that made it only.
pub(crate) struct Local<T> {
    generation: u64,
    value: Option<T>,
}

impl<T> Local<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { generation: GENERATION.load(Ordering::Relaxed), value: Some(value) }
    }

    /// The value, in the process that made it.
    pub(crate) fn get(&self) -> Option<&T> {
        let ours = self.generation == GENERATION.load(Ordering::Relaxed);
        self.value.as_ref().filter(|_| ours)
    }
}

impl<T> Drop for Local<T> {
    fn drop(&mut self) {
        if self.generation != GENERATION.load(Ordering::Relaxed) {
            std::mem::forget(self.value.take());
        }
    }
}
