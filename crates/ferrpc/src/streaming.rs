//! Messages as they come in.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ferrpc_core::transport::Message;
use futures_core::Stream;

use crate::codec::CodecError;
use crate::compression::{self, Decompress};
use crate::{Codec, Encoding, Metadata, Status};

/// The messages that the peer sends in a streaming call: a server's requests, a client's
/// responses.
///
/// Read it with [`message`](Self::message) or as a [`Stream`]. Credit for a message goes back to
/// the peer when it is taken from here, so a reader that pauses slows the peer down, and nobody
/// else. Reading and sending are independent of each other: each may wait while the other goes on.
///
/// On the client's side, dropping a `Streaming` before its end cancels the call.
pub struct Streaming<T> {
    source: Box<dyn MessageSource>,
    decode: fn(Bytes) -> Result<T, CodecError>,
    encoding: Encoding,
    max_receive: usize,
    /// A message that was received and is being decompressed.
    pending: Option<Decompress>,
    trailing: Metadata,
    ended: bool,
}

/// Where the messages of a [`Streaming`] come from: one call of a client or a server.
pub(crate) trait MessageSource: Send {
    /// The next message; `None` after the last one if the call ended well. Gives the message's
    /// credit back. Not called again after `None` or an error.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Status>>>;

    /// After `None`: the trailing metadata (clients).
    fn take_trailing(&mut self) -> Metadata {
        Metadata::new()
    }

    /// Called after a message could not be read: the call is of no more use.
    fn fail(&mut self, status: &Status) {
        let _ = status;
    }
}

impl<T> Streaming<T> {
    pub(crate) fn new(
        source: Box<dyn MessageSource>,
        codec: Codec<T>,
        encoding: Encoding,
        max_receive: usize,
    ) -> Self {
        Self {
            source,
            decode: codec.decode,
            encoding,
            max_receive,
            pending: None,
            trailing: Metadata::new(),
            ended: false,
        }
    }

    /// The next message; `None` at the end.
    ///
    /// On the client's side `None` means that the call ended with OK, and any other status is the
    /// error. On the server's side `None` means that the caller will send no more, and an error
    /// that the call is lost (cancelled, connection gone, a message that cannot be read). After
    /// either, every further call returns `None`.
    ///
    /// Cancel-safe: no message is lost if the future is dropped before it is ready.
    pub async fn message(&mut self) -> Result<Option<T>, Status> {
        poll_fn(|cx| self.poll_message(cx)).await.transpose()
    }

    /// Client: the trailing metadata, once the end was reached with OK (that of an error is in its
    /// [`Status`]); empty before.
    pub const fn trailing(&self) -> &Metadata {
        &self.trailing
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            if let Some(pending) = &mut self.pending {
                let bytes = ready!(Pin::new(pending).poll(cx));
                self.pending = None;
                let result = bytes.and_then(|bytes| Ok((self.decode)(bytes)?));
                if let Err(status) = &result {
                    self.ended = true;
                    self.source.fail(status);
                }
                return Poll::Ready(Some(result));
            }
            match ready!(self.source.poll_message(cx)) {
                Some(Ok(message)) => {
                    self.pending =
                        Some(compression::decompress(self.encoding, message, self.max_receive));
                }
                Some(Err(status)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
                None => {
                    self.ended = true;
                    self.trailing = self.source.take_trailing();
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl<T> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming")
            .field("encoding", &self.encoding)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;
    use crate::{Code, codec};

    struct Script(VecDeque<Option<Result<Message, Status>>>);

    impl MessageSource for Script {
        fn poll_message(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Message, Status>>> {
            self.0.pop_front().map_or(Poll::Pending, Poll::Ready)
        }
    }

    fn streaming<const N: usize>(script: [Option<Result<Message, Status>>; N]) -> Streaming<Bytes> {
        Streaming::new(Box::new(Script(script.into())), codec::raw(), Encoding::Identity, 100)
    }

    fn text(text: &'static str) -> Option<Result<Message, Status>> {
        Some(Ok(Message { payload: Bytes::from_static(text.as_bytes()), compressed: false }))
    }

    #[test]
    fn messages_come_in_order_and_the_end_stays() {
        let mut messages = streaming([text("a"), text("b"), None]);
        let cx = &mut Context::from_waker(Waker::noop());
        for expect in ["a", "b"] {
            let Poll::Ready(Some(Ok(message))) = messages.poll_message(cx) else {
                panic!("no message {expect}");
            };
            assert_eq!(message, expect);
        }
        assert!(matches!(messages.poll_message(cx), Poll::Ready(None)));
        assert!(matches!(messages.poll_message(cx), Poll::Ready(None)));
    }

    #[test]
    fn an_error_is_the_last_item() {
        let mut messages = streaming([Some(Err(Status::new(Code::NotFound, "gone")))]);
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(matches!(messages.poll_message(cx), Poll::Ready(Some(Err(_)))));
        assert!(matches!(messages.poll_message(cx), Poll::Ready(None)));
    }
}
