//! How calls end, and how what their handlers leave in cells gets to the transport.

use std::sync::Arc;

use ferrpc_core::transport::{CallId, CancelledBy, SendState};
use ferrpc_net::clock;

use super::call::{Outcome, error_status};
use super::connection::Connection;
use super::observer::CallEnded;
use super::routes::Target;
use super::slots::Work;
use crate::transport::cell::{Cell, Outgoing};
use crate::transport::driver::Context;
use crate::{Code, Status};

impl Connection {
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

    pub(super) fn on_cancelled(&mut self, call: CallId, by: CancelledBy) {
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
