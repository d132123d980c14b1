//! What is counted on a connection.

/// Counts of one connection's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls started (client) or received (server).
    pub calls_started: u64,
    /// Calls that ended with OK.
    pub calls_ok: u64,
    /// Calls that ended otherwise.
    pub calls_failed: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Those of the HTTP/2 connection.
    pub http2: ferrpc_http2::Counters,
}
