//! The client's side of calls: how they start, what answers mean, how they end.

use ferrpc_http2::{CloseCause, Fields, OpenError, Reason, ResetBy, Time, TooLarge};

use crate::framing::Deframer;
use crate::shown::Shown;
use crate::{Code, Encoding, Metadata, Status, mapping, timeout};

use super::calls::{Call, Fallback, Kind};
use super::receive::is_unprocessed;
use super::request::{self, DEADLINE_TEXT};
use super::response::{foreign_status, read_status, received_too_large, size_of_field};
use super::{CallId, Event, StartCall, StartError, TransparentRetry, Transport};

impl Transport {
    /// Client: starts a call.
    pub fn start_call(&mut self, now: Time, start: &StartCall<'_>) -> Result<CallId, StartError> {
        self.http2.can_open().map_err(start_error)?;
        let timeout = match start.deadline {
            None => None,
            Some(deadline) if deadline <= now => return Err(StartError::DeadlineExceeded),
            Some(deadline) => Some(timeout::format(deadline.since(now))),
        };
        let timeout = timeout.as_ref().map(|text| text.as_bytes());
        let attempts = (start.previous_attempts > 0).then(|| start.previous_attempts.to_string());
        let attempts = attempts.as_ref().map(|text| text.as_bytes());
        let fields = || request::fields(start, self.accept, timeout, attempts);
        let limit = self.http2.peer_max_header_list();
        let texts = start.path.len() + start.authority.len() + start.user_agent.len();
        if !start.metadata.is_empty() || texts + OWN_FIELDS > limit {
            let size: usize = fields().map(size_of_field).sum();
            if size > limit {
                return Err(StartError::MetadataTooLarge { size, limit });
            }
        }
        let fields = fields();
        let stream = self.http2.open(now, fields, false).map_err(start_error)?;
        let mut call = Call::new(stream, now);
        call.kind = Kind::Grpc;
        call.cardinality = start.cardinality;
        call.response_optional = start.response_optional;
        call.limits = start.limits;
        call.deframer = Deframer::with(start.limits.max_receive, self.buffers);
        call.deadline = start.deadline;
        call.epoch = self.epoch;
        call.headers_sent = true;
        let id = self.calls.insert(call);
        self.http2.bind(stream, id.slot);
        if let Some(deadline) = start.deadline {
            self.deadlines.add(deadline, id, &mut self.calls);
        }
        self.counters.calls_started += 1;
        Ok(id)
    }

    /// The final response headers came.
    pub(super) fn handle_response(
        &mut self,
        now: Time,
        id: CallId,
        fields: Fields,
        http_status: u16,
        end: bool,
        too_large: Option<TooLarge>,
    ) {
        let content_type = fields.value(b"content-type");
        let grpc = content_type.is_some_and(is_grpc);
        let foreign = || foreign_status(http_status, content_type);
        if end {
            // Trailers-Only: the status counts, whatever HTTP says beside it.
            let missing = match too_large {
                Some(too_large) => received_too_large(too_large),
                None if http_status == 200 && grpc => missing_status(),
                None => foreign(),
            };
            let status = self.read_status(id, fields, too_large);
            self.handle_status(now, id, status.unwrap_or(Err(missing)));
            return;
        }
        // A status where none belongs, before an end without trailers: proxies cut Trailers-Only in
        // two. And trailers may follow whatever HTTP says.
        let early = fields.value(b"grpc-status").is_some();
        let early = early.then(|| self.read_status(id, fields.clone(), too_large)).flatten();
        let fallback = match early {
            Some(Ok(status)) => Some(Fallback { status, from_peer: true }),
            _ if http_status == 200 && grpc => None,
            _ => Some(Fallback { status: foreign(), from_peer: false }),
        };
        let goes_on = grpc || http_status == 200 && content_type.is_none();
        if !goes_on {
            match fallback {
                Some(Fallback { status, from_peer: true }) if !status.is_ok() => {
                    self.finish_client(now, id, status, TransparentRetry::No, true);
                }
                _ => {
                    let status = foreign();
                    self.fail_call(now, id, status);
                }
            }
            return;
        }
        if let Some(call) = self.calls.call(id) {
            call.fallback = fallback.map(Box::new);
        }
        self.begin_response(now, id, fields, too_large);
    }

    /// Headers that messages and trailers follow.
    fn begin_response(
        &mut self,
        now: Time,
        id: CallId,
        fields: Fields,
        too_large: Option<TooLarge>,
    ) {
        let encoding = match fields.value(b"grpc-encoding") {
            None => Ok(Encoding::Identity),
            Some(name) => match Encoding::from_name(name) {
                Some(encoding) if self.accept.contains(encoding) => Ok(encoding),
                _ => Err(format!("response encoding \"{}\" is not supported", Shown(name))),
            },
        };
        let Some(stream) = self.calls.call(id).map(|call| call.stream) else {
            return;
        };
        let http2 = &mut self.http2;
        let grow = |size, more| http2.grow_headers(stream, size, more);
        let (metadata, unreadable) = Metadata::from_received(fields, grow);
        let failure = match (too_large, encoding, unreadable) {
            (Some(too_large), ..) => received_too_large(too_large),
            (None, Err(text), _) => Status::internal(text),
            (None, Ok(_), Some(unreadable)) => unreadable.into(),
            (None, Ok(encoding), None) => {
                if let Some(call) = self.calls.call(id) {
                    call.headers_received = true;
                    call.receive_encoding = encoding;
                    self.push(Event::Headers { call: id, metadata, encoding });
                }
                return;
            }
        };
        self.give_up(now, id, failure);
    }

    /// Ends a call whose response cannot be read: with the failure that its headers told, or else
    /// with this one.
    pub(super) fn give_up(&mut self, now: Time, id: CallId, failure: Status) {
        match self.take_failure(id) {
            Some(Fallback { status, from_peer: true }) => {
                self.finish_client(now, id, status, TransparentRetry::No, true);
            }
            Some(Fallback { status, from_peer: false }) => self.fail_call(now, id, status),
            None => self.fail_call(now, id, failure),
        }
    }

    /// The trailers came.
    pub(super) fn handle_trailers(
        &mut self,
        now: Time,
        id: CallId,
        fields: Fields,
        too_large: Option<TooLarge>,
    ) {
        if let Some(status) = self.read_status(id, fields, too_large) {
            self.handle_status(now, id, status);
            return;
        }
        let missing = too_large.map_or_else(missing_status, received_too_large);
        self.handle_missing(now, id, missing);
    }

    /// The response ended without a status: that of its headers counts, if they had one, or what
    /// HTTP said, or else `missing`.
    pub(super) fn handle_missing(&mut self, now: Time, id: CallId, missing: Status) {
        let status = match self.take_fallback(id) {
            Some(Fallback { status, from_peer: true }) => Ok(status),
            Some(Fallback { status, from_peer: false }) => Err(status),
            None => Err(missing),
        };
        self.handle_status(now, id, status);
    }

    /// What a call is to end with, in place of a missing status; not an OK before messages, since
    /// what follows it was to say whether they are all.
    fn take_fallback(&mut self, id: CallId) -> Option<Fallback> {
        let call = self.calls.call(id)?;
        let messages = call.messages;
        let fallback = call.fallback.take().map(|fallback| *fallback);
        fallback.filter(|fallback| !fallback.status.is_ok() || messages == 0)
    }

    fn read_status(
        &mut self,
        id: CallId,
        fields: Fields,
        too_large: Option<TooLarge>,
    ) -> Option<Result<Status, Status>> {
        let stream = self.calls.call(id)?.stream;
        let http2 = &mut self.http2;
        read_status(fields, too_large, |size, more| http2.grow_headers(stream, size, more))
    }

    /// The end: the server's status, if it fits what came before it, or one made here.
    fn handle_status(&mut self, now: Time, id: CallId, status: Result<Status, Status>) {
        let checked = status.and_then(|status| self.check_complete(id, status));
        let (status, from_peer) = match checked {
            Ok(status) => (status, true),
            Err(status) => (status, false),
        };
        self.finish_client(now, id, status, TransparentRetry::No, from_peer);
    }

    pub(super) fn handle_reset_by_server(
        &mut self,
        now: Time,
        id: CallId,
        reason: Reason,
        by: ResetBy,
    ) {
        let Some(call) = self.calls.call(id) else {
            return;
        };
        let expired = call.deadline.is_some_and(|deadline| deadline <= now);
        // A GOAWAY may come before the request was handed out.
        let sent = call.epoch != self.epoch;
        if let Some(Fallback { status, from_peer }) = self.take_failure(id) {
            self.finish_client(now, id, status, TransparentRetry::No, from_peer);
            return;
        }
        let (status, retry) = if is_unprocessed(by, reason) {
            let text = "the server did not process the call (it refused the stream)";
            let retry = if sent { TransparentRetry::Refused } else { TransparentRetry::NeverSent };
            (Status::unavailable(text), retry)
        } else if reason == Reason::CANCEL && expired {
            (Status::new(Code::DeadlineExceeded, DEADLINE_TEXT), TransparentRetry::No)
        } else {
            let by = match by {
                ResetBy::Peer => "the server reset the stream",
                ResetBy::Rule => "the server broke a rule of HTTP/2 on the stream",
                ResetBy::Stall | ResetBy::Unprocessed => "the stream made no progress",
            };
            let code = mapping::code_of_reset(reason);
            (Status::new(code, format!("{by} ({reason})")), TransparentRetry::No)
        };
        self.finish_client(now, id, status, retry, false);
    }

    /// The connection ended under the call.
    pub(super) fn lose_call(&mut self, now: Time, id: CallId, cause: &CloseCause) {
        let Some(call) = self.calls.call(id) else {
            return;
        };
        let sent = call.epoch != self.epoch;
        if let Some(Fallback { status, from_peer }) = self.take_failure(id) {
            self.finish_client(now, id, status, TransparentRetry::No, from_peer);
            return;
        }
        let retry = if !sent { TransparentRetry::NeverSent } else { TransparentRetry::No };
        self.finish_client(now, id, Status::unavailable(cause.to_string()), retry, false);
    }

    /// The failure that response headers told: no trailers come to tell another.
    fn take_failure(&mut self, id: CallId) -> Option<Fallback> {
        self.take_fallback(id).filter(|fallback| !fallback.status.is_ok())
    }

    /// Ends a call for a reason of ours: the stream is cancelled.
    fn fail_call(&mut self, now: Time, id: CallId, status: Status) {
        self.reset_stream(id, Reason::CANCEL);
        self.finish_client(now, id, status, TransparentRetry::No, false);
    }

    /// Reports the end of a call. What is still open of its stream is cancelled.
    pub(super) fn finish_client(
        &mut self,
        now: Time,
        id: CallId,
        status: Status,
        retry: TransparentRetry,
        from_peer: bool,
    ) {
        let Some(call) = self.take_call(now, id) else {
            return;
        };
        // After the status nothing can be sent: a client that was still sending stops.
        let reason = if from_peer { Reason::NO_ERROR } else { Reason::CANCEL };
        self.http2.reset(call.stream, reason);
        if status.is_ok() {
            self.counters.calls_ok += 1;
        } else {
            self.counters.calls_failed += 1;
        }
        self.push(Event::Finished { call: id, status, retry, from_peer });
    }
}

fn start_error(error: OpenError) -> StartError {
    match error {
        OpenError::StreamLimit => StartError::StreamLimit,
        OpenError::Draining => StartError::Draining,
    }
}

fn missing_status() -> Status {
    Status::new(Code::Unknown, "the server ended the call without a grpc-status")
}

/// Whether a content type is gRPC's; upper case letters mean the same.
fn is_grpc(content_type: &[u8]) -> bool {
    request::content_subtype(content_type).is_some()
        || request::content_subtype(&content_type.to_ascii_lowercase()).is_some()
}

/// The size of a request's fields at most, its path, authority and user agent left out.
const OWN_FIELDS: usize = 1024;
