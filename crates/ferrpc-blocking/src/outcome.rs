//! How calls ended, and their attempts.

use ferrpc_core::channel::{AttemptEnd, EndedBy};
use ferrpc_core::{Status, Time};
use ferrpc_net::connect::ConnectError;

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    status: Status,
    origin: Origin,
}

/// Where a status was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// By the server: it came in its trailers.
    Peer,
    /// The deadline passed here.
    Deadline,
    /// There was no connection to be had.
    Connect(ConnectError),
    /// The channel was closed.
    Closed,
    /// A message would not be sent or taken: its size, and the limit.
    TooLarge {
        /// It was to be sent; otherwise it was received.
        sent: bool,
        /// Bytes; of a compressed message that grew too large, what is known to be exceeded.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// Here, for another reason: cancelled, or the connection was lost.
    Local,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) origin: Origin,
    /// When the call is attempted again.
    pub(super) next: Option<Time>,
}

impl Ended {
    /// Whether the call ends with it.
    pub(super) const fn is_final(&self) -> bool {
        self.next.is_none()
    }
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        let (status, origin) = outcome.into_parts();
        Self { status, origin, next: None }
    }
}

impl From<AttemptEnd> for Ended {
    fn from(end: AttemptEnd) -> Self {
        let origin = match end.by {
            EndedBy::Server => Origin::Peer,
            EndedBy::Deadline => Origin::Deadline,
            EndedBy::Channel => Origin::Closed,
            _ => Origin::Local,
        };
        Self { status: end.status, origin, next: end.next }
    }
}

impl Outcome {
    pub(super) const fn new(status: Status, origin: Origin) -> Self {
        Self { status, origin }
    }

    /// Code, message and trailing metadata.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// Where that was made.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn into_status(self) -> Status {
        self.status
    }

    pub(super) fn into_parts(self) -> (Status, Origin) {
        (self.status, self.origin)
    }
}
