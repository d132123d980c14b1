//! The targets of events that people look for when something does not connect.

use std::fmt::Display;
use std::time::Duration;

use ferrpc_core::channel::StateChange;

/// A channel's states, and its attempts to connect.
pub const CONNECTIVITY: &str = "ferrpc::connectivity";

/// What names were looked up, and the addresses that were found.
pub const NAMES: &str = "ferrpc::names";

/// Handshakes.
pub const TLS: &str = "ferrpc::tls";

/// A channel's state changed. Not to be told under a lock: what listens is the program's, and may ask
/// the channel in turn.
pub fn state_changed(channel: &impl Display, change: StateChange) {
    let StateChange { before, after } = change;
    tracing::debug!(target: CONNECTIVITY, channel = %channel, ?before, now = ?after);
}

/// A server found the keepalive pings too frequent (gRFC A8): says how often a channel pings from
/// now on.
pub fn pings_slowed(channel: &impl Display, interval: Duration) {
    tracing::warn!(
        target_name = %channel,
        ?interval,
        "the server finds keepalive pings too frequent: the interval is doubled"
    );
}
