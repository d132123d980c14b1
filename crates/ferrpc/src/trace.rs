//! The targets of events that people look for when something does not connect.

/// A channel's states, and its attempts to connect.
pub(crate) const CONNECTIVITY: &str = "ferrpc::connectivity";

/// What names were looked up, and the addresses that were found.
pub(crate) const NAMES: &str = "ferrpc::names";

/// Handshakes.
pub(crate) const TLS: &str = "ferrpc::tls";
