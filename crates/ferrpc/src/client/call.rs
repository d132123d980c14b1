//! What one call of a client shares with the connection that carries it.
//!
//! ```text
//!                 messages to send -->
//!   caller and   consumed credit  -->    connection's task (role.rs)
//!   its pump         cancellation -->
//!                <-- headers, messages, the end
//! ```
//!
//! The cell lives as long as the call, over all its attempts, of which at most one runs at a time.
//! It is handed to a connection by [`Command::Start`](super::role::Command); from then on the
//! caller rings the connection's mailbox when it has left something in the cell, once until the
//! connection has looked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ferrpc_core::call::{CallConfig, ClientCall};
use ferrpc_core::channel::AttemptEnd;
use ferrpc_core::transport::{CallId, Message, Messages};
use ferrpc_core::{Encoding, Metadata, Status, Time};
use ferrpc_net::clock;

use super::maker::Head;
use super::role::Command;
use crate::transport::inbox::{Credit, Inbox, Receive, keep_waker};
use crate::transport::mailbox::Mailbox;

/// One call: what it starts with, and what changes.
pub(crate) struct CallCell {
    pub(super) head: Head,
    state: Mutex<State>,
}

/// What changes during a call. The connection's task works on it directly.
pub(super) struct State {
    pub(super) call: ClientCall,
    pub(super) attempt: Attempt,
    /// The connection was told to look into the cell and has not yet.
    pub(super) touched: bool,
    /// The transport takes no messages for now.
    pub(super) full: bool,
    /// The caller has lost interest.
    pub(super) cancelled: bool,
    pub(super) initial: Option<(Metadata, Encoding)>,
    pub(super) inbox: Inbox,
    pub(super) ended: Option<AttemptEnd>,
    pub(super) sender: Option<Waker>,
}

/// Where the current attempt is.
pub(super) enum Attempt {
    /// There is none, or it is on its way to a connection.
    None,
    /// It waits, in this connection's queue, until the peer takes another stream.
    Queued { mailbox: Arc<Mailbox<Command>> },
    /// It has a stream.
    Running { mailbox: Arc<Mailbox<Command>>, call: CallId },
}

/// What a caller waits for.
pub(super) enum Progress {
    /// The response began, with these headers.
    Headers(Metadata, Encoding),
    /// The attempt is over. (A response that began is still in the cell.)
    Ended(AttemptEnd),
}

impl CallCell {
    pub(super) fn new(head: Head, config: CallConfig) -> Arc<Self> {
        let state = State {
            call: ClientCall::new(config),
            attempt: Attempt::None,
            touched: false,
            full: false,
            cancelled: false,
            initial: None,
            inbox: Inbox::default(),
            ended: None,
            sender: None,
        };
        Arc::new(Self { head, state: Mutex::new(state) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // -- sending ---------------------------------------------------------------------------------

    /// Ready when a message may be pushed; an error when the call is over. Keeps the waker in any
    /// case, so that a sender which waits for something else learns of the call's end.
    pub(super) fn poll_send_ready(&self, cx: &Context<'_>) -> Poll<Result<(), ()>> {
        let mut state = self.lock();
        if state.is_over() {
            return Poll::Ready(Err(()));
        }
        keep_waker(&mut state.sender, cx);
        if state.has_room() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Queues messages, whether or not there is room.
    pub(super) fn push(&self, messages: Messages) {
        let mut state = self.lock();
        if !state.is_over() {
            state.call.push(messages);
            if !state.full {
                ring(state);
            }
        }
    }

    /// No more messages follow.
    pub(super) fn half_close(&self) {
        let mut state = self.lock();
        if !state.is_over() {
            state.call.half_close();
            ring(state);
        }
    }

    /// Ends the call from this side: the stream is reset, and the caller gets `status`, unless the
    /// call is over already.
    pub(super) fn fail(&self, status: Status) {
        let mut state = self.lock();
        // An attempt that has just ended unsent would be followed by another, which has no sender.
        if state.is_over() {
            return;
        }
        state.cancelled = true;
        state.ended = Some(AttemptEnd::local(status));
        let wakers = state.take_wakers();
        leave(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// The caller has lost interest: resets the stream unless the call is over.
    pub(super) fn cancel(&self) {
        let mut state = self.lock();
        if state.is_over() {
            return;
        }
        state.cancelled = true;
        let wakers = state.take_wakers();
        leave(state);
        let [_, sender] = wakers;
        sender.into_iter().for_each(Waker::wake);
    }

    // -- receiving -------------------------------------------------------------------------------

    /// Waits for the end of the attempt.
    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<Progress> {
        let mut state = self.lock();
        if let Some(ended) = state.ended.take() {
            return Poll::Ready(Progress::Ended(ended));
        }
        if state.inbox.wait(cx) {
            ring(state);
        }
        Poll::Pending
    }

    /// Waits for the response to begin, or for any of what [`poll_end`](Self::poll_end) waits for.
    pub(super) fn poll_begin(&self, cx: &Context<'_>) -> Poll<Progress> {
        if let Some((metadata, encoding)) = self.lock().initial.take() {
            return Poll::Ready(Progress::Headers(metadata, encoding));
        }
        self.poll_end(cx)
    }

    /// The headers and the message of a unary response, after its end.
    pub(super) fn take_response(&self) -> (Option<(Metadata, Encoding)>, Option<Message>) {
        let mut state = self.lock();
        (state.initial.take(), state.inbox.pop_one())
    }

    // -- attempts --------------------------------------------------------------------------------

    /// A new attempt: to be called before the cell is handed to a connection.
    pub(super) fn begin_attempt(&self) {
        let mut state = self.lock();
        state.call.start_attempt();
        state.attempt = Attempt::None;
        state.full = false;
    }

    /// Puts the end back: the call is over for everybody who asks later.
    pub(super) fn finish(&self, status: Status) {
        let mut state = self.lock();
        state.ended = Some(AttemptEnd::local(status));
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// The attempt could not reach a connection.
    pub(super) fn never_sent(&self) {
        let mut state = self.lock();
        state.attempt = Attempt::None;
        if state.is_over() {
            return;
        }
        state.end(clock::now(), AttemptEnd::not_sent());
        let receiver = state.inbox.take_receiver();
        drop(state);
        receiver.into_iter().for_each(Waker::wake);
    }
}

impl Receive for CallCell {
    /// How the call ended.
    type End = Status;

    fn poll_messages(&self, cx: &Context<'_>, read: Credit) -> Poll<Result<Messages, Status>> {
        let mut state = self.lock();
        state.inbox.give(read);
        if let Some(messages) = state.inbox.pop() {
            if state.inbox.is_credit_due(self.head.credit_batch) {
                ring(state);
            }
            return Poll::Ready(Ok(messages));
        }
        if let Some(ended) = &mut state.ended {
            // The end stays, so that everybody sees that the call is over; what it says is told
            // once.
            let code = ended.status.code();
            return Poll::Ready(Err(std::mem::replace(&mut ended.status, Status::new(code, ""))));
        }
        if state.inbox.wait(cx) {
            ring(state);
        }
        Poll::Pending
    }

    fn give(&self, read: Credit) {
        let mut state = self.lock();
        state.inbox.give(read);
        ring(state);
    }
}

impl State {
    /// Whether nothing can be sent any more.
    pub(super) fn is_over(&self) -> bool {
        self.cancelled || self.ended.as_ref().is_some_and(AttemptEnd::is_final)
    }

    /// An attempt is over, unless it was before: the call decides what follows.
    pub(super) fn end(&mut self, now: Time, mut end: AttemptEnd) {
        if self.ended.is_none() {
            self.call.handle_end(now, &mut end);
            self.ended = Some(end);
        }
    }

    /// Whether the sender may go on.
    pub(super) fn has_room(&self) -> bool {
        !self.full && self.call.unsent() < UNSENT_LIMIT
    }

    pub(super) fn take_wakers(&mut self) -> [Option<Waker>; 2] {
        [self.inbox.take_receiver(), self.sender.take()]
    }
}

/// Makes the connection that carries the attempt look into the cell. Without one there is nothing
/// to do: it looks when it gets the cell.
fn ring(mut state: MutexGuard<'_, State>) {
    if state.touched {
        return;
    }
    if let Attempt::Running { mailbox, call } = &state.attempt {
        let (mailbox, call) = (Arc::clone(mailbox), *call);
        state.touched = true;
        drop(state);
        mailbox.touch(call);
    }
}

/// Tells the connection that the call is given up.
fn leave(state: MutexGuard<'_, State>) {
    if let Attempt::Queued { mailbox } = &state.attempt {
        let mailbox = Arc::clone(mailbox);
        drop(state);
        // If the connection is gone, so is its queue.
        let _ = mailbox.send(Command::SweepQueue);
    } else {
        ring(state);
    }
}

/// What a call may queue here before its sender has to wait; one message more may go over it.
const UNSENT_LIMIT: usize = 64 << 10;

impl std::fmt::Debug for CallCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallCell").field("path", &self.head.path).finish_non_exhaustive()
    }
}
