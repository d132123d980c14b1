//! Waiting for the engine on a thread of Python's.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use pyo3::prelude::*;

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

/// Polls until it is ready: once attached, since mostly it is, then detached from the interpreter.
/// `poll` may be called on this thread only, and must not need the interpreter.
pub(super) fn wait<T: Send>(
    py: Python<'_>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T> + Send,
) -> T {
    WAKER.with(|waker| {
        let mut cx = Context::from_waker(waker);
        if let Poll::Ready(ready) = poll(&mut cx) {
            return ready;
        }
        py.detach(|| {
            WAKER.with(|waker| {
                let mut cx = Context::from_waker(waker);
                loop {
                    // Somebody else's wake may have been taken for ours: polling again tells.
                    if let Poll::Ready(ready) = poll(&mut cx) {
                        return ready;
                    }
                    thread::park();
                }
            })
        })
    })
}
