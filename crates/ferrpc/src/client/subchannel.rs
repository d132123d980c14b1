//! The connection of a channel: whether there is one, and who makes the next.
//!
//! ```text
//!            a call, connect()              the server's SETTINGS
//!    IDLE -----------------------> CONNECTING -------------------> READY
//!     ^                                |                            |
//!     |                         failed | ^ after the backoff        | GOAWAY, lost
//!     |                                v |                          |
//!     |                        TRANSIENT_FAILURE --> READY          |
//!     +-------------------------------------------------------------+
//! ```
//!
//! TRANSIENT_FAILURE is sticky (gRFC A62): while further attempts run, calls that do not wait for
//! the connection go on failing at once, until an attempt succeeds. A task exists only while there
//! is something to connect.

mod attempt;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ferrpc_core::channel::{Backoff, ConnectivityState};
use ferrpc_core::http2::CloseCause;
use ferrpc_core::{Status, Time};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::builder::Config;
use super::error::ConnectError;
use super::observer::Observer;
use super::pacing::Pacing;
use super::pings::{complains_of_pings, warn_of_pings};
use super::role::Command;
use crate::credentials::SecurityLevel;
use crate::observers::Observers;
use crate::resolver::Target;
use crate::trace;
use crate::transport::clock;
use crate::transport::mailbox::Mailbox;

/// One target's connection and its states.
pub(crate) struct Subchannel {
    target: Target,
    config: Config,
    state: Mutex<State>,
    /// What there is to wait for. Changed only with `state` locked.
    published: watch::Sender<Published>,
}

/// What others may know without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) state: ConnectivityState,
    /// Attempts that failed: tells a call that began to wait before a failure from one after it.
    failures: u64,
}

struct State {
    connectivity: ConnectivityState,
    connection: Option<Connection>,
    /// Why the last attempt failed, until one succeeds.
    failure: Option<ConnectError>,
    failures: u64,
    backoff: Backoff,
    /// Keeps a server that accepts and closes from making us spin.
    pacing: Pacing,
    /// The task that makes a connection, or waits to.
    connecting: Option<u64>,
    /// The connections of which one is about to be the next, and who waits for their outcome.
    attempts: Vec<Attempt>,
    next_id: u64,
    /// Connections whose last calls may still run.
    old: Vec<Connection>,
    /// The keepalive time; grows when a server says that pings come too often.
    keepalive: Option<Duration>,
}

struct Attempt {
    id: u64,
    outcome: oneshot::Sender<Result<(), String>>,
    mailbox: Arc<Mailbox<Command>>,
}

/// A connection as its users know it.
#[derive(Clone)]
pub(super) struct Connection {
    id: u64,
    pub(super) mailbox: Arc<Mailbox<Command>>,
}

/// A connection that observers were told of.
pub(super) struct Watched {
    observers: Observers<dyn Observer>,
    target: Target,
}

impl Watched {
    /// The connection is over.
    pub(super) fn ended(self, cause: &str) {
        tracing::debug!(
            target: trace::CONNECTIVITY, channel = %self.target, cause, "connection over"
        );
        self.observers.tell(|observer| observer.disconnected(&self.target, cause));
    }
}

impl Connection {
    pub(super) const fn id(&self) -> u64 {
        self.id
    }
}

impl Subchannel {
    pub(super) fn new(target: Target, config: Config) -> Arc<Self> {
        let connectivity = ConnectivityState::Idle;
        let state = State {
            connectivity,
            connection: None,
            failure: None,
            failures: 0,
            backoff: Backoff::new(config.backoff, seed()),
            pacing: Pacing::new(),
            connecting: None,
            attempts: Vec::new(),
            next_id: 0,
            old: Vec::new(),
            keepalive: config.transport.http2.keepalive.interval,
        };
        let published = watch::Sender::new(Published { state: connectivity, failures: 0 });
        Arc::new(Self { target, config, state: Mutex::new(state), published })
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) const fn security_level(&self) -> SecurityLevel {
        self.config.security.credentials.security_level()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Published> {
        self.published.subscribe()
    }

    pub(super) fn connectivity(&self) -> ConnectivityState {
        self.lock().connectivity
    }

    // -- for calls -------------------------------------------------------------------------------

    /// The connection, if there is one: the way of nearly all calls.
    pub(super) fn connection(&self) -> Option<Connection> {
        self.lock().take_up()
    }

    /// A connection: makes one, waits for one. Without `wait_for_ready` the first failure since
    /// the call began to wait ends the wait.
    ///
    /// Cancel-safe.
    pub(super) async fn wait(
        self: &Arc<Self>,
        wait_for_ready: bool,
    ) -> Result<Connection, ConnectError> {
        // Subscribed before looking: no change is missed.
        let mut changes = self.published.subscribe();
        let began = changes.borrow_and_update().failures;
        loop {
            let task = {
                let mut state = self.lock();
                if let Some(connection) = state.take_up() {
                    return Ok(connection);
                }
                if state.connectivity == ConnectivityState::Shutdown {
                    return Err(ConnectError::closed());
                }
                let failed_now = state.failures > began
                    || state.connectivity == ConnectivityState::TransientFailure;
                if let (true, false, Some(failure)) = (failed_now, wait_for_ready, &state.failure) {
                    return Err(failure.clone());
                }
                self.ensure_connecting(&mut state)
            };
            if let Some(task) = task
                && task.spawn().is_finished()
                && self.connectivity() == ConnectivityState::Idle
            {
                // It was dropped at once.
                return Err(ConnectError::runtime(&self.target));
            }
            changes.changed().await.expect("the sender is in self");
        }
    }

    /// Starts to connect if nothing is under way.
    pub(super) fn connect(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.connection.is_some() {
            return;
        }
        let task = self.ensure_connecting(&mut state);
        drop(state);
        task.map(ConnectTask::spawn);
    }

    /// What a call was waiting for, completing "while waiting for".
    pub(super) fn waited_for(&self) -> String {
        match &self.lock().failure {
            Some(failure) => format!("a connection to {} ({failure})", self.target),
            None => format!("a connection to {}", self.target),
        }
    }

    /// No more calls: those that run get `status`, or may go on if there is none.
    pub(super) fn shut_down(&self, status: Option<Status>) {
        let mut state = self.lock();
        let connections: Vec<_> =
            state.connection.take().into_iter().chain(state.old.drain(..)).collect();
        let attempts = std::mem::take(&mut state.attempts);
        self.publish(&mut state, ConnectivityState::Shutdown);
        drop(state);
        attempts.into_iter().for_each(Attempt::give_up);
        for connection in connections {
            let command = match &status {
                Some(status) => Command::Close(status.clone()),
                None => Command::Drain,
            };
            // Refused by a connection that is over already.
            let _ = connection.mailbox.send(command);
        }
    }

    // -- for connections -------------------------------------------------------------------------

    /// The server's SETTINGS came. Returns who is to be told of the connection's end; nobody if
    /// the connection is not wanted any more.
    pub(super) fn connection_ready(
        &self,
        id: u64,
        mailbox: &Arc<Mailbox<Command>>,
    ) -> Option<Watched> {
        let mut state = self.lock();
        let Some(attempt) = state.take_attempt(id) else {
            // Given up meanwhile, or the channel was closed.
            drop(state);
            let _ = mailbox.send(Command::Close(ConnectError::closed().status()));
            return None;
        };
        // From here on, whoever finds no connection starts another task.
        let late = std::mem::take(&mut state.attempts);
        state.connecting = None;
        state.backoff.reset();
        state.failure = None;
        state.connection = Some(Connection { id, mailbox: Arc::clone(mailbox) });
        self.publish(&mut state, ConnectivityState::Ready);
        drop(state);
        late.into_iter().for_each(Attempt::give_up);
        self.config.observers.tell(|observer| observer.connected(&self.target));
        // The task that waits for it may be gone; then nobody needs to know.
        let _ = attempt.outcome.send(Ok(()));
        let observers = self.config.observers.clone();
        (!observers.is_empty()).then(|| Watched { observers, target: self.target.clone() })
    }

    /// The connection takes no new calls. The next call makes another connection, at once: this
    /// is no failure.
    pub(super) fn connection_lost(&self, id: u64) {
        let mut state = self.lock();
        if let Some(connection) = state.connection.take_if(|connection| connection.id == id) {
            state.old.retain(|old| !old.mailbox.is_closed());
            state.old.push(connection);
            state.pacing.lost(clock::now());
            self.publish(&mut state, ConnectivityState::Idle);
        }
    }

    /// The connection is over.
    pub(super) fn connection_closed(&self, id: u64, cause: &CloseCause) {
        self.connection_lost(id);
        let mut state = self.lock();
        state.old.retain(|old| old.id != id);
        if complains_of_pings(cause) {
            state.keepalive = state.keepalive.map(|interval| interval.saturating_mul(2));
            warn_of_pings(&self.target, state.keepalive);
        }
        let attempt = state.take_attempt(id);
        drop(state);
        if let Some(attempt) = attempt {
            let _ = attempt.outcome.send(Err(cause.to_string()));
        }
    }

    // -- connecting ------------------------------------------------------------------------------

    /// The task that makes a connection, if there is none yet. It is to be spawned without the
    /// lock: a runtime that is shutting down drops it at once, and its drop takes the lock.
    #[must_use]
    fn ensure_connecting(self: &Arc<Self>, state: &mut State) -> Option<ConnectTask> {
        if state.connecting.is_some() || state.connectivity == ConnectivityState::Shutdown {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.connecting = Some(id);
        self.publish(state, ConnectivityState::Connecting);
        Some(ConnectTask { subchannel: Arc::clone(self), id })
    }

    /// Publishes a state; TRANSIENT_FAILURE stays while a connection is being made.
    fn publish(&self, state: &mut State, connectivity: ConnectivityState) {
        use ConnectivityState::{Connecting, Shutdown, TransientFailure};
        if state.connectivity == Shutdown
            || (state.connectivity == TransientFailure && connectivity == Connecting)
        {
            return;
        }
        if state.connectivity != connectivity {
            let before = state.connectivity;
            tracing::debug!(
                target: trace::CONNECTIVITY, channel = %self.target, ?before, now = ?connectivity
            );
        }
        state.connectivity = connectivity;
        let new = Published { state: connectivity, failures: state.failures };
        self.published.send_if_modified(|published| {
            let changed = *published != new;
            *published = new;
            changed
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The connection, for a call.
    fn take_up(&mut self) -> Option<Connection> {
        let connection = self.connection.clone()?;
        self.pacing.used();
        Some(connection)
    }

    fn take_attempt(&mut self, id: u64) -> Option<Attempt> {
        let at = self.attempts.iter().position(|attempt| attempt.id == id)?;
        Some(self.attempts.swap_remove(at))
    }
}

/// The task that makes a connection, however many attempts that takes.
struct ConnectTask {
    subchannel: Arc<Subchannel>,
    id: u64,
}

impl Attempt {
    /// Ends the connection, which is not ready yet.
    fn give_up(self) {
        // Refused by one that is over already.
        let _ = self.mailbox.send(Command::Close(ConnectError::closed().status()));
    }
}

impl ConnectTask {
    fn spawn(self) -> JoinHandle<()> {
        tokio::spawn(self.run())
    }

    async fn run(self) {
        let subchannel = &self.subchannel;
        let mut changes = subchannel.published.subscribe();
        let not_before = subchannel.lock().pacing.next_at();
        if not_before > clock::now() {
            tokio::time::sleep_until(clock::to_instant(not_before)).await;
        }
        loop {
            let began = clock::now();
            let give_up = subchannel.lock().backoff.start(began);
            let give_up = match subchannel.config.connect_timeout {
                Some(timeout) => began + timeout,
                None => give_up,
            };
            // Ends the task when the channel goes, whatever it is doing.
            let closed = changes.wait_for(|now| now.state == ConnectivityState::Shutdown);
            let attempt = tokio::time::timeout_at(clock::to_instant(give_up), subchannel.attempt());
            let result = match race(closed, attempt).await {
                Race::First => return,
                Race::Second(Ok(result)) => result,
                Race::Second(Err(_)) => Err(ConnectError::timeout(
                    &subchannel.target,
                    give_up.since(began).as_secs_f64(),
                )),
            };
            let Some(retry_at) = subchannel.attempt_ended(result) else { return };
            let closed = changes.wait_for(|now| now.state == ConnectivityState::Shutdown);
            let pause = tokio::time::sleep_until(clock::to_instant(retry_at));
            if let Race::First = race(closed, pause).await {
                return;
            }
        }
    }
}

impl Drop for ConnectTask {
    fn drop(&mut self) {
        let mut state = self.subchannel.lock();
        if state.connecting.take_if(|id| *id == self.id).is_some() {
            // Dropped in the middle, by a runtime that shuts down: whoever waits in another
            // runtime starts anew.
            self.subchannel.publish(&mut state, ConnectivityState::Idle);
        }
    }
}

impl Subchannel {
    /// Takes note of how an attempt ended. When the next may start; `None` if none is needed.
    fn attempt_ended(&self, result: Result<(), ConnectError>) -> Option<Time> {
        let mut state = self.lock();
        let failure = match result {
            Ok(()) => return None,
            // It came up just as its time was over.
            Err(_) if state.connection.is_some() => return None,
            Err(failure) => failure,
        };
        tracing::debug!(
            target: trace::CONNECTIVITY, channel = %self.target, error = %failure, "no connection"
        );
        let late = std::mem::take(&mut state.attempts);
        let retry_at = state.backoff.fail(clock::now());
        state.failure = Some(failure.clone());
        state.failures += 1;
        self.publish(&mut state, ConnectivityState::TransientFailure);
        drop(state);
        late.into_iter().for_each(Attempt::give_up);
        self.config.observers.tell(|observer| observer.connect_failed(&self.target, &failure));
        Some(retry_at)
    }
}

/// Ends a connection that was given up before it was ready.
struct CloseUnlessReady<'a> {
    subchannel: &'a Subchannel,
    id: u64,
}

impl Drop for CloseUnlessReady<'_> {
    fn drop(&mut self) {
        let mut state = self.subchannel.lock();
        let attempt = state.take_attempt(self.id);
        drop(state);
        if let Some(attempt) = attempt {
            attempt.give_up();
        }
    }
}

enum Race<T> {
    First,
    Second(T),
}

/// Whichever is ready first; the first if both are.
async fn race<A, B: Future>(first: impl Future<Output = A>, second: B) -> Race<B::Output> {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    std::future::poll_fn(|cx| {
        if first.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Race::First);
        }
        second.as_mut().poll(cx).map(Race::Second)
    })
    .await
}

/// Randomness for backoff jitter and the like: unlike from process to process and each time.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

impl std::fmt::Debug for Subchannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subchannel").field("target", &self.target).finish_non_exhaustive()
    }
}
