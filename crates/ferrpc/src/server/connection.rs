//! The server's half of a connection: calls in, replies out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::http2::{CloseCause, Fields};
use ferrpc_core::transport::{
    CallId, CancelledBy, Cardinality, Event, Message, Messages, RequestHead, SendState,
};

use super::call::{Outcome, error_status};
use super::dispatch::PollTimer;
use super::external::{ExternalCall, ExternalQueue};
use super::http::{HttpRequest, HttpResponse};
use super::load::Load;
use super::observer::CallEnded;
use super::pacing::Pacing;
use super::routes::Target;
use super::shared::{Place, Shared};
use super::slots::{Slots, Work};
use crate::transport::cell::{Cell, Outgoing};
use crate::transport::driver::{Context, Role};
use crate::transport::mailbox::Mailbox;
use crate::transport::refusal::Fault;
use crate::transport::{ConnectionInfo, clock};
use crate::{Code, Status};

/// What others ask of a server's connection.
#[derive(Debug)]
pub(crate) enum Command {
    /// A handler on a task of its own, or outside the runtime, is done.
    Done { call: CallId, outcome: Outcome },
    /// There may be room for calls that wait.
    Admit,
    /// Begin a graceful end.
    Shutdown { grace: Option<Duration> },
}

/// The server's role on one connection.
pub(crate) struct Connection {
    pub(super) fixed: Fixed,
    pub(super) slots: Slots,
    /// Calls that are ready to start and may not yet; among them some that are over by now.
    waiting: VecDeque<CallId>,
    /// Some requests are not completed while others wait to start.
    unwanted: bool,
    pub(super) timer: PollTimer,
    pub(super) pacing: Pacing,
    /// Calls that are handled by other tasks and threads.
    pub(super) elsewhere: usize,
    /// Calls for queues outside, until the batch ends.
    pub(super) external: Vec<(Arc<ExternalQueue>, Vec<ExternalCall>)>,
    /// Observers know that the connection is over.
    told_closed: bool,
    /// Given back when the connection is gone.
    _place: Place,
    /// Where TLS says why it broke.
    fault: Option<Arc<Fault>>,
}

/// What does not change during a connection's life.
pub(super) struct Fixed {
    pub(super) shared: Arc<Shared>,
    /// In the server's list of connections.
    id: u64,
    pub(super) info: Arc<ConnectionInfo>,
    pub(super) mailbox: Arc<Mailbox<Command>>,
    pub(super) load: Arc<Load>,
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: u64,
        info: Arc<ConnectionInfo>,
        mailbox: Arc<Mailbox<Command>>,
        place: Place,
        fault: Option<Arc<Fault>>,
    ) -> Self {
        let load = Load::new(
            shared.max_handlers_per_connection,
            Arc::clone(&mailbox),
            Arc::clone(&shared.load),
        );
        let observers = shared.observers.clone();
        let connection = Self {
            slots: Slots::new(Arc::clone(&mailbox)),
            fixed: Fixed { shared, id, info, mailbox, load },
            waiting: VecDeque::new(),
            unwanted: false,
            timer: PollTimer::default(),
            pacing: Pacing::default(),
            elsewhere: 0,
            external: Vec::new(),
            told_closed: false,
            _place: place,
            fault,
        };
        observers.tell(|observer| observer.connection_opened(&connection.fixed.info));
        connection
    }

    // -- a call comes -----------------------------------------------------------------------------

    fn on_call(&mut self, ctx: &mut Context<'_>, call: CallId, head: Box<RequestHead>) {
        let shared = &self.fixed.shared;
        let Some(method) = shared.router.find(&head.path) else {
            ctx.transport.reject(ctx.now, call, &shared.router.unimplemented(&head.path));
            return;
        };
        let entry = shared.router.entry(method);
        shared.observers.tell(|observer| observer.call_started(&entry.path));
        ctx.transport.accept(call, entry.cardinality, entry.settings.limits);
        self.slots.insert(call, method, ctx.now);
        match entry.cardinality {
            Cardinality::Unary | Cardinality::ServerStreaming => {
                self.slots.set_work(call, Work::Gathering { head });
            }
            Cardinality::ClientStreaming | Cardinality::Bidirectional => {
                let cell = Cell::new(call, Arc::clone(&self.fixed.mailbox) as _);
                self.admit(ctx, call, head, Message::default(), Some(cell));
            }
        }
    }

    fn on_message(&mut self, ctx: &mut Context<'_>, call: CallId, message: Message) {
        let Some(work) = self.slots.work(call) else { return };
        match std::mem::replace(work, Work::Empty) {
            // Its handler needs nothing else: a caller may end its half when it has the answer.
            Work::Gathering { head } => {
                let streams = self.slots.method(call).is_some_and(|(method, _)| {
                    let entry = self.fixed.shared.router.entry(method);
                    entry.cardinality == Cardinality::ServerStreaming || entry.is_external()
                });
                let cell = streams.then(|| Cell::new(call, Arc::clone(&self.fixed.mailbox) as _));
                self.admit(ctx, call, head, message, cell);
            }
            other => {
                *work = other;
                self.on_messages(call, message.into());
            }
        }
    }

    fn on_messages(&mut self, call: CallId, messages: Messages) {
        if let Some(cell) = self.slots.cell(call) {
            cell.push_received(messages);
        }
    }

    /// Too much is held: a request goes on to arrive if its handler waits for it, or will be
    /// started when it is there.
    fn on_withheld(&mut self, ctx: &mut Context<'_>, call: CallId) {
        if let Some(Work::Gathering { .. }) = self.slots.work(call) {
            self.unwanted = true;
            self.want_requests(ctx);
        } else if self.slots.cell(call).is_some_and(|cell| cell.ask_demand()) {
            ctx.transport.want(ctx.now, call);
        }
    }

    /// Wants the requests whose handlers would be started at once, if some were not wanted.
    fn want_requests(&mut self, ctx: &mut Context<'_>) {
        if !self.unwanted || !self.waiting.is_empty() {
            return;
        }
        self.unwanted = false;
        let router = &self.fixed.shared.router;
        for call in self.slots.calls() {
            let Some((method, _)) = self.slots.method(call) else { continue };
            let Some(Work::Gathering { .. }) = self.slots.work(call) else { continue };
            match &router.entry(method).target {
                // What waits there is first.
                Target::External(queue) if !queue.is_empty() => self.unwanted = true,
                _ => ctx.transport.want(ctx.now, call),
            }
        }
    }

    fn on_remote_done(&mut self, ctx: &mut Context<'_>, call: CallId) {
        if let Some(Work::Gathering { .. }) = self.slots.work(call) {
            let status = Status::new(Code::Internal, "the request has no message");
            self.complete(ctx, call, Err(status), None);
        } else if let Some(cell) = self.slots.cell(call) {
            cell.end_received();
        }
    }

    // -- limits on running handlers ---------------------------------------------------------------

    /// Starts a call, or lets it wait.
    fn admit(
        &mut self,
        ctx: &mut Context<'_>,
        call: CallId,
        head: Box<RequestHead>,
        message: Message,
        cell: Option<Arc<Cell>>,
    ) {
        if self.waiting.is_empty() && self.may_start(ctx, call) {
            self.start(ctx, call, head, message, cell);
            return;
        }
        let place = match self.fixed.load.wait() {
            Ok(place) => place,
            Err(status) => return self.complete(ctx, call, Err(status), cell),
        };
        self.slots.set_work(call, Work::Waiting { head, message, cell, place });
        if self.waiting.len() >= 2 * self.fixed.load.waiting() {
            // At least half are over: looking at all of them costs little for each.
            let slots = &mut self.slots;
            self.waiting.retain(|call| matches!(slots.work(*call), Some(Work::Waiting { .. })));
        }
        self.waiting.push_back(call);
    }

    /// Whether a handler may start. If not, the connection is told when to try again: by
    /// [`Command::Admit`] where too many run, by [`Event::MayStart`] where too many were started.
    fn may_start(&self, ctx: &mut Context<'_>, call: CallId) -> bool {
        let room = self.fixed.load.has_room();
        if !room {
            self.fixed.load.set_waiting(true);
        }
        room && ctx.transport.may_start(ctx.now, call)
    }

    /// Starts calls that wait, as many as may run.
    fn admit_waiting(&mut self, ctx: &mut Context<'_>) {
        self.fixed.load.set_waiting(false);
        while let Some(call) = self.waiting.front().copied() {
            let waits = matches!(self.slots.work(call), Some(Work::Waiting { .. }));
            if waits && !self.may_start(ctx, call) {
                break;
            }
            self.waiting.pop_front();
            let Some(work) = self.slots.work(call) else { continue };
            match std::mem::replace(work, Work::Empty) {
                Work::Waiting { head, message, cell, place } => {
                    drop(place);
                    self.start(ctx, call, head, message, cell);
                }
                other => *work = other,
            }
        }
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
            self.want_requests(ctx);
        }
        self.fixed.load.pass_on();
    }

    /// There may be memory for answers again: calls go on that were not begun for that reason.
    fn go_on(&self, ctx: &mut Context<'_>) {
        if self.fixed.load.is_paused() && !ctx.transport.is_short_of_memory() {
            self.fixed.load.pause(false);
            self.external.iter().for_each(|(queue, _)| queue.unpark());
        }
    }

    // -- a call ends ------------------------------------------------------------------------------

    /// The handler is done.
    pub(super) fn complete(
        &mut self,
        ctx: &mut Context<'_>,
        call: CallId,
        outcome: Outcome,
        cell: Option<Arc<Cell>>,
    ) {
        if self.pacing.answered() {
            ctx.hurry();
        }
        let Some(cell) = cell else {
            let code = match outcome {
                Ok(reply) => {
                    let message = reply.message.unwrap_or_default();
                    ctx.queue(message.payload.len());
                    ctx.transport.respond(
                        ctx.now,
                        call,
                        &reply.initial,
                        reply.encoding,
                        message,
                        &reply.trailing,
                    );
                    Code::Ok
                }
                Err(status) => {
                    let status = error_status(status);
                    ctx.transport.finish(ctx.now, call, &status);
                    status.code()
                }
            };
            self.end(call, code);
            return;
        };
        // What was sent before goes first.
        let drained = matches!(self.drain(ctx, call, &cell), Drained::All);
        match outcome {
            Ok(mut reply) => match reply.message.take() {
                Some(message) if drained => {
                    cell.close(Status::new(Code::Cancelled, "the call has ended"));
                    reply.message = Some(message);
                    return self.complete(ctx, call, Ok(reply), None);
                }
                Some(message) => {
                    cell.send(Outgoing::Messages(message.into()));
                    cell.send(Outgoing::Finish(Status::ok().with_metadata(reply.trailing)));
                }
                None => {
                    cell.send(Outgoing::Finish(Status::ok().with_metadata(reply.trailing)));
                }
            },
            Err(status) => {
                cell.send(Outgoing::Finish(error_status(status)));
            }
        }
        self.slots.set_work(call, Work::Draining { cell: Arc::clone(&cell) });
        self.look(ctx, call, &cell);
    }

    fn on_cancelled(&mut self, call: CallId, by: CancelledBy) {
        let status = match by {
            CancelledBy::Peer => Status::new(Code::Cancelled, "the caller cancelled the call"),
            CancelledBy::Deadline => {
                Status::new(Code::DeadlineExceeded, "the call's deadline passed")
            }
            CancelledBy::ConnectionLost => {
                Status::new(Code::Cancelled, "the connection to the caller was lost")
            }
            CancelledBy::Refused => Status::new(Code::Cancelled, "the request broke a rule"),
        };
        self.drop_call(call, status);
    }

    /// Ends a call whose caller needs no answer any more.
    fn drop_call(&mut self, call: CallId, status: Status) {
        let code = status.code();
        if let Some(cell) = self.slots.cell(call) {
            let cell = Arc::clone(cell);
            cell.close(status);
        }
        let method = self.slots.method(call);
        let Some(work) = self.end(call, code) else { return };
        if matches!(work, Work::External { .. })
            && let Some((method, _)) = method
            && let Target::External(queue) = &self.fixed.shared.router.entry(method).target
        {
            queue.call_cancelled();
        }
        work.discard();
    }

    /// The call is over, with `code`. Returns what was left of its work.
    fn end(&mut self, call: CallId, code: Code) -> Option<Work> {
        let shared = &self.fixed.shared;
        if let Some((method, started)) = self.slots.method(call) {
            shared.observers.tell(|observer| {
                observer.call_ended(&CallEnded {
                    method: &shared.router.entry(method).path,
                    code,
                    duration: clock::now().since(started),
                });
            });
        }
        let work = self.slots.remove(call)?;
        self.elsewhere -= usize::from(work.is_elsewhere());
        Some(work)
    }

    // -- cells ------------------------------------------------------------------------------------

    /// Looks into a call's cell; the call may be over after it.
    pub(super) fn look(&mut self, ctx: &mut Context<'_>, call: CallId, cell: &Arc<Cell>) {
        if let Drained::Finished(code) = self.drain(ctx, call, cell) {
            cell.close(Status::new(Code::Cancelled, "the call has ended"));
            // A task that has just sent the end is about to end by itself.
            self.end(call, code);
        }
    }

    /// Moves what is in the cell to the transport, as far as that takes it.
    fn drain(&mut self, ctx: &mut Context<'_>, call: CallId, cell: &Cell) -> Drained {
        let mut look = cell.look();
        if let Some(credit) = look.take_credit() {
            ctx.transport.release(ctx.now, call, credit.messages, credit.payload);
            if self.unwanted {
                self.want_requests(ctx);
            }
        }
        if look.take_demand() {
            ctx.transport.want(ctx.now, call);
        }
        if look.take_stop() {
            ctx.transport.stop_receiving(call);
        }
        while let Some(item) = look.next() {
            let state = match item {
                Outgoing::Headers(metadata, encoding) => {
                    ctx.transport.send_headers(ctx.now, call, &metadata, encoding)
                }
                Outgoing::Messages(messages) => {
                    ctx.queue(messages.payload_bytes());
                    ctx.transport.send_messages(ctx.now, call, messages)
                }
                Outgoing::Finish(status) => {
                    ctx.transport.finish(ctx.now, call, &status);
                    look.done();
                    return Drained::Finished(status.code());
                }
            };
            if state == SendState::Full {
                look.set_full();
            }
        }
        let drained = look.is_drained();
        look.done();
        if drained { Drained::All } else { Drained::Part }
    }

    // -- everything else --------------------------------------------------------------------------

    fn lose_calls(&mut self) {
        // What is parked is to be found cancelled.
        if self.fixed.load.pause(false) {
            self.external.iter().for_each(|(queue, _)| queue.unpark());
        }
        for call in self.slots.calls() {
            self.on_cancelled(call, CancelledBy::ConnectionLost);
        }
        self.waiting = VecDeque::new();
    }

    fn tell_closed(&mut self, cause: &str) {
        self.told_closed = true;
        let fixed = &self.fixed;
        fixed.shared.observers.tell(|observer| observer.connection_closed(&fixed.info, cause));
    }

    fn on_http(&self, ctx: &mut Context<'_>, call: CallId, fields: &Fields) {
        let fallback = &self.fixed.shared.fallback;
        let answer = catch_unwind(AssertUnwindSafe(|| fallback(&HttpRequest::new(fields))));
        let answer = answer.unwrap_or_else(|_| HttpResponse::text(500, "internal error\n"));
        ctx.transport.respond_http(ctx.now, call, answer.status, &answer.fields, answer.body);
    }
}

/// What [`Connection::drain`] found.
enum Drained {
    /// All was sent.
    All,
    /// Some waits for room.
    Part,
    /// The call's end was sent.
    Finished(Code),
}

impl Role for Connection {
    type Command = Command;

    fn on_event(&mut self, ctx: &mut Context<'_>, event: Event) {
        match event {
            Event::Call { call, head } => self.on_call(ctx, call, head),
            Event::Message { call, message } => self.on_message(ctx, call, message),
            Event::Messages { call, run } => self.on_messages(call, run.into()),
            Event::RemoteDone { call } => self.on_remote_done(ctx, call),
            Event::Writable { call } => {
                if let Some(cell) = self.slots.cell(call).cloned() {
                    cell.writable();
                    self.look(ctx, call, &cell);
                }
            }
            Event::Cancelled { call, by } => self.on_cancelled(call, by),
            Event::Http { call, fields } => self.on_http(ctx, call, &fields),
            Event::MayStart => {
                self.go_on(ctx);
                self.admit_waiting(ctx);
            }
            Event::Withheld { call } => self.on_withheld(ctx, call),
            // The transport closes by itself once the calls are done. The rest are a client's.
            _ => {}
        }
    }

    fn on_command(&mut self, ctx: &mut Context<'_>, command: Command) {
        match command {
            Command::Done { call, outcome } => {
                // Not there, or something else by now: it was cancelled meanwhile.
                if let Some(work) = self.slots.work(call)
                    && work.is_elsewhere()
                {
                    let cell = std::mem::replace(work, Work::Empty).into_cell();
                    self.elsewhere -= 1;
                    self.complete(ctx, call, outcome, cell);
                    if ctx.transport.is_short_of_memory() {
                        self.fixed.load.pause(true);
                    }
                }
            }
            Command::Admit => self.admit_waiting(ctx),
            Command::Shutdown { grace } => ctx.transport.shutdown(ctx.now, grace),
        }
    }

    fn on_touched(&mut self, ctx: &mut Context<'_>, call: CallId) {
        if let Some(cell) = self.slots.cell(call).cloned() {
            self.look(ctx, call, &cell);
        }
    }

    fn on_woken(&mut self, ctx: &mut Context<'_>, slot: usize) {
        self.poll_again(ctx, slot);
    }

    fn end_batch(&mut self, _ctx: &mut Context<'_>) {
        let router = &self.fixed.shared.router;
        self.timer.pause(|method| &router.entry(method).dispatch);
        self.pacing.end_batch();
        for (queue, calls) in &mut self.external {
            if !calls.is_empty() {
                queue.push_all(calls);
            }
        }
    }

    fn expects_more(&self) -> bool {
        self.elsewhere > 0
    }

    fn looks_out(&self, open: usize) -> bool {
        // A caller that makes one small call at a time would be served sooner, but not for less.
        let worthwhile = open > 0 || self.pacing.is_shared();
        // Else the peer is likely to wait for what other threads are doing, perhaps on this core.
        worthwhile && self.elsewhere == 0
    }

    fn trim(&mut self) {
        self.slots.trim();
    }

    fn on_closed(&mut self, ctx: &mut Context<'_>, cause: &CloseCause) {
        self.lose_calls();
        let (counters, info) = (ctx.transport.counters(), &self.fixed.info);
        let observers = &self.fixed.shared.observers;
        observers.tell(|observer| observer.connection_counted(info, &counters));
        if let Some(refusal) = self.fault.as_ref().and_then(|fault| fault.take()) {
            self.fixed.shared.handshakes.broke(&self.fixed.info.peer, &refusal);
        }
        tracing::debug!(peer = %self.fixed.info.peer, %cause, "connection closed");
        self.tell_closed(&cause.to_string());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without `on_closed` (the runtime is shutting down, say) handlers must end all the same.
        self.lose_calls();
        if !self.told_closed {
            self.tell_closed("the connection's task was dropped");
        }
        self.fixed.shared.remove_connection(self.fixed.id);
    }
}
