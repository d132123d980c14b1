//! What the peer sent, as calls: messages are cut, counted and checked here for both roles.

use ferrpc_http2 as http2;
use ferrpc_http2::{HeadersKind, Reason, ResetBy, Role, Time};

use crate::framing::{FrameError, PREFIX};
use crate::{Code, Encoding, Status};

use super::calls::{Ended, Kind};
use super::{CallId, Event, Message, Transport};

impl Transport {
    /// Takes one event of the HTTP/2 connection; whether to stop, so that a call is accepted.
    pub(super) fn handle_event(&mut self, now: Time, event: http2::Event<'_>) -> bool {
        match event {
            http2::Event::Data { token, payload, end } => {
                self.handle_data(now, token, payload, end)
            }
            http2::Event::Opened { stream, fields, list, end, too_large } => {
                return self.handle_request(now, stream, fields, list, end, too_large);
            }
            http2::Event::Headers { token, fields, kind, end, too_large } => {
                if let Some(call) = self.calls.of_token(token) {
                    match (self.role, kind) {
                        (Role::Client, HeadersKind::Response(status)) => {
                            self.handle_response(now, call, fields, status, end, too_large);
                        }
                        (Role::Client, HeadersKind::Trailers) => {
                            self.handle_trailers(now, call, fields, too_large);
                        }
                        // gRPC clients send no trailers; what others send means only the end.
                        (Role::Server, _) => self.handle_end(now, call),
                    }
                }
            }
            http2::Event::Reset { token, reason, by, headers_sent } => {
                if let Some(call) = self.calls.of_token(token) {
                    match self.role {
                        Role::Client => self.handle_reset_by_server(now, call, reason, by),
                        Role::Server => self.handle_reset_by_client(now, call, by, headers_sent),
                    }
                }
            }
            http2::Event::Writable { token } => {
                if let Some(call) = self.calls.of_token(token) {
                    self.push(Event::Writable { call });
                }
            }
            http2::Event::Ready => {
                if self.role == Role::Client {
                    self.push(Event::Ready);
                }
            }
            http2::Event::StreamsAvailable => self.push(Event::StreamsAvailable),
            http2::Event::MayStart => self.push(Event::MayStart),
            http2::Event::Draining => self.push(Event::Draining),
            http2::Event::Closed => self.handle_closed(now),
        }
        false
    }

    fn handle_data(&mut self, now: Time, token: u32, payload: &[u8], end: bool) {
        let Some(id) = self.calls.of_token(token) else {
            return;
        };
        let Some(call) = self.calls.call(id) else {
            return;
        };
        if call.kind != Kind::Grpc || (self.role == Role::Client && !call.headers_received) {
            let stream = call.stream;
            self.http2.release(stream, payload.len());
        } else if call.unread {
            call.withheld += payload.len();
        } else {
            let (held, unconsumed, messages) = (call.held(), call.unconsumed, call.messages);
            let cut = self.cut_messages(id, payload);
            let mut whole = false;
            if let Some(call) = self.calls.call(id) {
                self.held.total = self.held.total + call.held() - held;
                self.held.whole = self.held.whole + call.unconsumed - unconsumed;
                whole = call.messages != messages;
                call.asked &= !whole;
            }
            if let Err(status) = cut {
                self.refuse(now, id, status);
                return;
            }
            self.give_credit(now, id, payload.len());
            if whole {
                self.stop_expecting(id);
            }
        }
        if end {
            self.handle_end(now, id);
        }
    }

    /// Cuts `payload` into messages and reports those that are whole.
    fn cut_messages(&mut self, id: CallId, payload: &[u8]) -> Result<(), Status> {
        let Some(call) = self.calls.call(id) else {
            return Ok(());
        };
        let role = self.role;
        let single = call.receives_one(role);
        let mut input = payload;
        let compressed = call.receive_encoding != Encoding::Identity;
        loop {
            if self.message_runs
                && !single
                && let Some(run) = call.deframer.next_run(&mut input, compressed)
            {
                let count = u32::try_from(run.len()).unwrap_or(u32::MAX);
                call.messages = call.messages.saturating_add(count);
                call.unconsumed += run.framed_bytes();
                self.counters.messages_received += u64::from(count);
                self.events.push_back(Event::Messages { call: id, run });
            }
            let next = call.deframer.next(&mut input);
            let Some(message) = next.map_err(|error| too_large(role, error))? else { break };
            if message.compressed && !compressed {
                return Err(Status::internal(
                    "a message has its compressed flag set, but no grpc-encoding was named",
                ));
            }
            call.messages = call.messages.saturating_add(1);
            if single && call.messages > 1 {
                return Err(second_message(self.role));
            }
            call.unconsumed += message.payload.len() + PREFIX;
            self.counters.messages_received += 1;
            self.events.push_back(Event::Message { call: id, message });
        }
        // The rest of another message need not be waited for, and takes no memory.
        if single && call.messages == 1 && !call.deframer.is_clean() {
            return Err(second_message(self.role));
        }
        Ok(())
    }

    /// The peer's half ended without trailers of a response.
    fn handle_end(&mut self, now: Time, id: CallId) {
        let role = self.role;
        let Some(call) = self.calls.call(id) else {
            return;
        };
        if call.remote_done {
            return;
        }
        call.remote_done = true;
        if role == Role::Client {
            let status =
                Status::new(Code::Unknown, "the server closed the stream without sending a status");
            self.handle_missing(now, id, status);
            return;
        }
        if call.kind != Kind::Grpc {
            if let Some(fields) = call.http_fields.take() {
                self.push(Event::Http { call: id, fields: *fields });
            }
            return;
        }
        if !call.deframer.is_clean() {
            self.refuse(now, id, cut_off());
        } else if call.cardinality.has_single_request() && call.messages == 0 {
            let status = Status::unimplemented("the client sent no request message");
            self.refuse(now, id, status);
        } else {
            self.push(Event::RemoteDone { call: id });
            self.stop_expecting(id);
        }
    }

    /// The peer sent what breaks a rule of gRPC: the call ends with `status` on both sides.
    pub(super) fn refuse(&mut self, now: Time, id: CallId, status: Status) {
        match self.role {
            Role::Client => self.give_up(now, id, status),
            Role::Server => {
                self.http2.charge_early_reset(now);
                self.drop_messages(id);
                self.send_status(now, id, &status);
                self.cancel_server(now, id, super::CancelledBy::Refused);
            }
        }
    }

    /// A handler that was to be started with a message is not.
    pub(super) fn drop_messages(&mut self, id: CallId) {
        self.events.retain(|event| !matches!(event, Event::Message { call, .. } if *call == id));
    }

    fn handle_closed(&mut self, now: Time) {
        if self.closed {
            return;
        }
        self.closed = true;
        let cause = self.http2.close_cause().cloned().expect("the connection is closed");
        for id in self.calls.ids() {
            match self.role {
                Role::Client => self.lose_call(now, id, &cause),
                Role::Server => {
                    self.cancel_server(now, id, super::CancelledBy::ConnectionLost);
                }
            }
        }
        self.deadlines.clear();
        self.held.clear();
        self.push(Event::Closed { cause });
    }

    /// Takes a call out of every account; its end is reported by the caller of this.
    pub(super) fn take_call(&mut self, now: Time, id: CallId) -> Option<Ended> {
        let call = self.calls.call(id)?;
        let ended = Ended { stream: call.stream, kind: call.kind, started: call.started };
        self.held.forget(call);
        self.calls.end(id);
        // Its stream may live on until what it sent is out; its slot is another call's then.
        self.http2.bind(ended.stream, NO_CALL);
        if self.calls.open() == 0 {
            self.deadlines.clear();
            self.lifetime.call_ended(now);
        }
        self.feed_starved(now);
        Some(ended)
    }

    /// The same for a call whose end is not reported.
    pub(super) fn remove_call(&mut self, now: Time, id: CallId) -> Option<Ended> {
        let ended = self.take_call(now, id)?;
        self.calls.release_slot(id);
        Some(ended)
    }

    /// Whether the messages so far make a complete response; if not, what the status becomes.
    pub(super) fn check_complete(&mut self, id: CallId, status: Status) -> Result<Status, Status> {
        match self.calls.call(id) {
            Some(call) if status.is_ok() => {
                if !call.deframer.is_clean() {
                    Err(cut_off())
                } else if call.lacks_response() {
                    Err(Status::unimplemented("the server sent OK without a response message"))
                } else {
                    Ok(status)
                }
            }
            _ => Ok(status),
        }
    }
}

fn too_large(role: Role, error: FrameError) -> Status {
    match error {
        // In the words of the C core, which programs in all languages look for.
        FrameError::TooLarge { claimed, limit } => {
            let role = match role {
                Role::Client => "CLIENT",
                Role::Server => "SERVER",
            };
            let text = format!("{role}: Received message larger than max ({claimed} vs. {limit})");
            Status::resource_exhausted(text)
        }
        FrameError::BadFlag(flag) => {
            Status::internal(format!("a message begins with flag {flag}, which is neither 0 nor 1"))
        }
    }
}

fn second_message(role: Role) -> Status {
    Status::unimplemented(match role {
        Role::Client => "the server sent more than one response message",
        Role::Server => "the client sent more than one request message",
    })
}

fn cut_off() -> Status {
    Status::internal("the stream ended in the middle of a message")
}

/// A message sent or received, for tests and drivers.
impl Message {
    /// A message that is not compressed.
    pub fn plain(payload: impl Into<bytes::Bytes>) -> Self {
        Self { payload: payload.into(), compressed: false }
    }
}

/// Whether a stream's end by `by` says that it was not processed.
pub(super) const fn is_unprocessed(by: ResetBy, reason: Reason) -> bool {
    match by {
        ResetBy::Unprocessed => true,
        ResetBy::Peer => reason.0 == Reason::REFUSED_STREAM.0,
        ResetBy::Rule | ResetBy::Stall => false,
    }
}

/// The token of a stream without a call.
const NO_CALL: u32 = u32::MAX;
