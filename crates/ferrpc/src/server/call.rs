//! A call on its way to its handler, and the reply on its way back.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferrpc_core::transport::{Cardinality, Message, Messages, RequestHead};

use super::settings::Settings;
use crate::codec::CodecError;
use crate::streaming::MessageSource;
use crate::transport::cell::{Cell, Outgoing, Room};
use crate::transport::inbox::{Credit, Receive};
use crate::transport::{CallInfo, ConnectionInfo};
use crate::{Code, Codec, Encoding, Extensions, Metadata, Request, Status, Streaming, compression};

/// How a call ends: a reply, or a status that is an error.
pub type Outcome = Result<Reply, Status>;

/// A call being handled.
pub type CallFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A call that was received, before its messages are decoded: what interceptors see.
pub struct ServerCall {
    pub(crate) head: Box<RequestHead>,
    pub(crate) connection: Arc<ConnectionInfo>,
    pub(crate) extensions: Extensions,
    pub(crate) settings: Settings,
    pub(crate) cardinality: Cardinality,
    /// The whole request, where there is just one.
    pub(crate) body: Message,
    /// Where messages stream in or out.
    pub(crate) cell: Option<Arc<Cell>>,
}

/// What a handler replied, encoded.
///
/// Of methods with a stream of responses this is only the end: the initial metadata and the
/// messages went before.
pub struct Reply {
    pub(crate) initial: Metadata,
    pub(crate) trailing: Metadata,
    pub(crate) encoding: Encoding,
    pub(crate) message: Option<Message>,
}

impl ServerCall {
    /// "/service/method".
    pub fn path(&self) -> &str {
        &self.head.path
    }

    /// The `:authority` that the caller asked for.
    pub fn authority(&self) -> Option<&str> {
        self.head.authority.as_deref()
    }

    /// Who calls, over what.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// How many messages go each way.
    pub const fn cardinality(&self) -> Cardinality {
        self.cardinality
    }

    /// The metadata that the caller sent.
    pub const fn metadata(&self) -> &Metadata {
        &self.head.metadata
    }

    /// That metadata, to change what the handler sees.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.head.metadata
    }

    /// Values for the handler.
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Values for the handler, to add some.
    pub const fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// What the handler may know beside the message.
    pub(crate) fn request<T>(self, message: T) -> Request<T> {
        let RequestHead { path, authority, metadata, deadline, .. } = *self.head;
        let info = CallInfo { path, authority, deadline, connection: self.connection };
        let mut request = Request::received(message, metadata, info);
        if !self.extensions.is_empty() {
            *request.extensions_mut() = self.extensions;
        }
        request
    }

    /// The requests, as a stream.
    pub(crate) fn stream<T>(&self, codec: Codec<T>) -> Streaming<T> {
        let cell = self.cell.clone().expect("calls that stream have a cell");
        let source = Box::new(Requests { cell });
        Streaming::new(source, codec, self.head.encoding, self.settings.limits.max_receive)
    }

    pub(crate) fn replies(&self) -> Replies {
        Replies {
            accept: self.head.accept.and(self.settings.sends),
            default: self.settings.compression,
            max_send: self.settings.limits.max_send,
        }
    }
}

/// What is needed to send replies once the call itself was handed over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replies {
    accept: crate::EncodingSet,
    default: Encoding,
    pub(super) max_send: usize,
}

impl Replies {
    /// How responses are compressed where `wanted` was asked for.
    pub(crate) fn encoding(&self, wanted: Option<Encoding>) -> Encoding {
        self.accept.or_identity(wanted.unwrap_or(self.default))
    }

    /// One response as it travels.
    pub(crate) async fn message(
        &self,
        encoding: Encoding,
        encoded: Result<Bytes, CodecError>,
    ) -> Result<Message, Status> {
        let payload = encoded?;
        let message = if encoding == Encoding::Identity {
            Message { payload, compressed: false }
        } else {
            compression::compress(encoding, payload).await
        };
        match message.payload.len() {
            size if size > self.max_send => Err(self.too_large(size)),
            _ => Ok(message),
        }
    }

    /// The status of a call with a response of `size` bytes.
    pub(super) fn too_large(&self, size: usize) -> Status {
        let limit = self.max_send;
        Status::new(
            Code::ResourceExhausted,
            format!("the response has {size} bytes, {limit} may be sent"),
        )
    }
}

impl Reply {
    /// The end of a stream of responses.
    pub(crate) const fn end(trailing: Metadata) -> Self {
        Self { initial: Metadata::new(), trailing, encoding: Encoding::Identity, message: None }
    }

    /// The initial metadata; without effect where responses are a stream.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.initial
    }

    /// The trailing metadata.
    pub const fn trailing_mut(&mut self) -> &mut Metadata {
        &mut self.trailing
    }
}

/// The receiving side of a call's cell.
struct Requests {
    cell: Arc<Cell>,
}

impl MessageSource for Requests {
    fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        read: Credit,
    ) -> Poll<Option<Result<Messages, Status>>> {
        self.cell.poll_messages(cx, read).map(|received| match received {
            Ok(messages) => Some(Ok(messages)),
            Err(end) => end.map(Err),
        })
    }

    fn give(&mut self, read: Credit) {
        self.cell.give(read);
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.cell.stop_receiving();
    }
}

/// Sends the end of a call by way of its cell, after what is queued there.
pub(crate) fn finish_in_cell(cell: &Cell, outcome: Outcome) -> Room {
    cell.send(Outgoing::Finish(match outcome {
        Ok(reply) => Status::ok().with_metadata(reply.trailing),
        Err(status) => error_status(status),
    }))
}

/// What a handler's error looks like outside: an error without an error code is one of the handler.
pub(crate) fn error_status(status: Status) -> Status {
    if status.is_ok() {
        return Status::new(Code::Internal, "the handler failed with status OK");
    }
    status
}

impl fmt::Debug for ServerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCall")
            .field("head", &self.head)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("initial", &self.initial)
            .field("trailing", &self.trailing)
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}
