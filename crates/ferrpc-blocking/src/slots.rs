//! The calls of a connection: each attempt has a slot, from its beginning until all was read.
//!
//! ```text
//!   begin --> queued --> has a stream --> ended --> read, or abandoned: the slot goes
//!                ^  beyond the peer's limit of streams
//! ```

use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use ferrpc::for_blocking::{Backlog, Head};
use ferrpc_core::call::ClientCall;
use ferrpc_core::channel::Turn;
use ferrpc_core::{Encoding, Metadata};
use ferrpc_net::clock;

use super::connection::Connection;
use super::outcome::Ended;
use super::slot::{Demand, Slot};
use super::state::Role;
use super::wake::{Attempts, Wake};

impl Connection {
    /// Starts an attempt. The caller tells those who are to know, without locks of its own.
    pub(super) fn begin(
        &self,
        head: Arc<Head>,
        mut call: ClientCall,
        owner: Option<Weak<dyn Attempts>>,
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
