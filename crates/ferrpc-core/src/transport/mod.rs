//! One HTTP/2 connection seen as gRPC calls.
//!
//! A [`Transport`] is to calls what [`http2::Connection`] is to streams: bytes in, events out,
//! commands in, bytes out; no I/O, no clock, no lock. It adds what gRPC means by a stream: the
//! framing of messages, metadata, the status, deadlines, cardinality and the limits on them.
//!
//! # Invariants
//! - A call's events come in order: `Call` or `Headers`, then messages, then `RemoteDone`, then at
//!   most one end (`Cancelled`, `Finished`), and nothing after the end or after a command that ends
//!   the call.
//! - A `CallId` names one call for good; commands for a call that has ended do nothing.
//! - A server's call is accepted or rejected before any message of it is cut:
//!   [`handle_bytes`](Transport::handle_bytes) stops behind a call's headers.
//! - The bytes held for the application are counted; stream credit is given back when a message is
//!   consumed, for the message at the head already as it arrives. Credit that is kept from a call
//!   comes back when the call's messages are consumed or when its turn comes (`credit.rs`).

mod buffers;
mod calls;
mod client;
mod credit;
mod deadlines;
mod event;
mod lifetime;
mod memory;
mod messages;
mod receive;
mod request;
mod response;
mod send;
mod server;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use ferrpc_http2::{self as http2, CloseCause, Role, Time, Transmit};

use crate::{Counters, Encoding, EncodingSet, Metadata};
pub(crate) use buffers::LARGE as LARGE_MESSAGE;
pub use buffers::{Buffers, FreshBuffers};
pub use credit::HELD_REQUEST;
pub use event::{CallId, CancelledBy, Event, Message, RequestHead, SendState, TransparentRetry};
pub use messages::{Messages, PushError, Run, RunBuilder};

use calls::Calls;
use credit::Held;
use deadlines::Deadlines;
use lifetime::Lifetime;
use request::RequestMemo;

/// Settings of one gRPC connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// Those of the HTTP/2 connection.
    pub http2: http2::Config,
    /// Encodings we accept.
    pub accept: EncodingSet,
    /// Server: age after which the connection is closed gracefully (with 10 % jitter, derived from
    /// `seed`).
    pub max_age: Option<Duration>,
    /// Server: how long calls may go on after the graceful close began because of age.
    pub max_age_grace: Option<Duration>,
    /// Time without calls after which the connection is closed gracefully.
    pub max_idle: Option<Duration>,
    /// Bytes of messages held for the application beyond which messages that are arriving are
    /// completed one at a time: only one call gets credit for more than its stream's window. While
    /// whole messages alone are more than this, it must be one whose consumer waits, see
    /// [`Event::Withheld`]. Messages that fit in a stream's window go on in any case.
    pub max_held_messages: usize,
    /// Whether small messages that arrive together are reported together, as
    /// [`Event::Messages`].
    pub message_runs: bool,
    /// Server: whether calls of any `:path` are events, rather than those of "/service/method"
    /// alone. What is no UTF-8 in them is replaced (U+FFFD).
    pub any_path: bool,
    /// Where the memory of messages comes from.
    pub buffers: &'static dyn Buffers,
    /// Randomness for jitter, and for `http2` in place of its own; the machines have no other
    /// source.
    pub seed: u64,
}

/// How many messages each direction of a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One request, one response.
    Unary,
    /// Any number of requests, one response.
    ClientStreaming,
    /// One request, any number of responses.
    ServerStreaming,
    /// Any number both ways.
    Bidirectional,
}

/// Limits on the messages of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// The largest message taken, in bytes, before and after decompression.
    pub max_receive: usize,
    /// The largest message sent, in bytes, after compression.
    pub max_send: usize,
}

/// A call about to start.
#[derive(Clone, Copy, Debug)]
pub struct StartCall<'a> {
    /// "/service/method".
    pub path: &'a str,
    /// The `:authority`.
    pub authority: &'a str,
    /// "http" or "https".
    pub scheme: &'a str,
    /// The `user-agent`.
    pub user_agent: &'a str,
    /// Initial metadata.
    pub metadata: &'a Metadata,
    /// When the call must have ended.
    pub deadline: Option<Time>,
    /// How messages with `compressed` set are compressed.
    pub encoding: Encoding,
    /// How many messages go each way.
    pub cardinality: Cardinality,
    /// Whether OK counts without the one response that the cardinality asks for. Otherwise the call
    /// ends with UNIMPLEMENTED, as gRPC's list of statuses has it.
    pub response_optional: bool,
    /// Limits on its messages.
    pub limits: CallLimits,
    /// Attempts made before this one (`grpc-previous-rpc-attempts` is sent if above 0).
    pub previous_attempts: u32,
}

/// Why a call could not start on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The peer takes no more streams now; wait for [`Event::StreamsAvailable`].
    StreamLimit,
    /// The connection is ending: use another one.
    Draining,
    /// The request's header list exceeds what the peer takes.
    MetadataTooLarge {
        /// Its size in bytes, 32 added for each field.
        size: usize,
        /// What the peer takes.
        limit: usize,
    },
    /// The deadline has passed already.
    DeadlineExceeded,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StreamLimit => f.write_str("the server takes no more calls now"),
            Self::Draining => f.write_str("the connection takes no more calls"),
            Self::MetadataTooLarge { size, limit } => write!(
                f,
                "the request's metadata is larger than the server accepts ({size} vs. {limit})"
            ),
            Self::DeadlineExceeded => {
                f.write_str("the deadline passed before the request was sent")
            }
        }
    }
}

impl std::error::Error for StartError {}

/// One HTTP/2 connection seen as calls: bytes in, events out; commands in, bytes out.
///
/// **Input**: [`handle_bytes`](Self::handle_bytes), [`handle_close`](Self::handle_close),
/// [`handle_timeout`](Self::handle_timeout) and the commands.
/// **Output**, to be drained after any input: [`poll_event`](Self::poll_event) until `None`,
/// [`poll_transmit`](Self::poll_transmit), [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Transport {
    role: Role,
    accept: EncodingSet,
    http2: http2::Connection,
    calls: Calls,
    requests: RequestMemo,
    events: VecDeque<Event>,
    deadlines: Deadlines,
    lifetime: Lifetime,
    counters: Counters,
    held: Held,
    message_runs: bool,
    any_path: bool,
    buffers: &'static dyn Buffers,
    /// Times output was handed out: tells whether a call's headers can have left.
    epoch: u64,
    closed: bool,
    /// The time of the last input.
    now: Time,
}

impl Transport {
    /// A client's end. Its preface and SETTINGS are ready to be transmitted.
    pub fn client(config: Config, now: Time) -> Self {
        Self::new(Role::Client, config, now)
    }

    /// A server's end.
    pub fn server(config: Config, now: Time) -> Self {
        Self::new(Role::Server, config, now)
    }

    fn new(role: Role, config: Config, now: Time) -> Self {
        let lifetime = match role {
            Role::Client => Lifetime::of_client(&config, now),
            Role::Server => Lifetime::of_server(&config, now),
        };
        let http2 =
            http2::Config { seed: config.seed, essential_fields: &["grpc-status"], ..config.http2 };
        Self {
            role,
            accept: config.accept,
            http2: http2::Connection::new(role, http2, now),
            calls: Calls::default(),
            requests: RequestMemo::default(),
            events: VecDeque::new(),
            deadlines: Deadlines::default(),
            lifetime,
            counters: Counters::default(),
            held: Held::new(config.max_held_messages, role),
            message_runs: config.message_runs,
            any_path: config.any_path,
            buffers: config.buffers,
            epoch: 0,
            closed: false,
            now,
        }
    }

    // -- input ---------------------------------------------------------------------------------

    /// Takes bytes that the peer sent and returns how many were consumed: all of them, or those up
    /// to a new call, which is to be accepted before its messages are read. Drain the events, then
    /// pass the rest (before new bytes).
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) -> usize {
        self.now = now;
        let mut input = bytes;
        while let Some(event) = self.http2.receive(now, &mut input) {
            if self.handle_event(now, event) {
                break;
            }
        }
        bytes.len() - input.len()
    }

    /// The byte stream ended (end of file, reset, write failure): every call fails.
    pub fn handle_close(&mut self, now: Time) {
        self.now = now;
        self.http2.handle_close();
        self.drain_http2(now);
    }

    /// Time has reached [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        self.expire_calls(now);
        self.end_of_life(now);
        self.pass_turn_on(now);
        self.http2.handle_timeout(now);
        self.drain_http2(now);
    }

    fn drain_http2(&mut self, now: Time) {
        let mut nothing: &[u8] = &[];
        while let Some(event) = self.http2.receive(now, &mut nothing) {
            self.handle_event(now, event);
        }
    }

    // -- output --------------------------------------------------------------------------------

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if self.http2.has_events() {
                // A command had consequences. They are taken before slots become free, since
                // HTTP/2 names calls by their slots.
                self.drain_http2(self.now);
            }
            let Some(event) = self.events.pop_front() else {
                if self.events.capacity() > EVENTS_KEPT {
                    self.events = VecDeque::new();
                }
                return None;
            };
            match &event {
                Event::Cancelled { call, .. } | Event::Finished { call, .. } => {
                    if !self.calls.is_known(*call) {
                        continue;
                    }
                    self.calls.release_slot(*call);
                }
                Event::Call { call, .. }
                | Event::Http { call, .. }
                | Event::Headers { call, .. }
                | Event::Messages { call, .. }
                | Event::RemoteDone { call }
                | Event::Withheld { call }
                | Event::Writable { call } => {
                    // A command has ended the call since.
                    if !self.calls.is_known(*call) {
                        continue;
                    }
                }
                Event::Message { call, .. } => {
                    if !self.calls.is_known(*call) {
                        continue;
                    }
                    self.hand_over(*call);
                }
                Event::Ready
                | Event::StreamsAvailable
                | Event::MayStart
                | Event::Draining
                | Event::Closed { .. } => {}
            }
            return Some(event);
        }
    }

    /// Moves output into `transmit`, up to about `max_bytes` in all; whether it now holds
    /// anything. Call it again whenever some of it was written: the write stall timer goes by it.
    pub fn poll_transmit(&mut self, now: Time, transmit: &mut Transmit, max_bytes: usize) -> bool {
        let some = self.http2.poll_transmit(now, transmit, max_bytes);
        self.epoch += u64::from(some);
        self.drain_http2(now);
        some
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next. May move either way
    /// after any input.
    pub fn poll_timeout(&self) -> Option<Time> {
        let http2 = self.http2.poll_timeout();
        let own =
            [self.deadlines.next(), self.lifetime.due(self.calls.open()), self.held.turn_ends()];
        own.into_iter().flatten().chain(http2).min()
    }

    /// Whether reading should go on: false while the peer must be slowed down (too many
    /// acknowledgements waiting to be written, for instance).
    pub fn wants_read(&self) -> bool {
        self.http2.wants_read()
    }

    /// Whether the connection is over and all output was handed out: close the transport.
    pub fn is_finished(&self) -> bool {
        self.http2.is_finished()
    }

    /// Whether no new calls should be started here.
    pub fn is_draining(&self) -> bool {
        self.http2.is_draining()
    }

    /// Calls open now.
    pub fn open_calls(&self) -> usize {
        self.calls.open()
    }

    /// Gives back the memory that busy times took and idle ones do not need; for drivers of
    /// connections that have been idle for a while.
    pub fn trim(&mut self) {
        self.calls.trim();
        self.http2.trim();
    }

    /// Bytes of messages held for the application: those arriving, and those not released.
    pub fn held_messages(&self) -> usize {
        self.held.total
    }

    /// Bytes that are held because of the peer, roughly: messages both ways, header lists, calls.
    pub fn memory(&self) -> usize {
        self.held.total + self.http2.memory()
    }

    /// Bytes that wait for the peer's credit or to be written.
    pub fn buffered(&self) -> usize {
        self.http2.buffered()
    }

    /// What was counted on this connection.
    pub fn counters(&self) -> Counters {
        Counters { http2: *self.http2.counters(), ..self.counters }
    }

    /// Why the connection ended, once it has.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        self.http2.close_cause()
    }
}

/// Places for events that are kept for the next ones. A peer can have many more filled, with one
/// read of the smallest frames.
const EVENTS_KEPT: usize = 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            http2: http2::Config::default(),
            accept: EncodingSet::ALL,
            max_age: None,
            max_age_grace: None,
            max_idle: None,
            max_held_messages: 64 << 20,
            message_runs: false,
            any_path: false,
            buffers: &FreshBuffers,
            seed: 0,
        }
    }
}

impl Default for CallLimits {
    /// 4 MiB received, as everywhere in gRPC; no limit on what is sent.
    fn default() -> Self {
        Self { max_receive: 4 << 20, max_send: u32::MAX as usize }
    }
}

impl Cardinality {
    /// Whether a client sends one message only.
    pub const fn has_single_request(self) -> bool {
        matches!(self, Self::Unary | Self::ServerStreaming)
    }

    /// Whether a server sends one message only.
    pub const fn has_single_response(self) -> bool {
        matches!(self, Self::Unary | Self::ClientStreaming)
    }
}
