//! Calls that are handled by threads outside the runtime.
//!
//! A connection puts the calls of one pass into the queue at once; whoever handles them takes
//! them in batches and replies in batches. This is how the Python servers work: see
//! `ferrpc_blocking::Drains` for who takes them when.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call_limit::CallLimit;
use super::command::Command;
use super::external_call::{DeferredReply, ExternalCall, ExternalReply};
use crate::transport::mailbox::Mailbox;
use crate::{Code, Status};

/// A queue of calls for threads of your own.
pub struct ExternalQueue {
    state: Mutex<State>,
    limit: Option<Arc<CallLimit>>,
    notify: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct State {
    calls: VecDeque<ExternalCall>,
    /// Calls whose connections are paused: they are not handed out, and count as if they had been.
    parked: VecDeque<ExternalCall>,
    /// Connections to be told once no call waits.
    told_when_empty: Vec<Arc<Mailbox<Command>>>,
    /// Calls cancelled since those in the queue were last looked for.
    cancelled: usize,
    /// Calls that were put in, ever.
    pushed: u64,
    /// Calls that went out again, ever: taken or dead.
    popped: u64,
    closed: bool,
}

impl ExternalQueue {
    /// An empty queue. `notify` is called, by the task of some connection, each time that calls
    /// arrived; it must not block.
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Self::limited(None, notify)
    }

    /// The same for queues that refuse the calls beyond a limit.
    pub fn limited(
        limit: Option<Arc<CallLimit>>,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State {
            calls: VecDeque::new(),
            told_when_empty: Vec::new(),
            parked: VecDeque::new(),
            cancelled: 0,
            pushed: 0,
            popped: 0,
            closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), limit, notify: Box::new(notify) })
    }

    /// Takes up to `max` calls, appends them to `into` and returns how many. Calls that were
    /// cancelled while they waited are left out. Never blocks.
    pub fn pop(&self, max: usize, into: &mut Vec<ExternalCall>) -> usize {
        let mut dead = Vec::new();
        let mut taken = 0;
        let mut state = self.lock();
        while taken < max {
            let Some(call) = state.calls.pop_front() else { break };
            state.popped += 1;
            if call.is_cancelled() {
                dead.push(call);
            } else if call.is_paused() {
                state.parked.push_back(call);
            } else {
                into.push(call);
                taken += 1;
            }
        }
        let told = state.emptied();
        drop(state);
        tell(told);
        forget(dead);
        taken
    }

    /// Takes one call, if one waits that was not cancelled. Never blocks.
    pub fn pop_one(&self) -> Option<ExternalCall> {
        loop {
            let mut state = self.lock();
            let call = state.calls.pop_front()?;
            state.popped += 1;
            let told = state.emptied();
            if call.is_paused() {
                state.parked.push_back(call);
                drop(state);
                tell(told);
                continue;
            }
            drop(state);
            tell(told);
            if !call.is_cancelled() {
                return Some(call);
            }
            call.forget();
        }
    }

    /// A call that came by here was cancelled: if it still waits it goes, with its message.
    pub(crate) fn call_cancelled(&self) {
        let mut state = self.lock();
        state.cancelled += 1;
        // Not each time: so it costs little for each, and half of the queue at most is dead.
        if 2 * state.cancelled < state.calls.len() {
            return;
        }
        state.cancelled = 0;
        let (dead, calls): (VecDeque<_>, _) =
            std::mem::take(&mut state.calls).into_iter().partition(ExternalCall::is_cancelled);
        state.calls = calls;
        state.popped += dead.len() as u64;
        let told = state.emptied();
        let (parked_dead, parked): (VecDeque<_>, _) =
            std::mem::take(&mut state.parked).into_iter().partition(ExternalCall::is_cancelled);
        state.parked = parked;
        drop(state);
        tell(told);
        forget(dead.into_iter().chain(parked_dead));
    }

    /// A connection is not paused any more: its calls have their turn, before those that came later.
    pub(crate) fn unpark(&self) {
        let mut state = self.lock();
        let parked = std::mem::take(&mut state.parked);
        let before = state.pushed;
        for call in parked.into_iter().rev() {
            if call.is_paused() {
                state.parked.push_front(call);
            } else {
                state.pushed += 1;
                state.calls.push_front(call);
            }
        }
        let notify = state.pushed > before;
        drop(state);
        if notify {
            (self.notify)();
        }
    }

    /// How many calls were put in and how many went out, ever.
    #[doc(hidden)]
    pub fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.pushed, state.popped)
    }

    /// Calls that wait.
    pub fn len(&self) -> usize {
        self.lock().calls.len()
    }

    /// Whether no call waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no call waits. If one does, the connection gets [`Command::Admit`] when none does
    /// any more.
    pub(crate) fn is_empty_or_tell(&self, mailbox: &Arc<Mailbox<Command>>) -> bool {
        let mut state = self.lock();
        if state.calls.is_empty() {
            return true;
        }
        if !state.told_when_empty.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
            if state.told_when_empty.len() % FORGOTTEN_AT == FORGOTTEN_AT - 1 {
                state.told_when_empty.retain(|known| !known.is_closed());
            }
            state.told_when_empty.push(Arc::clone(mailbox));
        }
        false
    }

    /// Ends what waits, and whatever comes, with UNAVAILABLE.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let (calls, told) = (state.take_all(), state.emptied());
        drop(state);
        tell(told);
        refuse(calls);
    }

    /// Ends what waits with `status`; what comes later is welcome.
    pub fn refuse_waiting(&self, status: &Status) {
        let mut state = self.lock();
        let (calls, told) = (state.take_all(), state.emptied());
        drop(state);
        tell(told);
        for call in calls {
            call.reply(ExternalReply::Status(status.clone()));
        }
    }

    /// Puts all of `calls` in, and leaves `calls` empty.
    pub(crate) fn push_all(&self, calls: &mut Vec<ExternalCall>) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            refuse(calls.drain(..));
            return;
        }
        let (mut dead, mut excess) = (Vec::new(), Vec::new());
        let before = state.pushed;
        for mut call in calls.drain(..) {
            if call.is_cancelled() {
                dead.push(call);
                continue;
            }
            if let Some(limit) = &self.limit {
                call.admission = limit.admit();
                if call.admission.is_none() {
                    excess.push(call);
                    continue;
                }
            }
            state.pushed += 1;
            state.calls.push_back(call);
        }
        let notify = state.pushed > before;
        drop(state);
        forget(dead);
        for call in excess {
            let refusal = self.limit.as_ref().map(|limit| limit.refusal.clone());
            call.reply(ExternalReply::Status(refusal.unwrap_or_else(Status::ok)));
        }
        if notify {
            (self.notify)();
        }
    }

    /// Replies to many calls; replies to calls of one connection wake it once. Each reply is the
    /// response message, or an error.
    pub fn reply_all(replies: impl IntoIterator<Item = (ExternalCall, ExternalReply)>) {
        Self::send_replies(
            replies.into_iter().filter_map(|(mut call, reply)| call.reply_later(reply)),
        );
    }

    /// Tells the connections of replies that were made before; each is woken once.
    pub fn send_replies(replies: impl IntoIterator<Item = DeferredReply>) {
        let mut batch: Vec<Command> = Vec::new();
        let mut mailbox: Option<Arc<Mailbox<Command>>> = None;
        for reply in replies {
            if !mailbox.as_ref().is_some_and(|known| Arc::ptr_eq(known, &reply.mailbox)) {
                if let Some(mailbox) = mailbox.replace(reply.mailbox) {
                    mailbox.send_all(&mut batch);
                }
                batch.clear();
            }
            batch.push(reply.command);
        }
        if let Some(mailbox) = mailbox {
            mailbox.send_all(&mut batch);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who is to be told that no call waits any more.
    fn emptied(&mut self) -> Vec<Arc<Mailbox<Command>>> {
        if self.calls.is_empty() { std::mem::take(&mut self.told_when_empty) } else { Vec::new() }
    }

    fn take_all(&mut self) -> impl Iterator<Item = ExternalCall> + use<> {
        let calls = std::mem::take(&mut self.calls);
        self.popped += calls.len() as u64;
        std::mem::take(&mut self.parked).into_iter().chain(calls)
    }
}

/// Connections that wait for an empty queue are looked through for those that are gone at each
/// multiple of this.
const FORGOTTEN_AT: usize = 64;

/// No call waits any more. One that is gone needs not be told.
fn tell(connections: Vec<Arc<Mailbox<Command>>>) {
    connections.into_iter().for_each(|mailbox| drop(mailbox.send(Command::Admit)));
}

/// Drops calls that are over.
fn forget(calls: impl IntoIterator<Item = ExternalCall>) {
    calls.into_iter().for_each(ExternalCall::forget);
}

fn refuse(calls: impl IntoIterator<Item = ExternalCall>) {
    for call in calls {
        let status = Status::new(Code::Unavailable, "the server is shutting down");
        call.reply(ExternalReply::Status(status));
    }
}

impl fmt::Debug for ExternalQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}
