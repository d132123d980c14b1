//! A connection that the threads of its callers drive.
//!
//! ```text
//!              first caller, alone                 that caller's answer came
//!    None ---------------------------> Caller ---------------------------------> None
//!     ^                                  |  others wait: one -> it leads, more -> Guard
//!     |  a caller that is alone          v
//!     +------ (takes it over) ------- Guard  <- also after some ms in which nobody cared
//! ```
//!
//! The state machine and all calls stand behind one lock. Whoever has the *role* waits for the
//! socket and receives, outside of the lock; everybody may send, one at a time. The role lives in
//! the locked state: a thread that is woken looks there for what it is to do, so that no wake-up
//! that goes astray can lose it. A thread that stops waiting gives the role on in the same breath
//! ([`Connection::step_down`]). Where an event loop drives the channel, the role is the loop's
//! (`Outside`) for as long as that lives.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::Duration;

use ferrpc_core::call::ClientCall;
use ferrpc_core::http2::Transmit;
use ferrpc_core::transport::{
    CallId, Config, Event, Message, Messages, SendState, StartError, TransparentRetry,
};
use ferrpc_core::{Code, Encoding, Metadata, Status, Time, Transport};
use slab::Slab;

use super::call::Call;
use super::outside::Driver;
use super::raw::Origin;
use super::shared::Shared;
use super::socket::{Kick, Socket};
use super::spinning::Spinning;
use crate::client::{Head, complains_of_pings};
use crate::transport::backlog::Backlog;
use crate::transport::clock;

/// One connection and its calls.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) kick: Kick,
    /// Tells the guard to look at its role.
    pub(super) guard: Condvar,
    /// Learns when no more calls are taken.
    owner: Weak<Shared>,
    /// The most that a caller who is alone looks for its answer before it sleeps.
    pub(super) spin: Duration,
    /// How many slots there are, for those who have not the lock.
    pub(super) inflight: AtomicUsize,
    state: Mutex<State>,
}

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
    /// The guard was kicked and has not seen it.
    pub(super) kicked: bool,
    pub(super) transmit: Transmit,
    pub(super) buffer: Vec<u8>,
    pub(super) slots: Slab<Slot>,
    /// Of [`CallId::slot`] to the key of the call's slot.
    by_call: Vec<Option<usize>>,
    /// Calls beyond the peer's limit of streams, in the order in which they came.
    queue: VecDeque<usize>,
    /// Who is to be told something when the lock is released.
    pub(super) wakes: Vec<Wake>,
    /// Those who want the guard to work though no thread waits: calls, and the channel's watchers.
    pub(super) watched: usize,
    /// The channel has watchers.
    channel_watched: bool,
    pub(super) spinning: Spinning,
    pub(super) last_ticket: u64,
    /// Counts events: whether anything happened.
    pub(super) events: u64,
    pub(super) idle_since: Time,
    pub(super) ready: bool,
    /// Takes new calls.
    pub(super) usable: bool,
    pub(super) closed: Option<String>,
}

/// Somebody to be told that there is something.
pub(super) enum Wake {
    Thread(Thread),
    /// Whoever polled.
    Waker(Waker),
    /// A call that may have no thread: its attempt ended.
    Call(Weak<Call>),
    /// No more calls are taken here.
    Channel(Weak<Shared>),
    /// Nobody: an event loop that is to be forgotten.
    Gone(Arc<Driver>),
    /// The server finds keepalive pings too frequent.
    Pings(Weak<Shared>),
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

/// One attempt of a call.
pub(super) struct Slot {
    head: Arc<Head>,
    pub(super) call: ClientCall,
    stream: Option<CallId>,
    queued: bool,
    full: bool,
    pub(super) initial: Option<(Metadata, Encoding)>,
    pub(super) received: Backlog,
    pub(super) ended: Option<Ended>,
    pub(super) waiting: Vec<Waiting>,
    /// Who polled a side in vain.
    pub(super) wakers: [Option<Waker>; 2],
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
    pub(super) retry: TransparentRetry,
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

pub(super) type Locked<'a> = MutexGuard<'a, State>;

impl Connection {
    /// A connection in the hands of its guard, which is to see it through its handshake.
    pub(super) fn new(
        socket: Socket,
        kick: Kick,
        config: Config,
        spin: Duration,
        owner: Weak<Shared>,
    ) -> Self {
        let now = clock::now();
        let state = State {
            transport: Transport::client(config, now),
            role: Role::Guard,
            driver: None,
            reading: false,
            guard_waits: false,
            guard_sleeps: false,
            writing: false,
            blocked: false,
            dirty: true,
            kicked: false,
            transmit: Transmit::new(),
            buffer: Vec::new(),
            slots: Slab::new(),
            by_call: Vec::new(),
            queue: VecDeque::new(),
            wakes: Vec::new(),
            watched: 0,
            channel_watched: false,
            spinning: Spinning::default(),
            last_ticket: 0,
            events: 0,
            idle_since: now,
            ready: false,
            usable: false,
            closed: None,
        };
        Self {
            socket,
            kick,
            guard: Condvar::new(),
            owner,
            spin,
            inflight: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock and wakes who is to be woken.
    pub(super) fn unlock(mut state: Locked<'_>) {
        if state.wakes.is_empty() {
            return;
        }
        let wakes = mem::take(&mut state.wakes);
        drop(state);
        Wake::all(wakes);
    }

    /// Why the connection ended, in words.
    pub(super) fn end(&self) -> String {
        self.lock().closed.clone().unwrap_or_else(|| "the channel was closed".to_owned())
    }

    /// Whether new calls may start here.
    pub(super) fn is_usable(&self) -> bool {
        self.lock().usable
    }

    // -- calls -----------------------------------------------------------------------------------

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
            ended: None,
            waiting: Vec::new(),
            wakers: [None, None],
            users: 0,
            abandoned: false,
            owner,
            watched,
        });
        state.watched += usize::from(watched);
        self.inflight.store(state.slots.len(), Ordering::Relaxed);
        if !state.usable {
            state.never_sent(key);
        } else if state.queue.is_empty() {
            state.start(key);
        } else {
            state.slots[key].queued = true;
            state.queue.push_back(key);
        }
        // A call that will be waited for at once leaves with that wait.
        if state.slots[key].owner.is_some() {
            state = self.send_out(state, None);
            if state.watched > 0 && state.role == Role::None {
                self.give_to_guard(&mut state);
            }
        }
        (key, mem::take(&mut state.wakes))
    }

    /// How an attempt that was not abandoned ended, if it did.
    pub(super) fn ended(&self, key: usize) -> Option<Ended> {
        self.lock().slots[key].ended.clone()
    }

    /// The same, if nothing that it brought remains to be read.
    pub(super) fn drained(&self, key: usize) -> Option<Ended> {
        let state = self.lock();
        let slot = &state.slots[key];
        slot.ended.clone().filter(|_| slot.received.is_empty())
    }

    /// Announces a wait for an attempt that was begun and not abandoned.
    pub(super) fn enter(&self, key: usize) {
        self.lock().slots[key].users += 1;
    }

    /// The guard works for this attempt from now on.
    pub(super) fn watch_call(&self, key: usize) {
        let mut state = self.lock();
        if state.slots[key].ended.is_none() && !mem::replace(&mut state.slots[key].watched, true) {
            state.watched += 1;
            if state.role == Role::None {
                self.give_to_guard(&mut state);
            }
        }
    }

    /// The channel has watchers, or no more.
    pub(super) fn watch(&self, watched: bool) {
        let mut state = self.lock();
        match (mem::replace(&mut state.channel_watched, watched), watched) {
            (false, true) => {
                state.watched += 1;
                if state.role == Role::None {
                    self.give_to_guard(&mut state);
                }
            }
            (true, false) => state.watched -= 1,
            _ => {}
        }
    }

    /// No more messages of an attempt that was not abandoned.
    pub(super) fn half_close(&self, key: usize) -> Vec<Wake> {
        let mut state = self.lock();
        if state.slots[key].ended.is_none() {
            state.slots[key].call.half_close();
            state.send(key);
            state = self.send_out(state, None);
        }
        mem::take(&mut state.wakes)
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
            state.queue.retain(|queued| *queued != key);
        }
        state.end(key, ended.clone());
        let slot = &mut state.slots[key];
        slot.abandoned = true;
        let spent = ClientCall::new(slot.call.config());
        let call = mem::replace(&mut slot.call, spent);
        let initial = slot.initial.take();
        if slot.users > 0 && matches!(state.role, Role::Caller(_)) {
            // The thread that leads may be one that waits for this attempt.
            self.kick.kick();
        }
        state.leave(key, false);
        self.inflight.store(state.slots.len(), Ordering::Relaxed);
        if stream.is_some() {
            self.dispatch(&mut state);
            state = self.send_out(state, None);
        }
        (call, initial, mem::take(&mut state.wakes))
    }

    /// No new calls; those that run may end, unless `status` ends them now.
    pub(super) fn shut_down(&self, status: Option<&Status>) {
        let mut state = self.lock();
        let now = clock::now();
        state.usable = false;
        if let Some(status) = status {
            let keys: Vec<usize> = state.slots.iter().map(|(key, _)| key).collect();
            for key in keys {
                if let Some(call) = state.slots[key].stream {
                    state.transport.cancel(now, call);
                }
                let (status, retry) = (status.clone(), TransparentRetry::No);
                state.end(key, Ended { status, origin: Origin::Closed, retry });
            }
        }
        state.transport.shutdown(now, None);
        state.dirty = true;
        self.dispatch(&mut state);
        match state.role {
            Role::None => self.give_to_guard(&mut state),
            // Its call may be over.
            Role::Caller(_) => self.kick.kick(),
            // The loop may be about to end, too.
            Role::Outside => self.take_back(&mut state),
            Role::Guard => {}
        }
        self.guard.notify_one();
        state = self.send_out(state, None);
        Self::unlock(state);
    }

    // -- events ----------------------------------------------------------------------------------

    /// Works off what the transport reports.
    pub(super) fn dispatch(&self, state: &mut State) {
        let mut wakes = mem::take(&mut state.wakes);
        while let Some(event) = state.transport.poll_event() {
            state.events += 1;
            match event {
                Event::Headers { call, metadata, encoding } => {
                    if let Some(slot) = state.slot(call) {
                        slot.call.handle_headers();
                        slot.initial = Some((metadata, encoding));
                        slot.wake(Side::Receive, &mut wakes);
                    }
                }
                Event::Message { call, message } => {
                    state.received(call, message.into(), &mut wakes);
                }
                Event::Messages { call, run } => state.received(call, run.into(), &mut wakes),
                Event::Writable { call } => {
                    if let Some(key) = state.key(call) {
                        state.slots[key].full = false;
                        state.send(key);
                        state.slots[key].wake(Side::Send, &mut wakes);
                    }
                }
                Event::Finished { call, status, retry, from_peer } => {
                    if let Some(key) = state.key(call) {
                        let origin = match status.code() {
                            _ if from_peer => Origin::Peer,
                            Code::DeadlineExceeded => Origin::Deadline,
                            _ => Origin::Local,
                        };
                        state.end(key, Ended { status, origin, retry });
                    }
                }
                Event::StreamsAvailable => state.start_queued(),
                Event::Ready => {
                    state.ready = true;
                    state.usable = true;
                }
                Event::Draining => self.drain(state),
                Event::Closed { cause } => {
                    if complains_of_pings(&cause) {
                        // Ahead of those who look for another connection now.
                        wakes.push(Wake::Pings(Weak::clone(&self.owner)));
                    }
                    self.drain(state);
                    let cause = cause.to_string();
                    let keys: Vec<usize> = state.slots.iter().map(|(key, _)| key).collect();
                    for key in keys {
                        let status = Status::new(Code::Unavailable, cause.clone());
                        let (origin, retry) = (Origin::Local, TransparentRetry::No);
                        state.end(key, Ended { status, origin, retry });
                    }
                    state.closed = Some(cause);
                    self.guard.notify_one();
                }
                // Only servers hear of the rest, or it is part of what came before.
                _ => {}
            }
        }
        wakes.append(&mut state.wakes);
        state.wakes = wakes;
    }

    /// New calls go elsewhere, those that wait for a stream too.
    fn drain(&self, state: &mut State) {
        if mem::replace(&mut state.usable, false) {
            state.wakes.push(Wake::Channel(Weak::clone(&self.owner)));
        }
        for key in mem::take(&mut state.queue) {
            state.never_sent(key);
        }
    }
}

impl State {
    fn key(&self, call: CallId) -> Option<usize> {
        let key = (*self.by_call.get(call.slot())?)?;
        (self.slots.get(key)?.stream == Some(call)).then_some(key)
    }

    fn slot(&mut self, call: CallId) -> Option<&mut Slot> {
        let key = self.key(call)?;
        self.slots.get_mut(key)
    }

    /// Gives a call a stream; false if it has to wait for one.
    fn start(&mut self, key: usize) -> bool {
        let now = clock::now();
        let slot = &mut self.slots[key];
        let head = Arc::clone(&slot.head);
        match self.transport.start_call(now, &head.start(slot.call.deadline())) {
            Ok(call) => {
                slot.stream = Some(call);
                slot.queued = false;
                if self.by_call.len() <= call.slot() {
                    self.by_call.resize(call.slot() + 1, None);
                }
                self.by_call[call.slot()] = Some(key);
                self.dirty = true;
                self.send(key);
            }
            Err(StartError::StreamLimit) => {
                slot.queued = true;
                self.queue.push_front(key);
                return false;
            }
            Err(StartError::MetadataTooLarge) => {
                let text = "the request's metadata is larger than the server accepts";
                let status = Status::new(Code::ResourceExhausted, text);
                let retry = TransparentRetry::No;
                self.end(key, Ended { status, origin: Origin::Local, retry });
            }
            Err(StartError::DeadlineExceeded) => {
                let text = "the deadline passed before the request was sent";
                let status = Status::new(Code::DeadlineExceeded, text);
                let retry = TransparentRetry::No;
                self.end(key, Ended { status, origin: Origin::Deadline, retry });
            }
            // Draining, and whatever else keeps this connection from taking calls.
            Err(_) => {
                self.usable = false;
                self.never_sent(key);
            }
        }
        true
    }

    fn start_queued(&mut self) {
        while let Some(key) = self.queue.pop_front() {
            if !self.start(key) {
                break;
            }
            self.slots[key].wake_all(&mut self.wakes);
        }
    }

    /// A call that did not get away may go elsewhere.
    fn never_sent(&mut self, key: usize) {
        let text = "the connection ended before the call could be sent";
        let status = Status::new(Code::Unavailable, text);
        let retry = TransparentRetry::NeverSent;
        self.end(key, Ended { status, origin: Origin::Local, retry });
    }

    pub(super) fn queue_is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When the first of the calls that wait for a stream has to be over. The transport has no
    /// timer for them.
    pub(super) fn queue_deadline(&self) -> Option<Time> {
        self.queue.iter().filter_map(|key| self.slots[*key].call.deadline()).min()
    }

    /// Ends those calls whose time was over before they got a stream.
    pub(super) fn expire_queued(&mut self, now: Time) {
        let late = |key: &usize| self.slots[*key].call.deadline().is_some_and(|at| at <= now);
        let expired: Vec<usize> = self.queue.iter().copied().filter(late).collect();
        self.queue.retain(|key| !expired.contains(key));
        for key in expired {
            let text = "the deadline passed while waiting for a stream: the server has as many \
                        calls on this connection as it takes";
            let status = Status::new(Code::DeadlineExceeded, text);
            let retry = TransparentRetry::No;
            self.end(key, Ended { status, origin: Origin::Deadline, retry });
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

    fn received(&mut self, call: CallId, messages: Messages, wakes: &mut Vec<Wake>) {
        if let Some(slot) = self.slot(call) {
            slot.received.push(messages);
            slot.wake(Side::Receive, wakes);
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

    pub(super) fn end(&mut self, key: usize, mut ended: Ended) {
        let slot = &mut self.slots[key];
        if let Some(call) = slot.stream.take() {
            self.by_call[call.slot()] = None;
        }
        slot.queued = false;
        if slot.call.is_committed() {
            ended.retry = TransparentRetry::No;
        }
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

    /// The threads that wait for this side, to be woken: from now on they do not count as waiting.
    fn wake(&mut self, side: Side, wakes: &mut Vec<Wake>) {
        let woken = self.waiting.extract_if(.., |waiting| waiting.side == side);
        wakes.extend(woken.map(|waiting| Wake::Thread(waiting.thread)));
        wakes.extend(self.wakers[side as usize].take().map(Wake::Waker));
    }

    fn wake_all(&mut self, wakes: &mut Vec<Wake>) {
        wakes.extend(self.wakers.iter_mut().filter_map(Option::take).map(Wake::Waker));
        wakes.extend(self.waiting.drain(..).map(|waiting| Wake::Thread(waiting.thread)));
    }
}

impl Wake {
    /// Tells them. No locks may be held.
    pub(super) fn all(wakes: Vec<Self>) {
        for wake in wakes {
            match wake {
                Self::Thread(thread) => thread.unpark(),
                Self::Waker(waker) => waker.wake(),
                Self::Gone(driver) => drop(driver),
                Self::Call(call) => {
                    if let Some(call) = call.upgrade() {
                        call.settle();
                    }
                }
                Self::Channel(channel) => {
                    if let Some(channel) = channel.upgrade() {
                        channel.lost();
                    }
                }
                Self::Pings(channel) => {
                    if let Some(channel) = channel.upgrade() {
                        channel.pings_too_often();
                    }
                }
            }
        }
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
