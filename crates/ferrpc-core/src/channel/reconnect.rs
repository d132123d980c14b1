//! The pause before a reconnect, where the backoff does not apply.

use std::time::Duration;

use ferrpc_http2::Time;

/// Slows reconnects after connections that were lost before a call used them.
///
/// A server that accepts, greets and closes would otherwise make the channel spin: each connection
/// succeeds, so the backoff of failed attempts never grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReconnectDelay {
    /// A call used the current connection.
    used: bool,
    /// Connections lost unused, in a row.
    unused_in_a_row: u32,
    next_at: Time,
}

impl ReconnectDelay {
    pub(super) const fn new() -> Self {
        Self { used: true, unused_in_a_row: 0, next_at: Time::ZERO }
    }

    /// A call uses the connection.
    pub(super) const fn note_use(&mut self) {
        self.used = true;
    }

    /// The connection was lost.
    pub(super) fn note_loss(&mut self, now: Time) {
        if std::mem::replace(&mut self.used, false) {
            self.unused_in_a_row = 0;
            return;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.unused_in_a_row.min(16)).min(LONGEST_WAIT);
        self.unused_in_a_row = self.unused_in_a_row.saturating_add(1);
        self.next_at = now + wait;
    }

    /// When the next connection may be begun.
    pub(super) const fn next_at(&self) -> Time {
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
        let mut delay = ReconnectDelay::new();
        let now = Time::from_nanos(7_000_000_000);
        delay.note_loss(now);
        assert!(delay.next_at() <= now);
        let waits: Vec<u128> = (0..10)
            .map(|_| {
                delay.note_loss(now);
                delay.next_at().since(now).as_millis()
            })
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        delay.note_use();
        delay.note_loss(now + LONGEST_WAIT);
        assert!(delay.next_at() <= now + LONGEST_WAIT);
    }
}
