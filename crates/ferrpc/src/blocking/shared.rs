//! The connection of a channel: how there comes to be one, and who waits for it.
//!
//! ```text
//!              acquire, watch            SETTINGS came
//!    IDLE ------------------> CONNECTING --------------> READY
//!     ^  ^                     |     ^                     |
//!     |  |              failed |     | backoff over, and   | drained, lost
//!     |  |                     v     | somebody wants it   |
//!     |  |           TRANSIENT_FAILURE                     |
//!     |  +-------------------------------------------------+       SHUTDOWN: closed, for good
//! ```
//!
//! A thread makes the connection and keeps guard over it afterwards. Calls that wait for one are
//! listed, and resumed when something changes. A second thread keeps time for those of them that
//! have no thread of their own, and for watchers; it lives as long as there is a time to wait for.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use ferrpc_core::channel::{Backoff, ConnectivityState};
use ferrpc_core::{Code, Status, Time};

use super::call::Call;
use super::connection::{Connection, Wake};
use super::dial;
use super::outside::Driver;
use super::raw::Origin;
use crate::client::{Config, ConnectError, Pacing, seed, warn_of_pings};
use crate::resolver::Target;
use crate::trace::{self, Changes, Locked, Noting};
use crate::transport::clock;

/// The connection of a channel, and how there comes to be one.
pub(super) struct Shared {
    pub(super) target: Target,
    pub(super) config: Config,
    state: Mutex<State>,
    /// Something that the keeper of time is to know.
    changed: Condvar,
    me: Weak<Shared>,
}

struct State {
    current: Option<Arc<Connection>>,
    /// Connections whose last calls may still run.
    old: Vec<Weak<Connection>>,
    /// A thread makes a connection.
    connecting: bool,
    /// Why the last attempt failed, until one succeeds, and when the next may begin.
    failure: Option<(ConnectError, Time)>,
    failures: u64,
    backoff: Backoff,
    /// Keeps a server that accepts and closes from making us spin.
    pacing: Pacing,
    /// Between keepalive pings: more after each server that found them too frequent.
    keepalive: Option<Duration>,
    pending: Vec<Listed>,
    watchers: Vec<(u64, Watcher)>,
    last_watcher: u64,
    /// A watcher asked for a connection, and has not seen one since.
    wanted: bool,
    /// What watchers were told last.
    told: ConnectivityState,
    changes: Changes,
    /// The thread that keeps time runs.
    timer: bool,
    closed: bool,
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

/// Told of each state. Runs under the channel's lock: it must neither block nor call the channel.
pub(super) type Watcher = Arc<dyn Fn(ConnectivityState) + Send + Sync>;

/// A call that waits for a connection.
struct Listed {
    call: Weak<Call>,
    /// When it is to be resumed in any case, unless its own thread sees to that.
    until: Option<Time>,
}

/// What a call asks for.
pub(super) struct Ask<'a> {
    pub(super) call: &'a Weak<Call>,
    pub(super) deadline: Option<Time>,
    pub(super) wait_for_ready: bool,
    /// Filled in when it asks for the first time.
    pub(super) began: &'a mut Option<u64>,
    pub(super) not_before: Time,
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

impl Shared {
    pub(super) fn new(target: Target, config: Config) -> Arc<Self> {
        let state = State {
            current: None,
            old: Vec::new(),
            connecting: false,
            failure: None,
            failures: 0,
            backoff: Backoff::new(config.backoff, seed()),
            pacing: Pacing::new(),
            keepalive: config.transport.http2.keepalive.interval,
            pending: Vec::new(),
            watchers: Vec::new(),
            last_watcher: 0,
            wanted: false,
            told: ConnectivityState::Idle,
            changes: Changes::new(),
            timer: false,
            closed: false,
            driver: None,
            handed_out: Vec::new(),
        };
        Arc::new_cyclic(|me| Self {
            target,
            config,
            state: Mutex::new(state),
            changed: Condvar::new(),
            me: Weak::clone(me),
        })
    }

    /// The connection, if there is one; sees to it that there will be one.
    pub(super) fn acquire(&self, ask: Ask<'_>) -> Acquired {
        let mut state = self.lock();
        if state.closed {
            let closed = ConnectError::closed();
            return Acquired::Failed(closed.status(), Origin::Closed);
        }
        let now = clock::now();
        if ask.deadline.is_some_and(|deadline| deadline <= now) {
            return Acquired::Failed(self.late(&state), Origin::Deadline);
        }
        let began = *ask.began.get_or_insert(state.failures);
        let mut until = ask.deadline;
        if ask.not_before > now {
            until = until.into_iter().chain([ask.not_before]).min();
        } else if let Some(connection) = state.usable() {
            state.pacing.used();
            return Acquired::Connection(connection);
        } else {
            match &state.failure {
                Some((failure, retry_at))
                    if !ask.wait_for_ready && (state.failures > began || now < *retry_at) =>
                {
                    let origin = Origin::Connect(failure.clone());
                    return Acquired::Failed(failure.status(), origin);
                }
                _ => {}
            }
            match self.connect(&mut state, now) {
                Ok(at) => until = until.into_iter().chain(at).min(),
                Err(status) => return Acquired::Failed(status, Origin::Local),
            }
        }
        if !ask.registered {
            let call = Weak::clone(ask.call);
            let listed = if ask.unattended { until } else { None };
            state.pending.push(Listed { call, until: listed });
        }
        if ask.unattended && until.is_some() {
            self.keep_time(&mut state);
        }
        self.tell(&mut state);
        Acquired::Wait(until)
    }

    /// Begins to connect unless somebody does already; the time at which that is allowed if it is
    /// not now.
    fn connect(&self, state: &mut State, now: Time) -> Result<Option<Time>, Status> {
        if state.connecting {
            return Ok(None);
        }
        let retry_at = state.failure.as_ref().map(|(_, retry_at)| *retry_at);
        let at = retry_at.unwrap_or(Time::ZERO).max(state.pacing.next_at());
        if at > now {
            return Ok(Some(at));
        }
        self.start_connecting(state)?;
        Ok(None)
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
    fn start_connecting(&self, state: &mut State) -> Result<(), Status> {
        state.connecting = true;
        let began = clock::now();
        let mut give_up = state.backoff.start(began);
        if let Some(timeout) = self.config.connect_timeout {
            give_up = began + timeout;
        }
        let Some(shared) = self.me.upgrade() else { return Ok(()) };
        let mut transport = self.config.transport.clone();
        transport.http2.keepalive.interval = state.keepalive;
        let thread = thread::Builder::new().name("ferrpc-channel".to_owned());
        let started = thread.spawn(move || {
            let owner = Weak::clone(&shared.me);
            let result = dial::dial(&shared, transport, began, give_up);
            if let Some(connection) = shared.connected(result) {
                let (observers, target) = (shared.config.observers.clone(), shared.target.clone());
                drop(shared);
                connection.keep_guard();
                let cause = connection.end();
                tracing::debug!(
                    target: trace::CONNECTIVITY, channel = %target, %cause, "connection over"
                );
                observers.tell(|observer| observer.disconnected(&target, &cause));
                if let Some(shared) = owner.upgrade() {
                    shared.lost();
                }
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
        let driver = state.driver.clone().filter(|_| !state.closed && failed.is_none());
        let mut wakes = Vec::new();
        let connection = match result {
            Ok(connection) => {
                state.backoff.reset();
                state.failure = None;
                state.wanted = false;
                if let Some(driver) = &driver {
                    state.handed_out.push(Arc::clone(&connection));
                    wakes = connection.hand_out(Arc::clone(driver));
                }
                wakes.extend(connection.watch(!state.watchers.is_empty()));
                state.current = Some(Arc::clone(&connection));
                Some(connection)
            }
            Err(failure) => {
                let retry_at = state.backoff.fail(clock::now());
                state.failure = Some((failure, retry_at));
                state.failures += 1;
                if state.wanted {
                    self.keep_time(&mut state);
                }
                None
            }
        };
        let closed = state.closed;
        self.tell(&mut state);
        self.resume(state);
        Wake::all(wakes);
        if let Some(error) = &failed {
            tracing::debug!(
                target: trace::CONNECTIVITY, channel = %self.target, %error, "no connection"
            );
        }
        if let Some(driver) = driver {
            driver.waker.wake_by_ref();
        }
        self.config.observers.tell(|observer| match &failed {
            None => observer.connected(&self.target),
            Some(failure) => observer.connect_failed(&self.target, failure),
        });
        if closed && let Some(connection) = &connection {
            connection.shut_down(Some(&ConnectError::closed().status()));
        }
        connection
    }

    /// The connection takes no more calls.
    pub(super) fn lost(&self) {
        let mut state = self.lock();
        state.usable();
        self.tell(&mut state);
        self.resume(state);
    }

    /// A server ended a connection because of our pings (gRFC A8).
    pub(super) fn pings_too_often(&self) {
        let mut state = self.lock();
        state.keepalive = state.keepalive.map(|interval| interval.saturating_mul(2));
        let interval = state.keepalive;
        drop(state);
        warn_of_pings(&self.target, interval);
    }

    /// All who wait for a connection look again.
    fn resume(&self, mut state: Locked<'_, State>) {
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        self.changed.notify_all();
        for call in pending.iter().filter_map(|listed| listed.call.upgrade()) {
            call.resume();
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
        loop {
            let calls = state.pending.iter().filter_map(|listed| listed.until).min();
            let now = clock::now();
            let watchers = if state.wanted && state.usable().is_none() {
                // If there is no thread to connect, the next second may have one.
                self.connect(&mut state, now).unwrap_or(Some(now + RETRY))
            } else {
                None
            };
            self.tell(&mut state);
            let due = calls.into_iter().chain(watchers).min();
            state = match due {
                Some(due) if !state.closed => {
                    if due <= now {
                        self.resume(state);
                        self.lock()
                    } else {
                        state.wait(&self.changed, due.since(now)).unwrap_or_else(|| self.lock())
                    }
                }
                _ => break,
            };
        }
        state.timer = false;
    }

    // -- states ----------------------------------------------------------------------------------

    /// The state of the connection; begins to connect, if asked to.
    pub(super) fn connectivity(&self, connect: bool) -> ConnectivityState {
        let mut state = self.lock();
        if connect {
            self.want(&mut state);
        }
        self.tell(&mut state);
        state.connectivity()
    }

    /// Tells `watcher` the state, and each change from now on.
    pub(super) fn watch(&self, watcher: Watcher, connect: bool) -> u64 {
        let mut state = self.lock();
        self.tell(&mut state);
        watcher(state.connectivity());
        state.last_watcher += 1;
        let id = state.last_watcher;
        state.watchers.push((id, watcher));
        let wakes = state.current.as_ref().map(|connection| connection.watch(true));
        if connect {
            self.want(&mut state);
            self.tell(&mut state);
        }
        drop(state);
        Wake::all(wakes.unwrap_or_default());
        id
    }

    pub(super) fn unwatch(&self, id: u64) {
        let mut state = self.lock();
        state.watchers.retain(|(watcher, _)| *watcher != id);
        if state.watchers.is_empty() {
            state.wanted = false;
            let wakes = state.current.as_ref().map(|connection| connection.watch(false));
            drop(state);
            Wake::all(wakes.unwrap_or_default());
        }
    }

    fn want(&self, state: &mut State) {
        if state.closed || state.usable().is_some() {
            return;
        }
        state.wanted = true;
        // Without a thread for it there is no connection, which the state shows.
        if let Ok(Some(_)) | Err(_) = self.connect(state, clock::now()) {
            self.keep_time(state);
        }
    }

    /// Watchers learn of a change.
    fn tell(&self, state: &mut State) {
        let now = state.connectivity();
        let before = std::mem::replace(&mut state.told, now);
        if before != now {
            state.changes.push((before, now));
            state.watchers.iter().for_each(|(_, watcher)| watcher(now));
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
        #[cfg(feature = "_rustls")]
        self.config.security.giving_up.end();
        let mut state = self.lock();
        state.closed = true;
        state.handed_out.clear();
        let old = std::mem::take(&mut state.old);
        let connections: Vec<_> =
            old.iter().filter_map(Weak::upgrade).chain(state.current.take()).collect();
        self.tell(&mut state);
        self.resume(state);
        for connection in connections {
            connection.shut_down(status);
        }
    }

    fn lock(&self) -> Locked<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        Locked::new(&self.target, self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Noting for State {
    fn changes(&mut self) -> &mut Changes {
        &mut self.changes
    }
}

impl State {
    /// The connection, if new calls may start there; puts one away that takes no more.
    fn usable(&mut self) -> Option<Arc<Connection>> {
        let connection = self.current.as_ref()?;
        if connection.is_usable() {
            return Some(Arc::clone(connection));
        }
        let old = Arc::downgrade(connection);
        self.current = None;
        self.old.retain(|old| old.strong_count() > 0);
        self.old.push(old);
        self.pacing.lost(clock::now());
        None
    }

    fn connectivity(&self) -> ConnectivityState {
        match (&self.current, &self.failure) {
            _ if self.closed => ConnectivityState::Shutdown,
            (Some(connection), _) if connection.is_usable() => ConnectivityState::Ready,
            // As gRPC has it, a channel that failed says so until it is connected.
            (_, Some(_)) => ConnectivityState::TransientFailure,
            _ if self.connecting => ConnectivityState::Connecting,
            _ => ConnectivityState::Idle,
        }
    }
}

/// When there was no thread to connect.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Instant;

    use ferrpc_core::transport::Cardinality;

    use crate::blocking::{Channel, RawMethod, RawOptions};
    use crate::client::Keepalive;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(3600);

    /// SETTINGS, and a GOAWAY with ENHANCE_YOUR_CALM and its reason.
    fn greeting(reason: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
        let length = u8::try_from(8 + reason.len()).expect("short");
        bytes.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 11]);
        bytes.extend(reason);
        bytes
    }

    /// The interval of a channel after it was sent away for each of these reasons.
    fn interval_after(reasons: &'static [&'static str]) -> Option<Duration> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let target = listener.local_addr().expect("bound").to_string();
        let server = thread::spawn(move || {
            for reason in reasons {
                let (mut stream, _) = listener.accept().expect("a connection");
                stream.write_all(&greeting(reason.as_bytes())).expect("it takes it");
                // Until it has gone.
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
        });
        let channel = Channel::builder(target)
            .keepalive(Keepalive { interval: Some(INTERVAL), ..Keepalive::default() })
            .build_blocking()
            .expect("a target");
        let shared = channel.shared();
        let began = Instant::now();
        while !server.is_finished() {
            assert!(began.elapsed() < Duration::from_secs(30), "it does not connect anew");
            shared.connectivity(true);
            thread::sleep(Duration::from_millis(1));
        }
        server.join().expect("it served");
        shared.lock().keepalive
    }

    /// What one of two threads has seen of a side's news is no news to the other, which looks at
    /// events.
    #[test]
    fn an_end_from_this_side_is_an_event() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let target = listener.local_addr().expect("bound").to_string();
        let channel = Channel::builder(target).build_blocking().expect("a target");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).expect("it takes it");
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let shared = channel.shared();
        while shared.connectivity(true) != ConnectivityState::Ready {
            thread::sleep(Duration::from_millis(1));
        }
        let method = RawMethod::new("/t/m", Cardinality::ServerStreaming);
        let call = channel.start_raw(&method, RawOptions::default()).expect("it begins");
        let connection = shared.lock().current.clone().expect("it is ready");
        // Only what is done here happens.
        let before = connection.look().events;
        assert!(call.cancel(Status::new(Code::Cancelled, "")));
        assert!(connection.look().events > before);
        drop((call, connection));
        channel.close();
        server.join().expect("it served");
    }

    #[test]
    fn each_complaint_of_pings_doubles_their_interval() {
        let interval = interval_after(&["too_many_pings", "too_many_pings"]);
        assert_eq!(interval, Some(INTERVAL * 4));
        assert_eq!(interval_after(&["too_many_calls"]), Some(INTERVAL));
    }
}
