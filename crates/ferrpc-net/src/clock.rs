//! The driver's clock: nanoseconds since one origin per process.

use std::sync::OnceLock;
use std::time::Duration;

use ferrpc_core::Time;
use tokio::time::Instant;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

fn origin() -> Instant {
    *ORIGIN.get_or_init(Instant::now)
}

/// The time now, as the core counts it. All connections of the process share the origin.
#[inline]
pub fn now() -> Time {
    to_time(Instant::now())
}

/// The core's time of an instant; zero for instants before the origin.
#[inline]
pub fn to_time(instant: Instant) -> Time {
    let since = instant.saturating_duration_since(origin());
    Time::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The same of an instant that did not come from tokio.
#[inline]
pub fn from_std(instant: std::time::Instant) -> Time {
    to_time(Instant::from_std(instant))
}

/// The instant of a core time. Times too far away for an instant become one 30 years ahead.
#[inline]
pub fn to_instant(time: Time) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let since = Duration::from_nanos(time.as_nanos()).min(FAR);
    origin() + since
}
