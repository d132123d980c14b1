//! What is held for the application, and who gets credit meanwhile.
//!
//! A stream's window lets a peer send a few messages ahead of their consumer. Beyond that, credit is
//! given for the message at the head as it arrives, since it is what the consumer waits for, and
//! for whatever comes behind when messages are consumed. So a stream holds its window and one
//! message, and a consumer that stands still stalls its own stream only.
//!
//! With many streams that is much. More than `limit` in all is pressure, and then turns are taken:
//!
//! ```text
//!              a head that is not whole
//!   No ------------------------------------> Idle ----- want() ----> Wanted
//!    ^         Event::Withheld is reported     |                        |
//!    +--- whole, or no pressure any more ------+------------------------+
//! ```
//!
//! # Invariants
//! - A call with a whole message that was not consumed does not starve. Consumers wait for one
//!   message at a time, and are asked for each.
//! - Under pressure one call at a time gets credit for more than its window: one whose consumer
//!   waits (`Wanted`) if there is any, else, as long as whole messages are within the limit, the
//!   one that has starved longest. Consumers that do not read hold what they hold, and keep nobody
//!   from a message that is waited for: it is consumed when it is whole, so that what is held does
//!   not grow by it.
//! - At a server, while whole messages alone are more than the limit and no consumer waits for
//!   another, the connection's credit is held back as well: what the windows of all streams let in
//!   may be many times the limit. Each call's consumer is asked then, with the same event, whether
//!   it waits, also where nothing of its next message has come; one that does frees the
//!   connection's credit until its message is there. Requests of one message that are wanted are
//!   asked for again from time to time: what has become whole meanwhile may be before them.
//! - A turn is short: a peer that sends slowly or not at all does not keep it from others. If the
//!   messages that were begun in such turns take more than the limit again, who loses its turn is
//!   refused.

use std::collections::VecDeque;
use std::time::Duration;

use ferrpc_http2::{Role, Time};

use crate::Status;
use crate::framing::{Deframer, PREFIX};

use super::calls::{Call, Kind};
use super::{CallId, Event, Transport};

/// What a connection holds for its application.
#[derive(Debug)]
pub(super) struct Held {
    /// Bytes of messages, whole or arriving.
    pub(super) total: usize,
    /// Bytes of whole ones.
    pub(super) whole: usize,
    /// The most there should be.
    limit: usize,
    /// The same, where memory is not scarce.
    configured: usize,
    /// Bytes of credit given in turns to messages that are not whole.
    lent: usize,
    /// Calls that starve and whose consumers wait, in the order in which they began to.
    wanted: VecDeque<CallId>,
    /// The others.
    idle: VecDeque<CallId>,
    /// Whose turn it is, until when.
    turn: Option<(CallId, Time)>,
    /// Whether the connection's credit may be held back.
    server: bool,
    /// Whole messages are more than the limit; the consumers of all calls were asked whether they
    /// wait.
    congested: bool,
    /// Bytes of whole messages when it was last asked which requests are still wanted.
    asked_at: usize,
    /// Calls whose consumers wait for messages of which nothing has come.
    expecting: usize,
}

/// Whether a call waits for credit because too much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starved {
    No,
    /// It does; nobody is known to wait for it.
    Idle,
    /// It does, and so does its consumer.
    Wanted,
}

impl Held {
    pub(super) const fn new(limit: usize, role: Role) -> Self {
        Self {
            server: matches!(role, Role::Server),
            congested: false,
            asked_at: 0,
            expecting: 0,
            total: 0,
            whole: 0,
            limit,
            configured: limit,
            lent: 0,
            wanted: VecDeque::new(),
            idle: VecDeque::new(),
            turn: None,
        }
    }

    const fn is_too_much(&self) -> bool {
        self.total > self.limit
    }

    /// Whether whole messages fill the memory there is: then messages come for those alone who
    /// wait for them.
    const fn is_full(&self) -> bool {
        self.server && self.whole > self.limit
    }

    /// When somebody else gets the turn.
    pub(super) fn turn_ends(&self) -> Option<Time> {
        self.turn.map(|(_, ends)| ends)
    }

    /// Whether there may be somebody to give credit, or a turn to end.
    fn somebody_starves(&self) -> bool {
        !self.wanted.is_empty() || !self.idle.is_empty() || self.turn.is_some()
    }

    /// The call whose turn it is, if there may be one.
    fn first(&self) -> Option<CallId> {
        let idle = || self.idle.front().filter(|_| self.whole <= self.limit);
        self.wanted.front().or_else(idle).copied()
    }

    fn line(&mut self, starved: Starved) -> Option<&mut VecDeque<CallId>> {
        match starved {
            Starved::No => None,
            Starved::Idle => Some(&mut self.idle),
            Starved::Wanted => Some(&mut self.wanted),
        }
    }

    /// The first of a line waits for nothing any more.
    fn pass_over(&mut self, first: CallId) {
        for line in [&mut self.wanted, &mut self.idle] {
            line.pop_front_if(|id| *id == first);
        }
    }

    /// A call holds nothing any more, and waits for nothing.
    pub(super) fn forget(&mut self, call: &Call) {
        self.total -= call.held();
        self.whole -= call.unconsumed;
        self.lent -= call.lent;
        self.expecting -= usize::from(call.expected);
        let ended = call.stream.id();
        if let Some(line) = self.line(call.starved) {
            line.retain(|id| id.stream != ended);
        }
    }

    pub(super) fn clear(&mut self) {
        self.wanted.clear();
        self.idle.clear();
        self.turn = None;
        self.expecting = 0;
        self.congested = false;
    }
}

impl Transport {
    /// Gives stream credit for `bytes` that arrived, or keeps it until messages are consumed: the
    /// message at the head is wanted, whatever comes behind it waits.
    pub(super) fn give_credit(&mut self, now: Time, id: CallId, bytes: usize) {
        let pressure = self.held.is_too_much();
        let Some(call) = self.calls.call(id) else {
            return;
        };
        if call.unconsumed == 0 && !pressure && call.starved == Starved::No {
            let stream = call.stream;
            self.http2.release(stream, bytes);
        } else {
            call.withheld += bytes;
            if call.unconsumed == 0 {
                self.starve(id);
            } else {
                self.sate(id);
            }
        }
        self.feed_starved(now);
    }

    /// Gives back the credit of so many consumed messages, of `payload` bytes in all.
    pub fn release(&mut self, now: Time, id: CallId, messages: usize, payload: usize) {
        let Some(call) = self.calls.call(id).filter(|call| !call.unread) else {
            return;
        };
        let framed = payload.saturating_add(messages.saturating_mul(PREFIX));
        let bytes = framed.min(call.unconsumed);
        call.unconsumed -= bytes;
        self.held.whole -= bytes;
        self.held.total -= bytes;
        let free = call.unconsumed == 0 && !self.held.is_too_much();
        // Under pressure what was freed may come again, and no more.
        let owed = if free { call.withheld } else { call.withheld.min(bytes) };
        call.withheld -= owed;
        let stream = call.stream;
        let waits = call.unconsumed == 0 && call.withheld > 0;
        self.http2.release(stream, owed);
        if waits {
            self.starve(id);
        }
        self.feed_starved(now);
    }

    /// The consumer of a call waits for its next message: after [`Event::Withheld`].
    pub fn want(&mut self, now: Time, id: CallId) {
        let Some(call) = self.calls.call(id) else {
            return;
        };
        call.asked = false;
        match call.starved {
            Starved::Idle => {
                call.starved = Starved::Wanted;
                self.held.idle.retain(|other| *other != id);
                self.held.wanted.push_back(id);
            }
            Starved::No if self.held.congested && call.may_receive() && !call.expected => {
                call.expected = true;
                self.held.expecting += 1;
            }
            _ => return,
        }
        self.feed_starved(now);
    }

    /// The limit becomes `bytes`, if that is less than what is configured.
    pub(super) fn limit_held(&mut self, now: Time, bytes: usize) {
        self.held.limit = bytes.min(self.held.configured);
        self.feed_starved(now);
    }

    /// Nobody reads what else the peer sends on this call: from now on it is dropped as it comes,
    /// and nothing of it is held. The peer gets no credit for it, so that it stops by and by.
    pub fn stop_receiving(&mut self, id: CallId) {
        let Some(call) = self.calls.call(id).filter(|call| call.kind == Kind::Grpc) else {
            return;
        };
        self.held.forget(call);
        call.unread = true;
        call.expected = false;
        call.starved = Starved::No;
        call.lent = 0;
        call.unconsumed = 0;
        call.deframer = Deframer::new(0);
        self.feed_starved(self.now);
    }

    /// A message was handed to the driver. Where no other follows it is consumed with that, unless
    /// it is a large request.
    pub(super) fn hand_over(&mut self, id: CallId) {
        let role = self.role;
        if let Some(call) = self.calls.call(id)
            && call.receives_one(role)
            && (role == Role::Client || call.unconsumed < HELD_REQUEST + PREFIX)
        {
            let bytes = std::mem::take(&mut call.unconsumed);
            self.held.whole -= bytes;
            self.held.total -= bytes;
            self.feed_starved(self.now);
        }
    }

    /// Puts a call at the end of those that wait for credit.
    fn starve(&mut self, id: CallId) {
        let role = self.role;
        if let Some(call) = self.calls.call(id)
            && call.starved == Starved::No
        {
            let expected = std::mem::take(&mut call.expected);
            self.held.expecting -= usize::from(expected);
            // The caller of a call with one response waits for nothing else.
            if expected || role == Role::Client && call.receives_one(role) {
                call.starved = Starved::Wanted;
                self.held.wanted.push_back(id);
            } else {
                call.starved = Starved::Idle;
                self.held.idle.push_back(id);
                let asked = std::mem::replace(&mut call.asked, true);
                if !(asked && self.held.congested) {
                    self.push(Event::Withheld { call: id });
                }
            }
        }
    }

    /// The message at a call's head is whole, be it that its window held all of it: whether it
    /// starves is found out, and reported, anew once that was consumed.
    fn sate(&mut self, id: CallId) {
        if let Some(call) = self.calls.call(id) {
            self.held.lent -= std::mem::take(&mut call.lent);
            let starved = std::mem::replace(&mut call.starved, Starved::No);
            if let Some(line) = self.held.line(starved)
                && let Some(at) = line.iter().position(|other| *other == id)
            {
                line.remove(at);
            }
        }
    }

    /// Lets calls go on that got no credit because too much was held: all of them once there is
    /// room, else the first, until the message at its head is whole.
    #[inline]
    pub(super) fn feed_starved(&mut self, now: Time) {
        if self.held.somebody_starves() {
            self.feed_first(now);
        }
        if self.held.congested || self.held.is_full() {
            self.hold_connection();
        }
    }

    /// Holds the connection's credit back while memory is full and nobody waits, and asks who does.
    #[cold]
    fn hold_connection(&mut self) {
        let full = self.held.is_full();
        if full != self.held.congested {
            self.held.congested = full;
            for id in self.calls.ids() {
                if full {
                    self.ask(id);
                } else if let Some(call) = self.calls.call(id) {
                    call.expected = false;
                }
            }
            self.held.expecting = 0;
            self.held.asked_at = 0;
        }
        // Many requests may have been wanted while nothing waited for a handler: each that is whole
        // now is before them.
        if full && self.held.whole > self.held.asked_at.saturating_add(self.held.limit / 16) {
            self.held.asked_at = self.held.whole;
            self.ask_again();
        }
        self.held.asked_at = self.held.asked_at.min(self.held.whole);
        let nobody_waits = self.held.expecting == 0 && self.held.wanted.is_empty();
        self.http2.hold_credit(full && nobody_waits);
    }

    /// Asks for requests that were wanted, and of which nothing is whole, whether they still are.
    fn ask_again(&mut self) {
        for id in self.calls.ids() {
            let Some(call) = self.calls.call(id) else { continue };
            if !call.cardinality.has_single_request() || call.messages > 0 {
                continue;
            }
            if call.starved == Starved::Wanted {
                call.starved = Starved::Idle;
                self.held.idle.push_back(id);
            } else if !std::mem::take(&mut call.expected) {
                continue;
            } else {
                self.held.expecting -= 1;
            }
            call.asked = true;
            self.push(Event::Withheld { call: id });
        }
        let (held, calls) = (&mut self.held, &mut self.calls);
        held.wanted.retain(|id| calls.call(*id).is_some_and(|one| one.starved == Starved::Wanted));
    }

    /// Asks whether the consumer of a call waits, if something may come that is not asked for yet.
    fn ask(&mut self, id: CallId) {
        if let Some(call) = self.calls.call(id)
            && call.may_receive()
            && call.starved == Starved::No
            && !std::mem::replace(&mut call.asked, true)
        {
            self.push(Event::Withheld { call: id });
        }
    }

    /// A call was accepted while memory may be full: its consumer is asked like the others.
    #[inline]
    pub(super) fn ask_new(&mut self, id: CallId) {
        if self.held.congested {
            self.ask(id);
        }
    }

    /// A message of the call has become whole, or none will: who waited for it does not any more.
    #[inline]
    pub(super) fn stop_expecting(&mut self, id: CallId) {
        if self.held.congested
            && let Some(call) = self.calls.call(id)
        {
            self.held.expecting -= usize::from(std::mem::take(&mut call.expected));
            self.ask(id);
            self.feed_starved(self.now);
        }
    }

    #[cold]
    fn feed_first(&mut self, now: Time) {
        while let Some(id) = self.held.first() {
            let pressure = self.held.is_too_much();
            if let Some(call) = self.calls.call(id) {
                let at_head = call.unconsumed == 0;
                let owed = if at_head { std::mem::take(&mut call.withheld) } else { 0 };
                let goes_on = at_head && !call.remote_done && !call.deframer.is_clean();
                let stream = call.stream;
                if pressure && goes_on {
                    call.lent += owed;
                    self.held.lent += owed;
                    if self.held.turn.is_none_or(|(other, _)| other != id) {
                        self.held.turn = Some((id, now + TURN));
                    }
                    return self.http2.release(stream, owed);
                }
                call.starved = Starved::No;
                self.held.lent -= std::mem::take(&mut call.lent);
                self.http2.release(stream, owed);
            }
            self.held.pass_over(id);
        }
        self.held.turn = None;
    }

    /// A turn may be over: the next call gets it.
    pub(super) fn pass_turn_on(&mut self, now: Time) {
        let Some((id, _)) = self.held.turn.take_if(|(_, ends)| *ends <= now) else {
            return;
        };
        let Some(call) = self.calls.call(id) else {
            return self.feed_starved(now);
        };
        if self.held.lent > self.held.limit.max(call.limits.max_receive) {
            return self.refuse(now, id, Status::resource_exhausted(TOO_SLOW));
        }
        if let Some(line) = self.held.line(call.starved) {
            line.retain(|other| *other != id);
            line.push_back(id);
        }
        self.feed_starved(now);
    }
}

/// The only message of a request counts as held from this size on, until its handler is started:
/// what is smaller is bounded by the number of streams.
pub const HELD_REQUEST: usize = 16 << 10;

/// How long one call may have the credit alone: enough for a message of some megabytes over a
/// usual connection.
const TURN: Duration = Duration::from_secs(2);

const TOO_SLOW: &str = "the message did not arrive in time, and too much memory is taken";
