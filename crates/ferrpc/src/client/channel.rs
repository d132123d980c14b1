//! The user's end of a connection to a server.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use ferrpc_core::channel::ConnectivityState;
use ferrpc_core::transport::Message;
use ferrpc_core::{Code, Encoding, Metadata, Status};
use futures_core::Stream;
use tokio::sync::oneshot;

use super::ConnectError;
use super::attempt::{CallGuard, Driven, Until};
use super::builder::{ChannelBuilder, Config};
use super::call::CallCell;
use super::connections::Connections;
use super::maker::{CallMaker, NewCall};
use super::pump::{Pump, check_size};
use super::responses::{Begun, Opening, Responses};
use crate::interceptor::EndHooks;
use crate::method::Method;
use crate::request::{Request, Response};
use crate::resolver::Target;
use crate::{Codec, Streaming, compression};

/// A server as its clients see it: makes calls, and the connection they need.
///
/// Cheap to clone, and all methods take `&self`: any number of calls may run at once, on any
/// threads, over one connection, or one to each address
/// ([`ChannelBuilder::load_balancing`]). Connections are made when the first call asks for one and made
/// anew when they are lost. A call that surely never reached a server goes again by itself.
///
/// When the last clone is dropped, calls that still run may finish; then the connection is closed.
///
/// Calls must be made in a tokio runtime. The connection runs in that of the call that caused it;
/// when that runtime shuts down, the next call makes another.
#[derive(Clone)]
pub struct Channel {
    shared: Arc<Shared>,
}

struct Shared {
    connections: Arc<Connections>,
    maker: CallMaker,
}

/// A call about to start.
struct Prepared {
    guard: CallGuard,
    hooks: EndHooks,
}

impl Channel {
    /// Begins to make a channel to `target`: see [`Target`] for what it may be.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ferrpc::client::ConnectError> {
    /// use ferrpc::Channel;
    ///
    /// let channel = Channel::builder("http://localhost:50051").connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn builder(target: impl Into<String>) -> ChannelBuilder {
        ChannelBuilder::new(target.into())
    }

    pub(super) fn new(target: Target, maker: CallMaker, config: Config) -> Self {
        let connections = Connections::new(target, config);
        Self { shared: Arc::new(Shared { connections, maker }) }
    }

    // -- calls -----------------------------------------------------------------------------------

    /// One request, one response.
    ///
    /// Dropping the future cancels the call.
    pub async fn unary<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<Response<S>, Status> {
        let response = method.response();
        let (mut call, payload) = self.prepare_one(method, request)?;
        let result = match self.send_one(&call.guard.cell, payload).await {
            Ok(()) => self.unary_response(&mut call, response).await,
            Err(status) => Err(status),
        };
        call.end(result)
    }

    /// One request, any number of responses. Ready when the response begins.
    ///
    /// Dropping the future, or the [`Streaming`] before its end, cancels the call.
    pub async fn server_streaming<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<Response<Streaming<S>>, Status> {
        let response = method.response();
        let (mut call, payload) = self.prepare_one(method, request)?;
        if let Err(status) = self.send_one(&call.guard.cell, payload).await {
            return call.end(Err(status));
        }
        self.streaming_response(call, response).await
    }

    /// Any number of requests, one response.
    ///
    /// The requests are taken as fast as the server takes them, by the returned future itself.
    /// Dropping the future cancels the call. The server may answer before the requests have ended:
    /// then no more are taken.
    pub async fn client_streaming<Q, S, R>(
        &self,
        method: &Method<Q, S>,
        request: Request<R>,
    ) -> Result<Response<S>, Status>
    where
        R: Stream<Item = Q> + Send + 'static,
    {
        let response = method.response();
        let (mut call, requests) = self.prepare(method, request)?;
        let mut pump = Pump::new(requests, method.request(), Arc::clone(&call.guard.cell));
        let result = {
            let mut end = pin!(self.unary_response(&mut call, response));
            let mut pumping = true;
            poll_fn(|cx| {
                pumping = pumping && pump.poll(cx).is_pending();
                end.as_mut().poll(cx)
            })
            .await
        };
        call.end(result)
    }

    /// Any number of messages both ways, independent of each other. Ready at once, so that the
    /// caller can go on sending before the server answers;
    /// [`Streaming::metadata`] waits for the response's beginning.
    ///
    /// The call runs, and the requests are taken as fast as the server takes them, in a task of
    /// its own, whether or not responses are read; it drops the requests when the call is over.
    /// Dropping the [`Streaming`] before its end cancels the call.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn bidirectional<Q, S, R>(
        &self,
        method: &Method<Q, S>,
        request: Request<R>,
    ) -> Result<Streaming<S>, Status>
    where
        Q: 'static,
        R: Stream<Item = Q> + Send + 'static,
    {
        let response = method.response();
        let (mut call, requests) = self.prepare(method, request)?;
        let limit = call.guard.cell.head.limits.max_receive;
        let credit_batch = call.guard.cell.head.credit_batch;
        let mut pump = Pump::new(requests, method.request(), Arc::clone(&call.guard.cell));
        // The channel lives until the call is under way.
        let shared = Arc::clone(&self.shared);
        let (begun, opening) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut pumping = true;
            let driven = {
                let connections = &shared.connections;
                let mut begin = pin!(call.guard.drive(connections, Until::Begin));
                poll_fn(|cx| {
                    // The messages that are there go out with the call's headers.
                    pumping = pumping && pump.poll_caught(cx).is_pending();
                    begin.as_mut().poll(cx)
                })
                .await
            };
            drop(shared);
            let result = call.begun(driven).map(|(responses, metadata, encoding)| Begun {
                responses,
                metadata,
                encoding,
            });
            // Nobody waits any more: what comes back is dropped, which cancels the call.
            let wanted = begun.send(result).is_ok();
            if wanted && pumping {
                poll_fn(|cx| pump.poll_caught(cx)).await;
            }
        });
        let opening = Opening::new(opening, task.abort_handle(), credit_batch);
        Ok(Streaming::unbegun(Box::new(opening), response, limit))
    }

    // -- the connection --------------------------------------------------------------------------

    /// The state of the connection.
    pub fn state(&self) -> ConnectivityState {
        self.shared.connections.connectivity()
    }

    /// Waits until the state is another than `from`, and returns it.
    ///
    /// Cancel-safe. A state that lasts only for a moment may be missed.
    pub async fn state_changed(&self, from: ConnectivityState) -> ConnectivityState {
        let mut changes = self.shared.connections.watch();
        let changed = changes.wait_for(|now| *now != from).await;
        changed.map_or(ConnectivityState::Shutdown, |now| *now)
    }

    /// Starts to connect, if nothing is under way, and does not wait for it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_connecting(&self) {
        self.shared.connections.connect();
    }

    /// Waits for a connection; makes one if there is none. Fails when the next attempt fails, or
    /// at once in TRANSIENT_FAILURE.
    ///
    /// Cancel-safe.
    pub async fn connected(&self) -> Result<(), ConnectError> {
        self.shared.connections.connected().await
    }

    /// Ends the connection and all calls: they, and later ones, fail with CANCELLED. For all
    /// clones of this channel.
    pub fn close(&self) {
        self.shared.connections.shut_down(Some(ConnectError::closed().status()));
    }

    /// What the channel connects to.
    pub fn target(&self) -> &Target {
        self.shared.connections.target()
    }

    // -- inside ----------------------------------------------------------------------------------

    /// Asks the interceptors and makes the call's cell; what is left of the request is its
    /// message.
    fn prepare<Q, S, M>(
        &self,
        method: &Method<Q, S>,
        request: Request<M>,
    ) -> Result<(Prepared, M), Status> {
        let NewCall { head, config, hooks, message } = self.shared.maker.make(method, request)?;
        let guard = CallGuard::new(CallCell::new(head, config));
        Ok((Prepared { guard, hooks }, message))
    }

    /// The same for calls with one request message, which is encoded.
    fn prepare_one<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<(Prepared, Bytes), Status> {
        let (mut call, message) = self.prepare(method, request)?;
        match method.request().to_bytes(&message) {
            Ok(payload) => Ok((call, payload)),
            Err(error) => {
                let status = Status::from(error);
                call.hooks.end(&status);
                Err(status)
            }
        }
    }

    /// Puts the one request message into the call.
    async fn send_one(&self, cell: &CallCell, payload: Bytes) -> Result<(), Status> {
        let head = &cell.head;
        let message = match head.encoding {
            Encoding::Identity => Message { payload, compressed: false },
            encoding => compression::compress(encoding, payload).await,
        };
        check_size(message.payload.len(), head.limits.max_send)?;
        let mut state = cell.lock();
        state.call.push(message);
        state.call.half_close();
        Ok(())
    }

    async fn unary_response<S>(
        &self,
        call: &mut Prepared,
        codec: Codec<S>,
    ) -> Result<Response<S>, Status> {
        let connections = &self.shared.connections;
        let driven = call.guard.drive(connections, Until::End).await;
        let Driven::Ended(mut status) = driven else {
            unreachable!("driven until its end");
        };
        let (initial, message) = call.guard.cell.take_response();
        if !status.is_ok() {
            return Err(status);
        }
        let (metadata, encoding) = initial.unwrap_or_default();
        let Some(message) = message else {
            return Err(Status::new(
                Code::Unimplemented,
                "the server ended the call with OK and sent no response message",
            ));
        };
        let payload = if message.compressed {
            let limit = call.guard.cell.head.limits.max_receive;
            compression::decompress(encoding, message, limit).await?
        } else {
            message.payload
        };
        let message = (codec.decode)(payload)?;
        Ok(Response::received(message, metadata, std::mem::take(status.metadata_mut())))
    }

    async fn streaming_response<S>(
        &self,
        mut call: Prepared,
        codec: Codec<S>,
    ) -> Result<Response<Streaming<S>>, Status> {
        let connections = &self.shared.connections;
        let limit = call.guard.cell.head.limits.max_receive;
        let driven = call.guard.drive(connections, Until::Begin).await;
        let (responses, metadata, encoding) = call.begun(driven)?;
        let responses = Streaming::new(Box::new(responses), codec, encoding, limit);
        Ok(Response::received(responses, metadata, Metadata::new()))
    }
}

impl Prepared {
    /// The responses of a call that was driven until its response begins.
    fn begun(mut self, driven: Driven) -> Result<(Responses, Metadata, Encoding), Status> {
        let (metadata, encoding) = match driven {
            Driven::Began(metadata, encoding) => (metadata, encoding),
            Driven::Ended(status) if status.is_ok() => {
                // Trailers alone: no messages, and the end to be found by the reader.
                self.guard.cell.finish(status);
                Default::default()
            }
            Driven::Ended(status) => {
                self.guard.cell.finish(Status::new(status.code(), ""));
                return self.end(Err(status));
            }
        };
        Ok((Responses::new(self.guard, self.hooks), metadata, encoding))
    }

    /// Tells the interceptors how the call ended.
    fn end<T>(&mut self, result: Result<T, Status>) -> Result<T, Status> {
        match &result {
            Ok(_) => self.hooks.end(&Status::ok()),
            Err(status) => self.hooks.end(status),
        }
        result
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.connections.shut_down(None);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("target", &self.target().as_str())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::super::call::Attempt;
    use super::*;
    use crate::codec;
    use crate::server::{Routes, Server};
    use crate::transport::in_process;

    const HANG: Method<Bytes, Bytes> = Method::unary("/t.T/Hang", codec::raw(), codec::raw());

    /// A channel to a server in this process that takes one call at a time and never answers it;
    /// tells when a call came.
    fn hanging() -> (Channel, Arc<Notify>) {
        let came = Arc::new(Notify::new());
        let mut routes = Routes::new("t.T");
        let in_handler = Arc::clone(&came);
        routes.unary(HANG, move |_: Request<Bytes>| {
            in_handler.notify_one();
            std::future::pending()
        });
        let server = Server::builder().add_service(routes).max_concurrent_streams(1).build();
        let builder = Channel::builder("inproc:test").connector(move |_: &_| {
            let (ours, theirs) = in_process();
            server.serve_io(theirs);
            async { Ok(ours) }
        });
        (builder.connect_lazy().expect("a target"), came)
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let wait = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect(what);
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_in_the_queue_leaves_nothing_there() {
        let (channel, came) = hanging();
        let first = {
            let channel = channel.clone();
            tokio::spawn(async move { channel.unary(&HANG, Request::new(Bytes::new())).await })
        };
        came.notified().await;

        // Without a deadline: nothing else would take it out of the queue.
        let (mut call, payload) =
            channel.prepare_one(&HANG, Request::new(Bytes::new())).expect("no interceptor");
        let cell = Arc::downgrade(&call.guard.cell);
        let waiting = tokio::spawn(async move {
            channel.send_one(&call.guard.cell, payload).await.expect("small");
            channel.unary_response(&mut call, HANG.response()).await
        });
        let queued = || {
            cell.upgrade().is_some_and(|cell| matches!(cell.lock().attempt, Attempt::Queued { .. }))
        };
        until("it waits for a stream", queued).await;
        waiting.abort();
        until("the queue forgets it", || cell.upgrade().is_none()).await;
        first.abort();
    }
}
