//! The driver of a blocking channel's subchannel: threads that connect, and who waits for them.
//!
//! What is decided is decided by [`ferrpc_core::channel::Subchannel`]. Here it gets a lock, the
//! time, a thread while an attempt runs or is due, and the connection that its ids stand for. The
//! thread that made a connection keeps guard over it afterwards. What the machine reports is dealt
//! with where the lock is released: watchers are told, and calls that wait for a connection are
//! resumed, without the lock.
//!
//! A second thread keeps time for those of these calls that have no thread of their own. It lives as
//! long as there is a time to wait for.

mod dial;
mod locked;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use ferrpc::for_blocking::{Config, seed};
use ferrpc_core::call::{ClientCall, PickRequest, Step};
use ferrpc_core::channel::{
    Attempt, AttemptEnd, AttemptId, ConnectionId, ConnectivityState, Dialled, StateChange,
    Subchannel as Machine, SubchannelConfig,
};
use ferrpc_core::http2::CloseCause;
use ferrpc_core::{Status, Time};
use ferrpc_net::connect::ConnectError;
use ferrpc_net::resolver::Target;
use ferrpc_net::{clock, trace};
use locked::Locked;

use super::connection::Connection;
use super::driver::Driver;
use super::outcome::Origin;
use super::wake::{Attempts, Owner, Wake};
use super::watchers::{Watcher, Watchers};

/// The connection of a channel, and how there comes to be one.
pub(super) struct Shared {
    pub(super) target: Target,
    pub(super) config: Config,
    /// No more connections: for threads that dial.
    pub(super) closed: AtomicBool,
    state: Mutex<State>,
    /// Something that a thread of the channel's own is to know.
    changed: Condvar,
    me: Weak<Shared>,
}

struct State {
    machine: Machine<ConnectError>,
    /// The connection that takes calls, as far as the machine knows.
    current: Option<Arc<Connection>>,
    /// Connections whose last calls may still run.
    old: Vec<Weak<Connection>>,
    /// The thread that connects runs.
    connecting: bool,
    pending: Vec<Listed>,
    watchers: Watchers,
    /// The thread that keeps time runs.
    timer: bool,
    /// The event loop that drives connections, if one does.
    driver: Option<Arc<Driver>>,
    /// Connections that it has not adopted yet.
    handed_out: Vec<Arc<Connection>>,
}

/// Keeps a channel in being: its clones have one, and so has each call until it is over. With the
/// last of them the connection is closed, in good order.
#[derive(Clone)]
pub(super) struct Hold(Arc<Release>);

struct Release(Arc<Shared>);

/// A call that waits for a connection.
struct Listed {
    call: Weak<dyn Attempts>,
    /// When it is to be resumed in any case, unless its own thread sees to that.
    until: Option<Time>,
}

/// What a call asks for.
pub(super) struct Ask<'a> {
    pub(super) call: &'a Weak<dyn Attempts>,
    pub(super) request: PickRequest,
    /// It is listed already.
    pub(super) registered: bool,
    pub(super) unattended: bool,
}

/// What it gets.
pub(super) enum Acquired {
    Connection(Arc<Connection>),
    Failed(Status, Origin),
    /// It will be resumed; at this time at the latest it is to ask again.
    Wait(Option<Time>),
}

impl Hold {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Release(shared)))
    }
}

impl Deref for Hold {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0.0
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        self.0.shut_down(None);
    }
}

impl Owner for Shared {
    fn lost(&self) {
        self.lock().look(clock::now());
    }

    fn closed(&self, id: ConnectionId, cause: &CloseCause) {
        let mut state = self.lock();
        let now = clock::now();
        state.look(now);
        let slower = state.machine.handle_closed(now, id, cause);
        drop(state);
        if let Some(interval) = slower {
            trace::pings_slowed(&self.target, interval);
        }
    }
}

impl Shared {
    pub(super) fn new(target: Target, config: Config) -> Arc<Self> {
        let state = State {
            machine: Machine::new(&SubchannelConfig {
                backoff: config.backoff,
                connect_timeout: config.connect_timeout,
                keepalive: config.transport.http2.keepalive.interval,
                seed: seed(),
            }),
            current: None,
            old: Vec::new(),
            connecting: false,
            pending: Vec::new(),
            watchers: Watchers::default(),
            timer: false,
            driver: None,
            handed_out: Vec::new(),
        };
        Arc::new_cyclic(|me| Self {
            target,
            config,
            closed: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
            me: Weak::clone(me),
        })
    }

    /// The connection, if there is one; sees to it that there will be one. The call, whose lock its
    /// thread holds, tells those who are to know once it has released that.
    pub(super) fn acquire(&self, ask: &Ask<'_>) -> (Acquired, Option<Wake>) {
        let mut state = self.lock();
        let acquired = self.acquire_locked(&mut state, ask, clock::now());
        (acquired, state.release())
    }

    fn acquire_locked(&self, state: &mut State, ask: &Ask<'_>, now: Time) -> Acquired {
        let acquired = self.pick(state, ask.request, now);
        let Acquired::Wait(until) = acquired else { return acquired };
        if !ask.registered {
            // Calls that have ended while the state stayed go when room is needed.
            if state.pending.len() == state.pending.capacity() {
                state.pending.retain(|listed| listed.call.strong_count() > 0);
                let left = state.pending.len();
                state.pending.reserve(left);
            }
            let call = Weak::clone(ask.call);
            let listed = if ask.unattended { until } else { None };
            state.pending.push(Listed { call, until: listed });
        }
        if ask.unattended && until.is_some() {
            self.keep_time(state);
        }
        Acquired::Wait(until)
    }

    /// The same for a thread that waits here.
    pub(super) fn wait_for_connection(&self, call: &mut ClientCall) -> Result<(), Status> {
        let mut state = self.lock();
        loop {
            let now = clock::now();
            match self.pick(&mut state, call.request(), now) {
                Acquired::Connection(_) => return Ok(()),
                Acquired::Failed(status, Origin::Connect(_)) => {
                    let mut end = AttemptEnd::unreachable(status);
                    call.handle_end(now, &mut end);
                    if end.is_final() {
                        return Err(end.status);
                    }
                }
                Acquired::Failed(status, _) => return Err(status),
                Acquired::Wait(until) => state.wait(until.map(|until| until.since(now))),
            }
        }
    }

    fn pick(&self, state: &mut State, request: PickRequest, now: Time) -> Acquired {
        state.look(now);
        let mut until = None;
        // A second time where there was no thread to connect, which is a failure to be told.
        for _ in 0..2 {
            match request.step(now, |wait_for_ready| state.machine.pick(now, wait_for_ready)) {
                Step::Begin(_) => {
                    state.machine.note_use();
                    let current = state.current.as_ref();
                    return Acquired::Connection(Arc::clone(current.expect("it is ready")));
                }
                Step::Fail(failure) => {
                    return Acquired::Failed(failure.status(), Origin::Connect(failure));
                }
                Step::Closed => {
                    return Acquired::Failed(AttemptEnd::closed().status, Origin::Closed);
                }
                Step::Late => {
                    let failure = state.machine.failure().map(ToString::to_string);
                    let target = self.target.as_str();
                    let late = AttemptEnd::late_for_connection(target, failure.as_deref());
                    return Acquired::Failed(late.status, Origin::Deadline);
                }
                Step::Wait(at) => until = at,
            }
            if self.see_to_connecting(state, now) {
                break;
            }
        }
        Acquired::Wait(until)
    }

    // -- connecting ------------------------------------------------------------------------------

    /// A thread connects, if there is something to connect. False: there was no thread to be had.
    fn see_to_connecting(&self, state: &mut State, now: Time) -> bool {
        if state.connecting || !state.machine.is_connecting() {
            return true;
        }
        let Some(shared) = self.me.upgrade() else { return true };
        let thread = thread::Builder::new().name("ferrpc-channel".to_owned());
        match thread.spawn(move || shared.connect()) {
            Ok(_) => state.connecting = true,
            Err(error) => {
                if let Some(attempt) = state.machine.poll_attempt(now) {
                    let failure = ConnectError::no_thread(&self.target, error);
                    state.machine.handle_failed(now, attempt.id, failure);
                }
                self.keep_time(state);
            }
        }
        state.connecting
    }

    /// Makes a connection, however many attempts that takes, and keeps guard over it.
    fn connect(self: Arc<Self>) {
        let interrupted = Interrupted(Weak::clone(&self.me));
        let mut state = self.lock();
        loop {
            let now = clock::now();
            let due = state.machine.poll_attempt(now);
            if !state.machine.is_connecting() {
                break;
            }
            let until = state.machine.poll_timeout();
            let Some(attempt) = due else {
                let Some(until) = until else { break };
                state.wait(Some(until.since(now)));
                continue;
            };
            drop(state);
            match dial::dial(&self, attempt) {
                Ok(connection) => {
                    self.connected(&connection);
                    drop(interrupted);
                    return Self::keep_guard(self, &connection);
                }
                Err(failure) => self.attempt_failed(attempt, failure),
            }
            state = self.lock();
        }
        // From here on, whoever asks for a connection starts another thread.
        state.connecting = false;
    }

    /// An attempt made a byte stream. None: it is not wanted any more.
    pub(super) fn dialled(&self, attempt: AttemptId) -> Option<Dialled> {
        self.lock().machine.handle_dialled(attempt)
    }

    /// Takes note of a connection that has its SETTINGS.
    fn connected(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        state.connecting = false;
        if !state.machine.handle_ready(connection.id) {
            drop(state);
            // The channel was closed meanwhile.
            connection.shut_down(Some(&AttemptEnd::closed().status));
            return;
        }
        state.current = Some(Arc::clone(connection));
        let driver = state.driver.clone();
        let mut wakes = Vec::new();
        if let Some(driver) = &driver {
            state.handed_out.push(Arc::clone(connection));
            wakes = connection.hand_out(Arc::clone(driver));
        }
        wakes.extend(connection.watch(state.watchers.any()));
        let closed = connection.attach();
        drop(state);
        Wake::all(wakes);
        if let Some(driver) = driver {
            driver.waker.wake_by_ref();
        }
        self.config.observers.tell(|observer| observer.connected(&self.target));
        if let Some(cause) = closed {
            // In the same breath as it came.
            self.closed(connection.id, &cause);
        }
    }

    /// Takes note of an attempt that failed.
    fn attempt_failed(&self, attempt: Attempt, failure: ConnectError) {
        let failed = self.lock().machine.handle_failed(clock::now(), attempt.id, failure.clone());
        if failed {
            tracing::debug!(
                target: trace::CONNECTIVITY, channel = %self.target, error = %failure,
                "no connection"
            );
            self.config.observers.tell(|observer| observer.connect_failed(&self.target, &failure));
        }
    }

    /// Keeps guard over a connection. Its channel may go meanwhile.
    fn keep_guard(self: Arc<Self>, connection: &Connection) {
        let owner = Weak::clone(&self.me);
        let (observers, target) = (self.config.observers.clone(), self.target.clone());
        drop(self);
        connection.keep_guard();
        let cause = connection.end();
        tracing::debug!(
            target: trace::CONNECTIVITY, channel = %target, %cause, "connection over"
        );
        let text = cause.to_string();
        observers.tell(|observer| observer.disconnected(&target, &text));
        if let Some(shared) = owner.upgrade() {
            shared.lost();
        }
    }

    // -- time ------------------------------------------------------------------------------------

    /// There is a time to wait for.
    fn keep_time(&self, state: &mut State) {
        if std::mem::replace(&mut state.timer, true) {
            self.changed.notify_all();
            return;
        }
        let Some(shared) = self.me.upgrade() else { return };
        let thread = thread::Builder::new().name("ferrpc-timer".to_owned());
        if thread.spawn(move || shared.time()).is_err() {
            // Calls whose threads wait still see their deadlines.
            state.timer = false;
        }
    }

    fn time(&self) {
        let mut state = self.lock();
        while state.machine.connectivity() != ConnectivityState::Shutdown {
            let now = clock::now();
            // If there is no thread to connect, the next second may have one.
            let retry = (!self.see_to_connecting(&mut state, now)).then(|| now + RETRY);
            let due = state.pending.iter().filter_map(|listed| listed.until).chain(retry).min();
            let Some(due) = due else { break };
            if due > now {
                state.wait(Some(due.since(now)));
            } else {
                let pending = std::mem::take(&mut state.pending);
                drop(state);
                resume(pending);
                state = self.lock();
            }
        }
        state.timer = false;
    }

    // -- states ----------------------------------------------------------------------------------

    /// The state of the connection; begins to connect, if asked to.
    pub(super) fn connectivity(&self, connect: bool) -> ConnectivityState {
        let mut state = self.lock();
        let now = clock::now();
        state.look(now);
        if connect {
            state.machine.connect(now);
            self.see_to_connecting(&mut state, now);
        }
        state.machine.connectivity()
    }

    /// Tells `watcher` the state, and each change from now on.
    pub(super) fn watch(&self, watcher: Watcher, connect: bool) -> u64 {
        let now = clock::now();
        let mut state = self.lock();
        state.look(now);
        while state.machine.has_changes() {
            // Those are for the others.
            drop(state);
            state = self.lock();
            state.look(now);
        }
        let connectivity = state.machine.connectivity();
        let id = state.watchers.add(watcher, connectivity);
        let wakes = state.current.as_ref().map(|connection| connection.watch(true));
        if connect {
            state.machine.connect(now);
            self.see_to_connecting(&mut state, now);
        }
        drop(state);
        Wake::all(wakes.unwrap_or_default());
        id
    }

    pub(super) fn unwatch(&self, id: u64) {
        let mut state = self.lock();
        let removed = state.watchers.remove(id);
        let wakes = match &state.current {
            Some(connection) if !state.watchers.any() => connection.watch(false),
            _ => Vec::new(),
        };
        drop(state);
        drop(removed);
        Wake::all(wakes);
    }

    /// Tells watchers of states, in their order, one thread at a time.
    fn tell_watchers(&self) {
        loop {
            let next = self.raw_lock().watchers.next();
            let Some((state, watchers)) = next else { return };
            let telling = Telling(self);
            for watcher in &watchers {
                // Those who are told next, and the connection, do not pay for it.
                if catch_unwind(AssertUnwindSafe(|| watcher(state))).is_err() {
                    tracing::error!("a watcher of a channel panicked");
                }
            }
            drop(telling);
        }
    }

    // -- an event loop ---------------------------------------------------------------------------

    /// New connections are the loop's, or (None) no connection is any more.
    pub(super) fn drive(&self, driver: Option<Driver>) {
        let mut state = self.lock();
        let old = std::mem::replace(&mut state.driver, driver.map(Arc::new));
        let unclaimed = match state.driver {
            Some(_) => Vec::new(),
            None => std::mem::take(&mut state.handed_out),
        };
        drop(state);
        // Those that were adopted go back when the loop drops them.
        unclaimed.iter().for_each(|connection| connection.let_go());
        drop(old);
    }

    /// A connection for the loop.
    pub(super) fn adopt(&self) -> Option<Arc<Connection>> {
        self.lock().handed_out.pop()
    }

    // -- the end ---------------------------------------------------------------------------------

    pub(super) fn shut_down(&self, status: Option<&Status>) {
        self.config.dialer.security.give_up();
        self.closed.store(true, Ordering::Relaxed);
        let mut state = self.lock();
        state.machine.shut_down();
        let handed_out = std::mem::take(&mut state.handed_out);
        let old = std::mem::take(&mut state.old);
        let connections: Vec<_> =
            old.iter().filter_map(Weak::upgrade).chain(state.current.take()).collect();
        drop(state);
        for connection in connections {
            connection.shut_down(status);
        }
        drop(handed_out);
    }

    fn lock(&self) -> Locked<'_> {
        Locked::new(self, self.raw_lock())
    }

    fn raw_lock(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts a connection away that takes no more calls.
    fn look(&mut self, now: Time) {
        if let Some(lost) = self.current.take_if(|connection| !connection.is_usable()) {
            self.machine.handle_unusable(now, lost.id);
            self.old.retain(|old| old.strong_count() > 0);
            self.old.push(Arc::downgrade(&lost));
        }
    }

    /// Takes what the machine reports: changes to tell of, and calls to resume.
    fn settle(&mut self) -> (Vec<StateChange>, Vec<Listed>) {
        // Whoever dials closes what was too late.
        while self.machine.poll_abandoned().is_some() {}
        let mut changes = Vec::new();
        let mut pending = Vec::new();
        while let Some(change) = self.machine.poll_change() {
            self.watchers.push(change.after);
            if change.after != ConnectivityState::Connecting {
                pending.append(&mut self.pending);
            }
            changes.push(change);
        }
        (changes, pending)
    }
}

/// All who wait for a connection look again.
fn resume(pending: Vec<Listed>) {
    for call in pending.iter().filter_map(|listed| listed.call.upgrade()) {
        call.resume();
    }
}

/// A thread connects. Where it panics, which a signer of the program's may cause, another one starts
/// anew.
struct Interrupted(Weak<Shared>);

impl Drop for Interrupted {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(shared) = self.0.upgrade()
        {
            let mut state = shared.lock();
            if std::mem::take(&mut state.connecting) {
                state.machine.handle_interrupted();
            }
        }
    }
}

/// A thread tells watchers. Dropped, also by a watcher that panics, another thread may.
struct Telling<'a>(&'a Shared);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.raw_lock().watchers.told();
    }
}

/// When there was no thread to connect.
const RETRY: Duration = Duration::from_secs(1);
