//! What a call's reader does.

use std::collections::VecDeque;
use std::sync::Arc;

use ferrpc_core::transport::Message;
use ferrpc_core::{Encoding, Metadata, Status, Time};

use super::call::{Attempt, Call, Found};
use super::outcome::{Ended, Origin, Outcome};
use super::slot::Side;

impl Call {
    /// Waits for the end of a call with one response, which no other thread knows of.
    pub(super) fn finish(&self, limit: Option<Time>) -> Found<Finished> {
        let found = self.wait(Side::Receive, limit, |state, key| {
            let slot = &mut state.slots[key];
            slot.ended.as_ref().filter(|ended| ended.is_final())?;
            let Ended { status, origin, .. } = slot.ended.take()?;
            let found = Finished {
                outcome: Outcome::new(status, origin),
                initial: slot.initial.take(),
                message: slot.received.pop_one(),
            };
            // Nobody else uses a call that is waited for its end: the slot goes with this wait.
            slot.retire();
            Some(found)
        });
        if let Found::Done(finished) = &found {
            // Only that it is over matters from now on.
            let status = Status::new(finished.outcome.status().code(), "");
            let outcome = Outcome::new(status, Origin::Local);
            let mut state = self.lock();
            state.attempt = Attempt::Over(Arc::new(outcome));
            self.unlock(state);
        }
        found
    }

    /// Waits for the end, and reads nothing.
    pub(super) fn ended(&self, limit: Option<Time>) -> Found<Arc<Outcome>> {
        self.wait(Side::Receive, limit, |state, key| {
            let ended = state.slots[key].ended.as_ref()?;
            ended
                .is_final()
                .then(|| Arc::new(Outcome::new(ended.status.clone(), ended.origin.clone())))
        })
    }

    /// Waits for the response's headers; none if the call ended without.
    pub(super) fn headers(&self, limit: Option<Time>) -> Found<Option<&(Metadata, Encoding)>> {
        if let Some(initial) = self.initial.get() {
            return Found::Done(Some(initial));
        }
        let found = self.wait(Side::Receive, limit, |state, key| {
            let slot = &mut state.slots[key];
            // Under the connection's lock, so that of two threads none misses them.
            self.keep_initial(slot.initial.take());
            let ended = slot.ended.as_ref().is_some_and(|ended| ended.status.is_ok());
            (self.initial.get().is_some() || ended).then_some(())
        });
        match found {
            Found::Done(()) => Found::Done(self.initial.get()),
            // They came, and the end right behind them.
            Found::Over(outcome) => match self.initial.get() {
                Some(initial) => Found::Done(Some(initial)),
                None => Found::Over(outcome),
            },
            Found::Late => Found::Late,
        }
    }

    /// The next message; the status after the last.
    pub(super) fn message(&self, limit: Option<Time>) -> Found<Message> {
        self.wait(Side::Receive, limit, |state, key| {
            let slot = &mut state.slots[key];
            let Some(message) = slot.received.pop_one() else {
                state.wants(key);
                return None;
            };
            self.keep_initial(slot.initial.take());
            state.release(key, 1, message.payload.len());
            Some(message)
        })
    }

    /// Messages that came and were not read, at least one; their credit is given back.
    pub(super) fn messages(&self, into: &mut VecDeque<Message>, limit: Option<Time>) -> Found<()> {
        self.wait(Side::Receive, limit, |state, key| {
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

    /// The response's headers, if they are known.
    pub(super) fn known_headers(&self) -> Option<&(Metadata, Encoding)> {
        self.initial.get()
    }

    pub(super) fn keep_initial(&self, initial: Option<(Metadata, Encoding)>) {
        if let Some(initial) = initial {
            // Only the attempt that brought headers has them, and it is the last.
            let _ = self.initial.set(initial);
        }
    }
}

/// A unary call at its end.
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    pub(super) initial: Option<(Metadata, Encoding)>,
    pub(super) message: Option<Message>,
}
