//! What a call's sender does.

use ferrpc_core::Time;
use ferrpc_core::transport::Message;
use std::sync::Arc;

use super::call::{Attempt, Call, Found, Pending};
use super::outcome::Outcome;
use super::slot::Side;
use super::state::State;

impl Call {
    /// Sends a message once there is room for it; gives it back if that takes longer than
    /// `limit`.
    pub(super) fn push(&self, message: Message, limit: Option<Time>) -> Result<(), Unsent> {
        let mut message = Some(message);
        let found = self.wait(Side::Send, limit, |state, key| put(state, key, &mut message));
        found.sent(message)
    }

    /// No more messages.
    pub(super) fn half_close(&self) {
        let mut state = self.lock();
        match &mut state.attempt {
            // It goes out with the attempt.
            Attempt::New(call) | Attempt::Pending(Pending { call, .. }) => call.half_close(),
            Attempt::On { connection, key } => {
                let later = connection.half_close(*key);
                state.later.extend(later);
            }
            Attempt::Over(_) | Attempt::Moving => {}
        }
        self.unlock(state);
    }
}

/// Why a message was not sent.
pub(super) enum Unsent {
    Over(Arc<Outcome>),
    Late(Message),
}

impl Found<()> {
    /// What looking for room came to, and the message if it was not taken.
    pub(super) fn sent(self, message: Option<Message>) -> Result<(), Unsent> {
        match self {
            Self::Done(()) => Ok(()),
            Self::Over(outcome) => Err(Unsent::Over(outcome)),
            Self::Late => Err(Unsent::Late(message.unwrap_or_default())),
        }
    }
}

/// Takes the message, if there is room for it.
pub(super) fn put(state: &mut State, key: usize, message: &mut Option<Message>) -> Option<()> {
    let slot = &mut state.slots[key];
    if slot.ended.is_some() || !slot.has_room() {
        return None;
    }
    slot.call.push(message.take()?);
    state.send(key);
    Some(())
}
