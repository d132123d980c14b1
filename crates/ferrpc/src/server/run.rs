//! Starting handlers and polling those that run in place.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use ferrpc_core::transport::{CallId, HELD_REQUEST, Message, RequestHead};
use tokio::time::Instant;

use super::call::{CallFuture, Outcome, ServerCall, finish_in_cell};
use super::command::Command;
use super::connection::Connection;
use super::external_call::ExternalCall;
use super::routes::Target;
use super::shared::Shared;
use super::slots::Work;
use crate::transport::cell::Cell;
use crate::transport::driver::Context;
use crate::{Code, Extensions, Status};

impl Connection {
    /// Starts the handler of a call whose request (or whose stream of requests) is there.
    pub(super) fn start(
        &mut self,
        ctx: &mut Context<'_>,
        call: CallId,
        head: Box<RequestHead>,
        message: Message,
        cell: Option<Arc<Cell>>,
    ) {
        let Some((method, _)) = self.slots.method(call) else { return };
        let shared = &self.fixed.shared;
        let entry = shared.router.entry(method);
        let size = message.payload.len();
        let large = size >= LARGE_REQUEST;
        let held = if size >= HELD_REQUEST { size } else { 0 };
        let external = entry.is_external();
        let mut message = message;
        if external {
            self.slots.hold(call, size);
            if held > 0
                && let Some(cell) = &cell
            {
                // There it goes with the call, should that be given up before it is taken.
                cell.push_received(std::mem::take(&mut message).into());
            }
        }
        let server_call = ServerCall {
            head,
            connection: Arc::clone(&self.fixed.info),
            extensions: Extensions::new(),
            settings: entry.settings,
            cardinality: entry.cardinality,
            body: message,
            cell: cell.clone(),
        };
        match &entry.target {
            Target::External(queue) => {
                let Some(cell) = cell else { return };
                let mailbox = Arc::clone(&self.fixed.mailbox);
                let external = ExternalCall::new(
                    server_call,
                    call,
                    mailbox,
                    self.fixed.load.start(),
                    held > 0,
                );
                match self.external.iter_mut().find(|(known, _)| Arc::ptr_eq(known, queue)) {
                    Some((_, calls)) => calls.push(external),
                    None => self.external.push((Arc::clone(queue), vec![external])),
                }
                self.slots.set_work(call, Work::External { cell });
                self.elsewhere += 1;
            }
            Target::Handler(chain) if entry.dispatch.is_in_place() => {
                if held > 0 {
                    ctx.transport.release(ctx.now, call, 1, held);
                }
                let waker = self.slots.take_waker(call);
                if let Some(cell) = &cell {
                    cell.expect_look();
                }
                self.timer.begin(method, |method| &shared.router.entry(method).dispatch);
                let polled = catch(|| {
                    let mut future = chain.call(server_call);
                    let mut cx = task::Context::from_waker(waker.begin());
                    match future.as_mut().poll(&mut cx) {
                        Poll::Ready(outcome) => Polled::Ready(outcome),
                        Poll::Pending => Polled::Pending(future),
                    }
                });
                let late = self.timer.end(method, |method| &shared.router.entry(method).dispatch);
                if late || large {
                    ctx.hurry();
                }
                if large {
                    self.pacing.took_large();
                }
                self.slots.put_waker(call, waker);
                match polled {
                    Polled::Ready(outcome) => self.complete(ctx, call, outcome, cell),
                    Polled::Pending(future) => {
                        let running = self.fixed.load.start();
                        let work = Work::InPlace { future, cell: cell.clone(), running };
                        self.slots.set_work(call, work);
                        if let Some(cell) = cell {
                            self.look(ctx, call, &cell);
                        }
                    }
                }
            }
            Target::Handler(_) => self.spawn(method, call, server_call, cell, held),
        }
    }

    /// A handler in place was woken.
    pub(super) fn poll_again(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let Some((call, mut future, cell, running)) = self.slots.take_in_place(slot) else {
            return;
        };
        let Some((method, _)) = self.slots.method(call) else { return };
        let waker = self.slots.take_waker(call);
        if let Some(cell) = &cell {
            cell.expect_look();
        }
        let router = &self.fixed.shared.router;
        self.timer.begin(method, |method| &router.entry(method).dispatch);
        let polled = catch(|| {
            let mut cx = task::Context::from_waker(waker.begin());
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(outcome) => {
                    drop(future);
                    Polled::Ready(outcome)
                }
                Poll::Pending => Polled::Pending(future),
            }
        });
        if self.timer.end(method, |method| &router.entry(method).dispatch) {
            ctx.hurry();
        }
        self.slots.put_waker(call, waker);
        match polled {
            Polled::Ready(outcome) => {
                drop(running);
                self.complete(ctx, call, outcome, cell);
            }
            Polled::Pending(future) => {
                self.slots.set_work(call, Work::InPlace { future, cell: cell.clone(), running });
                if let Some(cell) = cell {
                    self.look(ctx, call, &cell);
                }
            }
        }
    }

    /// Gives the handler a task of its own. Of its request `held` bytes count until it has it.
    fn spawn(
        &mut self,
        method: u32,
        call: CallId,
        server_call: ServerCall,
        cell: Option<Arc<Cell>>,
        held: usize,
    ) {
        let shared = Arc::clone(&self.fixed.shared);
        let mailbox = Arc::clone(&self.fixed.mailbox);
        let running = self.fixed.load.start();
        shared.router.entry(method).dispatch.count_spawned();
        let streams = cell.clone();
        let task = tokio::spawn(async move {
            let state = State::New(Some(Box::new(server_call)));
            let mut handling = Spawned { shared, method, state };
            let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut handling).poll(cx))).await;
            let outcome = match first {
                // The end of the call gives it back.
                Poll::Ready(outcome) => outcome,
                Poll::Pending => {
                    if held > 0 {
                        let _ = mailbox.send(Command::Taken { call, payload: held });
                    }
                    handling.await
                }
            };
            drop(running);
            match (streams, outcome) {
                (Some(cell), outcome) if !has_message(&outcome) => {
                    finish_in_cell(&cell, outcome);
                }
                // Where the connection is gone, nobody waits for the reply.
                (_, outcome) => drop(mailbox.send(Command::Done { call, outcome })),
            }
        });
        self.elsewhere += 1;
        self.slots.set_work(call, Work::Spawned { task: task.abort_handle(), cell });
    }
}

fn has_message(outcome: &Outcome) -> bool {
    outcome.as_ref().is_ok_and(|reply| reply.message.is_some())
}

/// What came of a poll.
enum Polled {
    Ready(Outcome),
    Pending(CallFuture),
}

/// Runs a poll of a handler; a panic ends its call and nothing else.
fn catch(poll: impl FnOnce() -> Polled) -> Polled {
    // What a panicking handler shares with others is its author's business, as it is with threads.
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| Polled::Ready(Err(panicked(panic))))
}

fn panicked(panic: Box<dyn Any + Send>) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(panic = text.as_deref().unwrap_or("(no text)"), "a handler panicked");
    // Dropping what was thrown may panic again.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    Status::new(Code::Internal, "the handler panicked")
}

/// A handler on a task of its own: made there, polled there, timed.
struct Spawned {
    shared: Arc<Shared>,
    method: u32,
    state: State,
}

enum State {
    /// Not called yet.
    New(Option<Box<ServerCall>>),
    Running(CallFuture),
}

impl Future for Spawned {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Outcome> {
        let this = self.get_mut();
        let entry = this.shared.router.entry(this.method);
        let start = entry.dispatch.is_auto().then(Instant::now);
        let state = &mut this.state;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if let State::New(call) = state
                && let Target::Handler(chain) = &entry.target
                && let Some(call) = call.take()
            {
                *state = State::Running(chain.call(*call));
            }
            match state {
                State::Running(future) => future.as_mut().poll(cx),
                State::New(_) => Poll::Ready(Err(Status::new(Code::Internal, "polled again"))),
            }
        }));
        if let Some(start) = start {
            entry.dispatch.spawned_poll(start.elapsed());
        }
        polled.unwrap_or_else(|panic| {
            // What is left of it may panic again when it is dropped.
            let left = std::mem::replace(state, State::New(None));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(left)));
            Poll::Ready(Err(panicked(panic)))
        })
    }
}

/// The answer to a request of this size does not wait for the answers to others: reading one takes
/// about as long as a write, and the caller can go on meanwhile.
const LARGE_REQUEST: usize = 16 << 10;
