//! The event loop that drives a channel's connections, as these know it.

use std::task::Waker;
use std::thread::{self, ThreadId};

/// The event loop that drives a channel's connections.
pub(super) struct Driver {
    /// Wakes the loop: there is a connection to adopt, or to pump.
    pub(super) waker: Waker,
    /// Where calls may be sent without the loop's next turn.
    thread: ThreadId,
}

impl Driver {
    /// For the loop of this thread.
    pub(super) fn new(waker: Waker) -> Self {
        Self { waker, thread: thread::current().id() }
    }

    /// Whether this is its loop's thread.
    pub(super) fn is_here(&self) -> bool {
        self.thread == thread::current().id()
    }
}
