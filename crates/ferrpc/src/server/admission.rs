//! Which calls may start now, and which requests are wanted meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;

use ferrpc_core::transport::{CallId, Message, RequestHead};

use super::connection::Connection;
use super::routes::Target;
use super::slots::Work;
use crate::transport::cell::Cell;
use crate::transport::driver::Context;

impl Connection {
    /// Starts a call, or lets it wait.
    pub(super) fn admit(
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
        self.slots.hold(call, message.payload.len());
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
    pub(super) fn admit_waiting(&mut self, ctx: &mut Context<'_>) {
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
    pub(super) fn go_on(&self, ctx: &mut Context<'_>) {
        if self.fixed.load.is_paused() && !ctx.transport.is_short_of_memory() {
            self.fixed.load.pause(false);
            self.external.iter().for_each(|(queue, _)| queue.unpark());
        }
    }

    /// Too much is held: a request goes on to arrive if its handler waits for it, or will be
    /// started when it is there.
    pub(super) fn on_withheld(&mut self, ctx: &mut Context<'_>, call: CallId) {
        if let Some(Work::Gathering { .. }) = self.slots.work(call) {
            if self.would_start(call) {
                ctx.transport.want(ctx.now, call);
            } else {
                self.unwanted = true;
            }
        } else if self.slots.cell(call).is_some_and(|cell| cell.ask_demand()) {
            ctx.transport.want(ctx.now, call);
        }
    }

    /// Wants the requests whose handlers would be started at once, if some were not wanted.
    pub(super) fn want_requests(&mut self, ctx: &mut Context<'_>) {
        if !self.unwanted || !self.waiting.is_empty() {
            return;
        }
        self.unwanted = false;
        for call in self.slots.calls() {
            let Some(Work::Gathering { .. }) = self.slots.work(call) else { continue };
            if self.would_start(call) {
                ctx.transport.want(ctx.now, call);
            } else {
                self.unwanted = true;
            }
        }
    }

    /// Whether the handler of a call would be started as soon as its request is there.
    fn would_start(&self, call: CallId) -> bool {
        let Some((method, _)) = self.slots.method(call) else { return false };
        self.waiting.is_empty()
            && match &self.fixed.shared.router.entry(method).target {
                // What waits there is first.
                Target::External(queue) => queue.is_empty_or_tell(&self.fixed.mailbox),
                Target::Handler(_) => true,
            }
    }
}
