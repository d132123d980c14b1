//! The responses of a streaming call.

use std::task::{Context, Poll};

use ferrpc_core::transport::Message;
use ferrpc_core::{Metadata, Status};

use super::attempt::CallGuard;
use crate::interceptor::EndHooks;
use crate::streaming::MessageSource;

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
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Status>>> {
        self.guard.cell.poll_message(cx).map(|result| match result {
            Ok(message) => Some(Ok(message)),
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

    fn take_trailing(&mut self) -> Metadata {
        std::mem::take(&mut self.trailing)
    }

    fn fail(&mut self, status: &Status) {
        self.guard.cell.fail(status.clone());
        self.hooks.end(status);
    }
}
