//! A call of a thread, above its attempts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrpc_core::call::{CallConfig, ClientCall, Next};
use ferrpc_core::transport::{Message, TransparentRetry};
use ferrpc_core::{Encoding, Metadata, Status, Time};

use super::channel::Shared;
use super::connection::{Connection, Ended, Side, Slot, State};
use crate::client::Head;
use crate::transport::clock;

/// One call. Its two sides may be used by two threads.
pub(super) struct Call {
    channel: Arc<Shared>,
    pub(super) head: Arc<Head>,
    attempt: Mutex<Attempt>,
}

enum Attempt {
    /// It was not begun, or ended and begins anew.
    None(ClientCall),
    /// It runs, or is over.
    On { connection: Arc<Connection>, key: usize },
    /// On its way from one to the other.
    Moving,
    /// The call is over.
    Over(Status),
}

/// What a side finds while an attempt runs.
pub(super) enum Found<R> {
    /// What it looked for.
    Done(R),
    /// The call is over.
    Over(Status),
}

impl Call {
    pub(super) fn new(
        channel: Arc<Shared>,
        head: Head,
        config: CallConfig,
        message: Option<Message>,
    ) -> Self {
        let mut call = ClientCall::new(config);
        if let Some(message) = message {
            call.push(message);
            call.half_close();
        }
        Self { channel, head: Arc::new(head), attempt: Mutex::new(Attempt::None(call)) }
    }

    /// Waits until `look` finds something in the call's slot or the call is over; attempts it
    /// again where that is to be done unseen.
    pub(super) fn wait<R>(
        &self,
        side: Side,
        mut look: impl FnMut(&mut State, usize) -> Option<R>,
    ) -> Found<R> {
        loop {
            let (connection, key) = match self.running() {
                Ok(attempt) => attempt,
                Err(status) => return Found::Over(status),
            };
            let result = connection.wait(key, side, |state| {
                if let Some(found) = look(state, key) {
                    return Some(Ok(found));
                }
                let slot = &mut state.slots[key];
                if let Some(ended) = &slot.ended {
                    return Some(Err(Some(ended.clone())));
                }
                // No timer of the transport's: the caller sees to its deadline.
                let queued = slot.is_queued();
                let late = slot.call.deadline().filter(|at| queued && *at <= clock::now());
                late.map(|_| Err(None))
            });
            let ended = match result {
                Ok(found) => return Found::Done(found),
                Err(Some(ended)) => ended,
                Err(None) => {
                    let text = "the deadline passed while waiting for a stream: the server has \
                                as many calls on this connection as it takes";
                    let status = Status::new(ferrpc_core::Code::DeadlineExceeded, text);
                    Ended { status, retry: TransparentRetry::No }
                }
            };
            if side == Side::Send && ended.retry == TransparentRetry::No {
                // What was received before the end is still to be read by the other side.
                return Found::Over(ended.status);
            }
            if let Some(status) = self.after(&connection, key, ended) {
                return Found::Over(status);
            }
        }
    }

    /// The running attempt, entered for one wait; begins one if there is none.
    fn running(&self) -> Result<(Arc<Connection>, usize), Status> {
        let mut attempt = self.lock();
        match &*attempt {
            Attempt::On { connection, key } => {
                connection.enter(*key);
                return Ok((Arc::clone(connection), *key));
            }
            Attempt::Over(status) => return Err(status.clone()),
            Attempt::None(_) | Attempt::Moving => {}
        }
        let Attempt::None(call) = std::mem::replace(&mut *attempt, Attempt::Moving) else {
            unreachable!("it moves only within this function, which holds the lock");
        };
        let (deadline, wait) = (call.deadline(), call.handle_unavailable());
        match self.channel.connection(deadline, wait) {
            Ok(connection) => {
                let key = connection.begin(Arc::clone(&self.head), call);
                *attempt = Attempt::On { connection: Arc::clone(&connection), key };
                Ok((connection, key))
            }
            Err(status) => {
                *attempt = Attempt::Over(status.clone());
                Err(status)
            }
        }
    }

    /// The attempt ended: the call's status if it is over, `None` if another attempt is due.
    fn after(&self, connection: &Arc<Connection>, key: usize, ended: Ended) -> Option<Status> {
        let mut attempt = self.lock();
        match &*attempt {
            Attempt::On { connection: current, key: current_key }
                if Arc::ptr_eq(current, connection) && *current_key == key => {}
            // The other side was first.
            Attempt::Over(status) => return Some(status.clone()),
            _ => return None,
        }
        let mut call = connection.abandon(key);
        if ended.retry != TransparentRetry::No {
            let now = clock::now();
            if let Next::AttemptAt(at) = call.handle_finished(now, ended.retry) {
                let end = call.deadline().unwrap_or(Time::MAX);
                std::thread::sleep(at.min(end).since(now));
                *attempt = Attempt::None(call);
                return None;
            }
        }
        *attempt = Attempt::Over(ended.status.clone());
        Some(ended.status)
    }

    /// Sends a message once there is room for it; the status if the call is over.
    pub(super) fn push(&self, message: Message) -> Result<(), Status> {
        let mut message = Some(message);
        let found = self.wait(Side::Send, |state, key| {
            let slot = &mut state.slots[key];
            if slot.ended.is_some() || !slot.has_room() {
                return None;
            }
            slot.call.push(message.take()?);
            state.send(key);
            Some(())
        });
        match found {
            Found::Done(()) => Ok(()),
            Found::Over(status) => Err(status),
        }
    }

    /// No more messages.
    pub(super) fn half_close(&self) {
        if let Attempt::None(call) = &mut *self.lock() {
            // It goes out when the other side begins to wait.
            call.half_close();
            return;
        }
        // A call that is over needs none.
        let _ = self.wait(Side::Send, |state, key| {
            let slot = &mut state.slots[key];
            if slot.ended.is_some() {
                return None;
            }
            slot.call.half_close();
            state.send(key);
            Some(())
        });
    }

    /// Waits for the end of a call with one response.
    pub(super) fn finish(&self) -> (Status, Option<(Metadata, Encoding)>, Option<Message>) {
        let found = self.wait(Side::Receive, |state, key| {
            let slot: &mut Slot = &mut state.slots[key];
            slot.ended.as_ref().filter(|ended| ended.retry == TransparentRetry::No)?;
            let status = slot.ended.take()?.status;
            let found = (status, slot.initial.take(), slot.received.pop_front());
            // Nobody else uses a call that is waited for its end: the slot goes with this wait.
            slot.retire();
            Some(found)
        });
        match found {
            Found::Done((status, initial, message)) => {
                *self.lock() = Attempt::Over(Status::new(status.code(), ""));
                (status, initial, message)
            }
            Found::Over(status) => (status, None, None),
        }
    }

    /// Waits for the response's headers; none if the call ended without.
    pub(super) fn headers(&self) -> Result<Option<(Metadata, Encoding)>, Status> {
        let found = self.wait(Side::Receive, |state, key| {
            let slot = &mut state.slots[key];
            let ended = slot.ended.as_ref().is_some_and(|ended| ended.status.is_ok());
            if slot.initial.is_some() || ended { Some(slot.initial.take()) } else { None }
        });
        match found {
            Found::Done(initial) => Ok(initial),
            Found::Over(status) => Err(status),
        }
    }

    /// The next message; the status after the last.
    pub(super) fn message(&self) -> Result<Message, Status> {
        let found = self.wait(Side::Receive, |state, key| {
            let message = state.slots[key].received.pop_front()?;
            state.release(key, message.payload.len());
            Some(message)
        });
        match found {
            Found::Done(message) => Ok(message),
            Found::Over(status) => Err(status),
        }
    }

    /// Whether it is not known to be over.
    pub(super) fn is_running(&self) -> bool {
        match &*self.lock() {
            Attempt::On { connection, key } => connection.is_open(*key),
            Attempt::None(_) | Attempt::Moving => true,
            Attempt::Over(_) => false,
        }
    }

    /// The call is of no more use: cancels it if it is not over.
    pub(super) fn cancel(&self, status: Status) {
        self.over(status);
    }

    fn over(&self, status: Status) {
        let mut attempt = self.lock();
        if let Attempt::On { connection, key } = &*attempt {
            connection.abandon(*key);
        }
        if !matches!(&*attempt, Attempt::Over(_)) {
            *attempt = Attempt::Over(status);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.over(Status::new(ferrpc_core::Code::Cancelled, "the call was dropped"));
    }
}
