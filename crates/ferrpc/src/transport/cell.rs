//! What the connection's task and the user of one streaming call share.
//!
//! ```text
//!                      received messages -->
//!   connection's task    consumed credit <--    handler, on any task or thread
//!                      outgoing messages <--
//!                                   room -->
//! ```
//!
//! One small lock guards the queues of one call. Whoever waits on the user's side leaves a waker;
//! the connection is told through its mailbox to look at the cell, once until it has looked.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ferrpc_core::transport::{CallId, Message, Messages};
use ferrpc_core::{Code, Encoding, Metadata, Status};

use super::inbox::{CREDIT_BATCH, Credit, Inbox, Receive, keep_waker};
use super::mailbox::Mailbox;

/// How a cell makes its connection look at it.
pub(crate) trait Doorbell: Send + Sync {
    /// The cell of `call` has something for the connection.
    fn touch(&self, call: CallId);
}

/// The shared part of one streaming call.
pub(crate) struct Cell {
    call: CallId,
    bell: Arc<dyn Doorbell>,
    state: Mutex<State>,
}

struct State {
    inbox: Inbox,
    /// Nothing is received after what is queued.
    ended: bool,
    reading: Reading,
    outgoing: VecDeque<Outgoing>,
    /// What `outgoing` weighs, see [`weight`].
    outgoing_weight: usize,
    /// The transport takes no more until it says that it is writable.
    full: bool,
    sender: Option<Waker>,
    /// Waits for the end of the call and nothing else.
    watcher: Option<Waker>,
    /// The connection has been told to look, or looks anyway.
    touched: bool,
    /// The call is over: why, for those who still use it.
    over: Option<Status>,
}

/// Whether anybody reads what is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Wanted,
    /// No more, and the connection has not seen it. What comes is dropped.
    Stopped,
    /// No more, and nothing comes.
    Over,
}

/// What a handler sends, in order.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The initial metadata, and how compressed messages are.
    Headers(Metadata, Encoding),
    /// A message, or several.
    Messages(Messages),
    /// The end of the call.
    Finish(Status),
}

/// Whether more may be sent after what was just queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Yes.
    Free,
    /// Wait for [`Cell::poll_send_ready`].
    Full,
    /// The call is over; it was dropped.
    Over,
}

/// A look of the connection into a cell; it holds the cell's lock, so it must be short.
pub(crate) struct Look<'a> {
    state: MutexGuard<'a, State>,
}

impl<C: Send> Doorbell for Mailbox<C> {
    fn touch(&self, call: CallId) {
        Self::touch(self, call);
    }
}

impl Cell {
    pub(crate) fn new(call: CallId, bell: Arc<dyn Doorbell>) -> Arc<Self> {
        let state = State {
            inbox: Inbox::default(),
            ended: false,
            reading: Reading::Wanted,
            outgoing: VecDeque::new(),
            outgoing_weight: 0,
            full: false,
            sender: None,
            watcher: None,
            touched: false,
            over: None,
        };
        Arc::new(Self { call, bell, state: Mutex::new(state) })
    }

    // -- the connection's side ------------------------------------------------------------------

    /// Messages came.
    pub(crate) fn push_received(&self, messages: Messages) {
        let mut state = self.lock();
        if state.over.is_some() || state.reading != Reading::Wanted {
            return;
        }
        let waker = state.inbox.push(messages);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Whether the consumer waits for a message. If not, a look finds out when it does.
    pub(crate) fn ask_demand(&self) -> bool {
        self.lock().inbox.ask_demand()
    }

    /// Nothing more will come.
    pub(crate) fn end_received(&self) {
        let mut state = self.lock();
        state.ended = true;
        let waker = state.inbox.take_receiver();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The transport has room again.
    pub(crate) fn writable(&self) {
        self.lock().full = false;
    }

    /// The call is over: everybody who uses it further gets `status`; what is queued is dropped.
    pub(crate) fn close(&self, status: Status) {
        let mut state = self.lock();
        if state.over.is_some() {
            return;
        }
        state.over = Some(status);
        let dropped = (state.inbox.take_unread(), std::mem::take(&mut state.outgoing));
        let wakers = [state.inbox.take_receiver(), state.sender.take(), state.watcher.take()];
        drop(state);
        drop(dropped);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// From now until [`look`](Self::look), the user's side need not ring: the connection will
    /// look. For handlers that are polled by the connection itself.
    pub(crate) fn expect_look(&self) {
        self.lock().touched = true;
    }

    /// Looks at what the user's side left. Call [`Look::done`] at the end.
    pub(crate) fn look(&self) -> Look<'_> {
        let mut state = self.lock();
        state.touched = false;
        Look { state }
    }

    // -- the user's side ------------------------------------------------------------------------

    /// Ready when a message may be sent; an error when the call is over.
    pub(crate) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        let mut state = self.lock();
        if let Some(status) = &state.over {
            return Poll::Ready(Err(status.clone()));
        }
        if !state.full && state.outgoing_weight < OUTGOING_LIMIT {
            return Poll::Ready(Ok(()));
        }
        keep_waker(&mut state.sender, cx);
        Poll::Pending
    }

    /// Queues something to be sent, whether or not there is room.
    pub(crate) fn send(&self, item: Outgoing) -> Room {
        let mut state = self.lock();
        if state.over.is_some() {
            return Room::Over;
        }
        state.outgoing_weight += weight(&item);
        state.outgoing.push_back(item);
        let full = state.full;
        let room =
            if full || state.outgoing_weight >= OUTGOING_LIMIT { Room::Full } else { Room::Free };
        let ends = matches!(state.outgoing.front(), Some(Outgoing::Finish(_)));
        if !full || ends {
            self.ring(state);
        }
        room
    }

    /// The one request of a call, which is there; an error if the call is over.
    pub(crate) fn take_one(&self) -> Result<Message, Status> {
        let mut state = self.lock();
        if let Some(message) = state.inbox.pop_one() {
            state.inbox.give(Credit::one(message.payload.len()));
            self.ring(state);
            return Ok(message);
        }
        Err(state.over.clone().unwrap_or_else(|| Status::new(Code::Internal, "taken twice")))
    }

    /// Drops what was received; more is dropped as it comes, without credit for it, so that the
    /// peer stops sending by and by.
    pub(crate) fn stop_receiving(&self) {
        let mut state = self.lock();
        let dropped = state.inbox.take_unread();
        let nothing_held = state.ended && dropped.is_empty() && !state.inbox.has_credit();
        if state.over.is_none() && !nothing_held {
            state.reading = Reading::Stopped;
            self.ring(state);
        } else {
            drop(state);
        }
        drop(dropped);
    }

    /// Whether the call is over, as far as the connection has said.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().over.is_some()
    }

    /// Ready when the call is over, with the reason.
    pub(crate) fn poll_over(&self, cx: &mut Context<'_>) -> Poll<Status> {
        let mut state = self.lock();
        if let Some(status) = &state.over {
            return Poll::Ready(status.clone());
        }
        keep_waker(&mut state.watcher, cx);
        Poll::Pending
    }

    fn ring(&self, mut state: MutexGuard<'_, State>) {
        if !state.touched {
            state.touched = true;
            drop(state);
            self.bell.touch(self.call);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receive for Cell {
    /// `None`: all was received. An error: the call is over.
    type End = Option<Status>;

    fn poll_messages(
        &self,
        cx: &Context<'_>,
        read: Credit,
    ) -> Poll<Result<Messages, Option<Status>>> {
        let mut state = self.lock();
        state.inbox.give(read);
        if let Some(messages) = state.inbox.pop() {
            if state.inbox.is_credit_due(CREDIT_BATCH) {
                self.ring(state);
            }
            return Poll::Ready(Ok(messages));
        }
        if let Some(status) = &state.over {
            return Poll::Ready(Err(Some(status.clone())));
        }
        if state.ended {
            return Poll::Ready(Err(None));
        }
        if state.inbox.wait(cx) {
            self.ring(state);
        }
        Poll::Pending
    }

    fn give(&self, read: Credit) {
        let mut state = self.lock();
        state.inbox.give(read);
        self.ring(state);
    }
}

impl Look<'_> {
    /// What was consumed since the last look.
    pub(crate) fn take_credit(&mut self) -> Option<Credit> {
        self.state.inbox.take_credit()
    }

    /// Whether the consumer waits, where the connection wanted to know; said once.
    pub(crate) fn take_demand(&mut self) -> bool {
        self.state.inbox.take_demand()
    }

    /// Whether nobody reads any more; said once.
    pub(crate) fn take_stop(&mut self) -> bool {
        let stops = self.state.reading == Reading::Stopped;
        if stops {
            self.state.reading = Reading::Over;
        }
        stops
    }

    /// The next thing to send, unless the transport is full. The end of the call needs no room.
    pub(crate) fn next(&mut self) -> Option<Outgoing> {
        let state = &mut *self.state;
        let ends = |item: &Outgoing| matches!(item, Outgoing::Finish(_));
        if state.full && !state.outgoing.front().is_some_and(ends) {
            return None;
        }
        let item = state.outgoing.pop_front()?;
        state.outgoing_weight -= weight(&item);
        Some(item)
    }

    /// The transport takes no more for now.
    pub(crate) fn set_full(&mut self) {
        self.state.full = true;
    }

    /// Whether everything queued was taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.state.outgoing.is_empty()
    }

    /// Ends the look, and wakes the user's side if there is room for more.
    pub(crate) fn done(mut self) {
        if !self.state.full && self.state.outgoing_weight < OUTGOING_LIMIT {
            let waker = self.state.sender.take();
            drop(self.state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("call", &self.call).finish_non_exhaustive()
    }
}

/// What an item counts for against [`OUTGOING_LIMIT`]: many empty messages are not free either.
fn weight(item: &Outgoing) -> usize {
    match item {
        Outgoing::Messages(messages) => messages.payload_bytes() + ITEM_OVERHEAD,
        _ => ITEM_OVERHEAD,
    }
}

/// What a call may queue here before it has to wait; one message more may go over it.
const OUTGOING_LIMIT: usize = 64 << 10;

/// Memory of a queued item beside its payload, roughly.
const ITEM_OVERHEAD: usize = 64;
