//! Messages as they come in.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ferrpc_core::transport::Messages;
use futures_core::Stream;

use crate::codec::{CodecError, DecodeSlice};
use crate::compression::{self, Decompress};
use crate::transport::inbox::{CREDIT_BATCH, Credit, Reader};
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
    reader: Reader,
    decode: fn(Bytes) -> Result<T, CodecError>,
    decode_slice: Option<DecodeSlice<T>>,
    /// How the messages are compressed; unknown until the response begins.
    encoding: Option<Encoding>,
    metadata: Metadata,
    max_receive: usize,
    /// A message that was received and is being decompressed.
    pending: Option<Decompress>,
    trailing: Metadata,
    ended: bool,
}

/// Where the messages of a [`Streaming`] come from: one call of a client or a server.
pub(crate) trait MessageSource: Send {
    /// Waits for the response's headers (clients, of calls that return before them): the initial
    /// metadata, and how messages are compressed. After an error nothing else is called.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(Metadata, Encoding), Status>> {
        let _ = cx;
        Poll::Ready(Ok((Metadata::new(), Encoding::Identity)))
    }

    /// The next messages; `None` after the last if the call ended well. `read` is what was read of
    /// those before, for its credit. Not called again after `None` or an error.
    fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        read: Credit,
    ) -> Poll<Option<Result<Messages, Status>>>;

    /// Gives credit back without taking messages.
    fn give(&mut self, read: Credit);

    /// So much credit is given back together.
    fn credit_batch(&self) -> usize {
        CREDIT_BATCH
    }

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
        let mut streaming = Self::unbegun(source, codec, max_receive);
        streaming.encoding = Some(encoding);
        streaming
    }

    /// One whose response has not begun: `source` says when.
    pub(crate) fn unbegun(
        source: Box<dyn MessageSource>,
        codec: Codec<T>,
        max_receive: usize,
    ) -> Self {
        Self {
            reader: Reader::new(source.credit_batch()),
            source,
            decode: codec.decode,
            decode_slice: codec.decode_slice,
            encoding: None,
            metadata: Metadata::new(),
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
        // The usual case of small messages, with nothing to wait for and little to move.
        if self.pending.is_none()
            && !self.ended
            && let Some(decode) = self.decode_slice
            && let Some(result) = self.reader.read_plain(decode)
        {
            self.give_due();
            return match result {
                Ok(message) => Ok(Some(message)),
                Err(error) => Err(self.fail(error.into())),
            };
        }
        poll_fn(|cx| self.poll_message(cx)).await.transpose()
    }

    /// Client, of a bidirectional call: the initial metadata. Waits until the response begins,
    /// which many servers let wait until their first message; other calls have it in their
    /// [`Response`](crate::Response).
    ///
    /// # Errors
    /// The call's status, if it ended instead.
    ///
    /// Cancel-safe.
    pub async fn metadata(&mut self) -> Result<&Metadata, Status> {
        poll_fn(|cx| self.poll_begin(cx)).await?;
        Ok(&self.metadata)
    }

    /// Client: the trailing metadata, once the end was reached with OK (that of an error is in its
    /// [`Status`]); empty before.
    pub const fn trailing(&self) -> &Metadata {
        &self.trailing
    }

    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<Encoding, Status>> {
        if let Some(encoding) = self.encoding {
            return Poll::Ready(Ok(encoding));
        }
        let begun = ready!(self.source.poll_begin(cx));
        // After an error it counts as begun, so that the source is left alone.
        let (metadata, encoding) = begun.as_ref().cloned().unwrap_or_default();
        self.metadata = metadata;
        self.encoding = Some(encoding);
        self.ended = begun.is_err();
        Poll::Ready(begun.map(|(_, encoding)| encoding))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let encoding = match ready!(self.poll_begin(cx)) {
            Ok(encoding) => encoding,
            Err(status) => return Poll::Ready(Some(Err(status))),
        };
        loop {
            if let Some(pending) = &mut self.pending {
                let bytes = ready!(Pin::new(pending).poll(cx));
                self.pending = None;
                return Poll::Ready(Some(self.read(bytes)));
            }
            if let Some(decode) = self.decode_slice
                && let Some(result) = self.reader.read_plain(decode)
            {
                self.give_due();
                return Poll::Ready(Some(result.map_err(|error| self.fail(error.into()))));
            }
            let message = match self.reader.next() {
                Some(message) => message,
                None => match ready!(self.source.poll_messages(cx, self.reader.take_read())) {
                    Some(Ok(Messages::One(message))) => message,
                    Some(Ok(Messages::Run(run))) => {
                        self.reader.begin(run);
                        continue;
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
                },
            };
            if !message.compressed {
                return Poll::Ready(Some(self.read(Ok(message.payload))));
            }
            self.pending = Some(compression::decompress(encoding, message, self.max_receive));
        }
    }

    #[inline]
    fn read(&mut self, bytes: Result<Bytes, Status>) -> Result<T, Status> {
        self.give_due();
        match bytes.and_then(|bytes| Ok((self.decode)(bytes)?)) {
            Ok(message) => Ok(message),
            Err(status) => Err(self.fail(status)),
        }
    }

    #[inline]
    fn give_due(&mut self) {
        if let Some(due) = self.reader.take_due() {
            self.source.give(due);
        }
    }

    /// A message could not be read.
    #[cold]
    fn fail(&mut self, status: Status) -> Status {
        self.ended = true;
        self.source.fail(&status);
        status
    }
}

impl<T> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx)
    }
}

impl<T> Drop for Streaming<T> {
    fn drop(&mut self) {
        let unread = self.reader.close();
        if !unread.is_none() {
            self.source.give(unread);
        }
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

    use ferrpc_core::transport::Message;

    use super::*;
    use crate::{Code, codec};

    struct Script(VecDeque<Option<Result<Message, Status>>>);

    impl MessageSource for Script {
        fn poll_messages(
            &mut self,
            _: &mut Context<'_>,
            _: Credit,
        ) -> Poll<Option<Result<Messages, Status>>> {
            let next = self.0.pop_front().map_or(Poll::Pending, Poll::Ready);
            next.map_ok(Messages::One)
        }

        fn give(&mut self, _: Credit) {}
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
