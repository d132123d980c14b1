//! Calls for those who never wait: they ask, and a waker tells them when to ask again.
//!
//! Each side of a call (what is received, what is sent) keeps the last waker. It is woken once, and
//! perhaps for nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use ferrpc_core::Status;
use ferrpc_core::transport::Message;

use super::call::{Attempt, Call, CallState, Found};
use super::connection::Connection;
use super::outcome::{Ended, Origin, Outcome};
use super::reading::Finished;
use super::sending::{Unsent, put};
use super::slot::Side;
use super::state::State;
use super::wake::Wake;

impl Call {
    /// As [`Call::wait`], without the wait: `Late` is to be asked again when `waker` was woken.
    fn poll<R>(
        &self,
        side: Side,
        waker: &Waker,
        look: impl FnOnce(&mut State, usize) -> Option<R>,
    ) -> Found<R> {
        let mut state = self.lock();
        let found = self.poll_locked(&mut state, side, waker, look);
        self.unlock(state);
        found
    }

    fn poll_locked<R>(
        &self,
        state: &mut CallState,
        side: Side,
        waker: &Waker,
        look: impl FnOnce(&mut State, usize) -> Option<R>,
    ) -> Found<R> {
        match &state.attempt {
            Attempt::Over(outcome) => Found::Over(Arc::clone(outcome)),
            Attempt::New(_) | Attempt::Pending(_) | Attempt::Moving => {
                state.wakers[side as usize] = Some(waker.clone());
                Found::Late
            }
            Attempt::On { connection, key } => {
                let connection = Arc::clone(connection);
                let (polled, later) = connection.poll(*key, side, waker, look);
                state.later.extend(later);
                match polled {
                    Ok(found) => Found::Done(found),
                    Err(None) => Found::Late,
                    Err(Some(ended)) if !ended.is_final() => {
                        // Whoever learnt of it is about to begin another attempt.
                        state.wakers[side as usize] = Some(waker.clone());
                        Found::Late
                    }
                    Err(Some(ended)) if side == Side::Send => {
                        // What was received before the end is still to be read.
                        Found::Over(Arc::new(Outcome::new(ended.status, ended.origin)))
                    }
                    Err(Some(ended)) => {
                        let outcome = Outcome::new(ended.status.clone(), ended.origin.clone());
                        self.after(state, ended);
                        Found::Over(state.over().unwrap_or_else(|| Arc::new(outcome)))
                    }
                }
            }
        }
    }

    /// Whether an attempt runs.
    pub(super) fn poll_started(&self, waker: &Waker) -> Found<()> {
        self.poll(Side::Send, waker, |_, _| Some(()))
    }

    /// Takes the end of a call with one response, and all that came with it.
    pub(super) fn poll_finish(&self, waker: &Waker) -> Found<Finished> {
        let mut state = self.lock();
        let found = self.poll_locked(&mut state, Side::Receive, waker, |state, key| {
            let slot = &mut state.slots[key];
            slot.ended.as_ref().filter(|ended| ended.is_final())?;
            let Ended { status, origin, .. } = slot.ended.take()?;
            let finished = Finished {
                outcome: Outcome::new(status, origin),
                initial: slot.initial.take(),
                message: slot.received.pop_one(),
            };
            slot.retire();
            state.leave(key, false);
            Some(finished)
        });
        if let Found::Done(finished) = &found {
            // Only that it is over matters from now on.
            let status = Status::new(finished.outcome.status().code(), "");
            state.attempt = Attempt::Over(Arc::new(Outcome::new(status, Origin::Local)));
        }
        self.unlock(state);
        found
    }

    /// The response's headers; `Done` as well where the call ended well without.
    pub(super) fn poll_headers(&self, waker: &Waker) -> Found<()> {
        if self.initial.get().is_some() {
            return Found::Done(());
        }
        let found = self.poll(Side::Receive, waker, |state, key| {
            let slot = &mut state.slots[key];
            self.keep_initial(slot.initial.take());
            let ended = slot.ended.as_ref().is_some_and(|ended| ended.status.is_ok());
            (self.initial.get().is_some() || ended).then_some(())
        });
        match found {
            Found::Over(_) if self.initial.get().is_some() => Found::Done(()),
            found => found,
        }
    }

    /// Messages that came and were not read, at least one; their credit is given back.
    pub(super) fn poll_messages(&self, into: &mut VecDeque<Message>, waker: &Waker) -> Found<()> {
        self.poll(Side::Receive, waker, |state, key| {
            let slot = &mut state.slots[key];
            if slot.received.is_empty() {
                state.wants(key);
                return None;
            }
            self.keep_initial(slot.initial.take());
            state.take_messages(key, into);
            Some(())
        })
    }

    /// Sends a message if there is room for it; gives it back if there is none.
    pub(super) fn poll_push(&self, message: Message, waker: &Waker) -> Result<(), Unsent> {
        let mut message = Some(message);
        let found = self.poll(Side::Send, waker, |state, key| put(state, key, &mut message));
        found.sent(message)
    }
}

impl Connection {
    /// What `look` finds in an attempt's slot; else how the attempt ended, if it did. If it did
    /// not, `waker` is kept. The caller tells those who are to know, without locks of its own.
    fn poll<R>(
        &self,
        key: usize,
        side: Side,
        waker: &Waker,
        look: impl FnOnce(&mut State, usize) -> Option<R>,
    ) -> (Result<R, Option<Ended>>, Vec<Wake>) {
        let mut state = self.lock();
        let found = look(&mut state, key);
        let result = match found {
            Some(found) => Ok(found),
            None => {
                let slot = &mut state.slots[key];
                let ended = slot.ended.clone();
                if ended.is_none() {
                    slot.wakers[side as usize] = Some(waker.clone());
                }
                Err(ended)
            }
        };
        (result, state.release())
    }
}
