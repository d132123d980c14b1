//! The states of a channel and of its connections.

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
