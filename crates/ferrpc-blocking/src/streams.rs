//! The two halves of streaming calls.

use std::fmt;
use std::sync::Arc;

use ferrpc::for_blocking::{EndHooks, Head, check_size, compress_now, decompress_now};
use ferrpc::{Code, Codec};
use ferrpc_core::transport::Message;
use ferrpc_core::{Encoding, Metadata, Status};

use super::call::{Call, Found};
use super::sending::Unsent;

/// Sends the requests of a call. They end with [`finish`](Self::finish). Dropped without that, by a
/// thread that gave up or panicked, it cancels the call: requests that broke off must not look whole
/// to the server.
#[must_use = "the call is cancelled when it is dropped"]
pub struct Requests<Q> {
    call: Arc<Call>,
    codec: Codec<Q>,
    finished: bool,
}

/// The responses of a call: an iterator of messages, whose last item is the call's error if it
/// fails. Dropped before its end, it cancels the call.
pub struct Responses<S> {
    call: Arc<Call>,
    hooks: EndHooks,
    codec: Codec<S>,
    headers: Option<(Metadata, Encoding)>,
    trailing: Metadata,
    ended: bool,
}

impl<Q> Requests<Q> {
    pub(super) const fn new(call: Arc<Call>, codec: Codec<Q>) -> Self {
        Self { call, codec, finished: false }
    }

    /// Sends a message; waits while too many are on their way.
    ///
    /// # Errors
    /// The call's status, if it is over: FAILED_PRECONDITION where the server ended it with OK and
    /// takes no more. Or the status of a message that cannot be sent, which leaves the call as it is.
    pub fn send(&mut self, request: &Q) -> Result<(), Status> {
        let message = encode(&self.call.head, &self.codec, request)?;
        match self.call.push(message, None) {
            Ok(()) => Ok(()),
            Err(Unsent::Over(outcome)) if outcome.status().is_ok() => Err(Status::new(
                Code::FailedPrecondition,
                "the call is over: the server ended it with OK and takes no more requests",
            )),
            Err(Unsent::Over(outcome)) => Err(outcome.status().clone()),
            Err(Unsent::Late(_)) => unreachable!("there was no limit"),
        }
    }

    /// Ends the requests; the responses go on.
    pub fn finish(mut self) {
        self.finished = true;
        self.call.half_close();
    }
}

impl<Q> Drop for Requests<Q> {
    fn drop(&mut self) {
        if !self.finished {
            let text = "the requests were dropped before they were finished (Requests::finish)";
            self.call.cancel(Status::new(Code::Cancelled, text));
        }
    }
}

impl<S> Responses<S> {
    pub(super) const fn new(call: Arc<Call>, hooks: EndHooks, codec: Codec<S>) -> Self {
        Self { call, hooks, codec, headers: None, trailing: Metadata::new(), ended: false }
    }

    /// The initial metadata; waits for the response to begin.
    pub fn metadata(&mut self) -> Result<&Metadata, Status> {
        self.begin().map(|(metadata, _)| &*metadata)
    }

    /// The trailing metadata, once the end was reached with OK; empty before.
    pub const fn trailing(&self) -> &Metadata {
        &self.trailing
    }

    /// The next message, `None` at the end; waits for it.
    pub fn message(&mut self) -> Result<Option<S>, Status> {
        self.next().transpose()
    }

    fn begin(&mut self) -> Result<&mut (Metadata, Encoding), Status> {
        if self.headers.is_none() {
            match self.call.headers(None) {
                Found::Done(headers) => self.headers = Some(headers.cloned().unwrap_or_default()),
                Found::Over(outcome) => {
                    let status = outcome.status();
                    self.ended = true;
                    self.hooks.end(status);
                    return Err(status.clone());
                }
                Found::Late => unreachable!("there was no limit"),
            }
        }
        Ok(self.headers.as_mut().expect("just put there"))
    }

    fn read(&mut self) -> Result<S, Status> {
        let encoding = self.begin()?.1;
        let message = match self.call.message(None) {
            Found::Done(message) => message,
            Found::Over(outcome) => return Err(outcome.status().clone()),
            Found::Late => unreachable!("there was no limit"),
        };
        let limit = self.call.head.limits.max_receive;
        let read = decompress_now(encoding, message, limit)
            .and_then(|payload| Ok((self.codec.decode)(payload)?));
        read.inspect_err(|status| {
            self.call.cancel(status.clone());
        })
    }
}

impl<S> Iterator for Responses<S> {
    type Item = Result<S, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.read() {
            Ok(message) => Some(Ok(message)),
            Err(mut status) => {
                self.ended = true;
                self.hooks.end(&status);
                if !status.is_ok() {
                    return Some(Err(status));
                }
                self.trailing = std::mem::take(status.metadata_mut());
                None
            }
        }
    }
}

impl<S> Drop for Responses<S> {
    fn drop(&mut self) {
        if !self.ended {
            self.call.cancel(Status::new(Code::Cancelled, "the responses were dropped"));
        }
    }
}

/// A message as it travels, if it may.
pub(super) fn encode<Q>(head: &Head, codec: &Codec<Q>, message: &Q) -> Result<Message, Status> {
    let payload = codec.to_bytes(message)?;
    let message = compress_now(head.encoding, payload);
    check_size(message.payload.len(), head.limits.max_send)?;
    Ok(message)
}

impl<Q> fmt::Debug for Requests<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("path", &self.call.head.path()).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Responses<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responses").field("path", &self.call.head.path()).finish_non_exhaustive()
    }
}
