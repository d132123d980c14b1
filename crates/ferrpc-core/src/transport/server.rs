//! The server's side of calls: how they are offered, taken, refused and cancelled.

use std::time::Duration;

use bytes::Bytes;
use ferrpc_http2::{Field, Fields, Reason, ResetBy, StreamKey, Time, TooLarge};

use crate::framing::Deframer;
use crate::{Encoding, Metadata, Status};

use super::calls::{Call, Kind};
use super::request::{self, Request};
use super::response::received_too_large;
use super::{CallId, CallLimits, CancelledBy, Cardinality, Event, Message, RequestHead, Transport};

impl Transport {
    /// A request's headers came; whether it is a call to be accepted.
    pub(super) fn handle_request(
        &mut self,
        now: Time,
        stream: StreamKey,
        fields: Fields,
        mark: u64,
        end: bool,
        too_large: Option<TooLarge>,
    ) -> bool {
        let mut call = Call::new(stream, now);
        call.remote_done = end;
        if let Some(too_large) = too_large {
            let id = self.insert(call);
            self.finish(now, id, &received_too_large(too_large));
            return false;
        }
        let known = if mark == 0 { None } else { self.requests.find(mark) };
        let repeated = known.is_some();
        let request = match known {
            Some(head) => Request::Call(head),
            None => {
                let http2 = &mut self.http2;
                let grow = |size, more| http2.grow_headers(stream, size, more);
                request::read(fields, self.accept, self.any_path, grow)
            }
        };
        if let Request::Call(head) = &request
            && let Err(too_large) = self.charge_texts(stream, head)
        {
            self.counters.calls_started += 1;
            let id = self.insert(call);
            self.finish(now, id, &received_too_large(too_large));
            return false;
        }
        match request {
            Request::Call(mut head) => {
                if mark != 0 && !repeated {
                    self.requests.keep(mark, &head);
                }
                head.end = end;
                head.deadline = head.timeout.map(|timeout| now + timeout);
                call.receive_encoding = head.encoding;
                call.accept = head.accept;
                call.deadline = head.deadline;
                let id = self.insert(call);
                if let Some(deadline) = head.deadline {
                    self.deadlines.add(deadline, id, &mut self.calls);
                }
                self.counters.calls_started += 1;
                self.push(Event::Call { call: id, head: Box::new(head) });
                true
            }
            Request::Refused(status) => {
                self.counters.calls_started += 1;
                let id = self.insert(call);
                self.finish(now, id, &status);
                false
            }
            Request::Http(fields) => {
                call.kind = Kind::Http;
                if end {
                    let id = self.insert(call);
                    self.push(Event::Http { call: id, fields });
                } else {
                    // A body that breaks a rule is to be found out before the answer.
                    call.http_fields = Some(Box::new(fields));
                    self.insert(call);
                }
                end
            }
            Request::Foreign(status) => {
                call.kind = Kind::Http;
                let id = self.insert(call);
                self.respond_http(now, id, status, &Fields::new(), Bytes::new());
                false
            }
        }
    }

    /// A request has copies of the texts it is found by: long ones count.
    fn charge_texts(&mut self, stream: StreamKey, head: &RequestHead) -> Result<(), TooLarge> {
        let texts = head.path.len() + head.authority.as_ref().map_or(0, |text| text.len());
        if texts > FREE_TEXTS { self.http2.grow_headers(stream, 0, texts) } else { Ok(()) }
    }

    fn insert(&mut self, call: Call) -> CallId {
        let stream = call.stream;
        let id = self.calls.insert(call);
        self.http2.bind(stream, id.slot);
        id
    }

    /// Server: takes a call reported by [`Event::Call`].
    pub fn accept(&mut self, id: CallId, cardinality: Cardinality, limits: CallLimits) {
        let buffers = self.buffers;
        let Some(call) = self.calls.call(id).filter(|call| call.kind == Kind::Offered) else {
            return;
        };
        call.kind = Kind::Grpc;
        call.cardinality = cardinality;
        call.limits = limits;
        call.deframer = Deframer::with(limits.max_receive, buffers);
        if !call.remote_done {
            return self.ask_new(id);
        }
        // The request ended with its headers.
        if cardinality.has_single_request() {
            let status = Status::unimplemented("the client sent no request message");
            self.refuse(self.now, id, status);
        } else {
            self.push(Event::RemoteDone { call: id });
        }
    }

    /// Server: whether the handler of an accepted call may be started now. If not,
    /// [`Event::MayStart`] follows: too many were started for calls that were then given up, or
    /// the answers that the peer does not take fill the memory there is for them.
    pub fn may_start(&mut self, now: Time, id: CallId) -> bool {
        let may = self.http2.may_start(now);
        if may && let Some(call) = self.calls.call(id) {
            call.started = true;
        }
        may
    }

    /// Server: whether the answers that the peer does not take fill the memory there is for them.
    /// If so, [`Event::MayStart`] follows.
    pub fn is_short_of_memory(&mut self) -> bool {
        self.http2.awaits_memory()
    }

    /// Server: refuses a call, at any time before [`finish`](Self::finish).
    pub fn reject(&mut self, now: Time, id: CallId, status: &Status) {
        self.finish(now, id, status);
    }

    /// Server: the unary fast path: headers (if not sent), one message and OK with `trailing`.
    pub fn respond(
        &mut self,
        now: Time,
        id: CallId,
        initial: &Metadata,
        encoding: Encoding,
        message: Message,
        trailing: &Metadata,
    ) {
        self.send_headers(now, id, initial, encoding);
        self.send_message(now, id, message);
        self.finish_ok(now, id, trailing);
    }

    /// Server: answers a plain HTTP request; does nothing to a gRPC call.
    pub fn respond_http(
        &mut self,
        now: Time,
        id: CallId,
        status: u16,
        fields: &Fields,
        body: Bytes,
    ) {
        if self.calls.call(id).is_none_or(|call| call.kind != Kind::Http) {
            return;
        }
        let Some(call) = self.remove_call(now, id) else {
            return;
        };
        let status = status.to_string();
        let head = Field { name: b":status", value: status.as_bytes(), sensitive: false };
        let list = std::iter::once(head).chain(fields.iter());
        self.http2.send_headers(call.stream, list, body.is_empty());
        if !body.is_empty() {
            self.http2.send_data(now, call.stream, &[], body, true);
        }
    }

    /// The caller gave the call up, or broke a rule on it.
    pub(super) fn handle_reset_by_client(
        &mut self,
        now: Time,
        id: CallId,
        by: ResetBy,
        headers_sent: bool,
    ) {
        if by == ResetBy::Peer && !headers_sent {
            self.charge_if_young(now, id);
        }
        self.cancel_server(now, id, CancelledBy::Peer);
    }

    /// A call ends that nobody answered: it is charged for, unless it had one of the places for
    /// calls long enough to bound how many there can be.
    pub(super) fn charge_if_young(&mut self, now: Time, id: CallId) {
        if let Some(call) = self.calls.call(id)
            && !call.headers_sent
            && now.since(call.opened) < YOUNG
        {
            self.http2.charge_early_reset(now);
        }
    }

    /// Reports that a call is over before its handler was done.
    pub(super) fn cancel_server(&mut self, now: Time, id: CallId, by: CancelledBy) {
        // A plain HTTP request whose body has not passed was never reported.
        let unreported = self.calls.call(id).is_some_and(|call| call.http_fields.is_some());
        if unreported && let Some(call) = self.remove_call(now, id) {
            self.http2.reset(call.stream, Reason::CANCEL);
            return;
        }
        let Some(call) = self.take_call(now, id) else {
            return;
        };
        if by != CancelledBy::Refused {
            self.http2.reset(call.stream, Reason::CANCEL);
        }
        if call.kind == Kind::Grpc || call.kind == Kind::Offered {
            self.counters.calls_failed += 1;
        }
        self.push(Event::Cancelled { call: id, by });
    }
}

/// With a thousand places, calls that are older when they are given up are at most a hundred
/// thousand a second, which costs little.
const YOUNG: Duration = Duration::from_millis(10);

/// Bytes of path and authority that are not counted twice.
const FREE_TEXTS: usize = 512;
