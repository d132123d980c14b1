//! The end that is fed, and the sessions of which it is fed.

use std::time::Duration;

use ferrpc_core::http2::{CloseCause, Limits, Transmit};
use ferrpc_core::transport::{CallId, CallLimits, Cardinality, Config, Event, Message, StartCall};
use ferrpc_core::{Encoding, Metadata, Status, Time, Transport};
use ferrpc_testing::{Pair, wire};

use super::breaking::Random;

const KINDS: [Cardinality; 4] = [
    Cardinality::Unary,
    Cardinality::ClientStreaming,
    Cardinality::ServerStreaming,
    Cardinality::Bidirectional,
];

/// How a connection took what it was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was still there.
    WentOn,
    /// It said GOAWAY with an error.
    Refused,
}

/// One end and what it has told.
pub(crate) struct Subject {
    transport: Transport,
    server: bool,
    now: Time,
    open: Vec<CallId>,
    /// Plain HTTP requests.
    plain: Vec<CallId>,
    fed: usize,
    sent: usize,
    output: Vec<u8>,
}

fn config(runs: bool) -> Config {
    // Small ones are reached.
    let limits = Limits { max_held_headers: 20_000, ..Limits::default() };
    let http2 = ferrpc_core::http2::Config { limits, ..Default::default() };
    Config { http2, message_runs: runs, max_held_messages: 50_000, ..Config::default() }
}

fn start_calls(random: &mut Random, transport: &mut Transport, now: Time) -> Vec<CallId> {
    let mut metadata = Metadata::new();
    metadata.insert("x-key", "value").expect("it may be sent");
    metadata.insert_bin("y-bin", &[0, 255][..]).expect("it may be sent");
    (0..=random.below(5))
        .map(|_| {
            let deadline = (random.below(3) == 0).then(|| now + Duration::from_secs(5));
            let cardinality = KINDS[random.below(4)];
            let encoding = [Encoding::Identity, Encoding::Gzip][random.below(2)];
            let metadata = &metadata;
            let start = StartCall { deadline, cardinality, encoding, metadata, ..Pair::call() };
            transport.start_call(now, &start).expect("a stream is free")
        })
        .collect()
}

fn message(random: &mut Random) -> Message {
    let payload = vec![5; [0, 1, 100, 5000][random.below(4)]];
    if random.below(4) == 0 {
        Message { payload: Encoding::Gzip.compress(&payload), compressed: true }
    } else {
        Message::plain(payload)
    }
}

fn take(transport: &mut Transport, now: Time) -> Vec<u8> {
    let (mut transmit, mut all) = (Transmit::new(), Vec::new());
    while transport.poll_transmit(now, &mut transmit, 1 << 16) {
        all.extend(transmit.take());
    }
    all
}

/// What a client and a server say to each other in a short session: to the server, to the client.
pub(crate) fn session(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let mut client = Subject::new(false, random);
    let mut server = Subject::new(true, random);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        for call in client.open.clone() {
            let now = client.now;
            match random.below(6) {
                0 => client.transport.half_close(now, call),
                1 if random.below(4) == 0 => client.transport.cancel(now, call),
                _ => {
                    client.transport.send_message(now, call, message(random));
                }
            }
        }
        let bytes = take(&mut client.transport, client.now);
        server.feed(random, &bytes);
        there.extend(bytes);
        let bytes = std::mem::take(&mut server.output);
        client.feed(random, &bytes);
        back.extend(bytes);
    }
    (there, back)
}

impl Subject {
    pub(crate) fn new(server: bool, random: &mut Random) -> Self {
        // Not zero, so that "a while ago" exists.
        let now = Time::from_nanos(1_000_000_000);
        let config = config(random.below(2) == 0);
        let make = if server { Transport::server } else { Transport::client };
        let mut transport = make(config, now);
        let open = match server {
            true => Vec::new(),
            false => start_calls(random, &mut transport, now),
        };
        Self {
            transport,
            server,
            now,
            open,
            plain: Vec::new(),
            fed: 0,
            sent: 0,
            output: Vec::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.transport.close_cause().is_some()
    }

    pub(crate) fn feed(&mut self, random: &mut Random, mut bytes: &[u8]) {
        if random.below(20) == 0 {
            self.now = self.now + Duration::from_millis(random.below(2000) as u64);
            if self.transport.poll_timeout().is_some_and(|at| at <= self.now) {
                self.transport.handle_timeout(self.now);
            }
        }
        while !bytes.is_empty() {
            let taken = self.transport.handle_bytes(self.now, bytes);
            bytes = &bytes[taken..];
            self.fed += taken;
            let happened = self.events(random);
            if self.is_over() {
                break;
            }
            if taken == 0 && !happened {
                assert!(!self.transport.wants_read(), "it takes nothing, and waits for nothing");
                self.output();
            }
        }
        self.output();
    }

    fn output(&mut self) {
        let bytes = take(&mut self.transport, self.now);
        self.output.extend(bytes);
    }

    /// Memory is within what came: a message may be in a buffer that has doubled. What waits to
    /// be sent is what was sent here, and a head or an answer for each frame that came.
    pub(crate) fn check(&mut self) {
        let held = self.transport.held_messages();
        assert!(held <= 2 * self.fed + 64, "{held} held of {}", self.fed);
        let buffered = self.transport.buffered();
        assert!(buffered <= self.sent + self.fed + 1000, "{buffered} wait");
    }

    fn events(&mut self, random: &mut Random) -> bool {
        let mut any = false;
        while let Some(event) = self.transport.poll_event() {
            any = true;
            self.event(random, event);
        }
        any
    }

    fn event(&mut self, random: &mut Random, event: Event) {
        let now = self.now;
        let transport = &mut self.transport;
        match event {
            Event::Call { call, .. } => {
                assert!(!self.open.contains(&call), "a call that is there already");
                self.open.push(call);
                match random.below(8) {
                    0 => {
                        transport.reject(now, call, &Status::unimplemented("no"));
                        self.open.retain(|other| *other != call);
                    }
                    kind => transport.accept(call, KINDS[kind % 4], CallLimits::default()),
                }
            }
            Event::Message { call, message } => {
                self.received(random, call, 1, message.payload.len());
            }
            Event::Messages { call, run } => {
                let (count, framed) = (run.len(), run.framed_bytes());
                assert_eq!(run.count(), count, "a run has what it says");
                self.received(random, call, count, framed - 5 * count);
            }
            Event::RemoteDone { call } if self.server => {
                transport.finish(now, call, &Status::ok());
                self.open.retain(|other| *other != call);
            }
            Event::Http { call, .. } => {
                // The connection may be lost already; that comes next then.
                self.plain.push(call);
                transport.respond_http(now, call, 404, &Default::default(), "no".into());
            }
            Event::Cancelled { call, .. } if self.plain.contains(&call) => {}
            Event::Cancelled { call, .. } | Event::Finished { call, .. } => {
                let open = self.open.len();
                self.open.retain(|other| *other != call);
                assert_eq!(self.open.len() + 1, open, "the end of a call that has none");
            }
            _ => {}
        }
    }

    fn received(&mut self, random: &mut Random, call: CallId, count: usize, payload: usize) {
        assert!(self.open.contains(&call), "a message of a call that is over");
        let (now, transport) = (self.now, &mut self.transport);
        match random.below(8) {
            0 => transport.stop_receiving(call),
            1 | 2 => {}
            _ => transport.release(now, call, count, payload),
        }
        if self.server && random.below(2) == 0 {
            let answer = message(random);
            self.sent += answer.payload.len() + 100;
            transport.send_headers(now, call, &Metadata::new(), Encoding::Identity);
            transport.send_message(now, call, answer);
        }
    }

    /// The end of the byte stream: nothing is left.
    pub(crate) fn end(mut self) -> Outcome {
        let random = &mut Random::new(1);
        self.events(random);
        self.output();
        let refused = match self.transport.close_cause() {
            Some(CloseCause::PeerError { reason, debug }) => Some((reason.0, *debug)),
            _ => None,
        };
        if let Some((code, text)) = refused {
            let said = wire::last_go_away(&wire::parse(&self.output));
            assert_eq!(said, Some((code, text.to_owned())));
        }
        self.transport.handle_close(self.now);
        self.events(random);
        assert_eq!((self.transport.open_calls(), self.transport.held_messages()), (0, 0));
        assert_eq!(self.transport.buffered(), 0);
        assert!(self.open.is_empty(), "calls without an end: {:?}", self.open);
        if refused.is_some() { Outcome::Refused } else { Outcome::WentOn }
    }
}
