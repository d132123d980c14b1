//! The calls of one connection, between two transports in memory: streams, the queue for them, and
//! deadlines in it.

use std::collections::BTreeMap;
use std::time::Duration;

use ferrpc_core::channel::{AttemptEnd, Calls, EndedBy, Start, Turn};
use ferrpc_core::transport::{CallId, Config, Event, StartCall, TransparentRetry};
use ferrpc_core::{Code, Metadata, Time};
use ferrpc_testing::Pair;

/// A client whose server takes so many streams at a time.
struct Client {
    pair: Pair,
    calls: Calls<u32>,
    streams: BTreeMap<u32, CallId>,
    /// In the order in which they got a stream.
    started: Vec<u32>,
    ended: BTreeMap<u32, AttemptEnd>,
    deadlines: BTreeMap<u32, Option<Time>>,
}

impl Client {
    fn new(streams: u32) -> Self {
        let mut server = Config::default();
        server.http2.limits.max_concurrent_streams = streams;
        let pair = Pair::with(Config::default(), server);
        let mut calls = Calls::new();
        assert!(!calls.takes_calls());
        calls.open();
        Self {
            pair,
            calls,
            streams: BTreeMap::new(),
            started: Vec::new(),
            ended: BTreeMap::new(),
            deadlines: BTreeMap::new(),
        }
    }

    fn begin(&mut self, key: u32, deadline: Option<Time>) {
        self.deadlines.insert(key, deadline);
        self.start(key, Turn::New);
    }

    fn start(&mut self, key: u32, turn: Turn) -> bool {
        let deadline = self.deadlines[&key];
        let call = StartCall { deadline, ..Pair::call() };
        let transport = &mut self.pair.client.transport;
        match self.calls.start(self.pair.now, transport, &call, turn) {
            Start::Running(id) => {
                self.calls.insert(id, key);
                self.streams.insert(key, id);
                self.started.push(key);
            }
            Start::Queued => {
                self.calls.enqueue(key, deadline, turn);
                return false;
            }
            Start::Ended(end) => {
                self.end(key, end);
                if !self.calls.takes_calls() {
                    self.drain();
                }
            }
        }
        true
    }

    fn end(&mut self, key: u32, end: AttemptEnd) {
        let before = self.ended.insert(key, end);
        assert!(before.is_none(), "call {key} ends twice");
    }

    fn drain(&mut self) {
        for key in self.calls.drain() {
            self.end(key, AttemptEnd::not_sent());
        }
    }

    /// What the transport says.
    fn events(&mut self) {
        self.pair.drive();
        self.pair.client.collect();
        while let Some(event) = self.pair.client.event() {
            match event {
                Event::Finished { call, status, retry, from_peer } => {
                    let key = self.calls.remove(call).expect("it had a stream");
                    self.end(key, AttemptEnd::finished(status, retry, from_peer));
                }
                Event::StreamsAvailable => {
                    while let Some(key) = self.calls.pop_queued() {
                        if !self.start(key, Turn::FromQueue) {
                            break;
                        }
                    }
                }
                Event::Draining => self.drain(),
                Event::Closed { cause } => {
                    self.drain();
                    for (_, key) in self.calls.close() {
                        self.end(key, AttemptEnd::lost(&cause));
                    }
                }
                _ => {}
            }
        }
    }

    fn expire(&mut self) {
        for key in self.calls.expire(self.pair.now) {
            self.end(key, AttemptEnd::late_for_stream());
        }
    }

    fn cancel(&mut self, key: u32) {
        let call = self.streams[&key];
        self.pair.client.transport.cancel(self.pair.now, call);
        self.calls.remove(call);
        self.events();
    }
}

fn late(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn calls_get_streams_in_the_order_in_which_they_came() {
    let mut client = Client::new(1);
    (0..4).for_each(|key| client.begin(key, None));
    client.events();
    assert_eq!(client.started, [0]);
    client.cancel(0);
    assert_eq!(client.started, [0, 1]);
    // One that comes now does not pass those that wait, though it comes with a free stream.
    let call = client.streams[&1];
    client.pair.client.transport.cancel(client.pair.now, call);
    client.calls.remove(call);
    client.begin(4, None);
    client.events();
    assert_eq!(client.started, [0, 1, 2]);
    client.cancel(2);
    client.cancel(3);
    assert_eq!(client.started, [0, 1, 2, 3, 4]);
    assert_eq!(client.calls.open_calls(), 1);
}

#[test]
fn a_call_in_the_queue_ends_at_its_deadline() {
    let mut client = Client::new(1);
    let now = client.pair.now;
    client.begin(0, None);
    client.begin(1, Some(now + late(20)));
    client.begin(2, Some(now + late(10)));
    client.begin(3, None);
    assert_eq!(client.calls.poll_timeout(), Some(now + late(10)));
    client.pair.now = now + late(9);
    client.expire();
    assert!(client.ended.is_empty());
    client.pair.now = now + late(10);
    client.expire();
    assert_eq!(client.ended.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(client.calls.poll_timeout(), Some(now + late(20)));
    client.pair.now = now + late(50);
    client.expire();
    assert_eq!(client.calls.poll_timeout(), None);
    let end = &client.ended[&1];
    assert_eq!((end.status.code(), end.by), (Code::DeadlineExceeded, EndedBy::Deadline));
    assert!(end.status.message().contains("waiting for a stream"), "{}", end.status);
    client.cancel(0);
    assert_eq!(client.started, [0, 3]);
}

#[test]
fn what_was_given_up_does_not_get_a_stream() {
    let mut client = Client::new(1);
    (0..5).for_each(|key| client.begin(key, None));
    client.calls.retain_queued(|key| *key != 2);
    for given_up in [1, 3] {
        client.calls.sweep_queued(|key| *key != 1 && *key != given_up);
    }
    (0..1).for_each(|key| client.cancel(key));
    assert_eq!(client.started, [0, 4]);
}

#[test]
fn calls_that_wait_when_the_connection_drains_go_elsewhere() {
    let mut client = Client::new(1);
    (0..3).for_each(|key| client.begin(key, None));
    client.events();
    client.pair.server.transport.shutdown(client.pair.now, None);
    client.events();
    client.begin(3, None);
    for key in [1, 2, 3] {
        let end = &client.ended[&key];
        assert_eq!((end.retry, end.by), (TransparentRetry::NeverSent, EndedBy::Connection));
    }
    assert!(!client.ended.contains_key(&0), "it has a stream");
    client.pair.cut();
    client.events();
    assert_eq!(client.ended[&0].retry, TransparentRetry::No);
    assert_eq!(client.ended[&0].status.code(), Code::Unavailable);
}

#[test]
fn a_call_that_cannot_be_sent_says_why() {
    let mut server = Config::default();
    server.http2.limits.max_header_list_size = 4096;
    let mut client = Client { pair: Pair::with(Config::default(), server), ..Client::new(1) };
    let mut metadata = Metadata::new();
    metadata.append("k", &"v".repeat(8192)).expect("legal");
    let call = StartCall { metadata: &metadata, ..Pair::call() };
    let transport = &mut client.pair.client.transport;
    let start = client.calls.start(client.pair.now, transport, &call, Turn::New);
    let Start::Ended(end) = start else { panic!("{start:?}") };
    assert_eq!((end.status.code(), end.by), (Code::ResourceExhausted, EndedBy::Client));
    let call = StartCall { deadline: Some(client.pair.now), ..Pair::call() };
    let start = client.calls.start(client.pair.now, transport, &call, Turn::New);
    let Start::Ended(end) = start else { panic!("{start:?}") };
    assert_eq!((end.status.code(), end.by), (Code::DeadlineExceeded, EndedBy::Deadline));
    assert!(client.calls.takes_calls());
}

/// Calls come, are cancelled, wait and go, at random, until the connection drains and ends.
#[test]
fn whatever_happens_each_call_ends_once_and_in_time() {
    for seed in 0..150_u64 {
        let mut random = seed;
        let mut below = move |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % bound
        };
        let mut client = Client::new(1 + u32::try_from(below(4)).expect("small"));
        let mut begun = 0;
        let mut cancelled = Vec::new();
        for _ in 0..60 {
            match below(6) {
                0..3 => {
                    let now = client.pair.now;
                    let deadline = (below(2) == 0).then(|| now + late(below(40)));
                    client.begin(begun, deadline);
                    begun += 1;
                }
                3 => {
                    let running: Vec<u32> = client
                        .streams
                        .iter()
                        .filter(|(key, call)| client.calls.get(**call) == Some(*key))
                        .map(|(key, _)| *key)
                        .collect();
                    if let Some(key) = running.first() {
                        cancelled.push(*key);
                        client.cancel(*key);
                    }
                }
                4 => {
                    client.pair.now = client.pair.now + late(below(10));
                    client.expire();
                    client.pair.advance(Duration::ZERO);
                    client.events();
                }
                _ if below(10) == 0 => {
                    client.pair.server.transport.shutdown(client.pair.now, None);
                    client.events();
                }
                _ => client.events(),
            }
            client.expire();
            let now = client.pair.now;
            let due = client.calls.poll_timeout();
            assert!(due.is_none_or(|due| due > now), "seed {seed}: a call waits past its deadline");
            assert!(client.started.is_sorted(), "seed {seed}: {:?}", client.started);
        }
        client.pair.cut();
        client.events();
        for key in 0..begun {
            let ended = client.ended.contains_key(&key) || cancelled.contains(&key);
            assert!(ended, "seed {seed}: call {key} is lost");
        }
        assert_eq!(client.calls.open_calls(), 0);
    }
}
