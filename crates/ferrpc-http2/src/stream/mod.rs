//! One stream (RFC 9113, 5.1).
//!
//! A stream exists here from its first HEADERS until both halves are closed. Idle streams are
//! those above the highest id, closed ones those below it that are not in the store; what was
//! reset here a moment ago is remembered apart, since the peer may not know it yet.
//!
//! ```text
//!              HEADERS sent or received
//!   idle ------------------------------------> open
//!                                               |
//!             END_STREAM received   +-----------+-----------+   END_STREAM sent
//!                                   v                       v
//!                        half-closed (remote)     half-closed (local)
//!                        receive_open = false       send_open = false
//!                                   |                       |
//!                                   +-----------+-----------+
//!                       END_STREAM the other way|, or RST_STREAM from either
//!                                               v
//!                                    closed (leaves the store)
//! ```

mod send_queue;
mod store;

pub(crate) use send_queue::{Chunk, End, SendQueue};
pub(crate) use store::Store;

use crate::flow::{ReceiveWindow, SendWindow};

/// A stream, as the user of a connection names it. A key whose stream has closed is recognised,
/// and commands for it do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    pub(crate) slot: u32,
    pub(crate) id: u32,
}

impl StreamKey {
    /// The stream's number on the wire.
    pub const fn id(self) -> u32 {
        self.id
    }
}

/// State of an open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    /// The user's own number for it.
    pub(crate) token: u32,
    pub(crate) receive_open: bool,
    pub(crate) send_open: bool,
    /// The request's or the final response's headers were received.
    pub(crate) headers_received: bool,
    pub(crate) headers_sent: bool,
    /// In the connection's ring of streams that have something to send.
    pub(crate) in_ready: bool,
    /// Why its user was told that it cannot send.
    pub(crate) waits: Waits,
    /// In the line of those that wait for the connection's buffer.
    pub(crate) in_crowd: bool,
    /// In the line of those that wait for the connection's memory.
    pub(crate) in_short: bool,
    pub(crate) informational: u32,
    pub(crate) send_window: SendWindow,
    pub(crate) receive_window: ReceiveWindow,
    /// Bytes by which its window was made larger than those of others.
    pub(crate) loan: u32,
    /// Bytes of body that content-length still promises.
    pub(crate) content_left: Option<u64>,
    /// Bytes of header lists that the user holds because of this stream.
    pub(crate) held_headers: usize,
    pub(crate) queue: SendQueue,
}

/// What the user of a stream waits for before it sends more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Nothing: it may send, or has not asked.
    #[default]
    No,
    /// The stream's own queue must get shorter.
    Queue,
    /// The connection's output must get shorter.
    Output,
    /// The stream needs credit, or the connection memory for what has none.
    Memory,
}

impl Stream {
    pub(crate) fn is_closed(&self) -> bool {
        !self.receive_open && !self.send_open
    }

    /// Bytes of its queue that the stream's credit lets out.
    pub(crate) fn sendable(&self) -> usize {
        // Mostly there is none.
        if self.queue.bytes == 0 { 0 } else { self.queue.bytes.min(self.send_window.available()) }
    }

    /// Whether its credit is more than its queue: what is added does not wait for the peer.
    pub(crate) fn has_spare_credit(&self) -> bool {
        self.send_window.available() > self.queue.bytes
    }
}
