//! The client's half of a connection's task: which call is on which stream, and which wait for
//! one.

use std::sync::{Arc, MutexGuard, Weak};
use std::task::Waker;

use ferrpc_core::channel::{AttemptEnd, Calls, ConnectionId, Start as Started, Turn};
use ferrpc_core::http2::CloseCause;
use ferrpc_core::transport::{CallId, Cardinality, Event, Message, Messages, SendState};
use ferrpc_core::{Encoding, Metadata, Status, Time};
use ferrpc_net::clock;

use super::call::{Attempt, CallCell, State};
use super::connections::{Connections, Watched};
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
    /// Which of the channel's connections this is.
    id: ConnectionId,
    connections: Weak<Connections>,
    mailbox: Arc<Mailbox<Command>>,
    calls: Calls<Slot>,
    /// Callers to be woken at the end of the batch: then what they get is all there.
    wakers: Vec<Waker>,
    /// Whether it was said that calls wait because the server takes no more streams.
    said_full: bool,
    watched: Option<Watched>,
}

/// A call that has a stream, or waits for one.
struct Slot {
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
        id: ConnectionId,
        connections: Weak<Connections>,
        mailbox: Arc<Mailbox<Command>>,
    ) -> Self {
        Self {
            id,
            connections,
            mailbox,
            calls: Calls::new(),
            wakers: Vec::new(),
            said_full: false,
            watched: None,
        }
    }

    /// Gives a call a stream; false if it has to wait for one.
    fn start(&mut self, ctx: &mut Context<'_>, slot: Slot, turn: Turn) -> bool {
        let mut state = slot.cell.lock();
        if state.is_over() {
            return true;
        }
        let start = slot.cell.head.start(&state.call);
        match self.calls.start(ctx.now, ctx.transport, &start, turn) {
            Started::Running(call) => {
                let mailbox = Arc::clone(&self.mailbox);
                state.attempt = Attempt::Running { mailbox, call };
                state.touched = false;
                send(ctx, call, &mut state);
                let room = state.has_room();
                self.wakers.extend(room.then(|| state.sender.take()).flatten());
                drop(state);
                self.calls.insert(call, slot);
            }
            Started::Queued => {
                if !matches!(state.attempt, Attempt::Queued { .. }) {
                    state.attempt = Attempt::Queued { mailbox: Arc::clone(&self.mailbox) };
                }
                let deadline = state.call.deadline();
                drop(state);
                self.say_full();
                self.calls.enqueue(slot, deadline, turn);
                return false;
            }
            Started::Ended(end) => {
                if !self.calls.takes_calls() {
                    drop(state);
                    // First, so that the call goes straight to a new connection.
                    self.no_new_calls();
                    state = slot.cell.lock();
                }
                self.end(ctx.now, state, end);
            }
        }
        true
    }

    /// Says once what makes a client slow for no reason that it could see.
    fn say_full(&mut self) {
        if !std::mem::replace(&mut self.said_full, true) {
            let target = self.connections.upgrade().map(|connections| connections.target().clone());
            tracing::warn!(
                target_name = target.as_ref().map(Target::as_str),
                calls = self.calls.open_calls(),
                "the server takes no more calls at a time on this connection: calls wait for others \
                 to end (SETTINGS_MAX_CONCURRENT_STREAMS)"
            );
        }
    }

    /// Starts calls that waited, as far as the peer lets us.
    fn start_queued(&mut self, ctx: &mut Context<'_>) {
        while let Some(slot) = self.calls.pop_queued() {
            if !self.start(ctx, slot, Turn::FromQueue) {
                break;
            }
        }
    }

    /// The attempt is over; the call may be, too.
    fn end(&mut self, now: Time, mut state: MutexGuard<'_, State>, end: AttemptEnd) {
        state.attempt = Attempt::None;
        state.end(now, end);
        self.wakers.extend(state.take_wakers().into_iter().flatten());
    }

    /// New calls go elsewhere, those that wait too.
    fn no_new_calls(&mut self) {
        let queued = self.calls.drain();
        if let Some(connections) = self.connections.upgrade() {
            connections.connection_lost(self.id);
        }
        // After the channel knows: they go straight to a new connection.
        for slot in queued {
            self.end(clock::now(), slot.cell.lock(), AttemptEnd::not_sent());
        }
    }

    /// Ends what no event has ended.
    fn lose_calls(&mut self, end: &AttemptEnd) {
        for (_, slot) in self.calls.close() {
            self.end(clock::now(), slot.cell.lock(), end.clone());
        }
    }

    fn on_headers(&mut self, call: CallId, metadata: Metadata, encoding: Encoding) {
        let Some(slot) = self.calls.get_mut(call) else { return };
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
        let Some(slot) = self.calls.get_mut(call) else { return };
        match slot.cell.head.cardinality {
            Cardinality::Unary => slot.message = Some(message),
            // It is of use at the call's end only.
            Cardinality::ClientStreaming => slot.cell.lock().inbox.push_quietly(message),
            _ => self.on_messages(call, message.into()),
        }
    }

    fn on_messages(&mut self, call: CallId, messages: Messages) {
        let Some(slot) = self.calls.get_mut(call) else { return };
        let waker = slot.cell.lock().inbox.push(messages);
        self.wakers.extend(waker);
    }

    fn on_finished(&mut self, now: Time, call: CallId, end: AttemptEnd) {
        let Some(slot) = self.calls.remove(call) else { return };
        let mut state = slot.cell.lock();
        if slot.initial.is_some() {
            state.call.handle_headers();
            state.initial = slot.initial;
        }
        if let Some(message) = slot.message {
            state.inbox.push_quietly(message);
        }
        self.end(now, state, end);
    }

    /// Does what the caller left in the cell.
    fn look(&mut self, ctx: &mut Context<'_>, call: CallId) {
        let Some(slot) = self.calls.get_mut(call) else { return };
        let mut state = slot.cell.lock();
        state.touched = false;
        if state.cancelled {
            state.attempt = Attempt::None;
            drop(state);
            ctx.transport.cancel(ctx.now, call);
            self.calls.remove(call);
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
                if let Some(slot) = self.calls.get_mut(call) {
                    slot.cell.lock().full = false;
                    self.look(ctx, call);
                }
            }
            Event::Withheld { call } => {
                let asked = self
                    .calls
                    .get_mut(call)
                    .is_some_and(|slot| slot.cell.lock().inbox.ask_demand());
                if asked {
                    ctx.transport.want(ctx.now, call);
                }
            }
            Event::Finished { call, status, retry, from_peer } => {
                self.on_finished(ctx.now, call, AttemptEnd::finished(status, retry, from_peer));
            }
            Event::StreamsAvailable => self.start_queued(ctx),
            Event::Ready => {
                self.calls.open();
                if let Some(connections) = self.connections.upgrade() {
                    self.watched = connections.connection_ready(self.id, &self.mailbox);
                }
            }
            Event::Draining => self.no_new_calls(),
            // The end of a response is in `Finished`; the rest is for servers.
            _ => {}
        }
    }

    fn on_command(&mut self, ctx: &mut Context<'_>, command: Command) {
        match command {
            Command::Start(start) => {
                if let Some(cell) = start.take() {
                    self.start(ctx, Slot::new(cell), Turn::New);
                }
            }
            Command::SweepQueue => self.calls.sweep_queued(|slot| !slot.cell.lock().is_over()),
            Command::Drain => {
                self.no_new_calls();
                ctx.transport.shutdown(ctx.now, None);
            }
            Command::Close(status) => {
                self.no_new_calls();
                for (call, slot) in self.calls.close() {
                    ctx.transport.cancel(ctx.now, call);
                    self.end(ctx.now, slot.cell.lock(), AttemptEnd::local(status.clone()));
                }
                ctx.transport.shutdown(ctx.now, None);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.calls.poll_timeout()
    }

    fn on_timeout(&mut self, ctx: &mut Context<'_>) {
        for slot in self.calls.expire(ctx.now) {
            self.end(ctx.now, slot.cell.lock(), AttemptEnd::late_for_stream());
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
        self.calls.open_calls() > 1
    }

    fn on_closed(&mut self, ctx: &mut Context<'_>, cause: &CloseCause) {
        if let Some(connections) = self.connections.upgrade() {
            connections.connection_closed(self.id, cause);
        }
        self.no_new_calls();
        self.lose_calls(&AttemptEnd::lost(cause));
        self.end_batch(ctx);
        if let Some(watched) = self.watched.take() {
            watched.ended(&cause.to_string());
        }
    }
}

impl Slot {
    fn new(cell: Arc<CallCell>) -> Self {
        let unary = cell.head.cardinality == Cardinality::Unary;
        Self { cell, unary, initial: None, message: None }
    }
}

impl Drop for ClientRole {
    /// The driver was dropped in the middle: its runtime shuts down.
    fn drop(&mut self) {
        self.no_new_calls();
        self.lose_calls(&AttemptEnd::dropped(DROPPED));
        self.wakers.drain(..).for_each(Waker::wake);
        if let Some(watched) = self.watched.take() {
            watched.ended(DROPPED);
        }
    }
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
