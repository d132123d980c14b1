//! One HTTP/2 connection seen as gRPC calls.

mod event;

use std::time::Duration;

use ferrpc_http2::{self as http2, CloseCause, Fields, Time, Transmit};

use crate::{Counters, Encoding, EncodingSet, Metadata, Status};
pub use event::{CallId, CancelledBy, Event, Message, RequestHead, SendState, TransparentRetry};

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
    /// Server: time without calls after which the connection is closed gracefully.
    pub max_idle: Option<Duration>,
    /// Bytes of messages held for the application beyond which only the oldest call gets more
    /// credit.
    pub max_held_messages: usize,
    /// Randomness for jitter and ping payloads; the machines have no other source.
    pub seed: u64,
}

/// How many messages each direction of a call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The metadata exceeds what the peer takes.
    MetadataTooLarge,
    /// The deadline has passed already.
    DeadlineExceeded,
}

/// One HTTP/2 connection seen as calls: bytes in, events out; commands in, bytes out.
///
/// **Input**: [`handle_bytes`](Self::handle_bytes), [`handle_close`](Self::handle_close),
/// [`handle_timeout`](Self::handle_timeout) and the commands.
/// **Output**, to be drained after any input: [`poll_event`](Self::poll_event) until `None`,
/// [`poll_transmit`](Self::poll_transmit), [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Transport {}

#[expect(unused_variables, reason = "the contract, before its code")]
impl Transport {
    /// A client's end. Its preface and SETTINGS are ready to be transmitted.
    pub fn client(config: Config, now: Time) -> Self {
        todo!()
    }

    /// A server's end.
    pub fn server(config: Config, now: Time) -> Self {
        todo!()
    }

    // -- input ---------------------------------------------------------------------------------

    /// Takes bytes that the peer sent and returns how many were consumed: all, unless
    /// `max_starts_per_pass` calls began or the connection closed. Drain the events, then pass the
    /// rest again (before new bytes).
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) -> usize {
        todo!()
    }

    /// The byte stream ended (end of file, reset, write failure): every call fails.
    pub fn handle_close(&mut self, now: Time) {
        todo!()
    }

    /// Time has reached [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout(&mut self, now: Time) {
        todo!()
    }

    // -- output --------------------------------------------------------------------------------

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// Moves output into `transmit`, up to about `max_bytes` in all; whether it now holds
    /// anything. Call again when what it holds was written. The clock of the write stall timer.
    pub fn poll_transmit(&mut self, now: Time, transmit: &mut Transmit, max_bytes: usize) -> bool {
        todo!()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next. May move either way
    /// after any input.
    pub fn poll_timeout(&self) -> Option<Time> {
        todo!()
    }

    /// Whether reading should go on: false while the peer must be slowed down (too many
    /// acknowledgements waiting to be written, for instance).
    pub fn wants_read(&self) -> bool {
        todo!()
    }

    /// Whether the connection is over and all output was handed out: close the transport.
    pub fn is_finished(&self) -> bool {
        todo!()
    }

    /// Calls open now.
    pub fn open_calls(&self) -> usize {
        todo!()
    }

    /// What was counted on this connection.
    pub fn counters(&self) -> &Counters {
        todo!()
    }

    // -- commands ------------------------------------------------------------------------------

    /// Client: starts a call.
    pub fn start_call(&mut self, now: Time, start: &StartCall<'_>) -> Result<CallId, StartError> {
        todo!()
    }

    /// Server: takes a call reported by [`Event::Call`].
    pub fn accept(&mut self, call: CallId, cardinality: Cardinality, limits: CallLimits) {
        todo!()
    }

    /// Server: refuses a call, at any time before [`finish`](Self::finish).
    pub fn reject(&mut self, now: Time, call: CallId, status: &Status) {
        todo!()
    }

    /// Server: sends the response headers now, rather than with the first message. `encoding` is
    /// how messages with `compressed` set are compressed (must be accepted by the caller).
    pub fn send_headers(
        &mut self,
        now: Time,
        call: CallId,
        metadata: &Metadata,
        encoding: Encoding,
    ) -> SendState {
        todo!()
    }

    /// Sends a message (server: with headers before it, if none were sent).
    pub fn send_message(&mut self, now: Time, call: CallId, message: Message) -> SendState {
        todo!()
    }

    /// Client: no more messages from this side.
    pub fn half_close(&mut self, now: Time, call: CallId) {
        todo!()
    }

    /// Server: the unary fast path: headers (if not sent), one message and OK with `trailing`.
    pub fn respond(
        &mut self,
        now: Time,
        call: CallId,
        initial: &Metadata,
        encoding: Encoding,
        message: Message,
        trailing: &Metadata,
    ) {
        todo!()
    }

    /// Server: ends the call, after the messages sent before. Trailing metadata is the status's.
    pub fn finish(&mut self, now: Time, call: CallId, status: &Status) {
        todo!()
    }

    /// Server: answers a plain HTTP request.
    pub fn respond_http(
        &mut self,
        now: Time,
        call: CallId,
        status: u16,
        fields: &Fields,
        body: bytes::Bytes,
    ) {
        todo!()
    }

    /// Ends the call at once, without a status (client: RST_STREAM CANCEL). No more events of it.
    pub fn cancel(&mut self, now: Time, call: CallId) {
        todo!()
    }

    /// Gives back the credit of a consumed message of `payload` bytes.
    pub fn release(&mut self, now: Time, call: CallId, payload: usize) {
        todo!()
    }

    /// Begins a graceful end: no new calls; those open may finish until `grace` has passed.
    pub fn shutdown(&mut self, now: Time, grace: Option<Duration>) {
        todo!()
    }

    /// Ends the connection at once; open calls are lost.
    pub fn abort(&mut self, now: Time) {
        todo!()
    }

    /// Why the connection ended, once it has.
    pub fn close_cause(&self) -> Option<&CloseCause> {
        todo!()
    }
}
