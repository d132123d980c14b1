//! The server's half of a connection: calls in, replies out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ferrpc_core::http2::{CloseCause, Fields};
use ferrpc_core::transport::{
    CallId, CancelledBy, Cardinality, Event, Message, Messages, RequestHead,
};
use ferrpc_net::streams::Fault;

use super::command::Command;
use super::dispatch::PollTimer;
use super::external::ExternalQueue;
use super::external_call::ExternalCall;
use super::http::{HttpRequest, HttpResponse};
use super::load::Load;
use super::memory::Holder;
use super::pacing::Pacing;
use super::shared::{Place, Shared};
use super::slots::{Slots, Work};
use crate::transport::ConnectionInfo;
use crate::transport::cell::Cell;
use crate::transport::driver::{Context, Role};
use crate::transport::mailbox::Mailbox;
use crate::{Code, Status};

/// The server's role on one connection.
pub(crate) struct Connection {
    pub(super) fixed: Fixed,
    pub(super) slots: Slots,
    /// Calls that are ready to start and may not yet; among them some that are over by now.
    pub(super) waiting: VecDeque<CallId>,
    /// Some requests are not completed while others wait to start.
    pub(super) unwanted: bool,
    pub(super) timer: PollTimer,
    pub(super) pacing: Pacing,
    /// Calls that are handled by other tasks and threads.
    pub(super) elsewhere: usize,
    /// Calls for queues outside, until the batch ends.
    pub(super) external: Vec<(Arc<ExternalQueue>, Vec<ExternalCall>)>,
    /// Observers know that the connection is over.
    told_closed: bool,
    holder: Holder,
    /// In this batch it has given up what it held.
    gave_way: bool,
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
        holder: Holder,
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
            holder,
            gave_way: false,
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
        if self.holder.refuses() {
            let status = shared.load.overloaded(SCARCE);
            return ctx.transport.reject(ctx.now, call, &status);
        }
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

    fn on_remote_done(&mut self, ctx: &mut Context<'_>, call: CallId) {
        if let Some(Work::Gathering { .. }) = self.slots.work(call) {
            let status = Status::new(Code::Internal, "the request has no message");
            self.complete(ctx, call, Err(status), None);
        } else if let Some(cell) = self.slots.cell(call) {
            cell.end_received();
        }
    }

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

/// What a call is told that is refused because of what its connection holds.
const SCARCE: &str = "the server is short of memory, and this connection holds much of it";

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
            Command::Taken { call, payload } => {
                ctx.transport.release(ctx.now, call, 1, payload);
                if self.unwanted {
                    self.want_requests(ctx);
                }
            }
            Command::Admit => self.admit_waiting(ctx),
            Command::GiveWay { bytes } => {
                self.gave_way = true;
                if !self.holder.give_way(ctx.now, ctx.transport, bytes) {
                    ctx.transport.abort(ctx.now);
                }
            }
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

    fn end_batch(&mut self, ctx: &mut Context<'_>) {
        let router = &self.fixed.shared.router;
        self.timer.pause(|method| &router.entry(method).dispatch);
        self.pacing.end_batch();
        for (queue, calls) in &mut self.external {
            if !calls.is_empty() {
                queue.push_all(calls);
            }
        }
        let exhausted = self.holder.settle(ctx.now, ctx.transport, self.slots.held());
        if std::mem::take(&mut self.gave_way) {
            self.holder.gave_way();
        }
        if exhausted {
            self.fixed.shared.relieve(ctx.now);
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
        self.fixed.shared.connections.remove(self.fixed.id);
    }
}
