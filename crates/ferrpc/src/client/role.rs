//! The client's half of a connection's task: which call is on which stream, and which wait for
//! one.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Weak};
use std::task::Waker;

use ferrpc_core::http2::CloseCause;
use ferrpc_core::transport::TransparentRetry;
use ferrpc_core::transport::{
    CallId, Cardinality, Event, Message, Messages, SendState, StartError,
};
use ferrpc_core::{Code, Encoding, Metadata, Status};

use super::call::{Attempt, CallCell, Ended, State};
use super::subchannel::{Subchannel, Watched};
use crate::resolver::Target;
use crate::transport::driver::{Context, Role};
use crate::transport::mailbox::Mailbox;

/// What a connection can be asked for.
pub(crate) enum Command {
    /// Carry this call.
    Start(Start),
    /// Calls were given up while they waited for a stream: forget them.
    SweepQueue,
    /// No new calls; the connection ends when those it has are over.
    Drain,
    /// End now; the calls it has end with this status.
    Close(Status),
}

/// A call on its way to a connection. Dropped on the way, the call learns that it never left.
pub(crate) struct Start(Option<Arc<CallCell>>);

/// The role of a client's connection.
pub(crate) struct ClientRole {
    /// Which of the subchannel's connections this is.
    id: u64,
    subchannel: Weak<Subchannel>,
    mailbox: Arc<Mailbox<Command>>,
    /// By [`CallId::slot`].
    slots: Vec<Option<Slot>>,
    /// Calls beyond the peer's limit of streams, in the order in which they came.
    queue: VecDeque<Start>,
    /// Calls in the queue that were given up since it was last swept.
    given_up: usize,
    /// Calls that have a stream.
    open: usize,
    /// Callers to be woken at the end of the batch: then what they get is all there.
    wakers: Vec<Waker>,
    draining: bool,
    /// Whether it was said that calls wait because the server takes no more streams.
    said_full: bool,
    watched: Option<Watched>,
}

/// A call that has a stream.
struct Slot {
    call: CallId,
    cell: Arc<CallCell>,
    /// Unary calls hear of nothing but their end: what comes before is gathered here, and the
    /// cell's lock is taken once.
    unary: bool,
    initial: Option<(Metadata, Encoding)>,
    message: Option<Message>,
}

impl Start {
    pub(super) const fn new(cell: Arc<CallCell>) -> Self {
        Self(Some(cell))
    }

    fn take(mut self) -> Option<Arc<CallCell>> {
        self.0.take()
    }

    fn is_given_up(&self) -> bool {
        self.0.as_ref().is_none_or(|cell| cell.lock().is_over())
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take() {
            cell.never_sent();
        }
    }
}

impl ClientRole {
    pub(super) const fn new(
        id: u64,
        subchannel: Weak<Subchannel>,
        mailbox: Arc<Mailbox<Command>>,
    ) -> Self {
        Self {
            id,
            subchannel,
            mailbox,
            slots: Vec::new(),
            queue: VecDeque::new(),
            given_up: 0,
            open: 0,
            wakers: Vec::new(),
            draining: false,
            said_full: false,
            watched: None,
        }
    }

    /// Gives a call a stream; false if it has to wait for one (and is then back in the queue, at
    /// its front).
    fn start(&mut self, ctx: &mut Context<'_>, start: Start) -> bool {
        let Some(cell) = start.take() else { return true };
        let mut state = cell.lock();
        if state.is_over() {
            return true;
        }
        let started = ctx.transport.start_call(ctx.now, &cell.head.start(state.call.deadline()));
        match started {
            Ok(call) => {
                let mailbox = Arc::clone(&self.mailbox);
                state.attempt = Attempt::Running { mailbox, call };
                state.touched = false;
                send(ctx, call, &mut state);
                let room = state.has_room();
                self.wakers.extend(room.then(|| state.sender.take()).flatten());
                drop(state);
                self.put(call, cell);
            }
            Err(StartError::StreamLimit) => {
                if !matches!(state.attempt, Attempt::Queued { .. }) {
                    let mailbox = Arc::clone(&self.mailbox);
                    state.attempt = Attempt::Queued { mailbox };
                    self.wakers.extend(watch_deadline(&mut state));
                }
                drop(state);
                self.say_full();
                self.queue.push_front(Start::new(cell));
                return false;
            }
            Err(error @ StartError::MetadataTooLarge { .. }) => {
                self.fail(state, Status::new(Code::ResourceExhausted, error.to_string()));
            }
            Err(StartError::DeadlineExceeded) => self.fail(
                state,
                Status::new(
                    Code::DeadlineExceeded,
                    "the deadline passed before the request was sent",
                ),
            ),
            // Draining, and whatever else keeps this connection from taking calls.
            Err(_) => {
                drop(state);
                self.no_new_calls();
                cell.never_sent();
            }
        }
        true
    }

    /// Says once what makes a client slow for no reason that it could see.
    fn say_full(&mut self) {
        if !std::mem::replace(&mut self.said_full, true) {
            let target = self.subchannel.upgrade().map(|subchannel| subchannel.target().clone());
            tracing::warn!(
                target_name = target.as_ref().map(Target::as_str),
                calls = self.open,
                "the server takes no more calls at a time on this connection: calls wait for others \
                 to end (SETTINGS_MAX_CONCURRENT_STREAMS)"
            );
        }
    }

    /// Starts calls that waited, as far as the peer lets us.
    fn start_queued(&mut self, ctx: &mut Context<'_>) {
        while let Some(start) = self.queue.pop_front() {
            if !self.start(ctx, start) {
                break;
            }
        }
    }

    fn fail(&mut self, mut state: std::sync::MutexGuard<'_, State>, status: Status) {
        state.attempt = Attempt::None;
        state.ended.get_or_insert(Ended { status, retry: TransparentRetry::No });
        self.wakers.extend(state.take_wakers().into_iter().flatten());
    }

    /// New calls go elsewhere, those that wait too.
    fn no_new_calls(&mut self) {
        self.draining = true;
        if let Some(subchannel) = self.subchannel.upgrade() {
            subchannel.connection_lost(self.id);
        }
        // Dropping them tells them, after the subchannel knows: they go straight to a new
        // connection.
        drop(mem::take(&mut self.queue));
    }

    fn put(&mut self, call: CallId, cell: Arc<CallCell>) {
        let index = call.slot();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let unary = cell.head.cardinality == Cardinality::Unary;
        self.slots[index] = Some(Slot { call, cell, unary, initial: None, message: None });
        self.open += 1;
    }

    fn slot(&mut self, call: CallId) -> Option<&mut Slot> {
        self.slots.get_mut(call.slot())?.as_mut().filter(|slot| slot.call == call)
    }

    fn take(&mut self, call: CallId) -> Option<Slot> {
        let slot = self.slots.get_mut(call.slot())?.take_if(|slot| slot.call == call)?;
        self.open -= 1;
        Some(slot)
    }

    fn on_headers(&mut self, call: CallId, metadata: Metadata, encoding: Encoding) {
        let Some(slot) = self.slot(call) else { return };
        if slot.unary {
            slot.initial = Some((metadata, encoding));
            return;
        }
        let mut state = slot.cell.lock();
        state.call.handle_headers();
        state.initial = Some((metadata, encoding));
        let waker = state.inbox.take_receiver();
        drop(state);
        self.wakers.extend(waker);
    }

    fn on_message(&mut self, call: CallId, message: Message) {
        let Some(slot) = self.slot(call) else { return };
        match slot.cell.head.cardinality {
            Cardinality::Unary => slot.message = Some(message),
            // It is of use at the call's end only.
            Cardinality::ClientStreaming => slot.cell.lock().inbox.push_quietly(message),
            _ => self.on_messages(call, message.into()),
        }
    }

    fn on_messages(&mut self, call: CallId, messages: Messages) {
        let Some(slot) = self.slot(call) else { return };
        let waker = slot.cell.lock().inbox.push(messages);
        self.wakers.extend(waker);
    }

    fn on_finished(&mut self, call: CallId, status: Status, retry: TransparentRetry) {
        let Some(slot) = self.take(call) else { return };
        let mut state = slot.cell.lock();
        state.attempt = Attempt::None;
        if slot.initial.is_some() {
            state.call.handle_headers();
            state.initial = slot.initial;
        }
        if let Some(message) = slot.message {
            state.inbox.push_quietly(message);
        }
        // A committed call has no other attempt.
        let retry = if state.call.is_committed() { TransparentRetry::No } else { retry };
        if state.ended.is_none() {
            state.ended = Some(Ended { status, retry });
        }
        let wakers = state.take_wakers();
        drop(state);
        self.wakers.extend(wakers.into_iter().flatten());
    }

    /// Does what the caller left in the cell.
    fn look(&mut self, ctx: &mut Context<'_>, call: CallId) {
        let Some(slot) = self.slot(call) else { return };
        let mut state = slot.cell.lock();
        state.touched = false;
        if state.cancelled {
            state.attempt = Attempt::None;
            drop(state);
            ctx.transport.cancel(ctx.now, call);
            self.take(call);
            return;
        }
        if let Some(credit) = state.inbox.take_credit() {
            ctx.transport.release(ctx.now, call, credit.messages, credit.payload);
        }
        if state.inbox.take_demand() {
            ctx.transport.want(ctx.now, call);
        }
        send(ctx, call, &mut state);
        let waker = if state.has_room() { state.sender.take() } else { None };
        drop(state);
        self.wakers.extend(waker);
    }
}

impl Role for ClientRole {
    type Command = Command;

    fn on_event(&mut self, ctx: &mut Context<'_>, event: Event) {
        match event {
            Event::Headers { call, metadata, encoding } => {
                self.on_headers(call, metadata, encoding);
            }
            Event::Message { call, message } => self.on_message(call, message),
            Event::Messages { call, run } => self.on_messages(call, run.into()),
            Event::Writable { call } => {
                if let Some(slot) = self.slot(call) {
                    slot.cell.lock().full = false;
                    self.look(ctx, call);
                }
            }
            Event::Withheld { call } => {
                let asked = self.slot(call).is_some_and(|slot| slot.cell.lock().inbox.ask_demand());
                if asked {
                    ctx.transport.want(ctx.now, call);
                }
            }
            Event::Finished { call, status, retry, .. } => self.on_finished(call, status, retry),
            Event::StreamsAvailable => self.start_queued(ctx),
            Event::Ready => {
                if let Some(subchannel) = self.subchannel.upgrade() {
                    self.watched = subchannel.connection_ready(self.id, &self.mailbox);
                }
            }
            Event::Draining => self.no_new_calls(),
            // The end of a response is in `Finished`; the rest is for servers.
            _ => {}
        }
    }

    fn on_command(&mut self, ctx: &mut Context<'_>, command: Command) {
        match command {
            // Dropped: it goes to another connection.
            Command::Start(_) if self.draining => {}
            Command::Start(start) if self.queue.is_empty() => {
                self.start(ctx, start);
            }
            Command::Start(start) => {
                // Behind those that came before. `start` marks what it puts back as queued, this
                // is marked here.
                if let Some(cell) = &start.0 {
                    let mut state = cell.lock();
                    if state.is_over() {
                        return;
                    }
                    state.attempt = Attempt::Queued { mailbox: Arc::clone(&self.mailbox) };
                    self.wakers.extend(watch_deadline(&mut state));
                }
                self.queue.push_back(start);
            }
            Command::SweepQueue => {
                // Half of it at least goes away each time, so that this costs little per call.
                self.given_up += 1;
                if self.given_up * 2 >= self.queue.len() {
                    self.given_up = 0;
                    self.queue.retain(|start| !start.is_given_up());
                }
            }
            Command::Drain => {
                self.no_new_calls();
                ctx.transport.shutdown(ctx.now, None);
            }
            Command::Close(status) => {
                self.no_new_calls();
                for slot in mem::take(&mut self.slots).into_iter().flatten() {
                    ctx.transport.cancel(ctx.now, slot.call);
                    self.fail(slot.cell.lock(), status.clone());
                }
                ctx.transport.shutdown(ctx.now, None);
            }
        }
    }

    fn on_touched(&mut self, ctx: &mut Context<'_>, call: CallId) {
        self.look(ctx, call);
    }

    fn end_batch(&mut self, _: &mut Context<'_>) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn expects_more(&self) -> bool {
        // A call that is alone is not made to wait for others.
        self.open > 1
    }

    fn on_closed(&mut self, ctx: &mut Context<'_>, cause: &CloseCause) {
        if let Some(subchannel) = self.subchannel.upgrade() {
            subchannel.connection_closed(self.id, cause);
        }
        self.no_new_calls();
        self.lose_calls(&format!("the connection was lost: {cause}"));
        self.end_batch(ctx);
        if let Some(watched) = self.watched.take() {
            watched.ended(&cause.to_string());
        }
    }
}

impl ClientRole {
    /// Ends what no event has ended.
    fn lose_calls(&mut self, why: &str) {
        for slot in mem::take(&mut self.slots).into_iter().flatten() {
            self.fail(slot.cell.lock(), Status::new(Code::Unavailable, why.to_owned()));
        }
    }
}

impl Drop for ClientRole {
    /// The driver was dropped in the middle: its runtime shuts down.
    fn drop(&mut self) {
        self.no_new_calls();
        self.lose_calls(DROPPED);
        self.wakers.drain(..).for_each(Waker::wake);
        if let Some(watched) = self.watched.take() {
            watched.ended(DROPPED);
        }
    }
}

/// A call in the queue has no timer in the transport: it is woken to watch its deadline itself.
fn watch_deadline(state: &mut State) -> Option<Waker> {
    state.call.deadline().and_then(|_| state.inbox.take_receiver())
}

/// Hands the transport what it takes.
fn send(ctx: &mut Context<'_>, call: CallId, state: &mut State) {
    while !state.full {
        let Some(messages) = state.call.next_messages() else {
            if state.call.wants_half_close() {
                ctx.transport.half_close(ctx.now, call);
            }
            return;
        };
        ctx.queue(messages.payload_bytes());
        match ctx.transport.send_messages(ctx.now, call, messages) {
            SendState::Ready => {}
            SendState::Full => state.full = true,
            SendState::Gone => return,
        }
    }
    // The end of the messages needs no room.
    if state.call.wants_half_close() {
        ctx.transport.half_close(ctx.now, call);
    }
}

const DROPPED: &str = "the runtime that drove the connection has shut down";
