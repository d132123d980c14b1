//! The responses of a streaming call.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ferrpc_core::transport::Messages;
use ferrpc_core::{Encoding, Metadata, Status};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::attempt::CallGuard;
use crate::interceptor::EndHooks;
use crate::streaming::MessageSource;
use crate::transport::inbox::{Credit, Receive};

/// What a client's [`Streaming`](crate::Streaming) reads from. Dropped before the end, it cancels
/// the call.
pub(super) struct Responses {
    guard: CallGuard,
    hooks: EndHooks,
    trailing: Metadata,
}

impl Responses {
    pub(super) const fn new(guard: CallGuard, hooks: EndHooks) -> Self {
        Self { guard, hooks, trailing: Metadata::new() }
    }
}

impl MessageSource for Responses {
    fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        read: Credit,
    ) -> Poll<Option<Result<Messages, Status>>> {
        self.guard.cell.poll_messages(cx, read).map(|result| match result {
            Ok(messages) => Some(Ok(messages)),
            Err(mut status) => {
                self.guard.disarm();
                self.hooks.end(&status);
                if !status.is_ok() {
                    return Some(Err(status));
                }
                self.trailing = std::mem::take(status.metadata_mut());
                None
            }
        })
    }

    fn give(&mut self, read: Credit) {
        self.guard.cell.give(read);
    }

    fn credit_batch(&self) -> usize {
        self.guard.cell.head.credit_batch
    }

    fn take_trailing(&mut self) -> Metadata {
        std::mem::take(&mut self.trailing)
    }

    fn fail(&mut self, status: &Status) {
        self.guard.cell.fail(status.clone());
        self.hooks.end(status);
    }
}

/// What the streaming of a bidirectional call reads from: first the task that makes the call, then
/// its [`Responses`]. Dropped before the end, it cancels the call.
pub(super) struct Opening {
    begun: oneshot::Receiver<Result<Begun, Status>>,
    task: AbortHandle,
    credit_batch: usize,
    responses: Option<Responses>,
}

/// A response that began.
pub(super) struct Begun {
    pub(super) responses: Responses,
    pub(super) metadata: Metadata,
    pub(super) encoding: Encoding,
}

impl Opening {
    pub(super) const fn new(
        begun: oneshot::Receiver<Result<Begun, Status>>,
        task: AbortHandle,
        credit_batch: usize,
    ) -> Self {
        Self { begun, task, credit_batch, responses: None }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        // Once the response has begun, its guard cancels the call; until then the task has it.
        if self.responses.is_none() {
            self.task.abort();
        }
    }
}

impl MessageSource for Opening {
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Metadata, Encoding), Status>> {
        let begun = ready!(Pin::new(&mut self.begun).poll(cx));
        Poll::Ready(match begun {
            Ok(Ok(begun)) => {
                self.responses = Some(begun.responses);
                Ok((begun.metadata, begun.encoding))
            }
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::unavailable("the runtime that the call ran on has ended")),
        })
    }

    fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        read: Credit,
    ) -> Poll<Option<Result<Messages, Status>>> {
        match &mut self.responses {
            Some(responses) => responses.poll_messages(cx, read),
            None => Poll::Ready(None),
        }
    }

    fn give(&mut self, read: Credit) {
        if let Some(responses) = &mut self.responses {
            responses.give(read);
        }
    }

    fn credit_batch(&self) -> usize {
        self.credit_batch
    }

    fn take_trailing(&mut self) -> Metadata {
        self.responses.as_mut().map(Responses::take_trailing).unwrap_or_default()
    }

    fn fail(&mut self, status: &Status) {
        if let Some(responses) = &mut self.responses {
            responses.fail(status);
        }
    }
}
