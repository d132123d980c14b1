//! A blocking channel's connections: the driver of [`ferrpc_core::channel::Channel`] for threads, and
//! who waits for connections.
//!
//! What is decided is decided by the machine. Here it gets a lock, the time, a thread for each look-up
//! and dial, and the connections that its ids stand for. The thread that made a connection keeps guard
//! over it afterwards. Calls pick from the last picker, which has a lock of its own. What the machine
//! reports is dealt with where its lock is released: watchers are told, and calls that wait for a
//! connection are resumed, without the lock.
//!
//! A further thread keeps time for the machine, and for those of these calls that have no thread of
//! their own. It lives as long as there is a time to wait for.

mod dial;
mod locked;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::thread;

use ferrpc::for_blocking::Config;
use ferrpc_core::call::{ClientCall, PickRequest, Step};
use ferrpc_core::channel::{
    AttemptEnd, Channel as Machine, ConnectionId, ConnectivityState, Dial, DialId, Dialled, Pick,
    Picker,
};
use ferrpc_core::http2::CloseCause;
use ferrpc_core::{Status, Time};
use ferrpc_net::connect::{ConnectError, Failure, Place, Reasons};
use ferrpc_net::resolver::Target;
use ferrpc_net::{clock, trace};

use locked::{Locked, resume};

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
    /// Changed only with the state locked.
    picker: RwLock<Arc<Picker<Arc<Connection>>>>,
    state: Mutex<State>,
    /// Something that a thread of the channel's own is to know.
    changed: Condvar,
    me: Weak<Shared>,
}

struct State {
    machine: Machine<Place, Arc<Connection>, Reasons>,
    /// The connections that take calls, as far as the machine knows.
    current: Arc<Picker<Arc<Connection>>>,
    /// Connections whose last calls may still run.
    old: Vec<Weak<Connection>>,
    /// What is being tried, and how its thread learns that it is not wanted any more.
    dials: HashMap<DialId, Arc<AtomicBool>>,
    pending: Vec<Listed>,
    watchers: Watchers,
    /// The thread that keeps time runs.
    timer: bool,
    /// Until when it sleeps.
    until: Option<Time>,
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
        let machine = Machine::new(&config.machine(&target), Reasons(target.clone()));
        let empty = Arc::new(Picker::empty());
        let state = State {
            machine,
            current: Arc::clone(&empty),
            old: Vec::new(),
            dials: HashMap::new(),
            pending: Vec::new(),
            watchers: Watchers::default(),
            timer: false,
            until: None,
            driver: None,
            handed_out: Vec::new(),
        };
        Arc::new_cyclic(|me| Self {
            target,
            config,
            closed: AtomicBool::new(false),
            picker: RwLock::new(empty),
            state: Mutex::new(state),
            changed: Condvar::new(),
            me: Weak::clone(me),
        })
    }

    /// A connection, if one is ready; sees to it that there will be one. The call, whose lock its
    /// thread holds, tells those who are to know once it has released that.
    pub(super) fn acquire(&self, ask: &Ask<'_>) -> (Acquired, Option<Wake>) {
        let now = clock::now();
        if let Some(connection) = self.ready(ask.request, now) {
            return (Acquired::Connection(connection), None);
        }
        let mut state = self.lock();
        let acquired = self.acquire_locked(&mut state, ask, now);
        (acquired, state.release())
    }

    /// The connection of a call that may begin now, where nothing is to be decided: the way of nearly
    /// all calls.
    fn ready(&self, request: PickRequest, now: Time) -> Option<Arc<Connection>> {
        if !request.is_due(now) {
            return None;
        }
        let picker = self.picker.read().unwrap_or_else(PoisonError::into_inner);
        if picker.wants_calls() {
            return None;
        }
        picker.pick().filter(|connection| connection.is_usable()).map(Arc::clone)
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
        if !self.picker.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
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
        let machine = &mut state.machine;
        let pick =
            |wait_for_ready| -> Pick<_, Arc<Connection>> { machine.pick(now, wait_for_ready) };
        match request.step(now, pick) {
            Step::Begin(connection) => Acquired::Connection(connection),
            Step::Fail(failure) => Acquired::Failed(failure.status(), Origin::Connect(failure)),
            Step::Closed => Acquired::Failed(AttemptEnd::closed().status, Origin::Closed),
            Step::Late => {
                let failure = state.machine.failure().map(ToString::to_string);
                let target = self.target.as_str();
                let late = AttemptEnd::late_for_connection(target, failure.as_deref());
                Acquired::Failed(late.status, Origin::Deadline)
            }
            Step::Wait(at) => Acquired::Wait(at),
        }
    }

    // -- connecting ------------------------------------------------------------------------------

    /// What a look-up found.
    pub(super) fn resolved(&self, answer: Result<Vec<Place>, ConnectError>) {
        self.lock().machine.handle_resolved(clock::now(), answer);
    }

    /// A dial has a byte stream.
    pub(super) fn reached(&self, dial: DialId) {
        self.lock().machine.handle_connected(clock::now(), dial);
    }

    /// It is secured. None: it is not wanted any more.
    pub(super) fn dialled(&self, dial: DialId) -> Option<Dialled> {
        self.lock().machine.handle_dialled(dial)
    }

    /// A dial led to no connection, for this reason; or its time was over.
    pub(super) fn not_connected(&self, dial: &Dial<Place>, failure: Option<Failure>) {
        let failure = failure.map(|failure| (self.name(&dial.address), failure));
        let mut state = self.lock();
        state.dials.remove(&dial.id);
        state.machine.handle_failed(clock::now(), dial.id, failure);
    }

    pub(super) fn name(&self, place: &Place) -> String {
        place.name(&self.target, &self.config.dialer)
    }

    /// A dial led to a connection that has its SETTINGS: its thread keeps guard over it.
    pub(super) fn connected(self: Arc<Self>, dial: DialId, connection: &Arc<Connection>) {
        let mut state = self.lock();
        state.dials.remove(&dial);
        let handle = Arc::clone(connection);
        if !state.machine.handle_ready(clock::now(), connection.id, handle) {
            drop(state);
            // The channel was closed meanwhile, or another one was first.
            connection.shut_down(Some(&AttemptEnd::closed().status));
            drop(self);
            return connection.keep_guard();
        }
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
        self.keep_guard(connection);
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
            // Those who ask, and calls whose threads wait, still see to the time.
            state.timer = false;
        }
    }

    fn time(&self) {
        let mut state = self.lock();
        while state.machine.connectivity() != ConnectivityState::Shutdown {
            let now = clock::now();
            let due = state.due();
            let Some(at) = due else { break };
            if at > now {
                state.until = due;
                state.wait(Some(at.since(now)));
                state.until = None;
                continue;
            }
            state.machine.handle_timeout(now);
            let (due, left) = std::mem::take(&mut state.pending)
                .into_iter()
                .partition(|listed| listed.until.is_some_and(|until| until <= now));
            state.pending = left;
            drop(state);
            resume(due);
            state = self.lock();
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
        }
        state.machine.connectivity()
    }

    /// Tells `watcher` the state, and each change from now on.
    pub(super) fn watch(&self, watcher: Watcher, connect: bool) -> u64 {
        let now = clock::now();
        let mut state = self.lock();
        state.look(now);
        while state.machine.has_events() {
            // Those are for the others.
            drop(state);
            state = self.lock();
            state.look(now);
        }
        let connectivity = state.machine.connectivity();
        let id = state.watchers.add(watcher, connectivity);
        let wakes: Vec<_> =
            state.current.handles().flat_map(|connection| connection.watch(true)).collect();
        if connect {
            state.machine.connect(now);
        }
        drop(state);
        Wake::all(wakes);
        id
    }

    pub(super) fn unwatch(&self, id: u64) {
        let mut state = self.lock();
        let removed = state.watchers.remove(id);
        let current = state.current.handles().filter(|_| !state.watchers.any());
        let wakes: Vec<_> = current.flat_map(|connection| connection.watch(false)).collect();
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
        let old = old.iter().filter_map(Weak::upgrade);
        let connections: Vec<_> = old.chain(state.current.handles().cloned()).collect();
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
    /// Puts connections away that take no more calls, and does what is due.
    fn look(&mut self, now: Time) {
        let current = Arc::clone(&self.current);
        for lost in current.handles().filter(|connection| !connection.is_usable()) {
            self.machine.handle_unusable(now, lost.id);
        }
        if self.machine.poll_timeout().is_some_and(|at| at <= now) {
            self.machine.handle_timeout(now);
        }
    }

    /// When the thread that keeps time is needed.
    fn due(&self) -> Option<Time> {
        let pending = self.pending.iter().filter_map(|listed| listed.until);
        pending.chain(self.machine.poll_timeout()).min()
    }
}

/// A thread tells watchers. Dropped, also by a watcher that panics, another thread may.
struct Telling<'a>(&'a Shared);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.raw_lock().watchers.told();
    }
}
