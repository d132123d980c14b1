//! Calls with messages as bytes, for those who bring their own serialisers and their own way of
//! waiting: a call is begun without waiting, every wait may have an end, and a hook tells of the
//! call's own end.
//!
//! A call that is begun goes out at once. Who waits for it does the connection's work meanwhile;
//! a call that nobody waits for gets on through the channel's own thread: within two seconds, or
//! at once if it is [watched](RawCall::watch) or has a [hook](RawCall::on_end).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrpc::for_blocking::{
    CallEnd, CallMaker, CallOptions, EndHooks, NewCall, RequestParts, compress_now, decompress_now,
};
use ferrpc::{Code, Extensions, Method, codec};
use ferrpc_core::transport::{Cardinality, Message};
use ferrpc_core::{Encoding, Metadata, Status, Time};
use ferrpc_net::clock;
use ferrpc_net::credentials::{CallCredentials, OfRequest};

use super::call::{Call, Found};
use super::outcome::{Origin, Outcome};
use super::reading::Finished;
use super::sending::Unsent;
use super::shared::Hold;

/// The path of a method, and how many messages go each way.
#[derive(Clone, Debug)]
pub struct RawMethod(Method<Bytes, Bytes>);

/// What is wanted of one call.
#[derive(Clone, Debug, Default)]
pub struct RawOptions {
    /// Initial metadata.
    pub metadata: Metadata,
    /// It ends with DEADLINE_EXCEEDED this long after its start.
    pub timeout: Option<Duration>,
    /// Whether it waits while the server cannot be reached; not set: as the channel has it.
    pub wait_for_ready: Option<bool>,
    /// How request messages are compressed; not set: as the channel has it.
    pub compression: Option<Encoding>,
    /// Who makes the call, beside what the channel's credentials say. They are asked when the call
    /// begins, by the thread that begins it.
    pub credentials: Option<Arc<dyn CallCredentials>>,
    /// The request where there is one only: it ends the requests. Without it they are
    /// [pushed](RawCall::push).
    pub message: Option<Bytes>,
    /// Whether it is [watched](RawCall::watch) from its start.
    pub watched: bool,
}

/// What a wait with an end brought.
#[derive(Clone, Debug)]
pub enum Waited<T> {
    /// What was waited for.
    Ready(T),
    /// The call is over, and there is no more of that.
    Over(Arc<Outcome>),
    /// The wait is over first.
    Late,
}

/// Why a message did not go out.
#[derive(Clone, Debug)]
pub enum PushError {
    /// The call is over.
    Over(Arc<Outcome>),
    /// There was no room for so long: the message as [`RawCall::push_again`] takes it.
    Late(Message),
}

/// A call that was begun. Dropped before its end, it is cancelled.
pub struct RawCall {
    call: Arc<Call>,
    hooks: Mutex<EndHooks>,
    received: Mutex<VecDeque<Message>>,
}

/// A unary call whose thread does nothing but wait for it.
pub struct RawUnary {
    call: Arc<Call>,
    hooks: EndHooks,
}

/// A unary call that is over.
#[derive(Debug)]
pub struct Unary {
    /// How it ended, with the trailing metadata.
    pub outcome: Outcome,
    /// Initial metadata, if it came.
    pub initial: Metadata,
    /// The response. A server that breaks gRPC's rules may end a call with OK and send none.
    pub message: Option<Bytes>,
}

impl RawMethod {
    /// A method by its path, "/package.Service/Method".
    pub fn new(path: impl Into<Arc<str>>, cardinality: Cardinality) -> Self {
        Self(Method::dynamic(path, cardinality, codec::raw(), codec::raw()))
    }

    /// Its path.
    pub fn path(&self) -> &str {
        self.0.path()
    }
}

impl RawUnary {
    /// Begins a call and waits for its end, no longer than `limit`.
    pub(super) fn run(
        channel: &Hold,
        maker: &CallMaker,
        method: &RawMethod,
        options: RawOptions,
        limit: Option<Instant>,
    ) -> Result<Result<Unary, Self>, Status> {
        let (call, hooks) = begin(channel, maker, method, options, false)?;
        let mut call = Self { call, hooks };
        Ok(call.wait(limit).ok_or(call))
    }

    /// Waits for the end, no longer than `limit`. After the end there is nothing more to wait for.
    pub fn wait(&mut self, limit: Option<Instant>) -> Option<Unary> {
        let unary = match self.call.finish(limit.map(time)) {
            Found::Late => return None,
            Found::Over(outcome) => {
                let outcome = Outcome::clone(&outcome);
                Unary { outcome, initial: Metadata::new(), message: None }
            }
            Found::Done(mut finished) => {
                let (initial, encoding) = finished.initial.take().unwrap_or_default();
                let limit = self.call.head.limits.max_receive;
                Unary::opened(finished, encoding, initial, limit)
            }
        };
        self.hooks.end(unary.outcome.status());
        Some(unary)
    }

    /// Ends it from this side.
    pub fn cancel(self) {}
}

impl Unary {
    fn opened(finished: Finished, encoding: Encoding, initial: Metadata, limit: usize) -> Self {
        let mut unary = Self { outcome: finished.outcome, initial, message: None };
        if unary.outcome.status().is_ok()
            && let Some(message) = finished.message
        {
            match decompress(encoding, message, limit) {
                Ok(message) => unary.message = Some(message),
                Err(outcome) => unary.outcome = *outcome,
            }
        }
        unary
    }
}

impl RawCall {
    pub(super) fn start(
        channel: &Hold,
        maker: &CallMaker,
        method: &RawMethod,
        options: RawOptions,
    ) -> Result<Self, Status> {
        let (call, hooks) = begin(channel, maker, method, options, true)?;
        call.start();
        let (hooks, received) = (Mutex::new(hooks), Mutex::default());
        Ok(Self { call, hooks, received })
    }

    /// Waits for the response's headers: its initial metadata.
    pub fn headers(&self, limit: Option<Instant>) -> Waited<&Metadata> {
        match self.call.headers(limit.map(time)) {
            Found::Done(Some((metadata, _))) => Waited::Ready(metadata),
            Found::Done(None) => match self.call.outcome() {
                Some(outcome) => Waited::Over(self.explained(outcome)),
                None => Waited::Late,
            },
            Found::Over(outcome) => Waited::Over(self.explained(outcome)),
            Found::Late => Waited::Late,
        }
    }

    /// The initial metadata, if it is known.
    pub fn known_headers(&self) -> Option<&Metadata> {
        self.call.known_headers().map(|(metadata, _)| metadata)
    }

    /// Waits for the next message. One thread at a time gets on.
    pub fn message(&self, limit: Option<Instant>) -> Waited<Bytes> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if received.is_empty() {
            match self.call.messages(&mut received, limit.map(time)) {
                Found::Done(()) => {}
                Found::Over(outcome) => return Waited::Over(self.explained(outcome)),
                Found::Late => return Waited::Late,
            }
        }
        let message = received.pop_front().expect("a wait that succeeds brings one");
        drop(received);
        self.opened(message)
    }

    /// A message that came together with one that was read, if there is one: no wait.
    pub fn at_hand(&self) -> Option<Waited<Bytes>> {
        let message = self.received.try_lock().ok()?.pop_front()?;
        Some(self.opened(message))
    }

    // -- without waiting: Late is to be asked again when the waker was woken ------------------------

    /// The response's headers, if they came.
    pub fn poll_headers(&self, waker: &Waker) -> Waited<&Metadata> {
        match self.call.poll_headers(waker) {
            Found::Done(()) => match (self.known_headers(), self.call.outcome()) {
                (Some(metadata), _) => Waited::Ready(metadata),
                (None, Some(outcome)) => Waited::Over(self.explained(outcome)),
                (None, None) => Waited::Late,
            },
            Found::Over(outcome) => Waited::Over(self.explained(outcome)),
            Found::Late => Waited::Late,
        }
    }

    /// Whether it has a connection, or had one. The waker is that of what is sent.
    pub fn poll_started(&self, waker: &Waker) -> Waited<()> {
        match self.call.poll_started(waker) {
            Found::Done(()) => Waited::Ready(()),
            Found::Over(outcome) => Waited::Over(self.explained(outcome)),
            Found::Late => Waited::Late,
        }
    }

    /// The next message, if it came. All that wait here share one waker: the last.
    pub fn poll_message(&self, waker: &Waker) -> Waited<Bytes> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if received.is_empty() {
            match self.call.poll_messages(&mut received, waker) {
                Found::Done(()) => {}
                Found::Over(outcome) => return Waited::Over(self.explained(outcome)),
                Found::Late => return Waited::Late,
            }
        }
        let message = received.pop_front().expect("a poll that succeeds brings one");
        drop(received);
        self.opened(message)
    }

    /// The end of a call with one response, with all that came. To be taken once.
    pub fn poll_unary(&self, waker: &Waker) -> Option<Unary> {
        let known = || self.known_headers().cloned().unwrap_or_default();
        match self.call.poll_finish(waker) {
            Found::Late => None,
            Found::Over(outcome) => {
                let outcome = Outcome::clone(&self.explained(outcome));
                Some(Unary { outcome, initial: known(), message: None })
            }
            Found::Done(mut finished) => {
                self.call.keep_initial(finished.initial.take());
                let limit = self.call.head.limits.max_receive;
                let encoding =
                    self.call.known_headers().map_or(Encoding::Identity, |known| known.1);
                let unary = Unary::opened(finished, encoding, known(), limit);
                self.tell(unary.outcome.status());
                Some(unary)
            }
        }
    }

    /// Sends a message if there is room for it. One that is too large ends the call.
    pub fn poll_push(&self, message: Bytes, waker: &Waker) -> Result<(), PushError> {
        let message = compress_now(self.call.head.encoding, message);
        if let Err(outcome) = check_size(&message, self.call.head.limits.max_send) {
            self.call.end((*outcome).clone());
            return Err(PushError::Over(Arc::from(outcome)));
        }
        self.poll_push_again(message, waker)
    }

    /// Sends a message that there was no room for, if there is now.
    pub fn poll_push_again(&self, message: Message, waker: &Waker) -> Result<(), PushError> {
        self.call.poll_push(message, waker).map_err(|unsent| match unsent {
            Unsent::Over(outcome) => PushError::Over(self.explained(outcome)),
            Unsent::Late(message) => PushError::Late(message),
        })
    }

    /// Waits for the end of the call, and reads nothing: unread messages remain.
    pub fn ended(&self, limit: Option<Instant>) -> Option<Arc<Outcome>> {
        match self.call.ended(limit.map(time)) {
            Found::Done(outcome) | Found::Over(outcome) => Some(self.explained(outcome)),
            Found::Late => None,
        }
    }

    fn opened(&self, message: Message) -> Waited<Bytes> {
        let encoding = self.call.known_headers().map_or(Encoding::Identity, |known| known.1);
        let limit = self.call.head.limits.max_receive;
        match decompress(encoding, message, limit) {
            Ok(message) => Waited::Ready(message),
            Err(outcome) => {
                self.call.end((*outcome).clone());
                Waited::Over(Arc::from(outcome))
            }
        }
    }

    /// Sends a message once there is room for it. One that is too large ends the call.
    pub fn push(&self, message: Bytes, limit: Option<Instant>) -> Result<(), PushError> {
        let message = compress_now(self.call.head.encoding, message);
        if let Err(outcome) = check_size(&message, self.call.head.limits.max_send) {
            self.call.end((*outcome).clone());
            return Err(PushError::Over(Arc::from(outcome)));
        }
        self.push_again(message, limit)
    }

    /// Sends a message that there was no room for.
    pub fn push_again(&self, message: Message, limit: Option<Instant>) -> Result<(), PushError> {
        self.call.push(message, limit.map(time)).map_err(|unsent| match unsent {
            Unsent::Over(outcome) => PushError::Over(self.explained(outcome)),
            Unsent::Late(message) => PushError::Late(message),
        })
    }

    /// No more messages follow.
    pub fn half_close(&self) {
        self.call.half_close();
    }

    /// How the call ended, if that is known; does not wait. Messages may remain to be read.
    pub fn outcome(&self) -> Option<Arc<Outcome>> {
        self.call.outcome().map(|outcome| self.explained(outcome))
    }

    /// How the call ended, if that is known and all messages were read; does not wait.
    pub fn drained(&self) -> Option<Arc<Outcome>> {
        if self.received.try_lock().is_ok_and(|received| !received.is_empty()) {
            return None;
        }
        let outcome = self.call.drained()?;
        // Whoever reads just now does not wait under the lock: the call is over.
        let unread = !self.received.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        (!unread).then(|| self.explained(outcome))
    }

    /// Ends the call from this side; false if it was over.
    pub fn cancel(&self, status: Status) -> bool {
        self.call.cancel(status)
    }

    /// Ends the call from this side and drops what was not read; false if it was over, and read to
    /// its end.
    pub fn cancel_unread(&self, status: Status) -> bool {
        if self.drained().is_some() {
            return false;
        }
        let cut = self.call.cut(status);
        if cut {
            self.received.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        cut
    }

    /// The call gets on without a thread that waits for it.
    pub fn watch(&self) {
        self.call.watch();
    }

    /// Runs `hook` once the end is known, which may be at once: in the thread that learns of it,
    /// which it must not hold up. One hook; another takes its place.
    pub fn on_end(&self, hook: impl FnOnce() + Send + 'static) {
        self.call.watch();
        self.call.on_end(Box::new(hook));
    }

    fn explained(&self, outcome: Arc<Outcome>) -> Arc<Outcome> {
        self.tell(outcome.status());
        outcome
    }

    /// Interceptors learn of the end, once. They are users' code, and run without the lock.
    fn tell(&self, status: &Status) {
        let mut hooks = {
            let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *hooks)
        };
        hooks.end(status);
    }
}

fn begin(
    channel: &Hold,
    maker: &CallMaker,
    method: &RawMethod,
    options: RawOptions,
    unattended: bool,
) -> Result<(Arc<Call>, EndHooks), Status> {
    let RawOptions {
        metadata,
        timeout,
        wait_for_ready,
        compression,
        credentials,
        message,
        watched,
    } = options;
    let mut extensions = Extensions::new();
    if let Some(credentials) = credentials {
        extensions.insert(OfRequest(credentials));
    }
    let options = CallOptions { end: timeout.map(CallEnd::After), wait_for_ready, compression };
    let request = RequestParts { message, metadata, extensions, options };
    let mut new = maker.make(&method.0, request)?;
    maker.authorize_blocking(&mut new)?;
    let NewCall { mut head, config, hooks, message } = new;
    // Whoever serialises decides what no message means.
    head.response_optional = true;
    let message = message.map(|message| compress_now(head.encoding, message));
    let checked =
        message.as_ref().map_or(Ok(()), |message| check_size(message, head.limits.max_send));
    let call = Call::new(channel.clone(), head, config, message, unattended);
    if watched {
        call.watch();
    }
    if let Err(outcome) = checked {
        call.end(*outcome);
    }
    Ok((call, hooks))
}

fn check_size(message: &Message, limit: usize) -> Result<(), Box<Outcome>> {
    let size = message.payload.len();
    if size <= limit {
        return Ok(());
    }
    let text = format!("a request message of {size} bytes exceeds the limit of {limit} bytes");
    let status = Status::new(Code::ResourceExhausted, text);
    Err(Box::new(Outcome::new(status, Origin::TooLarge { sent: true, size, limit })))
}

fn decompress(encoding: Encoding, message: Message, limit: usize) -> Result<Bytes, Box<Outcome>> {
    decompress_now(encoding, message, limit).map_err(|status| {
        let origin = if status.code() == Code::ResourceExhausted {
            Origin::TooLarge { sent: false, size: limit.saturating_add(1), limit }
        } else {
            Origin::Local
        };
        Box::new(Outcome::new(status, origin))
    })
}

fn time(limit: Instant) -> Time {
    clock::from_std(limit)
}

impl fmt::Debug for RawCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCall").field("path", &self.call.head.path()).finish_non_exhaustive()
    }
}

impl fmt::Debug for RawUnary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawUnary").field("path", &self.call.head.path()).finish_non_exhaustive()
    }
}

impl Drop for RawCall {
    fn drop(&mut self) {
        self.call.cancel(Status::new(Code::Cancelled, "the call was dropped"));
    }
}
