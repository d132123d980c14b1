//! The client's side of calls: how they start, what answers mean, how they end.

use ferrpc_http2::{CloseCause, Fields, OpenError, Reason, ResetBy, Time};

use crate::framing::Deframer;
use crate::{Code, Encoding, Metadata, Status, mapping, timeout};

use super::calls::{Call, Kind};
use super::receive::is_unprocessed;
use super::request::{self, DEADLINE_TEXT};
use super::response::{foreign_status, read_status};
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
        if !start.metadata.is_empty() {
            let size: usize = fields().map(|field| field.name.len() + field.value.len() + 32).sum();
            if size > self.http2.peer_max_header_list() {
                return Err(StartError::MetadataTooLarge);
            }
        }
        let fields = fields();
        let stream = self.http2.open(now, fields, false).map_err(start_error)?;
        let mut call = Call::new(stream, now);
        call.kind = Kind::Grpc;
        call.cardinality = start.cardinality;
        call.limits = start.limits;
        call.deframer = Deframer::new(start.limits.max_receive);
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
        too_large: bool,
    ) {
        if too_large {
            self.fail_call(now, id, Status::resource_exhausted(TOO_LARGE_TEXT));
            return;
        }
        let content_type = fields.value(b"content-type");
        let grpc = content_type.is_some_and(|value| request::content_subtype(value).is_some());
        if end {
            // Trailers-Only: the status counts, whatever HTTP says beside it.
            let foreign = foreign_status(http_status, content_type);
            let missing = if http_status == 200 && grpc { missing_status() } else { foreign };
            self.handle_status(now, id, read_status(fields).unwrap_or(Err(missing)));
            return;
        }
        if http_status != 200 || !grpc {
            let status = foreign_status(http_status, content_type);
            self.fail_call(now, id, status);
            return;
        }
        let encoding = match fields.value(b"grpc-encoding") {
            None => Encoding::Identity,
            Some(name) => match Encoding::from_name(name) {
                Some(encoding) if self.accept.contains(encoding) => encoding,
                _ => {
                    let shown = name.escape_ascii();
                    let text = format!("response encoding \"{shown}\" is not supported");
                    self.fail_call(now, id, Status::internal(text));
                    return;
                }
            },
        };
        let metadata = match Metadata::from_received(fields) {
            Ok(metadata) => metadata,
            Err(bad) => {
                self.fail_call(now, id, bad.into());
                return;
            }
        };
        if let Some(call) = self.calls.call(id) {
            call.headers_received = true;
            call.receive_encoding = encoding;
            self.push(Event::Headers { call: id, metadata, encoding });
        }
    }

    /// The trailers came.
    pub(super) fn handle_trailers(
        &mut self,
        now: Time,
        id: CallId,
        fields: Fields,
        too_large: bool,
    ) {
        let status = if too_large {
            Err(Status::resource_exhausted(TOO_LARGE_TEXT))
        } else {
            read_status(fields).unwrap_or_else(|| Err(missing_status()))
        };
        self.handle_status(now, id, status);
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
        let (status, retry) = if is_unprocessed(by, reason) {
            let text = "the server did not process the call (it refused the stream)";
            // A GOAWAY may come before the request was handed out.
            let left = call.epoch != self.epoch;
            let retry = if left { TransparentRetry::Refused } else { TransparentRetry::NeverSent };
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
        let retry = if call.epoch == self.epoch {
            TransparentRetry::NeverSent
        } else {
            TransparentRetry::No
        };
        self.finish_client(now, id, Status::unavailable(cause.to_string()), retry, false);
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

const TOO_LARGE_TEXT: &str = "received metadata larger than the limit";
