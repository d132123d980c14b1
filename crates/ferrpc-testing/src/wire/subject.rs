//! One HTTP/2 connection, whose peer is the test.

use std::collections::HashMap;
use std::time::Duration;

use ferrpc_http2::{
    CloseCause, Config, Connection, Event, Field, Fields, HeadersKind, OpenError, Reason, ResetBy,
    Role, StreamKey, Time, Transmit,
};

use super::{Frame, client_hello, flag, frame, kind, parse, settings};

/// A connection under test: it is fed frames by hand, under a clock that the test moves. Streams
/// are named by their ids, also in events.
#[derive(Debug)]
pub struct Subject {
    /// The connection.
    pub connection: Connection,
    /// Virtual time.
    pub now: Time,
    /// Whether data is given back to its stream's window as it arrives; true at first.
    pub releases: bool,
    keys: HashMap<u32, StreamKey>,
    transmit: Transmit,
}

/// An [`Event`] that owns what it says; tokens are stream ids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in Event")]
pub enum Seen {
    Ready,
    Opened { id: u32, fields: Fields, end: bool, too_large: bool },
    Headers { id: u32, fields: Fields, kind: HeadersKind, end: bool, too_large: bool },
    Data { id: u32, payload: Vec<u8>, end: bool },
    Reset { id: u32, reason: Reason, by: ResetBy, headers_sent: bool },
    Writable { id: u32 },
    StreamsAvailable,
    MayStart,
    Draining,
    Closed,
}

impl Subject {
    /// A connection that has received nothing.
    pub fn new(role: Role, config: Config) -> Self {
        // Not zero, so that "a while ago" exists.
        let now = Time::from_nanos(1_000_000_000);
        Self {
            connection: Connection::new(role, config, now),
            now,
            releases: true,
            keys: HashMap::new(),
            transmit: Transmit::new(),
        }
    }

    /// A server whose client has sent its preface with empty SETTINGS and acknowledged ours.
    pub fn server(config: Config) -> Self {
        let mut subject = Self::new(Role::Server, config);
        assert_eq!(subject.feed(&client_hello()), [Seen::Ready]);
        subject.acknowledge();
        subject
    }

    /// A client whose server has sent empty SETTINGS and acknowledged ours.
    pub fn client(config: Config) -> Self {
        let mut subject = Self::new(Role::Client, config);
        assert_eq!(subject.feed(&settings(&[])), [Seen::Ready]);
        subject.acknowledge();
        subject
    }

    fn acknowledge(&mut self) {
        self.frames();
        assert_eq!(self.feed(&frame(kind::SETTINGS, flag::ACK, 0, &[])), []);
    }

    /// Gives bytes to the connection; what they meant.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let mut input = bytes;
        let mut seen = Vec::new();
        while let Some(event) = self.connection.receive(self.now, &mut input) {
            let event = Seen::from(event, &mut self.keys);
            match &event {
                Seen::Opened { id, .. } => self.connection.bind(self.keys[id], *id),
                Seen::Data { id, payload, .. } if self.releases => {
                    self.connection.release(self.keys[id], payload.len());
                }
                _ => {}
            }
            seen.push(event);
        }
        assert!(input.is_empty(), "input left without an event");
        seen
    }

    /// Events that commands or time caused.
    pub fn events(&mut self) -> Vec<Seen> {
        self.feed(&[])
    }

    /// All that the connection wants to send now, as bytes.
    pub fn output(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.connection.poll_transmit(self.now, &mut self.transmit, 64 << 10) {
            all.extend(self.transmit.take());
        }
        all
    }

    /// All that the connection wants to send now, as frames.
    pub fn frames(&mut self) -> Vec<Frame> {
        parse(&self.output())
    }

    /// Client: opens a stream with a request of these fields; its id.
    ///
    /// # Errors
    /// If the connection takes no more streams.
    pub fn open(&mut self, fields: &[(&str, &str)], end: bool) -> Result<u32, OpenError> {
        let key = self.connection.open(self.now, list(fields), end)?;
        self.connection.bind(key, key.id());
        self.keys.insert(key.id(), key);
        Ok(key.id())
    }

    /// Sends a header list on a stream.
    pub fn headers(&mut self, id: u32, fields: &[(&str, &str)], end: bool) {
        self.connection.send_headers(self.keys[&id], list(fields), end);
    }

    /// Sends data on a stream.
    pub fn data(&mut self, id: u32, payload: &[u8], end: bool) {
        let payload = payload.to_vec().into();
        self.connection.send_data(self.now, self.keys[&id], &[], payload, end);
    }

    /// Ends a stream with a trailer section.
    pub fn trailers(&mut self, id: u32, fields: &[(&str, &str)]) {
        self.connection.send_trailers(self.keys[&id], list(fields));
    }

    /// The connection's name of a stream.
    pub fn key(&self, id: u32) -> StreamKey {
        self.keys[&id]
    }

    /// Moves time on by `duration`, firing every timer at its time; output stays where it is.
    ///
    /// # Panics
    /// If a timer fires without end.
    pub fn advance(&mut self, duration: Duration) -> Vec<Seen> {
        let until = self.now + duration;
        let mut fired = 0;
        while let Some(next) = self.connection.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.connection.handle_timeout(self.now);
            fired += 1;
            assert!(fired < 1_000_000, "a timer fires without end");
        }
        self.now = until;
        self.events()
    }

    /// Lets the transport take up to `bytes` of what waits; how many it took.
    pub fn write(&mut self, bytes: usize) -> usize {
        self.connection.poll_transmit(self.now, &mut self.transmit, 64 << 10);
        let count = bytes.min(self.transmit.len());
        self.transmit.advance(count);
        self.connection.poll_transmit(self.now, &mut self.transmit, 64 << 10);
        count
    }

    /// Code and debug text of the GOAWAY that a broken rule or limit brought; `None` if the
    /// connection did not end that way.
    pub fn error(&self) -> Option<(Reason, &'static str)> {
        match self.connection.close_cause() {
            Some(CloseCause::PeerError { reason, debug }) => Some((*reason, *debug)),
            _ => None,
        }
    }
}

impl Seen {
    fn from(event: Event<'_>, keys: &mut HashMap<u32, StreamKey>) -> Self {
        match event {
            Event::Ready => Self::Ready,
            Event::Opened { stream, fields, end, too_large, .. } => {
                keys.insert(stream.id(), stream);
                Self::Opened { id: stream.id(), fields, end, too_large: too_large.is_some() }
            }
            Event::Headers { token, fields, kind, end, too_large } => {
                Self::Headers { id: token, fields, kind, end, too_large: too_large.is_some() }
            }
            Event::Data { token, payload, end } => {
                Self::Data { id: token, payload: payload.to_vec(), end }
            }
            Event::Reset { token, reason, by, headers_sent } => {
                Self::Reset { id: token, reason, by, headers_sent }
            }
            Event::Writable { token } => Self::Writable { id: token },
            Event::StreamsAvailable => Self::StreamsAvailable,
            Event::MayStart => Self::MayStart,
            Event::Draining => Self::Draining,
            Event::Closed => Self::Closed,
        }
    }

    /// Events with the pieces of one stream's data put together, as fragmentation does not
    /// preserve them.
    pub fn joined(events: Vec<Self>) -> Vec<Self> {
        let mut joined: Vec<Self> = Vec::new();
        for event in events {
            match (joined.last_mut(), event) {
                (
                    Some(Self::Data { id, payload, end }),
                    Self::Data { id: same, payload: more, end: last },
                ) if *id == same && !*end => {
                    payload.extend(more);
                    *end = last;
                }
                (_, event) => joined.push(event),
            }
        }
        joined
    }
}

fn list<'a>(fields: &'a [(&str, &str)]) -> impl Iterator<Item = Field<'a>> {
    fields.iter().map(|(name, value)| Field {
        name: name.as_bytes(),
        value: value.as_bytes(),
        sensitive: false,
    })
}
