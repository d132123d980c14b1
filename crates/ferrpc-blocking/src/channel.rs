//! A channel for threads without a runtime.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use ferrpc::client::{ChannelBuilder, ConnectError};
use ferrpc::for_blocking::{CallMaker, EndHooks, NewCall, decompress_now};
use ferrpc::{Codec, Method, Request, Response};
use ferrpc_core::call::ClientCall;
use ferrpc_core::channel::ConnectivityState;
use ferrpc_core::transport::Message;
use ferrpc_core::{Code, Encoding, Metadata, Status};
use ferrpc_net::resolver::Target;

use super::call::{Call, Found};
use super::driver::Driver;
use super::outside::Driven;
use super::raw::{RawCall, RawMethod, RawOptions, RawUnary, Unary};
use super::reading::Finished;
use super::shared::{Hold, Shared};
use super::streams::{Requests, Responses, encode};

/// A server as its clients see it, for threads that may block: no runtime is needed.
///
/// Cheap to clone, and all methods take `&self`: any number of threads may call at once, over one
/// connection. A thread that is alone with its call does the connection's input and output itself
/// while it waits; when several wait, one thread of the channel's own does it for all of them.
/// Otherwise that thread sleeps; it makes the connection, and answers the server's pings when
/// nobody calls.
///
/// The connection is made when the first call asks for it and made anew when it is lost. A call
/// that surely never reached a server goes again by itself. Calls outlive the channel that they were
/// made from: the connection is closed when the last clone and the last call are gone.
///
/// Not for threads of an asynchronous runtime: they must not block. For those there is
/// [`ferrpc::Channel`](ferrpc::Channel).
#[derive(Clone)]
pub struct Channel {
    handle: Arc<Handle>,
}

struct Handle {
    hold: Hold,
    maker: CallMaker,
}

impl Channel {
    /// Begins to make a channel to `target`: see [`Target`] for what it may be.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), ferrpc::client::ConnectError> {
    /// use ferrpc_blocking::Channel;
    ///
    /// let channel = Channel::new(Channel::builder("localhost:50051"))?;
    /// # Ok(()) }
    /// ```
    pub fn builder(target: impl Into<String>) -> ChannelBuilder {
        ferrpc::Channel::builder(target)
    }

    /// The channel, which connects when the first call asks for it.
    ///
    /// # Errors
    /// Only if the target is not one, or if a connector was set.
    pub fn new(builder: ChannelBuilder) -> Result<Self, ConnectError> {
        let (target, maker, config) = builder.finish()?;
        if config.dialer.connector.is_some() {
            return Err(ConnectError::needs_runtime(&target));
        }
        let hold = Hold::new(Shared::new(target, config));
        Ok(Self { handle: Arc::new(Handle { hold, maker }) })
    }

    /// One request, one response.
    pub fn unary<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<Response<S>, Status> {
        let (call, mut hooks) = self.prepare_one(method, request, false)?;
        let result = single_response(&call, method.response());
        end(&mut hooks, &result);
        result
    }

    /// One request, any number of responses. The call has begun when this returns, which is at
    /// once: errors come with the responses.
    pub fn server_streaming<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<Responses<S>, Status> {
        let (call, hooks) = self.prepare_one(method, request, true)?;
        call.start();
        Ok(Responses::new(call, hooks, method.response()))
    }

    /// Any number of requests, one response. The requests are taken as fast as the server takes
    /// them; if it answers before they have ended, no more are taken. The call begins before the
    /// first is asked for; where the iterator panics, the call is cancelled.
    pub fn client_streaming<Q, S, R>(
        &self,
        method: &Method<Q, S>,
        request: Request<R>,
    ) -> Result<Response<S>, Status>
    where
        R: IntoIterator<Item = Q>,
    {
        let NewCall { head, config, mut hooks, message: requests } = self.make(method, request)?;
        let call = Call::new(self.handle.hold.clone(), head, config, None, true);
        call.start();
        let mut sender = Requests::new(Arc::clone(&call), method.request());
        let sent = requests.into_iter().try_for_each(|request| sender.send(&request));
        let result = match sent {
            Err(status) if call.is_running() => {
                call.cancel(status.clone());
                Err(status)
            }
            // If the call is over, its response says more.
            Ok(()) | Err(_) => {
                sender.finish();
                last_response(&call, method.response())
            }
        };
        end(&mut hooks, &result);
        result
    }

    /// Any number of messages both ways, independent of each other: the two halves may be used by
    /// two threads, or in turn by one. (One thread that only sends must stop when the server waits
    /// for its own messages to be read.)
    ///
    /// The call has begun when this returns. [`Requests::finish`] ends the requests; dropping
    /// either half before its end cancels the call.
    pub fn bidirectional<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<()>,
    ) -> Result<(Requests<Q>, Responses<S>), Status> {
        let NewCall { head, config, hooks, message: () } = self.make(method, request)?;
        let call = Call::new(self.handle.hold.clone(), head, config, None, true);
        call.start();
        let requests = Requests::new(Arc::clone(&call), method.request());
        Ok((requests, Responses::new(call, hooks, method.response())))
    }

    /// The state of the connection.
    pub fn state(&self) -> ConnectivityState {
        self.handle.hold.connectivity(false)
    }

    /// Begins to connect, if there is no connection, and goes on trying until there is one, or
    /// nobody has asked for one for 30 minutes. Returns at once, with the state after that.
    pub fn try_to_connect(&self) -> ConnectivityState {
        self.handle.hold.connectivity(true)
    }

    /// Tells `watcher` the state now, and from then on each change; begins to connect if
    /// `connect` is set. Returns what [`unwatch`](Self::unwatch) takes.
    ///
    /// The watcher runs in whichever thread learns of a change, in the order of the changes, and may
    /// use the channel; it must not block. It may hear of a change that was being told while it was
    /// [unwatched](Self::unwatch).
    pub fn watch(
        &self,
        watcher: impl Fn(ConnectivityState) + Send + Sync + 'static,
        connect: bool,
    ) -> u64 {
        self.handle.hold.watch(Arc::new(watcher), connect)
    }

    /// The watcher that [`watch`](Self::watch) returned this number for is told no more.
    pub fn unwatch(&self, watcher: u64) {
        self.handle.hold.unwatch(watcher);
    }

    /// Begins a call with messages as bytes, without waiting; what cannot be reached, or be sent,
    /// is learnt from the call. Interceptors see it as they see all calls.
    pub fn start_raw(&self, method: &RawMethod, options: RawOptions) -> Result<RawCall, Status> {
        RawCall::start(&self.handle.hold, &self.handle.maker, method, options)
    }

    /// Begins a unary call with a message as bytes and waits for its end, no longer than `limit`:
    /// then the call is given back, to be waited for again with [`RawUnary::wait`].
    ///
    /// # Errors
    /// The status of a call that an interceptor, or what its credentials say, kept from beginning.
    pub fn raw_unary(
        &self,
        method: &RawMethod,
        options: RawOptions,
        limit: Option<Instant>,
    ) -> Result<Result<Unary, RawUnary>, Status> {
        RawUnary::run(&self.handle.hold, &self.handle.maker, method, options, limit)
    }

    /// From now on an event loop drives the channel's new connections, in place of the threads that
    /// wait: `waker` tells it of a connection to [`adopt`](Self::adopt), and that an adopted one has
    /// something to send. To be called in the loop's thread.
    pub fn drive(&self, waker: Waker) {
        self.handle.hold.drive(Some(Driver::new(waker)));
    }

    /// The loop is at its end: the channel's own thread does the work. Those connections that were
    /// adopted are to be dropped.
    pub fn stop_driving(&self) {
        self.handle.hold.drive(None);
    }

    /// A connection for the loop that [drives](Self::drive) the channel; until it is adopted it does
    /// nothing.
    pub fn adopt(&self) -> Option<Driven> {
        self.handle.hold.adopt().map(Driven::new)
    }

    /// Ends the connection and all calls: they, and later ones, fail with CANCELLED. For all
    /// clones of this channel.
    pub fn close(&self) {
        self.handle.hold.shut_down(Some(&ConnectError::closed().status()));
    }

    /// What the channel connects to.
    pub fn target(&self) -> &Target {
        &self.handle.hold.target
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.handle.hold
    }

    /// Asks the interceptors, and the call's credentials once there is a connection to say on what
    /// they answer.
    fn make<Q, S, M>(
        &self,
        method: &Method<Q, S>,
        request: Request<M>,
    ) -> Result<NewCall<M>, Status> {
        let Handle { hold, maker } = &*self.handle;
        let mut new = maker.make(method, request)?;
        if new.head.credentials.is_some() {
            let mut call = ClientCall::new(new.config);
            let connected = hold.wait_for_connection(&mut call);
            new.config = call.into_config();
            connected.inspect_err(|status| new.hooks.end(status))?;
            maker.authorize_blocking(&mut new)?;
        }
        Ok(new)
    }

    fn prepare_one<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
        unattended: bool,
    ) -> Result<(Arc<Call>, EndHooks), Status> {
        let NewCall { head, config, mut hooks, message } = self.make(method, request)?;
        match encode(&head, &method.request(), &message) {
            Ok(message) => {
                let hold = self.handle.hold.clone();
                Ok((Call::new(hold, head, config, Some(message), unattended), hooks))
            }
            Err(status) => {
                hooks.end(&status);
                Err(status)
            }
        }
    }
}

fn end<T>(hooks: &mut EndHooks, result: &Result<T, Status>) {
    match result {
        Ok(_) => hooks.end(&Status::ok()),
        Err(status) => hooks.end(status),
    }
}

/// The response of a call that had a stream of requests.
fn last_response<S>(call: &Call, codec: Codec<S>) -> Result<Response<S>, Status> {
    let mut message = None;
    let outcome = loop {
        match call.message(None) {
            Found::Done(received) => message = Some(received),
            Found::Over(outcome) => break outcome,
            Found::Late => unreachable!("there was no limit"),
        }
    };
    let initial = call.known_headers().cloned();
    response(call, codec, outcome.status().clone(), initial, message)
}

fn single_response<S>(call: &Call, codec: Codec<S>) -> Result<Response<S>, Status> {
    let (status, initial, message) = match call.finish(None) {
        Found::Done(Finished { outcome, initial, message }) => {
            (outcome.into_status(), initial, message)
        }
        Found::Over(outcome) => (outcome.status().clone(), None, None),
        Found::Late => unreachable!("there was no limit"),
    };
    response(call, codec, status, initial, message)
}

fn response<S>(
    call: &Call,
    codec: Codec<S>,
    mut status: Status,
    initial: Option<(Metadata, Encoding)>,
    message: Option<Message>,
) -> Result<Response<S>, Status> {
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
    let limit = call.head.limits.max_receive;
    let payload: Bytes = decompress_now(encoding, message, limit)?;
    let message = (codec.decode)(payload)?;
    Ok(Response::received(message, metadata, std::mem::take(status.metadata_mut())))
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("target", &self.target().as_str())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
