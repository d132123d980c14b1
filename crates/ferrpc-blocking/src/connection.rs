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
use std::sync::{Condvar, Mutex, Weak};
use std::time::Duration;

use ferrpc_core::channel::{AttemptEnd, ConnectionId};
use ferrpc_core::http2::CloseCause;
use ferrpc_core::transport::{Config, Event};
use ferrpc_core::{Status, Transport};
use ferrpc_net::clock;
use ferrpc_net::socket::{Kick, Socket};

use super::slot::Side;
use super::state::{Role, State};
use super::wake::{Owner, Wake};

/// One connection and its calls.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) socket: Socket,
    pub(super) kick: Kick,
    /// Tells the guard to look at its role.
    pub(super) guard: Condvar,
    /// Learns when no more calls are taken.
    owner: Weak<dyn Owner>,
    /// The most that a caller who is alone looks for its answer before it sleeps.
    pub(super) spin: Duration,
    /// How many slots there are, for those who have not the lock.
    pub(super) inflight: AtomicUsize,
    pub(super) state: Mutex<State>,
}

impl Connection {
    /// A connection in the hands of its guard, which is to see it through its handshake.
    pub(super) fn new(
        id: ConnectionId,
        socket: Socket,
        kick: Kick,
        config: Config,
        spin: Duration,
        owner: Weak<dyn Owner>,
    ) -> Self {
        let now = clock::now();
        let state = State::new(Transport::client(config, now), now);
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
