//! Two transports joined in memory.

use std::collections::VecDeque;
use std::time::Duration;

use ferrpc_core::transport::{
    CallId, CallLimits, Cardinality, Config, Event, Message, RequestHead, StartCall,
};
use ferrpc_core::{Encoding, Metadata, Time, Transport};
use ferrpc_http2::Transmit;

/// A client and a server whose bytes reach each other at once, under a clock that the test moves.
#[derive(Debug)]
pub struct Pair {
    /// The client's end.
    pub client: End,
    /// The server's end.
    pub server: End,
    /// Virtual time.
    pub now: Time,
}

/// One end of a pair: its transport and what that reported.
#[derive(Debug)]
pub struct End {
    /// The transport.
    pub transport: Transport,
    /// Events in order, not yet looked at.
    pub events: VecDeque<Event>,
    /// Bytes that came and were not taken yet.
    input: VecDeque<u8>,
    transmit: Transmit,
}

impl Pair {
    /// Both ends with default settings, connected.
    pub fn new() -> Self {
        Self::with(Config::default(), Config::default())
    }

    /// Both ends with the given settings, connected.
    pub fn with(client: Config, server: Config) -> Self {
        // Not zero, so that "a while ago" exists.
        let now = Time::from_nanos(1_000_000_000);
        let mut pair = Self {
            client: End::new(Transport::client(client, now)),
            server: End::new(Transport::server(server, now)),
            now,
        };
        pair.drive();
        assert!(matches!(pair.client.events.pop_front(), Some(Event::Ready)), "no SETTINGS came");
        pair
    }

    /// Carries bytes both ways until nothing moves. An end that is finished closes the byte stream.
    pub fn drive(&mut self) {
        loop {
            let there = self.client.output(self.now);
            let back = self.server.output(self.now);
            if there.is_empty() && back.is_empty() {
                break;
            }
            self.server.feed(self.now, &there);
            self.client.feed(self.now, &back);
        }
        if self.client.transport.is_finished() || self.server.transport.is_finished() {
            self.client.close(self.now);
            self.server.close(self.now);
        }
    }

    /// Moves time on by `duration`, firing every timer at its time, and drives.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.drive();
            let next = [&self.client, &self.server]
                .into_iter()
                .filter_map(|end| end.transport.poll_timeout())
                .min()
                .filter(|next| *next <= until);
            let Some(next) = next else {
                break;
            };
            self.now = self.now.max(next);
            for end in [&mut self.client, &mut self.server] {
                if end.transport.poll_timeout().is_some_and(|at| at <= self.now) {
                    end.transport.handle_timeout(self.now);
                    end.collect();
                }
            }
        }
        self.now = until;
        self.drive();
    }

    /// Starts a call of `cardinality` with default limits and no deadline, and drives.
    pub fn start(&mut self, path: &str, cardinality: Cardinality) -> CallId {
        self.start_with(&StartCall { path, cardinality, ..Self::call() })
    }

    /// Starts a call and drives.
    ///
    /// # Panics
    /// If the transport refuses it.
    pub fn start_with(&mut self, start: &StartCall<'_>) -> CallId {
        let call = self.client.transport.start_call(self.now, start).expect("the call starts");
        self.drive();
        call
    }

    /// A unary call to "/test.Test/Call" with default limits and nothing special.
    pub fn call() -> StartCall<'static> {
        static EMPTY: Metadata = Metadata::new();
        StartCall {
            path: "/test.Test/Call",
            authority: "localhost",
            scheme: "http",
            user_agent: "pair",
            metadata: &EMPTY,
            deadline: None,
            encoding: Encoding::Identity,
            cardinality: Cardinality::Unary,
            response_optional: false,
            limits: CallLimits::default(),
            previous_attempts: 0,
        }
    }

    /// The server's next event, which must be a new call; it is accepted as `cardinality`.
    ///
    /// # Panics
    /// If it is something else.
    pub fn accept(&mut self, cardinality: Cardinality) -> (CallId, Box<RequestHead>) {
        let event = self.server.events.pop_front();
        let Some(Event::Call { call, head }) = event else {
            panic!("expected a call, got {event:?}");
        };
        self.server.transport.accept(call, cardinality, CallLimits::default());
        self.server.collect();
        // What came behind the call's headers was held back.
        self.server.feed(self.now, &[]);
        self.drive();
        (call, head)
    }

    /// Sends a message from the client, ends its half, and drives.
    pub fn request(&mut self, call: CallId, payload: &[u8]) {
        let message = Message::plain(payload.to_vec());
        self.client.transport.send_message(self.now, call, message);
        self.client.transport.half_close(self.now, call);
        self.drive();
    }

    /// Cuts the connection: both ends see the byte stream end.
    pub fn cut(&mut self) {
        self.client.close(self.now);
        self.server.close(self.now);
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl End {
    /// An end with nothing received.
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            events: VecDeque::new(),
            input: VecDeque::new(),
            transmit: Transmit::new(),
        }
    }

    /// Gives bytes to the transport and keeps the events. A new call stops the input until the
    /// test has accepted or rejected it, and a transport that wants no input gets none.
    pub fn feed(&mut self, now: Time, bytes: &[u8]) {
        self.input.extend(bytes);
        while !self.input.is_empty() && !self.has_offer() && self.transport.wants_read() {
            let taken = self.transport.handle_bytes(now, self.input.make_contiguous());
            self.input.drain(..taken);
            self.collect();
        }
    }

    /// The end of the byte stream.
    pub fn close(&mut self, now: Time) {
        self.transport.handle_close(now);
        self.collect();
    }

    /// All the transport wants to send now.
    pub fn output(&mut self, now: Time) -> Vec<u8> {
        let all = self.output_only(now);
        self.collect();
        all
    }

    /// The same, with the events left where they are.
    pub fn output_only(&mut self, now: Time) -> Vec<u8> {
        let mut all = Vec::new();
        while self.transport.poll_transmit(now, &mut self.transmit, CHUNK) {
            all.extend(self.transmit.take());
        }
        all
    }

    /// Moves the transport's events here.
    pub fn collect(&mut self) {
        while let Some(event) = self.transport.poll_event() {
            self.events.push_back(event);
        }
    }

    /// Moves some of the transport's events here; the others wait.
    pub fn collect_at_most(&mut self, most: usize) {
        for _ in 0..most {
            let Some(event) = self.transport.poll_event() else {
                return;
            };
            self.events.push_back(event);
        }
    }

    /// The next event.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn has_offer(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Call { .. }))
    }
}

/// Bytes of output asked for at a time.
const CHUNK: usize = 64 << 10;
