//! A channel's connections: the driver of [`ferrpc_core::channel::Channel`] for tokio.
//!
//! What is decided is decided by the machine. Here it gets a lock, the time, a task while something
//! runs or is due, and the connections that its ids stand for. Calls pick from the last picker, which
//! has a lock of its own. What the machine reports is dealt with where its lock is released.

mod locked;
mod task;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ferrpc_core::channel::{
    AttemptEnd, Channel as Machine, ConnectionId, ConnectivityState, Dial, DialId, Pick, Picker,
};
use ferrpc_core::http2::CloseCause;
use ferrpc_core::{Status, Time};
use ferrpc_net::connect::{Place, Reasons};
use ferrpc_net::{clock, trace};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

use super::ConnectError;
use super::builder::Config;
use super::observer::Observer;
use super::role::Command;
use crate::credentials::SecurityLevel;
use crate::observers::Observers;
use crate::resolver::Target;
use crate::transport::mailbox::Mailbox;

use locked::Locked;

/// The connections of one channel, and their states.
pub(crate) struct Connections {
    target: Target,
    config: Config,
    /// Changed only with the state locked.
    picker: RwLock<Arc<Picker<Connection>>>,
    state: Mutex<State>,
    /// There is an order for the task that connects.
    ordered: Notify,
}

struct State {
    machine: Machine<Place, Connection, Reasons>,
    /// Connections without the server's SETTINGS.
    dialled: Vec<Dialled>,
    /// Connections that take calls, and those whose last calls may still run.
    connections: Vec<Connection>,
    orders: Vec<Order>,
    /// The task that connects.
    task: Option<u64>,
    /// Until when it sleeps.
    until: Option<Time>,
    last_task: u64,
    /// Changed only with the state locked.
    published: watch::Sender<ConnectivityState>,
}

/// What the task that connects is to do.
enum Order {
    Resolve,
    Dial(Dial<Place>),
    Abandon(DialId),
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

    /// It takes no new calls, and ends with those it has.
    fn drain(&self) {
        // Refused by one that is over already.
        let _ = self.mailbox.send(Command::Drain);
    }
}

impl Connections {
    pub(super) fn new(target: Target, config: Config) -> Arc<Self> {
        let machine = Machine::new(&config.machine(&target), Reasons(target.clone()));
        let published = watch::Sender::new(machine.connectivity());
        let state = State {
            machine,
            dialled: Vec::new(),
            connections: Vec::new(),
            orders: Vec::new(),
            task: None,
            until: None,
            last_task: 0,
            published,
        };
        Arc::new(Self {
            target,
            config,
            picker: RwLock::new(Arc::new(Picker::empty())),
            state: Mutex::new(state),
            ordered: Notify::new(),
        })
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) const fn security_level(&self) -> SecurityLevel {
        self.config.dialer.security.credentials.security_level()
    }

    pub(super) fn watch(self: &Arc<Self>) -> watch::Receiver<ConnectivityState> {
        self.lock().published.subscribe()
    }

    pub(super) fn connectivity(self: &Arc<Self>) -> ConnectivityState {
        self.lock().machine.connectivity()
    }

    // -- for calls -------------------------------------------------------------------------------

    /// A connection, if one is ready: the way of nearly all calls.
    pub(super) fn connection(self: &Arc<Self>) -> Option<Connection> {
        let (connection, wants_calls) = {
            // Nothing that can panic runs under the lock.
            let picker = self.picker.read().unwrap_or_else(PoisonError::into_inner);
            (picker.pick()?.clone(), picker.wants_calls())
        };
        if wants_calls {
            self.lock().machine.connect(clock::now());
        }
        Some(connection)
    }

    /// Whether a connection is ready.
    pub(super) fn has_connection(&self) -> bool {
        !self.picker.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Asks for a connection, and starts to make one if there is none.
    pub(super) fn pick(self: &Arc<Self>, wait_for_ready: bool) -> Pick<ConnectError, Connection> {
        let mut state = self.lock();
        let picked = state.machine.pick(clock::now(), wait_for_ready);
        let interrupted = state.release();
        if interrupted && self.connectivity() == ConnectivityState::Idle {
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
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn connect(self: &Arc<Self>) {
        drop(Handle::current());
        self.lock().machine.connect(clock::now());
    }

    /// How a call ends whose deadline passes while it waits for a connection.
    pub(super) fn late(self: &Arc<Self>) -> AttemptEnd {
        let state = self.lock();
        let failure = state.machine.failure().map(ToString::to_string);
        AttemptEnd::late_for_connection(self.target.as_str(), failure.as_deref())
    }

    /// No more calls: those that run get `status`, or may go on if there is none.
    pub(super) fn shut_down(self: &Arc<Self>, status: Option<Status>) {
        let mut state = self.lock();
        state.machine.shut_down();
        let connections = std::mem::take(&mut state.connections);
        drop(state);
        for connection in connections {
            match &status {
                Some(status) => connection.close(status.clone()),
                None => connection.drain(),
            }
        }
    }

    // -- for connections -------------------------------------------------------------------------

    /// The server's SETTINGS came. Returns who is to be told of the connection's end; nobody if
    /// the connection is not wanted any more.
    pub(super) fn connection_ready(
        self: &Arc<Self>,
        id: ConnectionId,
        mailbox: &Arc<Mailbox<Command>>,
    ) -> Option<Watched> {
        let connection = Connection { id, mailbox: Arc::clone(mailbox) };
        let mut state = self.lock();
        let dialled = state.take_dialled(id);
        if !state.machine.handle_ready(clock::now(), id, connection.clone()) {
            drop(state);
            connection.close(ConnectError::closed().status());
            return None;
        }
        state.connections.retain(|connection| !connection.mailbox.is_closed());
        state.connections.push(connection);
        drop(state);
        self.config.observers.tell(|observer| observer.connected(&self.target));
        if let Some(dialled) = dialled {
            // The task that waits for it may be gone; then nobody needs to know.
            let _ = dialled.outcome.send(Ok(()));
        }
        let observers = self.config.observers.clone();
        (!observers.is_empty()).then(|| Watched { observers, target: self.target.clone() })
    }

    /// The connection takes no new calls: they go to another one, at once. This is no failure.
    pub(super) fn connection_lost(self: &Arc<Self>, id: ConnectionId) {
        self.lock().machine.handle_unusable(clock::now(), id);
    }

    /// The connection is over.
    pub(super) fn connection_closed(self: &Arc<Self>, id: ConnectionId, cause: &CloseCause) {
        let mut state = self.lock();
        let slower = state.machine.handle_closed(clock::now(), id, cause);
        state.connections.retain(|connection| connection.id != id);
        let dialled = state.take_dialled(id);
        drop(state);
        if let Some(interval) = slower {
            trace::pings_slowed(&self.target, interval);
        }
        if let Some(dialled) = dialled {
            let _ = dialled.outcome.send(Err(cause.clone()));
        }
    }

    fn lock(self: &Arc<Self>) -> Locked<'_> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        Locked::new(self, self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn take_dialled(&mut self, id: ConnectionId) -> Option<Dialled> {
        let at = self.dialled.iter().position(|dialled| dialled.connection.id == id)?;
        Some(self.dialled.swap_remove(at))
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("target", &self.target).finish_non_exhaustive()
    }
}
