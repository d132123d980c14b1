//! Not connecting in a tight loop.

use std::time::Duration;

use ferrpc_core::Time;

/// When the next connection may be begun, after some that were ready and then lost before a call
/// used them. (Attempts that fail are the backoff's business.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacing {
    /// Whether the connection at hand was used by a call.
    used: bool,
    /// Connections lost unused, in a row.
    barren: u32,
    next_at: Time,
}

impl Pacing {
    pub(crate) const fn new() -> Self {
        Self { used: true, barren: 0, next_at: Time::ZERO }
    }

    /// A call uses the connection.
    pub(crate) const fn used(&mut self) {
        self.used = true;
    }

    /// The connection was lost.
    pub(crate) fn lost(&mut self, now: Time) {
        if std::mem::replace(&mut self.used, false) {
            self.barren = 0;
            return;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.barren.min(16)).min(LONGEST_WAIT);
        self.barren = self.barren.saturating_add(1);
        self.next_at = now + wait;
    }

    /// When the next connection may be begun.
    pub(crate) const fn next_at(&self) -> Time {
        self.next_at
    }
}

/// Short against what a user would notice, long against a spin.
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// As long as the first wait between connection attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_connections_come_ever_more_slowly() {
        let mut pacing = Pacing::new();
        let now = Time::from_nanos(7_000_000_000);
        pacing.lost(now);
        assert!(pacing.next_at() <= now);
        let waits: Vec<u128> = (0..10)
            .map(|_| {
                pacing.lost(now);
                pacing.next_at().since(now).as_millis()
            })
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        pacing.used();
        pacing.lost(now + LONGEST_WAIT);
        assert!(pacing.next_at() <= now + LONGEST_WAIT);
    }
}
