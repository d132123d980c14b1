//! Typed handlers behind one untyped face.

use std::future::{poll_fn, ready};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;

use ferrpc_core::transport::{Messages, PushError, RunBuilder};

use super::ResponseStream;
use super::call::{CallFuture, Outcome, Replies, Reply, ServerCall};
use crate::transport::cell::{Cell, Outgoing, Room};
use crate::{Codec, Encoding, Request, Response, Status, Streaming, compression};

/// What handles the calls of one method, whatever its types.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Begins to handle a call. What is cheap happens here, the rest in the future.
    fn call(&self, call: ServerCall) -> CallFuture;
}

/// A handler `F` of requests `I` (a message or a stream of them) and responses `O`.
pub(crate) struct Typed<F, Q, S, K> {
    handler: Arc<F>,
    request: Codec<Q>,
    response: Codec<S>,
    kind: PhantomData<fn() -> K>,
}

/// One request, one response.
pub(crate) struct Unary;
/// Requests as a stream, one response.
pub(crate) struct ClientStreaming;
/// One request, responses as a stream.
pub(crate) struct ServerStreaming;
/// Streams both ways.
pub(crate) struct Bidirectional;

impl<F, Q, S, K> Typed<F, Q, S, K> {
    pub(crate) fn new(handler: F, request: Codec<Q>, response: Codec<S>) -> Self {
        Self { handler: Arc::new(handler), request, response, kind: PhantomData }
    }
}

impl<F, Q, S, Fut> Handler for Typed<F, Q, S, Unary>
where
    F: Fn(Request<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<S>, Status>> + Send + 'static,
    Q: Send + 'static,
    S: Send + 'static,
{
    fn call(&self, mut call: ServerCall) -> CallFuture {
        let codec = self.response;
        let replies = call.replies();
        if call.body.compressed {
            let (handler, decode) = (Arc::clone(&self.handler), self.request.decode);
            return Box::pin(async move {
                let message = decode(decompress(&mut call).await?)?;
                let response = handler(call.request(message)).await?;
                one_reply(response, codec, replies).await
            });
        }
        // The usual case holds no reference to the handler: its counter would be touched by all
        // threads, for each call.
        let message = match (self.request.decode)(std::mem::take(&mut call.body.payload)) {
            Ok(message) => message,
            Err(error) => return failed(error),
        };
        let handling = (self.handler)(call.request(message));
        Box::pin(async move { one_reply(handling.await?, codec, replies).await })
    }
}

impl<F, Q, S, Fut> Handler for Typed<F, Q, S, ClientStreaming>
where
    F: Fn(Request<Streaming<Q>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<S>, Status>> + Send + 'static,
    Q: Send + 'static,
    S: Send + 'static,
{
    fn call(&self, call: ServerCall) -> CallFuture {
        let codec = self.response;
        let replies = call.replies();
        let stream = call.stream(self.request);
        let handling = (self.handler)(call.request(stream));
        Box::pin(async move { one_reply(handling.await?, codec, replies).await })
    }
}

impl<F, Q, S, Fut> Handler for Typed<F, Q, S, ServerStreaming>
where
    F: Fn(Request<Q>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<ResponseStream<S>>, Status>> + Send + 'static,
    Q: Send + 'static,
    S: Send + 'static,
{
    fn call(&self, mut call: ServerCall) -> CallFuture {
        let codec = self.response;
        let replies = call.replies();
        let cell = call.cell.clone().expect("calls that stream have a cell");
        if call.body.compressed {
            let (handler, decode) = (Arc::clone(&self.handler), self.request.decode);
            return Box::pin(async move {
                let message = decode(decompress(&mut call).await?)?;
                let response = handler(call.request(message)).await?;
                many_replies(response, codec, replies, &cell).await
            });
        }
        let message = match (self.request.decode)(std::mem::take(&mut call.body.payload)) {
            Ok(message) => message,
            Err(error) => return failed(error),
        };
        let handling = (self.handler)(call.request(message));
        Box::pin(async move { many_replies(handling.await?, codec, replies, &cell).await })
    }
}

impl<F, Q, S, Fut> Handler for Typed<F, Q, S, Bidirectional>
where
    F: Fn(Request<Streaming<Q>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<ResponseStream<S>>, Status>> + Send + 'static,
    Q: Send + 'static,
    S: Send + 'static,
{
    fn call(&self, call: ServerCall) -> CallFuture {
        let codec = self.response;
        let replies = call.replies();
        let cell = call.cell.clone().expect("calls that stream have a cell");
        let stream = call.stream(self.request);
        let handling = (self.handler)(call.request(stream));
        Box::pin(async move { many_replies(handling.await?, codec, replies, &cell).await })
    }
}

fn failed(error: impl Into<Status>) -> CallFuture {
    Box::pin(ready(Err(error.into())))
}

/// The request's bytes, decompressed.
async fn decompress(call: &mut ServerCall) -> Result<bytes::Bytes, Status> {
    let body = std::mem::take(&mut call.body);
    compression::decompress(call.head.encoding, body, call.settings.limits.max_receive).await
}

async fn one_reply<S>(response: Response<S>, codec: Codec<S>, replies: Replies) -> Outcome {
    let parts = response.into_parts();
    let encoding = replies.encoding(parts.compression);
    let encoded = codec.to_bytes(&parts.message);
    // Not held across what follows: the message need not outlive its encoding.
    drop(parts.message);
    let message = replies.message(encoding, encoded).await?;
    Ok(Reply {
        initial: parts.metadata,
        trailing: parts.trailing,
        encoding,
        message: Some(message),
    })
}

async fn many_replies<S>(
    response: Response<ResponseStream<S>>,
    codec: Codec<S>,
    replies: Replies,
    cell: &Cell,
) -> Outcome {
    let parts = response.into_parts();
    let encoding = replies.encoding(parts.compression);
    cell.send(Outgoing::Headers(parts.metadata, encoding));
    let mut sender = Sender { cell, run: RunBuilder::new(), full: true };
    let sent = sender.send_all(parts.message, codec, replies, encoding).await;
    // What came before an error is the caller's all the same.
    sender.flush();
    sent?;
    Ok(Reply::end(parts.trailing))
}

/// Sends responses: small ones that are there at the same time leave together.
struct Sender<'a> {
    cell: &'a Cell,
    /// Encoded, and not in the cell yet.
    run: RunBuilder,
    /// Whether to wait for room, or at least to look whether there is some.
    full: bool,
}

impl Sender<'_> {
    async fn send_all<S>(
        &mut self,
        mut stream: ResponseStream<S>,
        codec: Codec<S>,
        replies: Replies,
        encoding: Encoding,
    ) -> Result<(), Status> {
        loop {
            // The next response is not asked for before there is room for it.
            if self.full {
                poll_fn(|cx| self.cell.poll_send_ready(cx)).await?;
                self.full = false;
            }
            let next = poll_fn(|cx| match stream.as_mut().poll_next(cx) {
                Poll::Ready(item) => Poll::Ready(Next::Item(item)),
                Poll::Pending => {
                    self.flush();
                    if self.full { Poll::Ready(Next::Full) } else { Poll::Pending }
                }
            });
            let item = match next.await {
                Next::Full => continue,
                Next::Item(None) => return Ok(()),
                Next::Item(Some(item)) => item?,
            };
            if encoding == Encoding::Identity {
                let pushed =
                    self.run.push(false, replies.max_send, |buffer| (codec.encode)(&item, buffer));
                pushed.map_err(|error| match error {
                    PushError::Encode(error) => error.into(),
                    PushError::TooLarge(size) => replies.too_large(size),
                })?;
                if self.run.framed_bytes() >= RUN_BYTES {
                    self.flush();
                }
            } else {
                let encoded = codec.to_bytes(&item);
                drop(item);
                let message = replies.message(encoding, encoded).await?;
                self.send(message.into());
            }
        }
    }

    /// Hands over what was gathered.
    fn flush(&mut self) {
        if !self.run.is_empty() {
            let run = self.run.finish();
            self.send(run.into());
        }
    }

    fn send(&mut self, messages: Messages) {
        self.full |= self.cell.send(Outgoing::Messages(messages)) != Room::Free;
    }
}

/// What a stream of responses came to.
enum Next<T> {
    Item(T),
    /// It has nothing now, and there is no room.
    Full,
}

/// Encoded responses that are handed over together: two DATA frames of the size that most peers
/// take.
const RUN_BYTES: usize = 32 << 10;
