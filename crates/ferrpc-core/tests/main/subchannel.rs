//! A subchannel under virtual time: its rules one by one, then everything at once from seeds.

use std::collections::BTreeMap;
use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_core::channel::{
    Attempt, BackoffConfig, ConnectionId, ConnectivityState, Pick, Subchannel, SubchannelConfig,
    SubchannelId, UNWANTED_FOR,
};
use ferrpc_core::http2::{CloseCause, Reason};

use ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};

const KEEPALIVE: Duration = Duration::from_secs(60);

fn config(seed: u64) -> SubchannelConfig {
    SubchannelConfig {
        id: SubchannelId::default(),
        backoff: BackoffConfig { jitter: 0.0, ..BackoffConfig::default() },
        connect_timeout: None,
        keepalive: Some(KEEPALIVE),
        seed,
    }
}

fn new() -> Subchannel<&'static str> {
    Subchannel::new(&config(1))
}

fn at(millis: u64) -> Time {
    Time::from_nanos(1_000_000_000) + Duration::from_millis(millis)
}

fn attempt(subchannel: &mut Subchannel<&'static str>, now: Time) -> Attempt {
    subchannel.poll_attempt(now).expect("an attempt is due")
}

/// Connects at once.
fn ready(subchannel: &mut Subchannel<&'static str>, now: Time) -> ConnectionId {
    subchannel.connect(now);
    let attempt = attempt(subchannel, now);
    let dialled = subchannel.handle_dialled(attempt.id).expect("it runs");
    assert!(subchannel.handle_ready(dialled.id));
    dialled.id
}

fn states(subchannel: &mut Subchannel<&'static str>) -> Vec<ConnectivityState> {
    std::iter::from_fn(|| subchannel.poll_change()).map(|change| change.after).collect()
}

#[test]
fn nothing_happens_until_somebody_asks() {
    let mut subchannel = new();
    assert_eq!(subchannel.connectivity(), Idle);
    assert_eq!((subchannel.poll_attempt(at(0)), subchannel.poll_timeout()), (None, None));
    assert_eq!(subchannel.pick(at(0), false), Pick::Wait);
    assert_eq!(subchannel.connectivity(), Connecting);
    let attempt = attempt(&mut subchannel, at(0));
    assert_eq!(attempt.give_up, at(20_000));
    // One at a time.
    assert_eq!(subchannel.pick(at(1), false), Pick::Wait);
    assert_eq!(subchannel.poll_attempt(at(1)), None);
}

#[test]
fn calls_fail_at_once_until_an_attempt_succeeds() {
    let mut subchannel = new();
    assert_eq!(subchannel.pick(at(0), false), Pick::Wait);
    let first = attempt(&mut subchannel, at(0));
    assert!(subchannel.handle_failed(at(10), first.id, "refused"));
    assert_eq!(subchannel.pick(at(11), false), Pick::Fail("refused"));
    assert_eq!(subchannel.pick(at(11), true), Pick::Wait);
    // The next attempt needs nobody who asks, and calls do not wait for it.
    assert_eq!(subchannel.poll_timeout(), Some(at(1000)));
    assert_eq!(subchannel.poll_attempt(at(999)), None);
    let second = attempt(&mut subchannel, at(1000));
    assert_eq!(subchannel.pick(at(1001), false), Pick::Fail("refused"));
    assert_eq!(subchannel.connectivity(), TransientFailure);
    let dialled = subchannel.handle_dialled(second.id).expect("it runs");
    assert!(subchannel.handle_ready(dialled.id));
    assert_eq!(subchannel.pick(at(1002), false), Pick::Ready(dialled.id));
    assert_eq!(states(&mut subchannel), [Connecting, TransientFailure, Ready]);
    // A failure after a success begins anew.
    assert!(subchannel.handle_unusable(at(2000), dialled.id));
    assert_eq!(subchannel.pick(at(2000), false), Pick::Wait);
    let third = attempt(&mut subchannel, at(2000));
    subchannel.handle_failed(at(2010), third.id, "refused");
    assert_eq!(subchannel.poll_timeout(), Some(at(3000)));
}

#[test]
fn a_connect_timeout_takes_the_place_of_the_backoffs() {
    let connect_timeout = Some(Duration::from_millis(300));
    let mut subchannel =
        Subchannel::<&'static str>::new(&SubchannelConfig { connect_timeout, ..config(1) });
    subchannel.connect(at(0));
    assert_eq!(attempt(&mut subchannel, at(0)).give_up, at(300));
}

#[test]
fn attempts_that_nobody_wants_stop() {
    let mut subchannel = new();
    subchannel.connect(at(0));
    let mut now = at(0);
    let mut attempts = 0;
    while let Some(attempt) = subchannel.poll_attempt(now) {
        attempts += 1;
        assert!(subchannel.handle_failed(now, attempt.id, "silent"));
        now = subchannel.poll_timeout().expect("another one is due");
    }
    assert_eq!(subchannel.connectivity(), Idle);
    assert_eq!((subchannel.poll_timeout(), subchannel.failure()), (None, None));
    assert!(now.since(at(0)) >= UNWANTED_FOR);
    assert!((10..100).contains(&attempts), "{attempts}");
    // Whoever asks next starts anew.
    assert_eq!(subchannel.pick(now, false), Pick::Wait);
    assert!(subchannel.poll_attempt(now).is_some());
}

#[test]
fn the_first_connection_with_settings_wins_and_the_others_are_closed() {
    let mut subchannel = new();
    subchannel.connect(at(0));
    let attempt = attempt(&mut subchannel, at(0));
    let [first, second, third] =
        [(); 3].map(|()| subchannel.handle_dialled(attempt.id).expect("it runs").id);
    assert_eq!(subchannel.handle_closed(at(1), first, &CloseCause::TransportLost), None);
    assert!(subchannel.handle_ready(third));
    assert_eq!(subchannel.poll_abandoned(), Some(second));
    assert_eq!(subchannel.poll_abandoned(), None);
    assert!(!subchannel.handle_ready(second), "it is too late");
    assert!(!subchannel.handle_failed(at(2), attempt.id, "late"), "it was over");
    assert_eq!(subchannel.handle_dialled(attempt.id), None);
    assert_eq!(subchannel.pick(at(2), false), Pick::Ready(third));
}

#[test]
fn a_server_that_accepts_and_closes_does_not_make_it_spin() {
    let mut subchannel = new();
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..6 {
        subchannel.connect(now);
        let at = subchannel.poll_timeout().expect("an attempt is due").max(now);
        waits.push(at.since(now).as_millis());
        now = at;
        let connection = ready(&mut subchannel, now);
        subchannel.handle_closed(now, connection, &CloseCause::TransportLost);
    }
    assert_eq!(waits, [0, 0, 5, 10, 20, 40]);
    // A connection that a call used is missed at once.
    now = now + Duration::from_secs(10);
    let connection = ready(&mut subchannel, now);
    assert_eq!(subchannel.pick(now, false), Pick::Ready(connection));
    subchannel.note_use();
    subchannel.handle_unusable(now, connection);
    let connection = ready(&mut subchannel, now);
    // One that a call asked for and did not use is not.
    assert_eq!(subchannel.pick(now, false), Pick::Ready(connection));
    subchannel.handle_unusable(now, connection);
    subchannel.connect(now);
    assert!(subchannel.poll_attempt(now).is_none());
}

#[test]
fn each_complaint_of_pings_doubles_their_interval() {
    let mut subchannel = new();
    let complaint = |debug: &str| CloseCause::PeerGoAway {
        reason: Reason::ENHANCE_YOUR_CALM,
        debug: debug.into(),
    };
    let connection = ready(&mut subchannel, at(0));
    let doubled = subchannel.handle_closed(at(1), connection, &complaint("too_many_pings"));
    assert_eq!(doubled, Some(KEEPALIVE * 2));
    let connection = ready(&mut subchannel, at(1));
    assert_eq!(subchannel.handle_closed(at(2), connection, &complaint("too_many_calls")), None);
    subchannel.connect(at(1000));
    let attempt = attempt(&mut subchannel, at(1000));
    let dialled = subchannel.handle_dialled(attempt.id).expect("it runs");
    assert_eq!(dialled.keepalive, Some(KEEPALIVE * 2));
}

#[test]
fn a_driver_that_is_gone_is_replaced() {
    for failed in [false, true] {
        let mut subchannel = new();
        subchannel.connect(at(0));
        let attempt = attempt(&mut subchannel, at(0));
        let dialled = subchannel.handle_dialled(attempt.id).expect("it runs");
        if failed {
            subchannel.handle_failed(at(1), attempt.id, "refused");
        }
        subchannel.handle_interrupted();
        assert_eq!(subchannel.connectivity(), Idle);
        assert_eq!(subchannel.poll_abandoned(), Some(dialled.id));
        assert_eq!(subchannel.pick(at(2), false), Pick::Wait);
        assert!(subchannel.poll_attempt(at(2)).is_some());
    }
}

#[test]
fn nothing_leaves_shutdown() {
    let mut subchannel = new();
    subchannel.connect(at(0));
    let attempt = attempt(&mut subchannel, at(0));
    let dialled = subchannel.handle_dialled(attempt.id).expect("it runs");
    subchannel.shut_down();
    assert_eq!(subchannel.poll_abandoned(), Some(dialled.id));
    assert!(!subchannel.handle_ready(dialled.id));
    assert!(!subchannel.handle_failed(at(1), attempt.id, "late"));
    subchannel.connect(at(2));
    assert_eq!(subchannel.pick(at(2), true), Pick::Shutdown);
    assert_eq!((subchannel.poll_attempt(at(9)), subchannel.poll_timeout()), (None, None));
    assert_eq!(states(&mut subchannel), [Connecting, Shutdown]);
}

// -- everything at once ----------------------------------------------------------------------------

/// What the driver knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Handshake,
    Current,
    Draining,
}

/// A driver that does what it is told, in a world that does anything.
struct World {
    subchannel: Subchannel<u32>,
    now: Time,
    random: u64,
    attempt: Option<Attempt>,
    connections: BTreeMap<ConnectionId, Known>,
    state: ConnectivityState,
    asked_at: Option<Time>,
    /// The earliest time of the next attempt, as the backoff has it.
    not_before: Time,
}

impl World {
    fn new(seed: u64) -> Self {
        let backoff = BackoffConfig::default();
        let config = SubchannelConfig { backoff, ..config(seed) };
        Self {
            subchannel: Subchannel::new(&config),
            now: at(0),
            random: seed,
            attempt: None,
            connections: BTreeMap::new(),
            state: Idle,
            asked_at: None,
            not_before: Time::ZERO,
        }
    }

    /// Below `bound`.
    fn random(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % bound
    }

    fn any(&mut self, known: Known) -> Option<ConnectionId> {
        let ids: Vec<_> =
            self.connections.iter().filter(|(_, is)| **is == known).map(|(id, _)| *id).collect();
        let count = u64::try_from(ids.len()).expect("few");
        (count > 0).then(|| ids[usize::try_from(self.random(count)).expect("few")])
    }

    fn step(&mut self) {
        match self.random(12) {
            0 => {
                let nanos = self.random(3_000_000_000);
                self.now = self.now + Duration::from_nanos(nanos);
            }
            1 => {
                let until = self.subchannel.poll_timeout();
                self.now = self.now.max(until.unwrap_or(Time::ZERO));
            }
            2 => {
                self.asked_at = Some(self.now);
                self.subchannel.connect(self.now);
            }
            3 | 4 => {
                let wait_for_ready = self.random(2) == 0;
                self.asked_at = Some(self.now);
                self.pick(wait_for_ready);
            }
            5 => self.poll_attempt(),
            6 => {
                if let Some(attempt) = self.attempt
                    && let Some(dialled) = self.subchannel.handle_dialled(attempt.id)
                {
                    let new = self.connections.insert(dialled.id, Known::Handshake);
                    assert_eq!(new, None, "an id is used twice");
                }
            }
            7 => {
                if let Some(id) = self.any(Known::Handshake) {
                    if self.subchannel.handle_ready(id) {
                        assert!(self.any(Known::Current).is_none(), "two connections");
                        self.connections.insert(id, Known::Current);
                        self.attempt = None;
                        self.not_before = Time::ZERO;
                    } else {
                        self.connections.remove(&id);
                    }
                }
            }
            8 => {
                if let Some(attempt) = self.attempt.take() {
                    let current = self.subchannel.handle_failed(self.now, attempt.id, 7);
                    assert!(current, "the attempt was not over");
                    self.not_before = attempt.began + Duration::from_millis(800);
                }
            }
            9 => {
                if let Some(id) = self.any(Known::Current) {
                    assert!(self.subchannel.handle_unusable(self.now, id));
                    self.connections.insert(id, Known::Draining);
                }
            }
            10 => {
                let known = [Known::Handshake, Known::Current, Known::Draining];
                let which = known[usize::try_from(self.random(3)).expect("few")];
                if let Some(id) = self.any(which) {
                    self.subchannel.handle_closed(self.now, id, &CloseCause::TransportLost);
                    self.connections.remove(&id);
                }
            }
            _ => match self.random(40) {
                0 => {
                    self.subchannel.handle_interrupted();
                    self.attempt = None;
                    self.not_before = Time::ZERO;
                }
                1 => {
                    self.subchannel.shut_down();
                    self.attempt = None;
                    // The driver closes it.
                    if let Some(id) = self.any(Known::Current) {
                        self.connections.insert(id, Known::Draining);
                    }
                }
                _ => {}
            },
        }
        self.check();
    }

    fn pick(&mut self, wait_for_ready: bool) {
        match self.subchannel.pick(self.now, wait_for_ready) {
            Pick::Ready(id) => assert_eq!(self.connections.get(&id), Some(&Known::Current)),
            Pick::Fail(_) => {
                assert!(!wait_for_ready);
                assert_eq!(self.subchannel.connectivity(), TransientFailure);
            }
            Pick::Wait => {
                let state = self.subchannel.connectivity();
                assert!(state == Connecting || (state == TransientFailure && wait_for_ready));
                // Whoever waits is waited for.
                assert!(self.subchannel.is_connecting());
            }
            Pick::Shutdown => assert_eq!(self.subchannel.connectivity(), Shutdown),
        }
    }

    fn poll_attempt(&mut self) {
        let Some(attempt) = self.subchannel.poll_attempt(self.now) else { return };
        assert!(self.attempt.is_none(), "two attempts");
        assert!(self.any(Known::Current).is_none(), "there is a connection");
        assert!(self.now >= self.not_before, "an attempt without a pause");
        let asked = self.asked_at.expect("an attempt that nobody asked for");
        assert!(self.now.since(asked) <= UNWANTED_FOR + Duration::from_secs(200));
        assert!(attempt.give_up > self.now);
        self.attempt = Some(attempt);
    }

    fn check(&mut self) {
        while let Some(id) = self.subchannel.poll_abandoned() {
            let known = self.connections.remove(&id);
            assert_eq!(known, Some(Known::Handshake), "only what is not used is abandoned");
        }
        while let Some(change) = self.subchannel.poll_change() {
            assert_eq!(change.before, self.state, "changes form a chain");
            assert_ne!(change.before, change.after);
            let left = (change.before, change.after);
            assert_ne!(left, (TransientFailure, Connecting), "sticky");
            assert_ne!(change.before, Shutdown);
            self.state = change.after;
        }
        let state = self.subchannel.connectivity();
        assert_eq!(state, self.state, "each change is reported");
        assert_eq!(state == Ready, self.any(Known::Current).is_some());
        assert_eq!(self.subchannel.failure().is_some(), state == TransientFailure);
        if self.attempt.is_none() {
            assert!(self.any(Known::Handshake).is_none(), "a connection is forgotten");
        }
        if state == Shutdown {
            assert!(!self.subchannel.is_connecting());
        }
        if self.subchannel.is_connecting() && self.attempt.is_none() {
            assert!(self.subchannel.poll_timeout().is_some(), "nothing would ever happen");
        }
    }
}

#[test]
fn whatever_happens_its_rules_hold() {
    for seed in 0..400 {
        // Shown where a rule is broken.
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..500 {
            world.step();
        }
    }
}
