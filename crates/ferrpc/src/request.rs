//! What a caller sends and what comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrpc_net::credentials::{CallCredentials, OfRequest};
use futures_core::Stream;

use crate::transport::{AuthContext, CallInfo};
use crate::{Encoding, Extensions, Metadata};

/// A request: the message (or the stream of messages), initial metadata, and on the client's side
/// what the call wants, on the server's side what is known about the caller.
///
/// Generated clients take `impl Into<Request<T>>`, so a plain message will do.
///
/// ```
/// use std::time::Duration;
/// use ferrpc::Request;
///
/// let mut request = Request::new("message");
/// request.set_timeout(Duration::from_secs(2));
/// request.set_wait_for_ready(true);
/// assert_eq!(*request.message(), "message");
/// ```
#[derive(Debug)]
pub struct Request<T> {
    message: T,
    metadata: Metadata,
    extensions: Extensions,
    options: CallOptions,
    /// Boxed: clients have none, and requests are moved about.
    call: Option<Box<CallInfo>>,
}

/// A response: the message (or the stream of messages), initial and trailing metadata.
///
/// On the client's side the trailing metadata of a streaming response comes at the stream's end:
/// see [`Streaming::trailing`](crate::Streaming::trailing).
#[derive(Debug)]
pub struct Response<T> {
    message: T,
    metadata: Metadata,
    trailing: Metadata,
    extensions: Extensions,
    compression: Option<Encoding>,
}

/// What a client wants of one call; what is not set comes from the channel.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions {
    /// When it must have ended.
    pub end: Option<CallEnd>,
    /// Whether it waits for a connection.
    pub wait_for_ready: Option<bool>,
    /// How its messages are compressed.
    pub compression: Option<Encoding>,
}

/// When a call must have ended.
#[derive(Clone, Copy, Debug)]
pub enum CallEnd {
    /// So long after its start.
    After(Duration),
    /// At that time.
    At(Instant),
}

impl<T> Request<T> {
    /// A request without metadata.
    pub const fn new(message: T) -> Self {
        Self {
            message,
            metadata: Metadata::new(),
            extensions: Extensions::new(),
            options: CallOptions { end: None, wait_for_ready: None, compression: None },
            call: None,
        }
    }

    /// A request as a server hands it to a handler.
    pub(crate) fn received(message: T, metadata: Metadata, call: CallInfo) -> Self {
        let mut request = Self::new(message);
        request.metadata = metadata;
        request.call = Some(Box::new(call));
        request
    }

    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message, to change it.
    pub const fn message_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message alone.
    pub fn into_inner(self) -> T {
        self.message
    }

    /// The same request with another message.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Request<U> {
        let Self { message, metadata, extensions, options, call } = self;
        Request { message: change(message), metadata, extensions, options, call }
    }

    /// The initial metadata.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The initial metadata, to change it.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Values that stay in this process: what interceptors want handlers to know.
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The extensions, to change them.
    pub const fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    // -- for clients -----------------------------------------------------------------------------

    /// Client: the call ends with DEADLINE_EXCEEDED unless it is over this long after its start.
    /// Replaces an earlier timeout or deadline.
    pub const fn set_timeout(&mut self, timeout: Duration) {
        self.options.end = Some(CallEnd::After(timeout));
    }

    /// Client: the call ends with DEADLINE_EXCEEDED unless it is over at `deadline`. Replaces an
    /// earlier timeout or deadline.
    pub const fn set_deadline(&mut self, deadline: Instant) {
        self.options.end = Some(CallEnd::At(deadline));
    }

    /// Client: whether the call waits while the server cannot be reached (until its deadline),
    /// rather than failing with UNAVAILABLE. Not set: as the channel has it, by default no.
    pub const fn set_wait_for_ready(&mut self, wait: bool) {
        self.options.wait_for_ready = Some(wait);
    }

    /// Client: how request messages are compressed. Not set: as the channel has it, by default not
    /// at all.
    pub const fn set_compression(&mut self, encoding: Encoding) {
        self.options.compression = Some(encoding);
    }

    /// Client: who makes the call, beside what the channel's own credentials say. On a channel that
    /// is not secure the call ends with UNAUTHENTICATED.
    pub fn set_credentials(&mut self, credentials: impl CallCredentials) {
        self.extensions.insert(OfRequest(Arc::new(credentials)));
    }

    // -- for servers -----------------------------------------------------------------------------

    /// Server: "/service/method" as the caller sent it; on the client's side empty.
    pub fn path(&self) -> &str {
        self.call.as_ref().map_or("", |call| call.path())
    }

    /// Server: the `:authority` that the caller asked for.
    pub fn authority(&self) -> Option<&str> {
        self.call.as_ref()?.authority()
    }

    /// Server: who calls, in gRPC's notation, for instance "ipv4:127.0.0.1:4711" or
    /// "unix:/run/app.socket"; on the client's side empty.
    pub fn peer(&self) -> &str {
        self.call.as_ref().map_or("", |call| &call.connection().peer)
    }

    /// Server: what the transport knows about the caller's identity; `None` without TLS.
    pub fn auth_context(&self) -> Option<&AuthContext> {
        self.call.as_ref()?.connection().auth_context.as_ref()
    }

    /// Server: all of the above, in a form that can be kept; `None` on the client's side.
    pub fn call_info(&self) -> Option<&CallInfo> {
        self.call.as_deref()
    }

    /// When the call must have ended: the caller's deadline on the server's side; on the client's
    /// side what [`set_deadline`](Self::set_deadline) set.
    pub fn deadline(&self) -> Option<Instant> {
        match (&self.call, self.options.end) {
            (Some(call), _) => call.deadline().map(tokio::time::Instant::into_std),
            (None, Some(CallEnd::At(deadline))) => Some(deadline),
            (None, _) => None,
        }
    }

    /// How much time is left until the [`deadline`](Self::deadline); `None` if there is none.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    // -- inside the crate ------------------------------------------------------------------------

    pub(crate) fn into_parts(self) -> RequestParts<T> {
        let Self { message, metadata, extensions, options, call: _ } = self;
        RequestParts { message, metadata, extensions, options }
    }
}

/// A request taken apart.
pub struct RequestParts<T> {
    /// The message, or messages.
    pub message: T,
    /// Initial metadata.
    pub metadata: Metadata,
    /// What interceptors see.
    pub extensions: Extensions,
    /// What is wanted of the call.
    pub options: CallOptions,
}

impl<T> From<Request<T>> for RequestParts<T> {
    fn from(request: Request<T>) -> Self {
        request.into_parts()
    }
}

impl<T> From<T> for Request<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}

impl<T> Response<T> {
    /// A response without metadata.
    pub const fn new(message: T) -> Self {
        Self {
            message,
            metadata: Metadata::new(),
            trailing: Metadata::new(),
            extensions: Extensions::new(),
            compression: None,
        }
    }

    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The message, to change it.
    pub const fn message_mut(&mut self) -> &mut T {
        &mut self.message
    }

    /// The message alone.
    pub fn into_inner(self) -> T {
        self.message
    }

    /// The same response with another message.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Response<U> {
        let Self { message, metadata, trailing, extensions, compression } = self;
        Response { message: change(message), metadata, trailing, extensions, compression }
    }

    /// The initial metadata.
    pub const fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The initial metadata, to change it.
    pub const fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// The trailing metadata. On the client's side of a streaming response it is empty here.
    pub const fn trailing(&self) -> &Metadata {
        &self.trailing
    }

    /// The trailing metadata, to change it. On the server's side it goes out with status OK; that
    /// of an error is in its [`Status`](crate::Status).
    pub const fn trailing_mut(&mut self) -> &mut Metadata {
        &mut self.trailing
    }

    /// Values that stay in this process.
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The extensions, to change them.
    pub const fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Server: compress the response messages so, if the caller takes it. Not set: as the server
    /// has it, by default not at all.
    pub const fn set_compression(&mut self, encoding: Encoding) {
        self.compression = Some(encoding);
    }

    // -- inside the crate ------------------------------------------------------------------------

    /// A response as a client got it.
    #[doc(hidden)]
    pub fn received(message: T, metadata: Metadata, trailing: Metadata) -> Self {
        let mut response = Self::new(message);
        response.metadata = metadata;
        response.trailing = trailing;
        response
    }

    pub(crate) fn into_parts(self) -> ResponseParts<T> {
        let Self { message, metadata, trailing, extensions: _, compression } = self;
        ResponseParts { message, metadata, trailing, compression }
    }
}

/// A response taken apart.
pub(crate) struct ResponseParts<T> {
    pub(crate) message: T,
    pub(crate) metadata: Metadata,
    pub(crate) trailing: Metadata,
    pub(crate) compression: Option<Encoding>,
}

impl<T> From<T> for Response<T> {
    fn from(message: T) -> Self {
        Self::new(message)
    }
}

/// What a call with many request messages takes: a stream of them, or a [`Request`] that holds one
/// (to give it metadata, a deadline and the like).
pub trait IntoStreamingRequest {
    /// A request message.
    type Message;
    /// The stream of them.
    type Stream: Stream<Item = Self::Message> + Send + 'static;

    /// The stream in a request.
    fn into_streaming_request(self) -> Request<Self::Stream>;
}

impl<R: Stream + Send + 'static> IntoStreamingRequest for R {
    type Message = R::Item;
    type Stream = R;

    fn into_streaming_request(self) -> Request<R> {
        Request::new(self)
    }
}

impl<R: Stream + Send + 'static> IntoStreamingRequest for Request<R> {
    type Message = R::Item;
    type Stream = R;

    fn into_streaming_request(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::transport::ConnectionInfo;

    #[test]
    fn a_request_of_ones_own_knows_no_caller() {
        let mut request = Request::new(());
        assert_eq!((request.path(), request.peer(), request.authority()), ("", "", None));
        assert_eq!(request.deadline(), None);
        let deadline = Instant::now() + Duration::from_secs(5);
        request.set_timeout(Duration::from_secs(1));
        request.set_deadline(deadline);
        assert_eq!(request.deadline(), Some(deadline));
    }

    #[test]
    fn a_received_request_knows_its_caller() {
        let call = CallInfo {
            path: "/s/m".into(),
            authority: Some("host".into()),
            deadline: None,
            connection: Arc::new(ConnectionInfo {
                peer: "inproc".to_owned(),
                ..ConnectionInfo::default()
            }),
        };
        let request = Request::received(1, Metadata::new(), call).map(|message| message + 1);
        assert_eq!(request.path(), "/s/m");
        assert_eq!(request.authority(), Some("host"));
        assert_eq!(request.peer(), "inproc");
        assert_eq!(request.into_inner(), 2);
    }
}
