//! The states of a channel and of its connections.

use std::fmt;

/// gRPC's connectivity states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectivityState {
    /// Not connected, and nothing asks for it.
    Idle,
    /// On the way to a connection.
    Connecting,
    /// Calls go out at once.
    Ready,
    /// The last attempt failed; another follows after a pause.
    TransientFailure,
    /// Closed for good.
    Shutdown,
}

impl ConnectivityState {
    /// The name that gRPC's documents use, for instance `TRANSIENT_FAILURE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "IDLE",
            Self::Connecting => "CONNECTING",
            Self::Ready => "READY",
            Self::TransientFailure => "TRANSIENT_FAILURE",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

impl fmt::Display for ConnectivityState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
