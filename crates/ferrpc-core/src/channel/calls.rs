//! The calls of one connection: which have a stream, and which wait for one.
//!
//! ```text
//!             start                     a stream is free: pop_queued, start
//!   call ------------> queued ----------------------------------------------+
//!             |           | deadline: expire                                |
//!             |           | the connection takes no more calls: drain       v
//!             +---------------------------------------------------> has a stream --> remove
//! ```
//!
//! The machine decides which call gets a stream when, and how a call ends that gets none. It knows
//! calls by keys of the driver's choice.
//!
//! **Input**: [`open`](Calls::open) when the server's SETTINGS came, [`start`](Calls::start) for each
//! attempt, [`drain`](Calls::drain) and [`close`](Calls::close) when the connection ends.
//! **Output**: [`Start`], the keys of calls that [`expire`](Calls::expire), and
//! [`poll_timeout`](Calls::poll_timeout).
//!
//! # Invariants
//! - A key is in the queue or has a stream, never both; each leaves once.
//! - Calls get streams in the order in which they came: none passes one that is queued.
//! - No call waits in the queue past its deadline, or on a connection that takes no calls.

use std::collections::VecDeque;

use ferrpc_http2::Time;

use super::AttemptEnd;
use crate::Transport;
use crate::transport::{CallId, StartCall, StartError};

/// The calls of one connection. `K` is what the driver knows a call by.
#[derive(Debug)]
pub struct Calls<K> {
    /// By [`CallId::slot`].
    running: Vec<Option<(CallId, K)>>,
    open: usize,
    queue: VecDeque<Queued<K>>,
    /// The first deadline in the queue, or an earlier time.
    due: Option<Time>,
    /// Queued calls that were given up since the queue was last swept.
    given_up: usize,
    takes_calls: bool,
}

#[derive(Debug)]
struct Queued<K> {
    key: K,
    deadline: Option<Time>,
}

/// What became of a call that was to start.
#[derive(Debug)]
pub enum Start {
    /// It has a stream: [`insert`](Calls::insert) its key.
    Running(CallId),
    /// It waits for a stream: [`enqueue`](Calls::enqueue) its key.
    Queued,
    /// It ended without a stream.
    Ended(AttemptEnd),
}

/// Whether a call comes for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is new: it waits behind those that are queued.
    New,
    /// It was the first in the queue.
    FromQueue,
}

impl<K> Default for Calls<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Calls<K> {
    /// Of a connection without SETTINGS: it takes no calls yet.
    pub const fn new() -> Self {
        Self {
            running: Vec::new(),
            open: 0,
            queue: VecDeque::new(),
            due: None,
            given_up: 0,
            takes_calls: false,
        }
    }

    /// The server's SETTINGS came: calls may start.
    pub const fn open(&mut self) {
        self.takes_calls = true;
    }

    /// Whether calls may start, if only behind others.
    pub const fn takes_calls(&self) -> bool {
        self.takes_calls
    }

    /// Gives a call a stream, if it may have one now. Where the connection turns out to be ending,
    /// [`takes_calls`](Self::takes_calls) is false afterwards, and the driver drains.
    pub fn start(
        &mut self,
        now: Time,
        transport: &mut Transport,
        call: &StartCall<'_>,
        turn: Turn,
    ) -> Start {
        if !self.takes_calls {
            return Start::Ended(AttemptEnd::not_sent());
        }
        if turn == Turn::New && !self.queue.is_empty() {
            return Start::Queued;
        }
        match transport.start_call(now, call) {
            Ok(id) => Start::Running(id),
            Err(error) => {
                self.takes_calls &= error != StartError::Draining;
                AttemptEnd::refused(&error).map_or(Start::Queued, Start::Ended)
            }
        }
    }

    /// After [`Start::Running`].
    pub fn insert(&mut self, call: CallId, key: K) {
        let slot = call.slot();
        if self.running.len() <= slot {
            self.running.resize_with(slot + 1, || None);
        }
        self.running[slot] = Some((call, key));
        self.open += 1;
    }

    /// After [`Start::Queued`].
    pub fn enqueue(&mut self, key: K, deadline: Option<Time>, turn: Turn) {
        self.due = self.due.into_iter().chain(deadline).min();
        let queued = Queued { key, deadline };
        match turn {
            Turn::New => self.queue.push_back(queued),
            Turn::FromQueue => self.queue.push_front(queued),
        }
    }

    /// The call that is to [`start`](Self::start) next now that streams may be free.
    pub fn pop_queued(&mut self) -> Option<K> {
        self.queue.pop_front().map(|queued| queued.key)
    }

    /// The key of a call that has a stream.
    pub fn get(&self, call: CallId) -> Option<&K> {
        let (id, key) = self.running.get(call.slot())?.as_ref()?;
        (*id == call).then_some(key)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, call: CallId) -> Option<&mut K> {
        let (id, key) = self.running.get_mut(call.slot())?.as_mut()?;
        (*id == call).then_some(key)
    }

    /// A call with a stream is over.
    pub fn remove(&mut self, call: CallId) -> Option<K> {
        let (_, key) = self.running.get_mut(call.slot())?.take_if(|(id, _)| *id == call)?;
        self.open -= 1;
        Some(key)
    }

    /// How many calls have a stream.
    pub const fn open_calls(&self) -> usize {
        self.open
    }

    /// Forgets those queued calls that `keep` denies.
    pub fn retain_queued(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.queue.retain(|queued| keep(&queued.key));
        if self.queue.is_empty() {
            self.due = None;
        }
    }

    /// A queued call was given up, and `keep` denies it. Sweeps the queue only when half of it may
    /// go, so that this costs little for each call.
    pub fn sweep_queued(&mut self, keep: impl FnMut(&K) -> bool) {
        self.given_up += 1;
        if self.given_up * 2 >= self.queue.len() {
            self.given_up = 0;
            self.retain_queued(keep);
        }
    }

    /// When [`expire`](Self::expire) is to be asked.
    pub const fn poll_timeout(&self) -> Option<Time> {
        self.due
    }

    /// The queued calls whose deadline has passed. They end with
    /// [`AttemptEnd::late_for_stream`].
    pub fn expire(&mut self, now: Time) -> Vec<K> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        let mut expired = Vec::new();
        let queue = std::mem::take(&mut self.queue);
        self.due = None;
        for queued in queue {
            match queued.deadline {
                Some(deadline) if deadline <= now => expired.push(queued.key),
                deadline => {
                    self.due = self.due.into_iter().chain(deadline).min();
                    self.queue.push_back(queued);
                }
            }
        }
        expired
    }

    /// The connection takes no more calls. Those that were queued end with
    /// [`AttemptEnd::not_sent`].
    pub fn drain(&mut self) -> Vec<K> {
        self.takes_calls = false;
        self.due = None;
        self.queue.drain(..).map(|queued| queued.key).collect()
    }

    /// The connection is over: those that had a stream, and that no event has ended.
    pub fn close(&mut self) -> Vec<(CallId, K)> {
        self.takes_calls = false;
        self.open = 0;
        std::mem::take(&mut self.running).into_iter().flatten().collect()
    }

    /// Gives back the memory of busy times.
    pub fn trim(&mut self) {
        if self.open == 0 {
            self.running = Vec::new();
        }
        self.queue.shrink_to_fit();
    }
}
