//! What both roles send on a call.

use ferrpc_http2::{Reason, Role, Time};

use crate::framing::prefix;
use crate::{Encoding, Metadata, Status};

use super::calls::Call;
use super::response::{self, StatusFields};
use super::{CallId, Message, Messages, SendState, Transport};

impl Transport {
    /// Server: sends the response headers now, rather than with the first message. `encoding` is
    /// how messages with `compressed` set are compressed (must be accepted by the caller).
    pub fn send_headers(
        &mut self,
        now: Time,
        id: CallId,
        metadata: &Metadata,
        encoding: Encoding,
    ) -> SendState {
        let peer_limit = self.http2.peer_max_header_list();
        let Some(call) = self.calls.call(id) else {
            return SendState::Gone;
        };
        if call.headers_sent {
            return SendState::Ready;
        }
        if let Some(size) = exceeds(metadata, peer_limit) {
            self.finish(now, id, &unsendable("initial", size, peer_limit));
            return SendState::Gone;
        }
        call.headers_sent = true;
        let stream = call.stream;
        self.http2.send_headers(stream, response::head_fields(metadata, encoding), false);
        SendState::Ready
    }

    /// Sends a message (server: with headers before it, if none were sent).
    pub fn send_message(&mut self, now: Time, id: CallId, message: Message) -> SendState {
        let Some(call) = self.calls.call(id) else {
            return SendState::Gone;
        };
        let (stream, limit) = (call.stream, call.limits.max_send);
        if !call.headers_sent
            && self.send_headers(now, id, &Metadata::new(), Encoding::Identity) == SendState::Gone
        {
            return SendState::Gone;
        }
        let size = message.payload.len();
        let length = match u32::try_from(size) {
            Ok(length) if size <= limit => length,
            _ => {
                let sender = match self.role {
                    Role::Client => "trying to send",
                    Role::Server => "SERVER: Sent",
                };
                let status = Status::resource_exhausted(format!(
                    "{sender} message larger than max ({size} vs. {limit})"
                ));
                match self.role {
                    Role::Server => self.finish(now, id, &status),
                    Role::Client => {
                        self.reset_stream(id, Reason::CANCEL);
                        let retry = super::TransparentRetry::No;
                        self.finish_client(now, id, status, retry, false);
                    }
                }
                return SendState::Gone;
            }
        };
        self.counters.messages_sent += 1;
        if size >= super::LARGE_MESSAGE {
            self.buffers.expect(size);
        }
        let head = prefix(message.compressed, length);
        self.http2.send_data(now, stream, &head, message.payload, false);
        if self.http2.is_writable(stream) { SendState::Ready } else { SendState::Full }
    }

    /// Sends messages in a row; like [`send_message`](Self::send_message) for each of them.
    pub fn send_messages(&mut self, now: Time, id: CallId, messages: Messages) -> SendState {
        let run = match messages {
            Messages::One(message) => return self.send_message(now, id, message),
            Messages::Run(run) => run,
        };
        let Some(call) = self.calls.call(id) else {
            return SendState::Gone;
        };
        let (stream, headers_sent) = (call.stream, call.headers_sent);
        if run.largest() > call.limits.max_send {
            // Some are to go out before the one that fails.
            let mut state = SendState::Ready;
            for message in run {
                state = self.send_message(now, id, message);
            }
            return state;
        }
        if !headers_sent
            && self.send_headers(now, id, &Metadata::new(), Encoding::Identity) == SendState::Gone
        {
            return SendState::Gone;
        }
        self.counters.messages_sent += run.len() as u64;
        self.http2.send_data(now, stream, &[], run.into_framed(), false);
        if self.http2.is_writable(stream) { SendState::Ready } else { SendState::Full }
    }

    /// Client: no more messages from this side.
    pub fn half_close(&mut self, now: Time, id: CallId) {
        if let Some(call) = self.calls.call(id) {
            let stream = call.stream;
            self.http2.end_stream(now, stream);
        }
    }

    /// Server: ends the call, after the messages sent before. Trailing metadata is the status's.
    pub fn finish(&mut self, now: Time, id: CallId, status: &Status) {
        if status.is_ok() {
            self.finish_ok(now, id, status.metadata());
            return;
        }
        self.send_status(now, id, status);
        if let Some(call) = self.remove_call(now, id) {
            self.counters.calls_failed += 1;
            if call.started {
                self.http2.credit_completed();
            }
        } else {
            self.calls.forget(id);
        }
    }

    pub(super) fn finish_ok(&mut self, now: Time, id: CallId, trailing: &Metadata) {
        let peer_limit = self.http2.peer_max_header_list();
        let Some(call) = self.calls.call(id) else {
            self.calls.forget(id);
            return;
        };
        if let Some(size) = exceeds(trailing, peer_limit) {
            self.finish(now, id, &unsendable("trailing", size, peer_limit));
            return;
        }
        let Call { stream, headers_sent, started, .. } = *call;
        if headers_sent {
            self.http2.send_trailers(stream, response::ok_fields(trailing));
        } else {
            let fields = response::preamble().into_iter().chain(response::ok_fields(trailing));
            self.http2.send_headers(stream, fields, true);
        }
        self.remove_call(now, id);
        self.counters.calls_ok += 1;
        if started {
            self.http2.credit_completed();
        }
    }

    /// Sends a status that is not OK: as trailers, or alone if no headers went out.
    pub(super) fn send_status(&mut self, _now: Time, id: CallId, status: &Status) {
        let peer_limit = self.http2.peer_max_header_list();
        let Some(call) = self.calls.call(id) else {
            return;
        };
        let Call { stream, headers_sent, .. } = *call;
        let shorter;
        let mut fields = StatusFields::new(status);
        let room = if headers_sent { peer_limit } else { peer_limit.saturating_sub(PREAMBLE) };
        if fields.list_size() > room {
            shorter = response::shortened(status, room, peer_limit);
            fields = StatusFields::new(&shorter);
        }
        if headers_sent {
            self.http2.send_trailers(stream, fields.iter());
        } else {
            let fields = response::preamble().into_iter().chain(fields.iter());
            self.http2.send_headers(stream, fields, true);
        }
    }

    /// Ends the call at once, without a status (client: RST_STREAM CANCEL). No more events of it.
    pub fn cancel(&mut self, now: Time, id: CallId) {
        if let Some(call) = self.remove_call(now, id) {
            self.http2.reset(call.stream, Reason::CANCEL);
            self.counters.calls_failed += 1;
            self.drain_http2(now);
        } else {
            self.calls.forget(id);
        }
    }

    pub(super) fn reset_stream(&mut self, id: CallId, reason: Reason) {
        if let Some(call) = self.calls.call(id) {
            let stream = call.stream;
            self.http2.reset(stream, reason);
        }
    }
}

/// The size of this metadata, with what gRPC adds to it, if a peer that takes header lists of
/// `limit` bytes would refuse it.
fn exceeds(metadata: &Metadata, limit: usize) -> Option<usize> {
    if metadata.is_empty() {
        return None;
    }
    Some(metadata.fields().list_size() + OWN_FIELDS).filter(|size| *size > limit)
}

fn unsendable(which: &str, size: usize, limit: usize) -> Status {
    Status::resource_exhausted(format!(
        "{which} metadata size exceeds peer limit ({size} vs. {limit})"
    ))
}

/// The size of the fields that gRPC itself adds to a response's headers or trailers, at most:
/// status, content type, encoding.
const OWN_FIELDS: usize = 160;

/// The size of the fields that stand before a status that comes alone.
const PREAMBLE: usize = (7 + 3 + 32) + (12 + 16 + 32);
