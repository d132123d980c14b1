//! A transport whose peer is written by hand.

use std::time::Duration;

use ferrpc_core::transport::{
    CallId, CallLimits, Cardinality, Config, Event, StartCall, TransparentRetry,
};
use ferrpc_core::{Status, Time, Transport};
use ferrpc_http2::Fields;

use crate::wire::{self, Frame};
use crate::{End, Pair};

/// A transport that has shaken hands with a peer whose every frame the test writes and reads.
#[derive(Debug)]
pub struct Scripted {
    /// The transport and its events.
    pub end: End,
    /// Virtual time.
    pub now: Time,
    /// All that was sent to the peer.
    sent: Vec<u8>,
}

impl Scripted {
    /// A server, its client scripted.
    pub fn server(config: Config) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        let mut scripted = Self::new(End::new(Transport::server(config, now)), now);
        scripted.feed(&wire::client_hello());
        scripted
    }

    /// A client, its server scripted, whose SETTINGS have these entries.
    pub fn client(config: Config, settings: &[(u16, u32)]) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        let mut scripted = Self::new(End::new(Transport::client(config, now)), now);
        scripted.feed(&wire::settings(settings));
        assert!(matches!(scripted.end.event(), Some(Event::Ready)), "no SETTINGS came");
        scripted
    }

    fn new(end: End, now: Time) -> Self {
        Self { end, now, sent: Vec::new() }
    }

    /// Gives bytes of the peer to the transport and takes what it answers.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.end.feed(self.now, bytes);
        self.flush();
    }

    /// Takes what the transport wants to send, after a command.
    pub fn flush(&mut self) {
        let output = self.end.output(self.now);
        self.sent.extend(output);
    }

    /// Moves time on, firing timers.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.end.transport.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.end.transport.handle_timeout(self.now);
            self.end.collect();
            self.flush();
        }
        self.now = until;
    }

    /// Accepts the call that is the next event.
    ///
    /// # Panics
    /// If it is something else.
    pub fn accept(&mut self, cardinality: Cardinality) -> CallId {
        let event = self.end.event();
        let Some(Event::Call { call, .. }) = event else {
            panic!("expected a call, got {event:?}");
        };
        self.end.transport.accept(call, cardinality, CallLimits::default());
        self.end.collect();
        self.feed(&[]);
        call
    }

    /// Starts a call of `cardinality`; the first of a connection is on stream 1.
    pub fn start(&mut self, cardinality: Cardinality) -> CallId {
        self.start_with(&StartCall { cardinality, ..Pair::call() })
    }

    /// Starts a call.
    ///
    /// # Panics
    /// If the transport refuses it.
    pub fn start_with(&mut self, start: &StartCall<'_>) -> CallId {
        let call = self.end.transport.start_call(self.now, start).expect("the call starts");
        self.flush();
        call
    }

    /// All frames sent to the peer.
    pub fn frames(&self) -> Vec<Frame> {
        wire::parse(&self.sent)
    }

    /// The header lists sent on a stream, in order.
    pub fn lists(&self, stream: u32) -> Vec<Fields> {
        let lists = wire::header_lists(&self.frames());
        lists.into_iter().filter(|(id, _)| *id == stream).map(|(_, list)| list).collect()
    }

    /// The value of a field in the last header list of a stream.
    pub fn answer(&self, stream: u32, name: &str) -> Option<String> {
        let lists = self.lists(stream);
        let value = lists.last()?.value(name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The code of the RST_STREAM that was sent on a stream.
    pub fn reset_of(&self, stream: u32) -> Option<u32> {
        wire::reset_of(&self.frames(), stream)
    }

    /// The first end of a call among the events: status, retry, whether it is the peer's.
    pub fn finished(&mut self) -> Option<(Status, TransparentRetry, bool)> {
        self.end.events.drain(..).find_map(|event| match event {
            Event::Finished { status, retry, from_peer, .. } => Some((status, retry, from_peer)),
            _ => None,
        })
    }
}
