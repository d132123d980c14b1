//! The calls of a connection: each attempt has a slot, from its beginning until all was read.
//!
//! ```text
//!   begin --> queued --> has a stream --> ended --> read, or abandoned: the slot goes
//!                ^  beyond the peer's limit of streams
//! ```

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread::{self, Thread};

use ferrpc::for_blocking::Backlog;
use ferrpc::for_blocking::Head;
use ferrpc_core::call::ClientCall;
use ferrpc_core::channel::{AttemptEnd, EndedBy, Start, Turn};
use ferrpc_core::transport::{CallId, Message, Messages, SendState};
use ferrpc_core::{Encoding, Metadata, Status, Time};
use ferrpc_net::clock;

use super::call::Call;
use super::connection::{Connection, Role, State, Wake};
use super::raw::{Origin, Outcome};

/// One attempt of a call.
pub(super) struct Slot {
    head: Arc<Head>,
    pub(super) call: ClientCall,
    pub(super) stream: Option<CallId>,
    queued: bool,
    pub(super) full: bool,
    pub(super) initial: Option<(Metadata, Encoding)>,
    pub(super) received: Backlog,
    demand: Demand,
    pub(super) ended: Option<Ended>,
    pub(super) waiting: Vec<Waiting>,
    /// Who polled a side in vain.
    pub(super) wakers: [Option<Waker>; 2],
    /// By side: something happened since a thread that waits last looked.
    news: [bool; 2],
    /// Waits that use the slot: it stays until they have left.
    users: u32,
    abandoned: bool,
    /// Settles the attempt's end if no thread does.
    owner: Option<Weak<Call>>,
    /// Counted in [`State::watched`].
    watched: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) origin: Origin,
    /// When the call is attempted again.
    pub(super) next: Option<Time>,
}

impl Ended {
    /// Whether the call ends with it.
    pub(super) const fn is_final(&self) -> bool {
        self.next.is_none()
    }
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        let (status, origin) = outcome.into_parts();
        Self { status, origin, next: None }
    }
}

impl From<AttemptEnd> for Ended {
    fn from(end: AttemptEnd) -> Self {
        let origin = match end.by {
            EndedBy::Server => Origin::Peer,
            EndedBy::Deadline => Origin::Deadline,
            EndedBy::Channel => Origin::Closed,
            _ => Origin::Local,
        };
        Self { status: end.status, origin, next: end.next }
    }
}

/// Whether a reader waits for a message: then it is completed although too much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    None,
    /// The transport wants to know when one does.
    Asked,
    /// One has looked and found nothing.
    Waits,
}

/// A thread that waits for something of its call.
pub(super) struct Waiting {
    pub(super) side: Side,
    pub(super) ticket: u64,
    pub(super) thread: Thread,
}

/// The two independent halves of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Receive = 0,
    Send = 1,
}

impl Connection {
    /// Starts an attempt. The caller tells those who are to know, without locks of its own.
    pub(super) fn begin(
        &self,
        head: Arc<Head>,
        mut call: ClientCall,
        owner: Option<Weak<Call>>,
        watched: bool,
    ) -> (usize, Vec<Wake>) {
        call.start_attempt();
        let mut state = self.lock();
        let key = state.slots.insert(Slot {
            head,
            call,
            stream: None,
            queued: false,
            full: false,
            initial: None,
            received: Backlog::default(),
            demand: Demand::None,
            ended: None,
            waiting: Vec::new(),
            wakers: [None, None],
            news: [false; 2],
            users: 0,
            abandoned: false,
            owner,
            watched,
        });
        state.watched += usize::from(watched);
        self.inflight.store(state.slots.len(), Ordering::Relaxed);
        state.start(key, Turn::New);
        // A call that will be waited for at once leaves with that wait.
        if state.slots[key].owner.is_none() {
            return (key, state.release_to_wait());
        }
        self.send_begun(&mut state);
        if state.watched > 0 && state.role == Role::None {
            self.give_to_guard(&mut state);
        }
        (key, state.release())
    }

    /// How an attempt that was not abandoned ended, if it did.
    pub(super) fn ended(&self, key: usize) -> Option<Ended> {
        self.look().slots[key].ended.clone()
    }

    /// The same, if nothing that it brought remains to be read.
    pub(super) fn drained(&self, key: usize) -> Option<Ended> {
        let state = self.look();
        let slot = &state.slots[key];
        slot.ended.clone().filter(|_| slot.received.is_empty())
    }

    /// Announces a wait for an attempt that was begun and not abandoned, which comes next. The
    /// caller tells those who are to know, without locks of its own.
    #[must_use]
    pub(super) fn enter(&self, key: usize) -> Vec<Wake> {
        let mut state = self.lock();
        state.slots[key].users += 1;
        state.release_to_wait()
    }

    /// The guard works for this attempt from now on.
    #[must_use]
    pub(super) fn watch_call(&self, key: usize) -> Vec<Wake> {
        let mut state = self.lock();
        if state.slots[key].ended.is_none() && !mem::replace(&mut state.slots[key].watched, true) {
            state.watched += 1;
            if state.role == Role::None {
                self.give_to_guard(&mut state);
            }
        }
        state.release()
    }

    /// No more messages of an attempt that was not abandoned.
    pub(super) fn half_close(&self, key: usize) -> Vec<Wake> {
        let mut state = self.lock();
        let slot = &mut state.slots[key];
        match &slot.ended {
            None => {
                slot.call.half_close();
                state.send(key);
            }
            // The next attempt, which nobody has begun yet, takes it along.
            Some(ended) if !ended.is_final() => slot.call.half_close(),
            Some(_) => {}
        }
        state.release()
    }

    /// Ends an attempt from this side, if it is not over, and gives back what can be attempted
    /// again and the headers that nobody read. Those who still wait for it are told that it is
    /// over. The caller tells those who are to know, without locks of its own.
    pub(super) fn abandon(
        &self,
        key: usize,
        ended: &Ended,
    ) -> (ClientCall, Option<(Metadata, Encoding)>, Vec<Wake>) {
        let mut state = self.lock();
        let stream = state.slots[key].stream;
        if let Some(call) = stream {
            state.transport.cancel(clock::now(), call);
            state.dirty = true;
        } else if state.slots[key].queued {
            state.calls.retain_queued(|queued| *queued != key);
        }
        state.end_with(key, ended.clone());
        let slot = &mut state.slots[key];
        slot.abandoned = true;
        let call = mem::take(&mut slot.call);
        let initial = slot.initial.take();
        state.leave(key, false);
        self.inflight.store(state.slots.len(), Ordering::Relaxed);
        if stream.is_some() {
            self.dispatch(&mut state);
        }
        (call, initial, state.release())
    }
}

impl State {
    pub(super) fn key(&self, call: CallId) -> Option<usize> {
        self.calls.get(call).copied()
    }

    pub(super) fn slot(&mut self, call: CallId) -> Option<&mut Slot> {
        let key = self.key(call)?;
        self.slots.get_mut(key)
    }

    /// Gives a call a stream; false if it has to wait for one.
    fn start(&mut self, key: usize, turn: Turn) -> bool {
        let slot = &mut self.slots[key];
        let start = slot.head.start(&slot.call);
        match self.calls.start(clock::now(), &mut self.transport, &start, turn) {
            Start::Running(call) => {
                slot.stream = Some(call);
                slot.queued = false;
                self.calls.insert(call, key);
                self.dirty = true;
                self.begun = true;
                self.send(key);
            }
            Start::Queued => {
                slot.queued = true;
                self.calls.enqueue(key, slot.call.deadline(), turn);
                return false;
            }
            Start::Ended(end) => self.end(key, end),
        }
        true
    }

    pub(super) fn start_queued(&mut self) {
        while let Some(key) = self.calls.pop_queued() {
            if !self.start(key, Turn::FromQueue) {
                break;
            }
            self.slots[key].wake_all(&mut self.wakes);
        }
    }

    /// Ends those calls whose time was over before they got a stream.
    pub(super) fn expire_queued(&mut self, now: Time) {
        for key in self.calls.expire(now) {
            self.end(key, AttemptEnd::late_for_stream());
        }
    }

    /// Hands the transport what it takes of a call's messages.
    pub(super) fn send(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        let Some(call) = slot.stream else { return };
        let now = clock::now();
        while !slot.full {
            let Some(messages) = slot.call.next_messages() else { break };
            self.dirty = true;
            match self.transport.send_messages(now, call, messages) {
                SendState::Ready => {}
                SendState::Full => slot.full = true,
                SendState::Gone => return,
            }
        }
        if slot.call.wants_half_close() {
            self.dirty = true;
            self.transport.half_close(now, call);
        }
    }

    /// A wait is over (or something else was): a slot that nobody needs any more goes.
    pub(super) fn leave(&mut self, key: usize, waited: bool) {
        let slot = &mut self.slots[key];
        slot.users -= u32::from(waited);
        if slot.abandoned && slot.users == 0 {
            self.slots.remove(key);
        }
    }

    pub(super) fn received(&mut self, call: CallId, messages: Messages, wakes: &mut Vec<Wake>) {
        if let Some(slot) = self.slot(call) {
            slot.received.push(messages);
            slot.demand = Demand::None;
            slot.wake(Side::Receive, wakes);
        }
    }

    /// A reader found no message and waits for one.
    pub(super) fn wants(&mut self, key: usize) {
        let slot = &mut self.slots[key];
        if mem::replace(&mut slot.demand, Demand::Waits) == Demand::Asked
            && let Some(call) = slot.stream
        {
            self.transport.want(clock::now(), call);
            self.dirty = true;
        }
    }

    /// A message is completed only if somebody waits for it.
    pub(super) fn withheld(&mut self, call: CallId) {
        let Some(slot) = self.slot(call) else { return };
        if slot.demand == Demand::Waits {
            self.transport.want(clock::now(), call);
            self.dirty = true;
        } else {
            slot.demand = Demand::Asked;
        }
    }

    /// Moves messages that came to whoever reads them: some of them, since each takes more memory
    /// there than it may have here.
    pub(super) fn take_messages(&mut self, key: usize, into: &mut VecDeque<Message>) {
        let (mut count, mut bytes) = (0, 0);
        while count < TAKEN
            && let Some(message) = self.slots[key].received.pop_one()
        {
            (count, bytes) = (count + 1, bytes + message.payload.len());
            into.push_back(message);
        }
        self.release(key, count, bytes);
    }

    /// Gives back the credit of so many consumed messages, of `payload` bytes in all.
    pub(super) fn release(&mut self, key: usize, messages: usize, payload: usize) {
        if let Some(call) = self.slots[key].stream {
            self.transport.release(clock::now(), call, messages, payload);
            self.dirty = true;
        }
    }

    /// An attempt is over: its call decides what follows.
    pub(super) fn end(&mut self, key: usize, mut end: AttemptEnd) {
        let slot = &mut self.slots[key];
        if slot.ended.is_none() {
            slot.call.handle_end(clock::now(), &mut end);
        }
        self.end_with(key, end.into());
    }

    /// The same with an end that is decided, unless the attempt was over.
    fn end_with(&mut self, key: usize, ended: Ended) {
        let slot = &mut self.slots[key];
        if let Some(call) = slot.stream.take() {
            self.calls.remove(call);
        }
        slot.queued = false;
        // An event, whoever ends it: of two threads that wait for a side, one may have looked at
        // the news before the other.
        self.events += 1;
        slot.ended.get_or_insert(ended);
        self.watched -= usize::from(mem::take(&mut slot.watched));
        slot.wake_all(&mut self.wakes);
        self.wakes.extend(slot.owner.take().map(Wake::Call));
    }
}

impl Slot {
    /// Nobody uses the attempt, which is over, but those who wait just now.
    pub(super) const fn retire(&mut self) {
        self.abandoned = true;
    }

    /// Whether its sender may go on.
    pub(super) fn has_room(&self) -> bool {
        !self.full && self.call.unsent() < UNSENT_LIMIT
    }

    /// Whether something happened to this side that nobody who waits for it has looked at.
    pub(super) const fn has_news(&self, side: Side) -> bool {
        self.news[side as usize]
    }

    /// Whoever waits for this side looks at it now.
    pub(super) const fn forget_news(&mut self, side: Side) {
        self.news[side as usize] = false;
    }

    /// The threads that wait for this side, to be woken: from now on they do not count as waiting.
    /// One that has the role sees the news.
    pub(super) fn wake(&mut self, side: Side, wakes: &mut Vec<Wake>) {
        self.news[side as usize] = true;
        let woken = self.waiting.extract_if(.., |waiting| waiting.side == side);
        wakes.extend(woken.map(|waiting| Wake::Thread(waiting.thread)));
        wakes.extend(self.wakers[side as usize].take().map(Wake::Waker));
    }

    fn wake_all(&mut self, wakes: &mut Vec<Wake>) {
        self.news = [true; 2];
        wakes.extend(self.wakers.iter_mut().filter_map(Option::take).map(Wake::Waker));
        wakes.extend(self.waiting.drain(..).map(|waiting| Wake::Thread(waiting.thread)));
    }
}

impl Waiting {
    pub(super) fn new(side: Side, ticket: u64) -> Self {
        Self { side, ticket, thread: thread::current() }
    }
}

/// What a call may queue before its sender has to wait; one message more may go over it.
const UNSENT_LIMIT: usize = 64 << 10;

/// Messages that a reader takes with one lock.
const TAKEN: usize = 256;
