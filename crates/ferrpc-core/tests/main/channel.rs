//! A channel over several subchannels under virtual time: its rules one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_core::channel::{
    BackoffConfig, Causes, Channel, ChannelConfig, ConnectionId, ConnectivityState, Dial, DialId,
    Event, Pick, Picker, StateChange,
};
use ferrpc_core::http2::{CloseCause, Reason};
use ferrpc_core::service_config::LoadBalancing;

use ConnectivityState::{Connecting, Idle, Ready, Shutdown, TransientFailure};

const FIRST: LoadBalancing = LoadBalancing::PickFirst { shuffle: false };
const INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Texts;

impl Causes for Texts {
    type Address = String;
    type Error = String;

    fn addresses(&self, failures: Vec<String>) -> String {
        failures.join(", ")
    }

    fn timed_out(&self, patience: Duration) -> String {
        format!("nothing for {} ms", patience.as_millis())
    }

    fn no_addresses(&self) -> String {
        "no addresses".to_owned()
    }
}

pub(super) type Machine = Channel<&'static str, ConnectionId, Texts>;

pub(super) fn config(balancing: LoadBalancing, seed: u64) -> ChannelConfig {
    ChannelConfig {
        balancing,
        backoff: BackoffConfig { jitter: 0.0, ..BackoffConfig::default() },
        connect_timeout: None,
        keepalive: Some(Duration::from_secs(60)),
        resolution_interval: Some(INTERVAL),
        seed,
    }
}

/// A driver that keeps what it is told.
struct Driver {
    channel: Machine,
    now: Time,
    resolves: usize,
    dials: BTreeMap<DialId, Dial<&'static str>>,
    closed: Vec<ConnectionId>,
    drained: Vec<ConnectionId>,
    states: Vec<ConnectivityState>,
    failures: Vec<String>,
    picker: std::sync::Arc<Picker<ConnectionId>>,
}

impl Driver {
    fn new(balancing: LoadBalancing) -> Self {
        Self::of(&config(balancing, 1))
    }

    fn of(config: &ChannelConfig) -> Self {
        Self {
            channel: Channel::new(config, Texts),
            now: Time::from_nanos(1_000_000_000),
            resolves: 0,
            dials: BTreeMap::new(),
            closed: Vec::new(),
            drained: Vec::new(),
            states: Vec::new(),
            failures: Vec::new(),
            picker: std::sync::Arc::new(Picker::empty()),
        }
    }

    /// One that has asked, with these addresses.
    fn resolved(balancing: LoadBalancing, addresses: &[&'static str]) -> Self {
        let mut driver = Self::new(balancing);
        driver.act(|channel, now| channel.connect(now));
        driver.resolve(Ok(addresses));
        driver
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut Machine, Time) -> R) -> R {
        let result = act(&mut self.channel, self.now);
        while let Some(event) = self.channel.poll_event() {
            match event {
                Event::Resolve => self.resolves += 1,
                Event::Dial(dial) => {
                    assert!(self.dials.insert(dial.id, dial).is_none(), "an id is used twice");
                }
                Event::Abandon(dial) => {
                    assert!(self.dials.remove(&dial).is_some(), "abandoned twice");
                }
                Event::Close(connection) => self.closed.push(connection),
                Event::Drain(connection, _) => self.drained.push(connection),
                Event::Picker(picker) => self.picker = picker,
                Event::State(StateChange { after, .. }) => self.states.push(after),
                Event::Failed(failure) => self.failures.push(failure),
            }
        }
        result
    }

    fn resolve(&mut self, answer: Result<&[&'static str], &str>) {
        assert_eq!(std::mem::take(&mut self.resolves), 1, "one look-up");
        let answer = answer.map(<[_]>::to_vec).map_err(str::to_owned);
        self.act(|channel, now| channel.handle_resolved(now, answer));
    }

    /// Addresses that are being tried.
    fn tried(&self) -> Vec<&'static str> {
        self.dials.values().map(|dial| dial.address).collect()
    }

    fn dial(&self, address: &str) -> DialId {
        let dial = self.dials.values().find(|dial| dial.address == address);
        dial.unwrap_or_else(|| panic!("{address} of {:?}", self.tried())).id
    }

    /// The server at an address answers.
    fn ready(&mut self, address: &str) -> ConnectionId {
        let dial = self.dial(address);
        let dialled = self.act(|channel, _| channel.handle_dialled(dial)).expect("it is wanted");
        assert!(self.act(|channel, now| channel.handle_ready(now, dialled.id, dialled.id)));
        self.dials.remove(&dial);
        dialled.id
    }

    fn refuse(&mut self, address: &str) {
        let dial = self.dial(address);
        self.dials.remove(&dial);
        let failure = Some(format!("{address} refused"));
        self.act(|channel, now| channel.handle_failed(now, dial, failure));
    }

    fn lose(&mut self, connection: ConnectionId) {
        self.act(|channel, now| channel.handle_closed(now, connection, &CloseCause::TransportLost));
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.channel.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.act(|channel, now| channel.handle_timeout(now));
        }
        self.now = end;
    }

    fn pick(&mut self, wait_for_ready: bool) -> Pick<String, ConnectionId> {
        self.act(|channel, now| channel.pick(now, wait_for_ready))
    }

    fn connections(&self) -> Vec<ConnectionId> {
        self.picker.connections().collect()
    }
}

fn states(driver: &mut Driver) -> Vec<ConnectivityState> {
    std::mem::take(&mut driver.states)
}

#[test]
fn nothing_happens_until_somebody_asks() {
    let mut driver = Driver::new(FIRST);
    driver.act(|channel, now| channel.handle_timeout(now));
    assert_eq!((driver.resolves, driver.channel.connectivity()), (0, Idle));
    assert!(!driver.channel.is_busy());
    assert_eq!(driver.pick(false), Pick::Wait);
    assert_eq!((driver.resolves, driver.channel.connectivity()), (1, Connecting));
    // One at a time.
    assert_eq!(driver.pick(true), Pick::Wait);
    assert_eq!(driver.resolves, 1);
}

#[test]
fn pick_first_has_one_connection_and_tries_the_next_address_beside_a_silent_one() {
    let mut driver = Driver::resolved(FIRST, &["a", "b", "c"]);
    assert_eq!(driver.tried(), ["a"]);
    driver.pass(249);
    assert_eq!(driver.tried(), ["a"]);
    driver.pass(1);
    assert_eq!(driver.tried(), ["a", "b"]);
    driver.refuse("b");
    assert_eq!(driver.tried(), ["a", "c"]);
    let connection = driver.ready("c");
    assert_eq!(driver.tried(), Vec::<&str>::new(), "a is abandoned");
    assert_eq!(driver.connections(), [connection]);
    assert_eq!(driver.pick(false), Pick::Ready(connection));
    assert_eq!(states(&mut driver), [Connecting, Ready]);
    assert!(!driver.channel.is_busy());

    // Lost: it is IDLE, and the next call connects again.
    driver.lose(connection);
    assert_eq!(driver.channel.connectivity(), Idle);
    assert_eq!((driver.connections(), driver.tried()), (vec![], vec![]));
    assert_eq!(driver.pick(false), Pick::Wait);
    assert_eq!(driver.tried(), ["a"]);
}

#[test]
fn a_connection_that_is_too_late_is_closed() {
    let mut driver = Driver::resolved(FIRST, &["a", "b"]);
    driver.pass(250);
    let late = driver.dial("a");
    let late = driver.act(|channel, _| channel.handle_dialled(late)).expect("it is wanted").id;
    driver.ready("b");
    assert_eq!(driver.closed, [late]);
    assert!(!driver.act(|channel, now| channel.handle_ready(now, late, late)));
}

#[test]
fn transient_failure_is_sticky_and_says_why() {
    let mut driver = Driver::resolved(FIRST, &["a", "b"]);
    driver.refuse("a");
    driver.refuse("b");
    assert_eq!(driver.failures, ["a refused, b refused"]);
    assert_eq!(driver.pick(false), Pick::Fail("a refused, b refused".to_owned()));
    assert_eq!(driver.pick(true), Pick::Wait);
    driver.pass(1000);
    assert_eq!(driver.tried(), ["a"], "it goes on by itself");
    assert_eq!(driver.pick(false), Pick::Fail("a refused, b refused".to_owned()));
    driver.ready("a");
    assert_eq!(states(&mut driver), [Connecting, TransientFailure, Ready]);
    assert_eq!(driver.channel.failure(), None);
}

#[test]
fn an_attempt_ends_when_its_time_is_over() {
    let mut driver = Driver::resolved(FIRST, &["a", "b"]);
    driver.pass(20_000);
    let dial = driver.dial("a");
    driver.dials.remove(&dial);
    driver.act(|channel, now| channel.handle_failed(now, dial, None));
    assert_eq!(driver.failures, ["nothing for 20000 ms"]);
    assert_eq!(driver.channel.connectivity(), TransientFailure);
}

#[test]
fn round_robin_takes_all_connections_in_turn() {
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a", "b", "c", "b"]);
    assert_eq!(driver.tried(), ["a", "b", "c"]);
    let b = driver.ready("b");
    assert_eq!(driver.channel.connectivity(), Ready);
    assert_eq!(driver.pick(false), Pick::Ready(b));
    let (a, c) = (driver.ready("a"), driver.ready("c"));
    let mut calls = BTreeMap::new();
    for _ in 0..100 {
        *calls.entry(*driver.picker.pick().expect("ready")).or_insert(0) += 1;
    }
    assert!(calls.values().all(|count| [33, 34].contains(count)), "{calls:?}");
    assert_eq!(calls.len(), 3);

    // One that is lost is not picked, and made again at once.
    driver.lose(a);
    assert_eq!(driver.connections(), [b, c]);
    assert_eq!((driver.tried(), driver.channel.connectivity()), (vec!["a"], Ready));
    driver.refuse("a");
    assert_eq!(driver.channel.connectivity(), Ready);
    driver.pass(1000);
    let again = driver.ready("a");
    assert_eq!(driver.connections(), [again, b, c]);
    assert_eq!(states(&mut driver), [Connecting, Ready]);
}

#[test]
fn round_robin_fails_when_all_have_failed() {
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a", "b"]);
    driver.refuse("a");
    assert_eq!(driver.pick(false), Pick::Wait);
    driver.refuse("b");
    assert_eq!(driver.pick(false), Pick::Fail("b refused".to_owned()));
    driver.pass(1000);
    assert_eq!(driver.tried(), ["a", "b"]);
    assert_eq!(driver.channel.connectivity(), TransientFailure);
    driver.ready("a");
    assert_eq!(states(&mut driver), [Connecting, TransientFailure, Ready]);
}

#[test]
fn a_connection_that_ends_unused_waits_for_calls() {
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a", "b"]);
    let (a, b) = (driver.ready("a"), driver.ready("b"));
    driver.lose(a);
    assert_eq!((driver.tried(), driver.connections()), (vec![], vec![b]));
    assert!(driver.picker.wants_calls());
    assert_eq!(driver.pick(false), Pick::Ready(b));
    driver.pass(1000);
    assert_eq!(driver.tried(), ["a"]);
    assert!(!driver.picker.wants_calls());

    // All of them: the channel is IDLE.
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a"]);
    let a = driver.ready("a");
    driver.lose(a);
    assert_eq!((driver.tried(), driver.channel.connectivity()), (vec![], Idle));
    assert_eq!(driver.pick(false), Pick::Wait);
    driver.pass(1000);
    assert_eq!(driver.tried(), ["a"]);
}

#[test]
fn a_name_is_looked_up_again_when_connections_are_lost_and_not_too_often() {
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a", "b"]);
    let (a, b) = (driver.ready("a"), driver.ready("b"));
    for _ in 0..2 {
        driver.picker.pick();
    }
    driver.lose(a);
    assert_eq!(driver.resolves, 0, "the answer is young");
    driver.pass(29_999);
    assert_eq!(driver.resolves, 0);
    driver.pass(1);
    // "a" has gone, "c" has come, "b" stays.
    driver.resolve(Ok(&["c", "b"]));
    assert_eq!(driver.tried(), ["c"], "a is given up");
    assert_eq!(driver.connections(), [b]);
    let c = driver.ready("c");
    assert_eq!(driver.connections(), [c, b]);
    assert_eq!(driver.drained, []);

    driver.pass(40_000);
    driver.picker.pick();
    driver.picker.pick();
    driver.lose(c);
    driver.resolve(Ok(&["d"]));
    assert_eq!((driver.drained.as_slice(), driver.tried()), ([b].as_slice(), vec!["d"]));
    assert_eq!(driver.connections(), []);
    assert_eq!(driver.channel.connectivity(), Connecting);
}

#[test]
fn pick_first_takes_new_addresses_up_at_once() {
    let mut driver = Driver::resolved(FIRST, &["a"]);
    driver.refuse("a");
    driver.pass(30_000);
    driver.resolve(Ok(&["a"]));
    assert_eq!(driver.tried(), ["a"], "the same list changes nothing");
    driver.refuse("a");
    driver.pass(30_000);
    assert_eq!(driver.tried(), ["a"]);
    driver.resolve(Ok(&["b"]));
    assert_eq!(driver.tried(), ["b"], "the attempt begins anew");
    let b = driver.ready("b");
    assert_eq!(driver.channel.connectivity(), Ready);

    // Its address is gone: it drains, and calls go elsewhere.
    driver.pass(60_000);
    driver.lose(b);
    driver.resolve(Ok(&["b", "c"]));
    driver.pick(false);
    let b = driver.ready("b");
    driver.lose(b);
    driver.pick(false);
    driver.pass(30_000);
    let b = driver.ready("b");
    driver.resolve(Ok(&["c"]));
    assert_eq!((driver.drained.as_slice(), driver.channel.connectivity()), ([b].as_slice(), Idle));
}

#[test]
fn a_name_without_an_answer_is_a_failure_until_there_is_one() {
    let mut driver = Driver::new(FIRST);
    driver.pick(false);
    driver.resolve(Err("no such name"));
    assert_eq!(driver.pick(false), Pick::Fail("no such name".to_owned()));
    assert_eq!(driver.pick(true), Pick::Wait);
    driver.pass(999);
    assert_eq!(driver.resolves, 0);
    driver.pass(1);
    driver.resolve(Ok(&[]));
    assert_eq!(driver.failures, ["no such name", "no addresses"]);
    driver.pass(1600);
    driver.resolve(Ok(&["a"]));
    assert_eq!(driver.channel.connectivity(), Connecting);
    driver.ready("a");
    assert_eq!(states(&mut driver), [Connecting, TransientFailure, Connecting, Ready]);
}

#[test]
fn a_look_up_that_takes_too_long_fails_and_its_answer_counts() {
    let mut driver = Driver::new(FIRST);
    driver.pick(false);
    driver.pass(20_000);
    assert_eq!(driver.pick(false), Pick::Fail("nothing for 20000 ms".to_owned()));
    driver.pass(600_000);
    assert_eq!(driver.failures.len(), 1);
    driver.resolve(Ok(&["a"]));
    assert_eq!(driver.tried(), ["a"]);
}

#[test]
fn addresses_that_never_change_are_looked_up_once() {
    let config = ChannelConfig { resolution_interval: None, ..config(FIRST, 1) };
    let mut driver = Driver::of(&config);
    driver.pick(false);
    driver.resolve(Ok(&["a"]));
    driver.refuse("a");
    driver.pass(600_000);
    assert_eq!(driver.resolves, 0);
}

#[test]
fn what_nobody_wants_any_more_ends() {
    let mut driver = Driver::new(FIRST);
    driver.pick(false);
    let mut now = driver.now;
    while driver.channel.is_busy() {
        driver.resolve(Err("no such name"));
        if let Some(at) = driver.channel.poll_timeout() {
            now = at;
            driver.pass(u64::try_from(at.since(driver.now).as_millis()).expect("short") + 1);
        }
    }
    assert_eq!(driver.channel.connectivity(), Idle);
    assert!(now.since(Time::ZERO) > Duration::from_secs(30 * 60));
    assert_eq!(driver.pick(false), Pick::Wait);
    assert_eq!(driver.resolves, 1);
}

#[test]
fn the_complaint_of_one_server_slows_the_pings_to_all() {
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a", "b"]);
    let a = driver.ready("a");
    driver.picker.pick();
    let debug = "too_many_pings".into();
    let cause = CloseCause::PeerGoAway { reason: Reason::ENHANCE_YOUR_CALM, debug };
    let slower = driver.act(|channel, now| channel.handle_closed(now, a, &cause));
    assert_eq!(slower, Some(Duration::from_secs(120)));
    let dial = driver.dial("b");
    let dialled = driver.act(|channel, _| channel.handle_dialled(dial)).expect("it is wanted");
    assert_eq!(dialled.keepalive, slower);
}

#[test]
fn whoever_asks_after_an_interruption_starts_anew() {
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a", "b"]);
    let a = driver.ready("a");
    driver.dials.clear();
    driver.act(|channel, now| channel.handle_interrupted(now));
    assert_eq!((driver.connections(), driver.tried()), (vec![a], vec![]));
    assert!(driver.picker.wants_calls());
    assert_eq!(driver.pick(false), Pick::Ready(a));
    assert_eq!(driver.tried(), ["b"]);
}

#[test]
fn nothing_leaves_shutdown() {
    let mut driver = Driver::resolved(LoadBalancing::RoundRobin, &["a", "b"]);
    let a = driver.ready("a");
    let b = driver.dial("b");
    let b = driver.act(|channel, _| channel.handle_dialled(b)).expect("it is wanted").id;
    driver.act(|channel, _| channel.shut_down());
    assert_eq!((driver.closed.as_slice(), driver.tried()), ([b].as_slice(), vec![]));
    assert_eq!((driver.connections(), driver.drained.as_slice()), (vec![], [].as_slice()));
    assert_eq!((driver.pick(true), driver.channel.poll_timeout()), (Pick::Shutdown, None));
    driver.lose(a);
    driver.act(|channel, now| channel.connect(now));
    assert!(!driver.channel.is_busy());
    assert_eq!(driver.channel.connectivity(), Shutdown);
    assert_eq!(states(&mut driver), [Connecting, Ready, Shutdown]);
}
