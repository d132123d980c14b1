//! What is behind a connection's lock: the transport, the calls, and who does the work.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use ferrpc_core::Time;
use ferrpc_core::Transport;
use ferrpc_core::channel::{AttemptEnd, Calls, Start, Turn};
use ferrpc_core::http2::{CloseCause, Transmit};
use ferrpc_core::transport::{CallId, Message, Messages, SendState};
use ferrpc_net::clock;
use slab::Slab;

use super::driver::Driver;
use super::outcome::Ended;
use super::slot::{Demand, Side, Slot};
use super::spinning::Spinning;
use super::wake::Wake;

/// The state of a connection.
pub(super) struct State {
    pub(super) transport: Transport,
    pub(super) role: Role,
    /// The event loop that has the role, if one has.
    pub(super) driver: Option<Arc<Driver>>,
    /// The guard receives just now: its role cannot be taken.
    pub(super) reading: bool,
    /// The guard waits for the socket, with the role or because it had it before.
    pub(super) guard_waits: bool,
    /// The guard sleeps until it is told of an end of the role: it does not look by itself.
    pub(super) guard_sleeps: bool,
    /// Somebody writes; they go on until there is nothing left.
    pub(super) writing: bool,
    /// The socket takes no more: whoever has the role waits until it does.
    pub(super) blocked: bool,
    /// There may be output.
    pub(super) dirty: bool,
    /// Calls have begun that were not written yet: before they are, it is seen whether the peer is
    /// still there.
    pub(super) begun: bool,
    /// What the owner of the role waits for, while it sleeps.
    pub(super) waits: Option<Waits>,
    /// The guard was kicked and has not seen it.
    pub(super) told_guard: bool,
    /// The same for the caller that has the role.
    pub(super) told_caller: bool,
    /// The same for the event loop.
    pub(super) told_loop: bool,
    pub(super) transmit: Transmit,
    pub(super) buffer: Vec<u8>,
    pub(super) slots: Slab<Slot>,
    /// By the keys of their slots: those with a stream, and those that wait for one.
    pub(super) calls: Calls<usize>,
    /// Who is to be told something when the lock is released.
    pub(super) wakes: Vec<Wake>,
    /// Those who want the guard to work though no thread waits: calls, and the channel's watchers.
    pub(super) watched: usize,
    /// The channel has watchers.
    pub(super) channel_watched: bool,
    pub(super) spinning: Spinning,
    /// Calls that an event loop began since it last sent.
    pub(super) gathered: usize,
    /// Counts writes that the socket took.
    pub(super) writes: u64,
    pub(super) last_ticket: u64,
    /// Counts events: whether anything happened.
    pub(super) events: u64,
    pub(super) idle_since: Time,
    pub(super) ready: bool,
    /// The channel knows it as its connection. Before that, whoever dials looks at its end.
    pub(super) attached: bool,
    /// The channel was told that no more calls are taken.
    pub(super) told_channel: bool,
    pub(super) closed: Option<CloseCause>,
}

/// Who waits for the socket and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    None,
    /// The thread that waits with this ticket.
    Caller(u64),
    Guard,
    /// An event loop of the program's: [`State::driver`].
    Outside,
}

/// What the owner of the role waits for while it sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) until: Option<Time>,
    /// It looks for an answer in turns, and does not sleep at all.
    pub(super) looks: bool,
    /// What a caller waits for.
    pub(super) of: Option<(usize, Side)>,
}

impl State {
    /// In the hands of the guard, which is to see it through its handshake.
    pub(super) fn new(transport: Transport, now: Time) -> Self {
        Self {
            transport,
            role: Role::Guard,
            driver: None,
            reading: false,
            guard_waits: false,
            guard_sleeps: false,
            writing: false,
            blocked: false,
            dirty: true,
            begun: false,
            waits: None,
            told_guard: false,
            told_caller: false,
            told_loop: false,
            transmit: Transmit::new(),
            buffer: Vec::new(),
            slots: Slab::new(),
            calls: Calls::new(),
            wakes: Vec::new(),
            watched: 0,
            channel_watched: false,
            spinning: Spinning::default(),
            gathered: 0,
            writes: 0,
            last_ticket: 0,
            events: 0,
            idle_since: now,
            ready: false,
            attached: false,
            told_channel: false,
            closed: None,
        }
    }

    pub(super) fn owner_sleeps_over_something(&self) -> bool {
        let told = match self.role {
            Role::None => true,
            Role::Guard => self.told_guard,
            Role::Caller(_) => self.told_caller,
            Role::Outside => self.told_loop,
        };
        // An owner that is awake looks at everything before it sleeps.
        let (Some(waits), false) = (self.waits, told) else { return false };
        let due = match (self.next_timer(), waits.until) {
            (Some(at), Some(until)) => at < until,
            (at, _) => at.is_some() && waits.until.is_none(),
        };
        self.dirty
            || due
            || (self.blocked && !waits.write)
            || (!waits.read && self.transport.wants_read())
            || (!waits.looks && self.spinning.is_looking())
            || waits.of.is_some_and(|(key, side)| self.slots[key].has_news(side))
            || self.closed.is_some()
    }

    /// When something is to be done even if nothing happens.
    pub(super) fn next_timer(&self) -> Option<Time> {
        self.transport.poll_timeout().into_iter().chain(self.calls.poll_timeout()).min()
    }

    /// The role goes to somebody, who is awake or is woken by the caller of this.
    pub(super) fn give_role(&mut self, role: Role) {
        self.role = role;
        self.waits = None;
    }

    // -- calls ---------------------------------------------------------------------------------

    pub(super) fn key(&self, call: CallId) -> Option<usize> {
        self.calls.get(call).copied()
    }

    pub(super) fn slot(&mut self, call: CallId) -> Option<&mut Slot> {
        let key = self.key(call)?;
        self.slots.get_mut(key)
    }

    /// Gives a call a stream; false if it has to wait for one.
    pub(super) fn start(&mut self, key: usize, turn: Turn) -> bool {
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
    pub(super) fn end_with(&mut self, key: usize, ended: Ended) {
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

/// Messages that a reader takes with one lock.
const TAKEN: usize = 256;
