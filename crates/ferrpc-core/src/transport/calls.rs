//! The calls of a connection, and what is known of each.

use ferrpc_http2::{Fields, Role, StreamKey, Time};

use crate::framing::Deframer;
use crate::{Encoding, EncodingSet, Status};

use super::credit::Starved;
use super::{CallId, CallLimits, Cardinality};

/// State of one call.
///
/// ```text
/// server:  Opened -> (accept) -> receiving, sending -> finished by the handler
///                 -> (reject)                       -> ended by the peer, a rule, the deadline
/// client:  start_call -> sending, receiving -> ended by trailers, reset, deadline, cancel
/// ```
#[derive(Debug)]
pub(super) struct Call {
    pub(super) stream: StreamKey,
    pub(super) kind: Kind,
    pub(super) cardinality: Cardinality,
    /// Client: whether OK counts without the response that the cardinality asks for.
    pub(super) response_optional: bool,
    pub(super) limits: CallLimits,
    pub(super) deframer: Deframer,
    /// How the peer's messages are compressed.
    pub(super) receive_encoding: Encoding,
    /// Server: what the caller takes.
    pub(super) accept: EncodingSet,
    pub(super) messages: u32,
    pub(super) remote_done: bool,
    pub(super) headers_sent: bool,
    pub(super) headers_received: bool,
    /// Server: its handler was started, on the account of the connection.
    pub(super) started: bool,
    /// Bytes of delivered messages that were not released, prefixes included.
    pub(super) unconsumed: usize,
    /// Stream credit that is owed to the peer and held back until messages are consumed.
    pub(super) withheld: usize,
    pub(super) deadline: Option<Time>,
    pub(super) opened: Time,
    /// The connection's count of output handed out, when the call started.
    pub(super) epoch: u64,
    /// A plain HTTP request, kept until its body has passed.
    pub(super) http_fields: Option<Box<Fields>>,
    /// Client: what the call ends with if no trailers come.
    pub(super) fallback: Option<Box<Fallback>>,
    /// Whether it waits for credit because too much memory is held.
    pub(super) starved: Starved,
    /// Bytes of credit it got in its turns, for a message that is not whole.
    pub(super) lent: usize,
    /// What the peer sends is dropped: nobody reads it.
    pub(super) unread: bool,
    /// It was asked whether its consumer waits, and there was no answer yet.
    pub(super) asked: bool,
    /// Its consumer waits for a message of which nothing has come.
    pub(super) expected: bool,
}

/// What is still needed of a call that has ended.
pub(super) struct Ended {
    pub(super) stream: StreamKey,
    pub(super) kind: Kind,
    pub(super) started: bool,
}

/// The end of a response that has no trailers.
#[derive(Debug)]
pub(super) struct Fallback {
    pub(super) status: Status,
    /// Whether the server said so, in the response headers.
    pub(super) from_peer: bool,
}

/// What a call is to the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reported, and neither accepted nor rejected.
    Offered,
    /// A gRPC call that goes on.
    Grpc,
    /// A plain HTTP request.
    Http,
}

impl Call {
    pub(super) fn new(stream: StreamKey, now: Time) -> Self {
        Self {
            stream,
            kind: Kind::Offered,
            cardinality: Cardinality::Bidirectional,
            response_optional: false,
            limits: CallLimits { max_receive: 0, max_send: 0 },
            deframer: Deframer::new(0),
            receive_encoding: Encoding::Identity,
            accept: EncodingSet::IDENTITY,
            messages: 0,
            remote_done: false,
            headers_sent: false,
            headers_received: false,
            started: false,
            unconsumed: 0,
            withheld: 0,
            deadline: None,
            opened: now,
            epoch: 0,
            http_fields: None,
            fallback: None,
            starved: Starved::No,
            lent: 0,
            unread: false,
            asked: false,
            expected: false,
        }
    }

    /// Whether the peer may send one message only.
    pub(super) fn receives_one(&self, role: Role) -> bool {
        match role {
            Role::Client => self.cardinality.has_single_response(),
            Role::Server => self.cardinality.has_single_request(),
        }
    }

    /// Client: whether there is no response where there has to be one.
    pub(super) const fn lacks_response(&self) -> bool {
        self.cardinality.has_single_response() && self.messages == 0 && !self.response_optional
    }

    /// Server: whether a message may come that somebody could wait for.
    pub(super) fn may_receive(&self) -> bool {
        let more = !self.cardinality.has_single_request() || self.messages == 0;
        self.kind == Kind::Grpc && more && !self.remote_done && !self.unread
    }

    /// Bytes of messages held because of this call.
    pub(super) fn held(&self) -> usize {
        self.unconsumed + self.deframer.held_bytes()
    }
}

/// Calls in slots.
///
/// The slot of a call whose end was reported is free only when that report was polled, so that a
/// driver that keeps its calls by slot never sees two of them in one.
#[derive(Debug, Default)]
pub(super) struct Calls {
    slots: Vec<Slot>,
    free: Vec<u32>,
    open: usize,
}

#[derive(Debug)]
struct Slot {
    stream: u32,
    call: Option<Call>,
}

impl Calls {
    pub(super) fn insert(&mut self, call: Call) -> CallId {
        self.open += 1;
        let stream = call.stream.id();
        let slot = Slot { stream, call: Some(call) };
        match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                CallId { slot: index, stream }
            }
            None => {
                self.slots.push(slot);
                CallId { slot: self.slots.len() as u32 - 1, stream }
            }
        }
    }

    pub(super) fn call(&mut self, id: CallId) -> Option<&mut Call> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.call.as_mut().filter(|call| call.stream.id() == id.stream)
    }

    /// The call that HTTP/2 names by `token`.
    pub(super) fn of_token(&self, token: u32) -> Option<CallId> {
        let slot = self.slots.get(token as usize)?;
        slot.call.as_ref()?;
        Some(CallId { slot: token, stream: slot.stream })
    }

    /// Ends an open call, which is dropped where it lies. [`release_slot`](Self::release_slot)
    /// follows, once its end was reported if it is to be.
    pub(super) fn end(&mut self, id: CallId) {
        self.slots[id.slot as usize].call = None;
        self.open -= 1;
    }

    pub(super) fn release_slot(&mut self, id: CallId) {
        let slot = &mut self.slots[id.slot as usize];
        debug_assert!(slot.call.is_none() && slot.stream == id.stream);
        slot.stream = 0;
        self.free.push(id.slot);
    }

    /// Gives back the memory of a burst of calls, if all have ended and been reported.
    pub(super) fn trim(&mut self) {
        if self.slots.len() > RETAINED_SLOTS && self.free.len() == self.slots.len() {
            *self = Self::default();
        }
    }

    /// The end of the call is not to be reported any more: a command ended it first.
    pub(super) fn forget(&mut self, id: CallId) {
        if self.is_known(id) && self.slots[id.slot as usize].call.is_none() {
            self.release_slot(id);
        }
    }

    /// Whether reports about the call may still be delivered: it is open, or ended by a report
    /// that waits.
    pub(super) fn is_known(&self, id: CallId) -> bool {
        self.slots.get(id.slot as usize).is_some_and(|slot| slot.stream == id.stream)
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn ids(&self) -> Vec<CallId> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.call.is_some())
            .map(|(index, slot)| CallId { slot: index as u32, stream: slot.stream })
            .collect()
    }
}

/// Slots that an idle connection keeps.
const RETAINED_SLOTS: usize = 16;
