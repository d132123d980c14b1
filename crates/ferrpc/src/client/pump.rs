//! From the caller's stream of requests to its call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use ferrpc_core::transport::Message;
use ferrpc_core::{Code, Encoding, Status};
use futures_core::Stream;
use std::sync::Arc;

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
    /// Messages are encoded one behind the other in here, and split off.
    buffer: BytesMut,
    /// A large message that is being compressed.
    compressing: Option<Pin<Box<dyn Future<Output = Message> + Send>>>,
}

impl<R: Stream> Pump<R> {
    pub(super) fn new(requests: R, codec: Codec<R::Item>, cell: Arc<CallCell>) -> Self {
        Self {
            requests: Box::pin(requests),
            encode: codec.encode,
            cell,
            buffer: BytesMut::new(),
            compressing: None,
        }
    }

    /// Ready when there is nothing more to do. A message that cannot be sent ends the call, with
    /// a status that its caller sees.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.cell.poll_send_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            if let Some(compressing) = &mut self.compressing {
                let message = ready!(compressing.as_mut().poll(cx));
                self.compressing = None;
                if self.push(message).is_err() {
                    return Poll::Ready(());
                }
                continue;
            }
            let Some(request) = ready!(self.requests.as_mut().poll_next(cx)) else {
                self.cell.half_close();
                return Poll::Ready(());
            };
            let payload = match self.encode(&request) {
                Ok(payload) => payload,
                Err(error) => {
                    self.cell.fail(error.into());
                    return Poll::Ready(());
                }
            };
            match self.cell.head.encoding {
                Encoding::Identity => {
                    if self.push(Message { payload, compressed: false }).is_err() {
                        return Poll::Ready(());
                    }
                }
                encoding => {
                    self.compressing = Some(Box::pin(compression::compress(encoding, payload)));
                }
            }
        }
    }

    /// The same in a task of its own, where nobody would learn of a panic of the stream: it ends
    /// the call, too.
    pub(super) fn poll_caught(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        catch_unwind(AssertUnwindSafe(|| self.poll(cx))).unwrap_or_else(|_| {
            self.cell.fail(Status::new(Code::Internal, "the stream of requests panicked"));
            Poll::Ready(())
        })
    }

    fn encode(&mut self, request: &R::Item) -> Result<Bytes, CodecError> {
        (self.encode)(request, &mut self.buffer)?;
        Ok(self.buffer.split().freeze())
    }

    fn push(&self, message: Message) -> Result<(), ()> {
        if let Err(status) = check_size(&message, self.cell.head.limits.max_send) {
            self.cell.fail(status);
            return Err(());
        }
        self.cell.push(message);
        Ok(())
    }
}

/// Whether a message may be sent.
pub(crate) fn check_size(message: &Message, max_send: usize) -> Result<(), Status> {
    let size = message.payload.len();
    if size <= max_send {
        return Ok(());
    }
    Err(Status::new(
        Code::ResourceExhausted,
        format!(
            "a request message of {size} bytes exceeds the limit of {max_send} bytes \
             (ChannelBuilder::max_send_message)"
        ),
    ))
}
