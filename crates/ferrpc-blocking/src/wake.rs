//! Whom a connection tells of what happened, once its lock is released.

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread::Thread;

use ferrpc_core::channel::ConnectionId;
use ferrpc_core::http2::CloseCause;

use super::driver::Driver;

/// A call that is above its attempts, as connections and channels know it.
pub(super) trait Attempts: Send + Sync {
    /// Something changed for a pending call, or its time has come.
    fn resume(&self);

    /// Its attempt, which nobody may be waiting for, ended: begins another one if that is due.
    fn settle(&self);
}

/// The channel of a connection.
pub(super) trait Owner: Send + Sync {
    /// A connection takes no more calls.
    fn lost(&self);

    /// A connection is over.
    fn closed(&self, id: ConnectionId, cause: &CloseCause);
}

/// Somebody to be told that there is something.
pub(super) enum Wake {
    Thread(Thread),
    /// Whoever polled.
    Waker(Waker),
    /// A call that may have no thread: its attempt ended.
    Call(Weak<dyn Attempts>),
    /// No more calls are taken here.
    Channel(Weak<dyn Owner>),
    /// Nobody: an event loop that is to be forgotten.
    Gone(Arc<Driver>),
    /// The connection is over.
    Closed(Weak<dyn Owner>, ConnectionId, Box<CloseCause>),
}

impl Wake {
    /// Tells them. No locks may be held.
    pub(super) fn all(wakes: Vec<Self>) {
        for wake in wakes {
            match wake {
                Self::Thread(thread) => thread.unpark(),
                Self::Waker(waker) => waker.wake(),
                Self::Gone(driver) => drop(driver),
                Self::Call(call) => {
                    if let Some(call) = call.upgrade() {
                        call.settle();
                    }
                }
                Self::Channel(channel) => {
                    if let Some(channel) = channel.upgrade() {
                        channel.lost();
                    }
                }
                Self::Closed(channel, id, cause) => {
                    if let Some(channel) = channel.upgrade() {
                        channel.closed(id, &cause);
                    }
                }
            }
        }
    }
}
