//! What calls see of a channel: its ready connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::ConnectionId;

/// The ready connections of a channel, as they were when it was made. Nearly all calls pick from it
/// and do not enter the channel's machine.
///
/// `H` is the driver's handle of a connection.
#[derive(Debug)]
pub struct Picker<H> {
    ready: Box<[ReadyConnection<H>]>,
    /// Whose turn it is.
    next: AtomicUsize,
    wants_calls: bool,
}

/// A connection that takes calls.
#[derive(Clone, Debug)]
pub(super) struct ReadyConnection<H> {
    pub(super) id: ConnectionId,
    pub(super) handle: H,
    /// A call has picked it.
    pub(super) used: Arc<AtomicBool>,
}

impl<H> Picker<H> {
    /// Of a channel without connections.
    pub fn empty() -> Self {
        Self { ready: Box::default(), next: AtomicUsize::new(0), wants_calls: false }
    }

    pub(super) const fn new(
        ready: Box<[ReadyConnection<H>]>,
        first: usize,
        wants_calls: bool,
    ) -> Self {
        Self { ready, next: AtomicUsize::new(first), wants_calls }
    }

    /// The connection for a call that begins now; `None`: the machine is to be asked.
    pub fn pick(&self) -> Option<&H> {
        let ready = match &*self.ready {
            [] => return None,
            [only] => only,
            several => &several[self.next.fetch_add(1, Ordering::Relaxed) % several.len()],
        };
        if !ready.used.load(Ordering::Relaxed) {
            ready.used.store(true, Ordering::Relaxed);
        }
        Some(&ready.handle)
    }

    /// Whether the machine is to hear of the next call by
    /// [`Channel::connect`](super::Channel::connect): a connection ended that no call had used, and
    /// is made again when there are calls.
    pub const fn wants_calls(&self) -> bool {
        self.wants_calls
    }

    /// Connections that take calls.
    pub const fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether no connection takes calls.
    pub const fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The handles of the connections, in turn.
    pub fn handles(&self) -> impl Iterator<Item = &H> {
        self.ready.iter().map(|ready| &ready.handle)
    }

    /// The ids of the connections, in turn.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.ready.iter().map(|ready| ready.id)
    }
}
