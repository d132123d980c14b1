//! From the caller's stream of requests to its call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use ferrpc_core::transport::{Message, Messages, PushError, RunBuilder};
use ferrpc_core::{Code, Encoding, Status};
use futures_core::Stream;

use super::call::CallCell;
use crate::Codec;
use crate::codec::CodecError;
use crate::compression;

/// Takes messages from a stream as fast as the call takes them.
///
/// It keeps no more than the call's own buffer: the stream is not asked for a message while the
/// transport has no room. It ends, and drops the stream, when the stream or the call ends.
pub(super) struct Pump<R: Stream> {
    requests: Pin<Box<R>>,
    encode: fn(&R::Item, &mut BytesMut) -> Result<(), CodecError>,
    cell: Arc<CallCell>,
    /// Encoded, and not in the cell yet: small messages that are there at the same time leave
    /// together.
    run: RunBuilder,
    /// Whether to wait for room, or at least to look whether there is some.
    full: bool,
    /// A large message that is being compressed.
    compressing: Option<Pin<Box<dyn Future<Output = Message> + Send>>>,
}

impl<R: Stream> Pump<R> {
    pub(super) fn new(requests: R, codec: Codec<R::Item>, cell: Arc<CallCell>) -> Self {
        Self {
            requests: Box::pin(requests),
            encode: codec.encode,
            cell,
            run: RunBuilder::new(),
            full: true,
            compressing: None,
        }
    }

    /// Ready when there is nothing more to do. A message that cannot be sent ends the call, with
    /// a status that its caller sees.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.full {
                if ready!(self.cell.poll_send_ready(cx)).is_err() {
                    return Poll::Ready(());
                }
                self.full = false;
            }
            if let Some(compressing) = &mut self.compressing {
                let message = ready!(compressing.as_mut().poll(cx));
                self.compressing = None;
                if let Err(status) = check_size(message.payload.len(), self.max_send()) {
                    self.cell.fail(status);
                    return Poll::Ready(());
                }
                self.send(message.into());
                continue;
            }
            let request = match self.requests.as_mut().poll_next(cx) {
                Poll::Ready(Some(request)) => request,
                Poll::Ready(None) => {
                    self.flush();
                    self.cell.half_close();
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    self.flush();
                    self.full = true;
                    // A sender that waits for its stream is to learn of the call's end as well.
                    let over = ready!(self.cell.poll_send_ready(cx)).is_err();
                    return if over { Poll::Ready(()) } else { Poll::Pending };
                }
            };
            if let Err(status) = self.take(request) {
                self.cell.fail(status);
                return Poll::Ready(());
            }
        }
    }

    /// Encodes a request; it is then in the run, or being compressed.
    fn take(&mut self, request: R::Item) -> Result<(), Status> {
        let encoding = self.cell.head.encoding;
        if encoding != Encoding::Identity {
            let mut buffer = BytesMut::new();
            (self.encode)(&request, &mut buffer)?;
            self.compressing = Some(Box::pin(compression::compress(encoding, buffer.freeze())));
            return Ok(());
        }
        let encode = self.encode;
        let max_send = self.max_send();
        self.run.push(false, max_send, |buffer| encode(&request, buffer)).map_err(|error| {
            match error {
                PushError::Encode(error) => error.into(),
                PushError::TooLarge(size) => too_large(size, max_send),
            }
        })?;
        if self.run.framed_bytes() >= RUN_BYTES {
            self.flush();
        }
        Ok(())
    }

    /// The same in a task of its own, where nobody would learn of a panic of the stream: it ends
    /// the call, too.
    pub(super) fn poll_caught(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        catch_unwind(AssertUnwindSafe(|| self.poll(cx))).unwrap_or_else(|_| {
            self.cell.fail(Status::new(Code::Internal, "the stream of requests panicked"));
            Poll::Ready(())
        })
    }

    /// Hands over what was gathered.
    fn flush(&mut self) {
        if !self.run.is_empty() {
            let run = self.run.finish();
            self.send(run.into());
        }
    }

    fn send(&mut self, messages: Messages) {
        self.cell.push(messages);
        self.full = true;
    }

    fn max_send(&self) -> usize {
        self.cell.head.limits.max_send
    }
}

/// Whether a message may be sent.
#[inline]
pub fn check_size(size: usize, max_send: usize) -> Result<(), Status> {
    if size <= max_send { Ok(()) } else { Err(too_large(size, max_send)) }
}

fn too_large(size: usize, max_send: usize) -> Status {
    Status::new(
        Code::ResourceExhausted,
        format!(
            "a request message of {size} bytes exceeds the limit of {max_send} bytes \
             (ChannelBuilder::max_send_message)"
        ),
    )
}

/// Encoded requests that are handed over together: two DATA frames of the size that most peers
/// take.
const RUN_BYTES: usize = 32 << 10;
