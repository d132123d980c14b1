//! A channel for threads without a runtime.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use ferrpc_core::channel::{Backoff, ConnectivityState};
use ferrpc_core::{Code, Status, Time};

use super::call::Call;
use super::connection::Connection;
use super::dial;
use super::streams::{Requests, Responses, encode};
use crate::client::{CallMaker, ChannelBuilder, Config, ConnectError, NewCall, Pacing, seed};
use crate::interceptor::EndHooks;
use crate::resolver::Target;
use crate::transport::clock;
use crate::{Codec, Method, Request, Response, compression};

/// A server as its clients see it, for threads that may block: no runtime is needed.
///
/// Cheap to clone, and all methods take `&self`: any number of threads may call at once, over one
/// connection. A thread that is alone with its call does the connection's input and output itself
/// while it waits; when several wait, one thread of the channel's own does it for all of them.
/// Otherwise that thread sleeps; it makes the connection, and answers the server's pings when
/// nobody calls.
///
/// The connection is made when the first call asks for it and made anew when it is lost. A call
/// that surely never reached a server goes again by itself. When the last clone is dropped, calls
/// that still run may finish; then the connection is closed.
///
/// Not for threads of an asynchronous runtime: they must not block. For those there is
/// [`ferrpc::Channel`](crate::Channel).
#[derive(Clone)]
pub struct Channel {
    handle: Arc<Handle>,
}

/// Dropped with the last clone of a channel. (Calls keep [`Shared`] only.)
struct Handle {
    shared: Arc<Shared>,
    maker: CallMaker,
}

/// The connection of a channel, and how there comes to be one.
pub(super) struct Shared {
    pub(super) target: Target,
    pub(super) config: Config,
    state: Mutex<State>,
    /// Something about `state` changed.
    changed: Condvar,
}

struct State {
    current: Option<Arc<Connection>>,
    /// Connections whose last calls may still run.
    old: Vec<std::sync::Weak<Connection>>,
    /// A thread makes a connection.
    connecting: bool,
    /// Why the last attempt failed, until one succeeds, and when the next may begin.
    failure: Option<(ConnectError, Time)>,
    failures: u64,
    backoff: Backoff,
    /// Keeps a server that accepts and closes from making us spin.
    pacing: Pacing,
    closed: bool,
}

impl Channel {
    /// Begins to make a channel to `target`: see [`Target`] for what it may be.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), ferrpc::client::ConnectError> {
    /// let channel = ferrpc::blocking::Channel::builder("localhost:50051").build_blocking()?;
    /// # Ok(()) }
    /// ```
    pub fn builder(target: impl Into<String>) -> ChannelBuilder {
        crate::Channel::builder(target)
    }

    pub(crate) fn new(target: Target, maker: CallMaker, config: Config) -> Self {
        let state = State {
            current: None,
            old: Vec::new(),
            connecting: false,
            failure: None,
            failures: 0,
            backoff: Backoff::new(config.backoff, seed()),
            pacing: Pacing::new(),
            closed: false,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { target, config, state, changed });
        Self { handle: Arc::new(Handle { shared, maker }) }
    }

    /// One request, one response.
    pub fn unary<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<Response<S>, Status> {
        let (call, mut hooks) = self.prepare_one(method, request)?;
        let result = single_response(&call, method.response());
        end(&mut hooks, &result);
        result
    }

    /// One request, any number of responses. Returns at once: errors come with the responses.
    pub fn server_streaming<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<Responses<S>, Status> {
        let (call, hooks) = self.prepare_one(method, request)?;
        Ok(Responses::new(Arc::new(call), hooks, method.response()))
    }

    /// Any number of requests, one response. The requests are taken as fast as the server takes
    /// them; if it answers before they have ended, no more are taken.
    pub fn client_streaming<Q, S, R>(
        &self,
        method: &Method<Q, S>,
        request: Request<R>,
    ) -> Result<Response<S>, Status>
    where
        R: IntoIterator<Item = Q>,
    {
        let NewCall { head, config, mut hooks, message: requests } =
            self.handle.maker.make(method, request)?;
        let call = Arc::new(Call::new(Arc::clone(&self.handle.shared), head, config, None));
        let mut sender = Requests::new(Arc::clone(&call), method.request());
        let mut refused = None;
        for request in requests {
            match sender.send(&request) {
                Ok(()) => {}
                Err(status) => {
                    // Either the call is over, which its response says better, or the message
                    // cannot be sent.
                    refused = Some(status);
                    break;
                }
            }
        }
        let result = match refused {
            Some(status) if call.is_running() => {
                // Before the sender goes, which would end the requests as if they were whole.
                call.cancel(status.clone());
                Err(status)
            }
            _ => {
                drop(sender);
                single_response(&call, method.response())
            }
        };
        end(&mut hooks, &result);
        result
    }

    /// Any number of messages both ways, independent of each other: the two halves may be used by
    /// two threads, or in turn by one. (One thread that only sends must stop when the server waits
    /// for its own messages to be read.)
    ///
    /// Dropping the [`Requests`] ends them; dropping the [`Responses`] cancels the call.
    pub fn bidirectional<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<()>,
    ) -> Result<(Requests<Q>, Responses<S>), Status> {
        let NewCall { head, config, hooks, message: () } =
            self.handle.maker.make(method, request)?;
        let call = Arc::new(Call::new(Arc::clone(&self.handle.shared), head, config, None));
        let requests = Requests::new(Arc::clone(&call), method.request());
        Ok((requests, Responses::new(call, hooks, method.response())))
    }

    /// The state of the connection.
    pub fn state(&self) -> ConnectivityState {
        let state = self.handle.shared.lock();
        match (&state.current, &state.failure) {
            _ if state.closed => ConnectivityState::Shutdown,
            (Some(connection), _) if connection.is_usable() => ConnectivityState::Ready,
            (_, Some(_)) => ConnectivityState::TransientFailure,
            _ if state.connecting => ConnectivityState::Connecting,
            _ => ConnectivityState::Idle,
        }
    }

    /// Ends the connection and all calls: they, and later ones, fail with CANCELLED. For all
    /// clones of this channel.
    pub fn close(&self) {
        self.handle.shared.shut_down(Some(&ConnectError::closed().status()));
    }

    /// What the channel connects to.
    pub fn target(&self) -> &Target {
        &self.handle.shared.target
    }

    fn prepare_one<Q, S>(
        &self,
        method: &Method<Q, S>,
        request: Request<Q>,
    ) -> Result<(Call, EndHooks), Status> {
        let NewCall { head, config, mut hooks, message } =
            self.handle.maker.make(method, request)?;
        match encode(&head, &method.request(), &message) {
            Ok(message) => {
                let shared = Arc::clone(&self.handle.shared);
                Ok((Call::new(shared, head, config, Some(message)), hooks))
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

fn single_response<S>(call: &Call, codec: Codec<S>) -> Result<Response<S>, Status> {
    let (mut status, initial, message) = call.finish();
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
    let payload: Bytes = compression::decompress_now(encoding, message, limit)?;
    let message = (codec.decode)(payload)?;
    Ok(Response::received(message, metadata, std::mem::take(status.metadata_mut())))
}

impl Shared {
    /// The connection; waits for one, at most until the deadline.
    pub(super) fn connection(
        self: &Arc<Self>,
        deadline: Option<Time>,
        wait_for_ready: bool,
    ) -> Result<Arc<Connection>, Status> {
        let mut state = self.lock();
        let began = state.failures;
        loop {
            if state.closed {
                return Err(ConnectError::closed().status());
            }
            if let Some(connection) = &state.current {
                if connection.is_usable() {
                    let connection = Arc::clone(connection);
                    state.pacing.used();
                    return Ok(connection);
                }
                let old = Arc::downgrade(connection);
                state.current = None;
                state.old.retain(|old| old.strong_count() > 0);
                state.old.push(old);
                state.pacing.lost(clock::now());
            }
            let now = clock::now();
            let mut until = deadline;
            match &state.failure {
                Some((failure, retry_at)) if state.failures > began || now < *retry_at => {
                    if !wait_for_ready {
                        return Err(failure.status());
                    }
                    until = until.into_iter().chain([*retry_at]).filter(|at| *at > now).min();
                }
                _ => {}
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(self.late(&state));
            }
            let pause = state.failure.as_ref().is_some_and(|(_, retry_at)| now < *retry_at);
            if !state.connecting && !pause {
                let not_before = state.pacing.next_at();
                if not_before <= now {
                    self.start_connecting(&mut state)?;
                } else {
                    until = until.into_iter().chain([not_before]).min();
                }
            }
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let wait = self.changed.wait_timeout(state, until.since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn late(&self, state: &State) -> Status {
        let target = &self.target;
        let why = state.failure.as_ref().map(|(failure, _)| format!(" ({failure})"));
        let text = format!(
            "the deadline passed while waiting for a connection to {target}{}",
            why.unwrap_or_default()
        );
        Status::new(Code::DeadlineExceeded, text)
    }

    /// The thread that connects keeps guard over the connection afterwards.
    fn start_connecting(self: &Arc<Self>, state: &mut State) -> Result<(), Status> {
        state.connecting = true;
        let began = clock::now();
        let mut give_up = state.backoff.start(began);
        if let Some(timeout) = self.config.connect_timeout {
            give_up = began + timeout;
        }
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("ferrpc-channel".to_owned());
        let started = thread.spawn(move || {
            let result = dial::dial(&shared.target, &shared.config, began, give_up);
            if let Some(connection) = shared.connected(result) {
                let (observers, target) = (shared.config.observers.clone(), shared.target.clone());
                drop(shared);
                connection.keep_guard();
                observers.tell(|observer| observer.disconnected(&target, &connection.end()));
            }
        });
        started.map(drop).map_err(|error| {
            state.connecting = false;
            Status::new(Code::Unavailable, format!("no thread for a connection: {error}"))
        })
    }

    /// Takes note of how an attempt ended.
    fn connected(&self, result: Result<Arc<Connection>, ConnectError>) -> Option<Arc<Connection>> {
        let mut state = self.lock();
        state.connecting = false;
        let failed = result.as_ref().err().cloned();
        let connection = match result {
            Ok(connection) => {
                state.backoff.reset();
                state.failure = None;
                state.current = Some(Arc::clone(&connection));
                Some(connection)
            }
            Err(failure) => {
                let retry_at = state.backoff.fail(clock::now());
                state.failure = Some((failure, retry_at));
                state.failures += 1;
                None
            }
        };
        let closed = state.closed;
        drop(state);
        self.changed.notify_all();
        self.config.observers.tell(|observer| match &failed {
            None => observer.connected(&self.target),
            Some(failure) => observer.connect_failed(&self.target, failure),
        });
        if closed && let Some(connection) = &connection {
            connection.shut_down(Some(&ConnectError::closed().status()));
        }
        connection
    }

    fn shut_down(&self, status: Option<&Status>) {
        let mut state = self.lock();
        state.closed = true;
        let old = std::mem::take(&mut state.old);
        let connections: Vec<_> =
            old.iter().filter_map(std::sync::Weak::upgrade).chain(state.current.take()).collect();
        drop(state);
        self.changed.notify_all();
        for connection in connections {
            connection.shut_down(status);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.shut_down(None);
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
