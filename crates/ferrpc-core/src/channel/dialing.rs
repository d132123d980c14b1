//! Which of a server's addresses are tried when.

use std::time::Duration;

use ferrpc_http2::Time;

/// The plan of one attempt to connect: happy eyeballs (RFC 8305, gRFC A61).
///
/// ```text
///   address 0 |---- connected ---- handshake ... silent
///   address 1                |<- HANDSHAKE_TIME ->|---- failed
///   address 2                                          |---- connected, SETTINGS: it wins
/// ```
///
/// An address has won once the server's SETTINGS came: one that is accepted and then silent holds up
/// the others no longer than one whose packets are lost. The next address is tried as soon as one
/// failed, and beside those that are under way when these take long. Whoever drives the plan asks
/// [`poll_start`](Self::poll_start) after each event, and again at
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Clone, Debug)]
pub struct Dialing {
    addresses: usize,
    started: usize,
    running: usize,
    /// When the next address is tried although others are under way.
    next_at: Time,
}

impl Dialing {
    /// For so many addresses.
    pub const fn new(addresses: usize) -> Self {
        Self { addresses, started: 0, running: 0, next_at: Time::ZERO }
    }

    /// The address to be tried now, if one is. Ask again until there is none.
    pub fn poll_start(&mut self, now: Time) -> Option<usize> {
        if self.started == self.addresses || (self.running > 0 && now < self.next_at) {
            return None;
        }
        let address = self.started;
        self.started += 1;
        self.running += 1;
        self.next_at = now + NEXT_AFTER;
        Some(address)
    }

    /// When to ask again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        (self.started < self.addresses && self.running > 0).then_some(self.next_at)
    }

    /// There is a byte stream to an address; handshakes follow. It is given a little more time
    /// before the others are tried.
    pub fn handle_connected(&mut self, now: Time) {
        self.next_at = self.next_at.max(now + HANDSHAKE_TIME);
    }

    /// An address failed, its handshakes included.
    pub const fn handle_failed(&mut self, now: Time) {
        self.running = self.running.saturating_sub(1);
        self.next_at = now;
    }

    /// Whether all addresses were tried in vain.
    pub const fn has_failed(&self) -> bool {
        self.running == 0 && self.started == self.addresses
    }
}

/// Time for an address to accept the connection before the next one is tried beside it (RFC 8305,
/// 8: 250 ms).
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// The same from then on to the server's SETTINGS: several times the way around the world.
const HANDSHAKE_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn silent_addresses_do_not_stop_the_others() {
        let mut plan = Dialing::new(3);
        assert_eq!(plan.poll_start(at(0)), Some(0));
        assert_eq!(plan.poll_start(at(0)), None);
        assert_eq!(plan.poll_timeout(), Some(at(250)));
        assert_eq!(plan.poll_start(at(249)), None);
        assert_eq!(plan.poll_start(at(250)), Some(1));
        // It is accepted: it has a second.
        plan.handle_connected(at(260));
        assert_eq!(plan.poll_timeout(), Some(at(1260)));
        assert_eq!(plan.poll_start(at(1260)), Some(2));
        assert_eq!(plan.poll_timeout(), None);
        assert!(!plan.has_failed());
    }

    #[test]
    fn the_next_is_tried_when_one_fails() {
        let mut plan = Dialing::new(3);
        assert_eq!(plan.poll_start(at(0)), Some(0));
        plan.handle_failed(at(1));
        assert_eq!(plan.poll_start(at(1)), Some(1));
        // A handshake that fails is a failure like others.
        plan.handle_connected(at(2));
        plan.handle_failed(at(3));
        assert_eq!(plan.poll_start(at(3)), Some(2));
        assert!(!plan.has_failed());
        plan.handle_failed(at(4));
        assert!(plan.has_failed());
        assert_eq!((plan.poll_start(at(9999)), plan.poll_timeout()), (None, None));
    }

    #[test]
    fn each_address_is_tried_once_whatever_happens() {
        // Every order of events, of which each is one of three.
        for script in 0..3_u32.pow(9) {
            let (mut plan, mut tried, mut now) = (Dialing::new(4), Vec::new(), at(0));
            let mut script = script;
            for _ in 0..9 {
                tried.extend(std::iter::from_fn(|| plan.poll_start(now)));
                match script % 3 {
                    0 => now = plan.poll_timeout().unwrap_or(now).max(now),
                    1 => plan.handle_connected(now),
                    _ => plan.handle_failed(now),
                }
                script /= 3;
                assert!(plan.poll_timeout().is_none_or(|next| next >= now));
            }
            assert_eq!(tried, (0..tried.len()).collect::<Vec<_>>());
            assert!(tried.len() <= 4 && (!plan.has_failed() || tried.len() == 4));
        }
    }
}
