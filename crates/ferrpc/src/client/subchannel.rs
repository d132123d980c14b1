//! The driver of a channel's subchannel: tasks that connect, and who is told of changes.
//!
//! What is decided is decided by [`ferrpc_core::channel::Subchannel`]. Here it gets a lock, the
//! time, a task while an attempt runs or is due, and the connections that its ids stand for. What
//! the machine reports is dealt with where the lock is released.

mod attempt;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use ferrpc_core::Status;
use ferrpc_core::channel::{
    Attempt, AttemptEnd, ConnectionId, ConnectivityState, Pick, StateChange, Subchannel as Machine,
    SubchannelConfig,
};
use ferrpc_core::http2::CloseCause;
use ferrpc_net::{clock, trace};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::ConnectError;
use super::builder::Config;
use super::observer::Observer;
use super::role::Command;
use crate::credentials::SecurityLevel;
use crate::observers::Observers;
use crate::resolver::Target;
use crate::transport::mailbox::Mailbox;

/// One target's connection and its states.
pub(crate) struct Subchannel {
    target: Target,
    config: Config,
    state: Mutex<State>,
}

struct State {
    machine: Machine<ConnectError>,
    /// The connection that takes calls, which the machine knows by its id.
    connection: Option<Connection>,
    /// Connections of the current attempt.
    dialled: Vec<Dialled>,
    /// Connections whose last calls may still run.
    old: Vec<Connection>,
    /// The task that connects.
    task: Option<u64>,
    last_task: u64,
    /// Changed only with the state locked.
    published: watch::Sender<ConnectivityState>,
}

/// A connection without the server's SETTINGS.
struct Dialled {
    connection: Connection,
    outcome: oneshot::Sender<Result<(), CloseCause>>,
}

/// A connection as its users know it.
#[derive(Clone)]
pub(super) struct Connection {
    id: ConnectionId,
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
    pub(super) const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Ends it; its calls, if it has any, end with `status`.
    fn close(&self, status: Status) {
        // Refused by one that is over already.
        let _ = self.mailbox.send(Command::Close(status));
    }
}

impl Subchannel {
    pub(super) fn new(target: Target, config: Config) -> Arc<Self> {
        let machine = Machine::new(&SubchannelConfig {
            backoff: config.backoff,
            connect_timeout: config.connect_timeout,
            keepalive: config.transport.http2.keepalive.interval,
            seed: seed(),
        });
        let published = watch::Sender::new(machine.connectivity());
        let state = State {
            machine,
            connection: None,
            dialled: Vec::new(),
            old: Vec::new(),
            task: None,
            last_task: 0,
            published,
        };
        Arc::new(Self { target, config, state: Mutex::new(state) })
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) const fn security_level(&self) -> SecurityLevel {
        self.config.dialer.security.credentials.security_level()
    }

    pub(super) fn watch(&self) -> watch::Receiver<ConnectivityState> {
        self.lock().published.subscribe()
    }

    pub(super) fn connectivity(&self) -> ConnectivityState {
        self.lock().machine.connectivity()
    }

    // -- for calls -------------------------------------------------------------------------------

    /// The connection, if there is one: the way of nearly all calls.
    pub(super) fn connection(&self) -> Option<Connection> {
        let mut state = self.lock();
        let connection = state.connection.clone()?;
        state.machine.note_use();
        Some(connection)
    }

    /// Asks for a connection, and starts to make one if there is none.
    pub(super) fn pick(self: &Arc<Self>, wait_for_ready: bool) -> Pick<ConnectError> {
        let mut state = self.lock();
        let picked = state.machine.pick(clock::now(), wait_for_ready);
        let task = self.task(&mut state);
        drop(state);
        if let Some(task) = task
            && task.spawn().is_finished()
            && self.connectivity() == ConnectivityState::Idle
        {
            // It was dropped at once.
            return Pick::Fail(ConnectError::runtime(&self.target));
        }
        picked
    }

    /// Waits for a connection; fails with the first failure from now on, or at once in
    /// TRANSIENT_FAILURE.
    ///
    /// Cancel-safe.
    pub(super) async fn connected(self: &Arc<Self>) -> Result<(), ConnectError> {
        // Subscribed before asking: no change is missed.
        let mut changes = self.watch();
        loop {
            match self.pick(false) {
                Pick::Ready(_) => return Ok(()),
                Pick::Fail(failure) => return Err(failure),
                Pick::Shutdown => return Err(ConnectError::closed()),
                Pick::Wait => changes.changed().await.expect("the sender is in self"),
            }
        }
    }

    /// Starts to connect if nothing is under way.
    pub(super) fn connect(self: &Arc<Self>) {
        let mut state = self.lock();
        state.machine.connect(clock::now());
        let task = self.task(&mut state);
        drop(state);
        task.map(ConnectTask::spawn);
    }

    /// How a call ends whose deadline passes while it waits for a connection.
    pub(super) fn late(&self) -> AttemptEnd {
        let state = self.lock();
        let failure = state.machine.failure().map(ToString::to_string);
        AttemptEnd::late_for_connection(self.target.as_str(), failure.as_deref())
    }

    /// No more calls: those that run get `status`, or may go on if there is none.
    pub(super) fn shut_down(&self, status: Option<Status>) {
        let mut state = self.lock();
        state.machine.shut_down();
        let connections: Vec<_> =
            state.connection.take().into_iter().chain(state.old.drain(..)).collect();
        drop(state);
        for connection in connections {
            match &status {
                Some(status) => connection.close(status.clone()),
                // Refused by a connection that is over already.
                None => drop(connection.mailbox.send(Command::Drain)),
            }
        }
    }

    // -- for connections -------------------------------------------------------------------------

    /// The server's SETTINGS came. Returns who is to be told of the connection's end; nobody if
    /// the connection is not wanted any more.
    pub(super) fn connection_ready(
        &self,
        id: ConnectionId,
        mailbox: &Mailbox<Command>,
    ) -> Option<Watched> {
        let mut state = self.lock();
        let dialled = state.take_dialled(id);
        if !state.machine.handle_ready(id) {
            drop(state);
            let _ = mailbox.send(Command::Close(ConnectError::closed().status()));
            return None;
        }
        let dialled = dialled.expect("what the machine knows as dialled is here");
        let Dialled { connection, outcome } = dialled;
        state.connection = Some(connection);
        drop(state);
        self.config.observers.tell(|observer| observer.connected(&self.target));
        // The task that waits for it may be gone; then nobody needs to know.
        let _ = outcome.send(Ok(()));
        let observers = self.config.observers.clone();
        (!observers.is_empty()).then(|| Watched { observers, target: self.target.clone() })
    }

    /// The connection takes no new calls. The next call makes another connection, at once: this
    /// is no failure.
    pub(super) fn connection_lost(&self, id: ConnectionId) {
        self.lock().lose(id);
    }

    /// The connection is over.
    pub(super) fn connection_closed(&self, id: ConnectionId, cause: &CloseCause) {
        let mut state = self.lock();
        state.lose(id);
        let slower = state.machine.handle_closed(clock::now(), id, cause);
        state.old.retain(|old| old.id != id);
        let dialled = state.take_dialled(id);
        drop(state);
        if let Some(interval) = slower {
            trace::pings_slowed(&self.target, interval);
        }
        if let Some(dialled) = dialled {
            let _ = dialled.outcome.send(Err(cause.clone()));
        }
    }

    // -- connecting ------------------------------------------------------------------------------

    /// A task that connects, if there is something to do and no task that does it. It is to be
    /// spawned without the lock: a runtime that is shutting down drops it at once, and its drop
    /// takes the lock.
    #[must_use]
    fn task(self: &Arc<Self>, state: &mut State) -> Option<ConnectTask> {
        if state.task.is_some() || !state.machine.is_connecting() {
            return None;
        }
        state.last_task += 1;
        let id = state.last_task;
        state.task = Some(id);
        Some(ConnectTask { subchannel: Arc::clone(self), id })
    }

    /// Takes note of how an attempt ended.
    fn attempt_failed(&self, attempt: Attempt, failure: ConnectError) {
        let mut state = self.lock();
        let failed = state.machine.handle_failed(clock::now(), attempt.id, failure.clone());
        drop(state);
        if failed {
            tracing::debug!(
                target: trace::CONNECTIVITY, channel = %self.target, error = %failure,
                "no connection"
            );
            self.config.observers.tell(|observer| observer.connect_failed(&self.target, &failure));
        }
    }

    fn lock(&self) -> Locked<'_> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { channel: &self.target, state: Some(state) }
    }
}

/// The state, locked. Dropped, it settles what the machine reports.
struct Locked<'a> {
    channel: &'a Target,
    /// None only when it is dropped.
    state: Option<MutexGuard<'a, State>>,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("it is locked until it is dropped")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("it is locked until it is dropped")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        let changes = state.settle();
        drop(state);
        changes.into_iter().for_each(|change| trace::state_changed(self.channel, change));
    }
}

impl State {
    /// Does what the machine reports.
    fn settle(&mut self) -> Vec<StateChange> {
        while let Some(id) = self.machine.poll_abandoned() {
            if let Some(dialled) = self.take_dialled(id) {
                dialled.connection.close(ConnectError::closed().status());
            }
        }
        let changes: Vec<_> = std::iter::from_fn(|| self.machine.poll_change()).collect();
        if let Some(change) = changes.last() {
            self.published.send_replace(change.after);
        }
        changes
    }

    fn take_dialled(&mut self, id: ConnectionId) -> Option<Dialled> {
        let at = self.dialled.iter().position(|dialled| dialled.connection.id == id)?;
        Some(self.dialled.swap_remove(at))
    }

    fn lose(&mut self, id: ConnectionId) {
        if self.machine.handle_unusable(clock::now(), id) {
            self.old.retain(|old| !old.mailbox.is_closed());
            self.old.extend(self.connection.take());
        }
    }
}

/// The task that makes a connection, however many attempts that takes.
struct ConnectTask {
    subchannel: Arc<Subchannel>,
    id: u64,
}

impl ConnectTask {
    fn spawn(self) -> JoinHandle<()> {
        tokio::spawn(self.run())
    }

    async fn run(self) {
        let subchannel = &self.subchannel;
        let mut changes = subchannel.watch();
        loop {
            let (due, until) = {
                let mut state = subchannel.lock();
                let due = state.machine.poll_attempt(clock::now());
                if !state.machine.is_connecting() {
                    // From here on, whoever asks for a connection starts another task.
                    state.task = None;
                    return;
                }
                (due, state.machine.poll_timeout())
            };
            // Wakes the task when the channel goes, whatever it is doing.
            let closed = changes.wait_for(|now| *now == ConnectivityState::Shutdown);
            match (due, until) {
                (Some(attempt), _) => {
                    let connecting = race(closed, subchannel.attempt(attempt));
                    let give_up = clock::to_instant(attempt.give_up);
                    let failure = match tokio::time::timeout_at(give_up, connecting).await {
                        Ok(Race::First | Race::Second(Ok(()))) => continue,
                        Ok(Race::Second(Err(failure))) => failure,
                        Err(_) => {
                            let patience = attempt.give_up.since(attempt.began);
                            ConnectError::timeout(&subchannel.target, patience)
                        }
                    };
                    subchannel.attempt_failed(attempt, failure);
                }
                (None, Some(until)) => {
                    let pause = tokio::time::sleep_until(clock::to_instant(until));
                    race(closed, pause).await;
                }
                // Another task has the attempt, which is impossible while this one lives.
                (None, None) => return,
            }
        }
    }
}

impl Drop for ConnectTask {
    fn drop(&mut self) {
        let mut state = self.subchannel.lock();
        if state.task.take_if(|id| *id == self.id).is_some() {
            // Dropped in the middle, by a runtime that shuts down: whoever waits in another
            // runtime starts anew.
            state.machine.handle_interrupted();
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
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

impl std::fmt::Debug for Subchannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subchannel").field("target", &self.target).finish_non_exhaustive()
    }
}
