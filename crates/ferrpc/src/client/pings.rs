//! A server that finds keepalive pings too frequent (gRFC A8).

use std::time::Duration;

use ferrpc_core::http2::CloseCause;

use crate::resolver::Target;

/// Whether a connection ended for its pings: the next ones ping half as often.
pub(crate) fn complains_of_pings(cause: &CloseCause) -> bool {
    matches!(cause, CloseCause::PeerGoAway { debug, .. } if &**debug == "too_many_pings")
}

/// Says that a channel pings at `interval` from now on.
pub(crate) fn warn_of_pings(target: &Target, interval: Option<Duration>) {
    tracing::warn!(
        target_name = %target,
        ?interval,
        "the server finds keepalive pings too frequent: the interval is doubled"
    );
}
