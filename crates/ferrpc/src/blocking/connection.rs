//! A connection that the threads of its callers drive.
//!
//! ```text
//!              first caller, alone                 that caller's answer came
//!    None ---------------------------> Caller ---------------------------------> None
//!     ^                                  |  others wait: one -> it leads, more -> Guard
//!     |  a caller that is alone          v
//!     +------ (takes it over) ------- Guard  <- also after a second in which nobody cared
//! ```
//!
//! The state machine and all calls stand behind one lock. Whoever has the *role* waits for the
//! socket and receives, outside of the lock; everybody may send, one at a time. The role lives in
//! the locked state: a thread that is woken looks there for what it is to do, so that no wake-up
//! that goes astray can lose it. A thread that stops waiting gives the role on in the same breath
//! ([`Connection::step_down`]).

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use ferrpc_core::call::ClientCall;
use ferrpc_core::http2::Transmit;
use ferrpc_core::transport::{
    CallId, Config, Event, Message, SendState, StartError, TransparentRetry,
};
use ferrpc_core::{Code, Encoding, Metadata, Status, Time, Transport};
use slab::Slab;

use super::socket::{Kick, Socket};
use crate::client::Head;
use crate::transport::clock;

/// One connection and its calls.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) kick: Kick,
    /// Tells the guard to look at its role.
    pub(super) guard: Condvar,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) transport: Transport,
    pub(super) role: Role,
    /// The guard receives just now: its role cannot be taken.
    pub(super) reading: bool,
    /// The guard waits for the socket, with the role or because it had it before.
    pub(super) guard_waits: bool,
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
    /// Threads to be woken when the lock is released.
    pub(super) wakes: Vec<Thread>,
    pub(super) last_ticket: u64,
    /// Counts events: whether anything happened.
    pub(super) events: u64,
    pub(super) idle_since: Time,
    pub(super) ready: bool,
    /// Takes new calls.
    pub(super) usable: bool,
    pub(super) closed: Option<String>,
}

/// Who waits for the socket and receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    None,
    /// The thread that waits with this ticket.
    Caller(u64),
    Guard,
}

/// One attempt of a call.
pub(super) struct Slot {
    head: Arc<Head>,
    pub(super) call: ClientCall,
    stream: Option<CallId>,
    queued: bool,
    full: bool,
    pub(super) initial: Option<(Metadata, Encoding)>,
    pub(super) received: VecDeque<Message>,
    pub(super) ended: Option<Ended>,
    /// By [`Side`].
    pub(super) waiting: [Option<Waiting>; 2],
    /// Waits that use the slot: it stays until they have left.
    users: u8,
    abandoned: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) retry: TransparentRetry,
}

/// A thread that waits for something of its call.
pub(super) struct Waiting {
    pub(super) ticket: u64,
    pub(super) thread: Thread,
}

/// The two independent halves of a call, each used by one thread at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Receive = 0,
    Send = 1,
}

pub(super) type Locked<'a> = MutexGuard<'a, State>;

impl Connection {
    /// A connection in the hands of its guard, which is to see it through its handshake.
    pub(super) fn new(socket: Socket, kick: Kick, config: Config) -> Self {
        let now = clock::now();
        let state = State {
            transport: Transport::client(config, now),
            role: Role::Guard,
            reading: false,
            guard_waits: false,
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
            last_ticket: 0,
            events: 0,
            idle_since: now,
            ready: false,
            usable: false,
            closed: None,
        };
        Self { socket, kick, guard: Condvar::new(), state: Mutex::new(state) }
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
        wakes.iter().for_each(Thread::unpark);
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

    /// Starts an attempt, entered for one wait; its output goes out with that.
    pub(super) fn begin(&self, head: Arc<Head>, mut call: ClientCall) -> usize {
        call.start_attempt();
        let mut state = self.lock();
        let key = state.slots.insert(Slot {
            head,
            call,
            stream: None,
            queued: false,
            full: false,
            initial: None,
            received: VecDeque::new(),
            ended: None,
            waiting: [None, None],
            users: 1,
            abandoned: false,
        });
        if !state.usable {
            state.slots[key].never_sent();
        } else if state.queue.is_empty() {
            state.start(key);
        } else {
            state.slots[key].queued = true;
            state.queue.push_back(key);
        }
        key
    }

    /// Whether an attempt that was not abandoned goes on.
    pub(super) fn is_open(&self, key: usize) -> bool {
        self.lock().slots[key].ended.is_none()
    }

    /// Announces a wait for an attempt that was begun and not abandoned.
    pub(super) fn enter(&self, key: usize) {
        self.lock().slots[key].users += 1;
    }

    /// Ends an attempt from this side, if it is not over, and gives back what can be attempted
    /// again. Those who still wait for it are told that it is over.
    pub(super) fn abandon(&self, key: usize) -> ClientCall {
        let mut state = self.lock();
        let stream = state.slots[key].stream;
        if let Some(call) = stream {
            state.transport.cancel(clock::now(), call);
            state.dirty = true;
        } else if state.slots[key].queued {
            state.queue.retain(|queued| *queued != key);
        }
        let status = Status::new(Code::Cancelled, "the call was dropped");
        state.end(key, status, TransparentRetry::No);
        let slot = &mut state.slots[key];
        slot.abandoned = true;
        let spent = ClientCall::new(slot.call.config());
        let call = std::mem::replace(&mut slot.call, spent);
        state.leave(key, false);
        if stream.is_some() {
            self.dispatch(&mut state);
            state = self.send_out(state, None);
        }
        Self::unlock(state);
        call
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
                state.end(key, status.clone(), TransparentRetry::No);
            }
        }
        state.transport.shutdown(now, None);
        state.dirty = true;
        self.dispatch(&mut state);
        if state.role == Role::None {
            self.give_to_guard(&mut state);
        }
        self.guard.notify_one();
        state = self.send_out(state, None);
        Self::unlock(state);
    }

    // -- events ----------------------------------------------------------------------------------

    /// Works off what the transport reports.
    pub(super) fn dispatch(&self, state: &mut State) {
        while let Some(event) = state.transport.poll_event() {
            state.events += 1;
            match event {
                Event::Headers { call, metadata, encoding } => {
                    if let Some(slot) = state.slot(call) {
                        slot.call.handle_headers();
                        slot.initial = Some((metadata, encoding));
                        let thread = slot.wake(Side::Receive);
                        state.wakes.extend(thread);
                    }
                }
                Event::Message { call, message } => {
                    if let Some(slot) = state.slot(call) {
                        slot.received.push_back(message);
                        let thread = slot.wake(Side::Receive);
                        state.wakes.extend(thread);
                    }
                }
                Event::Writable { call } => {
                    if let Some(key) = state.key(call) {
                        state.slots[key].full = false;
                        state.send(key);
                        let thread = state.slots[key].wake(Side::Send);
                        state.wakes.extend(thread);
                    }
                }
                Event::Finished { call, status, retry, .. } => {
                    if let Some(key) = state.key(call) {
                        state.end(key, status, retry);
                    }
                }
                Event::StreamsAvailable => state.start_queued(),
                Event::Ready => {
                    state.ready = true;
                    state.usable = true;
                }
                Event::Draining => state.drain(),
                Event::Closed { cause } => {
                    state.drain();
                    let cause = cause.to_string();
                    let keys: Vec<usize> = state.slots.iter().map(|(key, _)| key).collect();
                    for key in keys {
                        let status = Status::new(Code::Unavailable, cause.clone());
                        state.end(key, status, TransparentRetry::No);
                    }
                    state.closed = Some(cause);
                    self.guard.notify_one();
                }
                // Only servers hear of the rest, or it is part of what came before.
                _ => {}
            }
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
                self.end(key, status, TransparentRetry::No);
            }
            Err(StartError::DeadlineExceeded) => {
                let text = "the deadline passed before the request was sent";
                let status = Status::new(Code::DeadlineExceeded, text);
                self.end(key, status, TransparentRetry::No);
            }
            // Draining, and whatever else keeps this connection from taking calls.
            Err(_) => {
                slot.never_sent();
                self.drain();
            }
        }
        true
    }

    fn start_queued(&mut self) {
        while let Some(key) = self.queue.pop_front() {
            if !self.start(key) {
                break;
            }
            let threads = self.slots[key].wake_all();
            self.wakes.extend(threads.into_iter().flatten());
        }
    }

    /// New calls go elsewhere, those that wait for a stream too.
    fn drain(&mut self) {
        self.usable = false;
        for key in mem::take(&mut self.queue) {
            let slot = &mut self.slots[key];
            slot.never_sent();
            let threads = slot.wake_all();
            self.wakes.extend(threads.into_iter().flatten());
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
        slot.users -= u8::from(waited);
        if slot.abandoned && slot.users == 0 {
            self.slots.remove(key);
        }
    }

    /// Gives the credit of a consumed message back.
    pub(super) fn release(&mut self, key: usize, payload: usize) {
        if let Some(call) = self.slots[key].stream {
            self.transport.release(clock::now(), call, 1, payload);
            self.dirty = true;
        }
    }

    pub(super) fn end(&mut self, key: usize, status: Status, retry: TransparentRetry) {
        let slot = &mut self.slots[key];
        if let Some(call) = slot.stream.take() {
            self.by_call[call.slot()] = None;
        }
        slot.queued = false;
        let retry = if slot.call.is_committed() { TransparentRetry::No } else { retry };
        slot.ended.get_or_insert(Ended { status, retry });
        let threads = slot.wake_all();
        self.wakes.extend(threads.into_iter().flatten());
    }
}

impl Slot {
    fn never_sent(&mut self) {
        self.queued = false;
        self.ended.get_or_insert(Ended {
            status: Status::new(
                Code::Unavailable,
                "the connection ended before the call could be sent",
            ),
            retry: TransparentRetry::NeverSent,
        });
    }

    /// Nobody uses the attempt, which is over, but those who wait just now.
    pub(super) const fn retire(&mut self) {
        self.abandoned = true;
    }

    /// Whether it waits for a stream.
    pub(super) const fn is_queued(&self) -> bool {
        self.queued
    }

    /// Whether its sender may go on.
    pub(super) fn has_room(&self) -> bool {
        !self.full && self.call.unsent() < UNSENT_LIMIT
    }

    /// The thread that waits, to be woken: from now on it does not count as waiting.
    fn wake(&mut self, side: Side) -> Option<Thread> {
        self.waiting[side as usize].take().map(|waiting| waiting.thread)
    }

    fn wake_all(&mut self) -> [Option<Thread>; 2] {
        [self.wake(Side::Receive), self.wake(Side::Send)]
    }
}

impl Waiting {
    pub(super) fn new(ticket: u64) -> Self {
        Self { ticket, thread: thread::current() }
    }
}

/// What a call may queue before its sender has to wait; one message more may go over it.
const UNSENT_LIMIT: usize = 64 << 10;
