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
//! (`Outside`) for as long as that lives. That nothing which was made is left unsent while its
//! owner sleeps is seen to where the lock is released (`locked.rs`).

use std::mem;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::task::Waker;
use std::thread::Thread;
use std::time::Duration;

use ferrpc_core::channel::{AttemptEnd, Calls, ConnectionId};
use ferrpc_core::http2::{CloseCause, Transmit};
use ferrpc_core::transport::{Config, Event};
use ferrpc_core::{Status, Time, Transport};
use ferrpc_net::clock;
use ferrpc_net::socket::{Kick, Socket};
use slab::Slab;

use super::call::Call;
use super::locked::Waits;
use super::outside::Driver;
use super::shared::Shared;
use super::slots::{Side, Slot};
use super::spinning::Spinning;

/// One connection and its calls.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
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
    pub(super) state: Mutex<State>,
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
    channel_watched: bool,
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
    attached: bool,
    /// The channel was told that no more calls are taken.
    told_channel: bool,
    pub(super) closed: Option<CloseCause>,
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
    /// The connection is over.
    Closed(Weak<Shared>, ConnectionId, Box<CloseCause>),
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

impl Connection {
    /// A connection in the hands of its guard, which is to see it through its handshake.
    pub(super) fn new(
        id: ConnectionId,
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
        };
        Self {
            id,
            socket,
            kick,
            guard: Condvar::new(),
            owner,
            spin,
            inflight: AtomicUsize::new(0),
            state: Mutex::new(state),
        }
    }

    /// Why the connection ended.
    pub(super) fn end(&self) -> CloseCause {
        self.look().closed.clone().unwrap_or(CloseCause::Local)
    }

    /// From now on the channel is told of its end. Why it has ended, if it has.
    pub(super) fn attach(&self) -> Option<CloseCause> {
        let mut state = self.guarded();
        state.attached = true;
        state.closed.clone()
    }

    /// Whether new calls may start here.
    pub(super) fn is_usable(&self) -> bool {
        self.look().calls.takes_calls()
    }

    /// The channel has watchers, or no more. The caller tells those who are to know, without locks
    /// of its own.
    #[must_use]
    pub(super) fn watch(&self, watched: bool) -> Vec<Wake> {
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
        state.release()
    }

    /// No new calls; those that run may end, unless `status` ends them now.
    pub(super) fn shut_down(&self, status: Option<&Status>) {
        let mut state = self.lock();
        let now = clock::now();
        if let Some(status) = status {
            let keys: Vec<usize> = state.slots.iter().map(|(key, _)| key).collect();
            for key in keys {
                if let Some(call) = state.slots[key].stream {
                    state.transport.cancel(now, call);
                }
                let end = AttemptEnd { status: status.clone(), ..AttemptEnd::closed() };
                state.end(key, end);
            }
        }
        self.drain(&mut state);
        state.transport.shutdown(now, None);
        state.dirty = true;
        self.dispatch(&mut state);
        match state.role {
            Role::None => self.give_to_guard(&mut state),
            // The loop may be about to end, too.
            Role::Outside => self.take_back(&mut state),
            Role::Caller(_) | Role::Guard => {}
        }
        self.guard.notify_one();
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
                Event::Withheld { call } => state.withheld(call),
                Event::Writable { call } => {
                    if let Some(key) = state.key(call) {
                        state.slots[key].full = false;
                        state.send(key);
                        state.slots[key].wake(Side::Send, &mut wakes);
                    }
                }
                Event::Finished { call, status, retry, from_peer } => {
                    if let Some(key) = state.key(call) {
                        state.end(key, AttemptEnd::finished(status, retry, from_peer));
                    }
                }
                Event::StreamsAvailable => state.start_queued(),
                Event::Ready => {
                    state.ready = true;
                    state.calls.open();
                }
                Event::Draining => self.drain(state),
                Event::Closed { cause } => {
                    if state.attached {
                        // Ahead of those who look for another connection now.
                        let channel = Weak::clone(&self.owner);
                        wakes.push(Wake::Closed(channel, self.id, Box::new(cause.clone())));
                    }
                    self.drain(state);
                    for (_, key) in state.calls.close() {
                        state.end(key, AttemptEnd::lost(&cause));
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
        let queued = state.calls.drain();
        if state.attached && !mem::replace(&mut state.told_channel, true) {
            state.wakes.push(Wake::Channel(Weak::clone(&self.owner)));
        }
        for key in queued {
            state.end(key, AttemptEnd::not_sent());
        }
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
                Self::Closed(channel, id, cause) => {
                    if let Some(channel) = channel.upgrade() {
                        channel.closed(id, &cause);
                    }
                }
            }
        }
    }
}
