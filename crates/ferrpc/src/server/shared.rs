//! What all connections of a server share.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrpc_core::Transport;
use ferrpc_core::transport::Config;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::AbortHandle;

use super::accept::{Door, Entrance};
use super::connection::{Command, Connection};
use super::handshakes::Handshakes;
use super::http::Fallback;
use super::load::ServerLoad;
use super::observer::Observer;
use super::routes::Router;
use crate::observers::Observers;
use crate::transport::driver::Driver;
use crate::transport::mailbox::Mailbox;
use crate::transport::refusal::Secured;
use crate::transport::{ConnectionInfo, Io, clock};

/// The constant part of a server, and the list of its connections.
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) fallback: Fallback,
    pub(crate) observers: Observers<dyn Observer>,
    pub(crate) load: Arc<ServerLoad>,
    pub(crate) max_handlers_per_connection: usize,
    pub(crate) config: Config,
    /// What connections pass where nothing else is said.
    pub(crate) door: Door,
    pub(crate) handshakes: Arc<Handshakes>,
    /// Connections that may still be accepted; `None`: any number.
    pub(crate) places: Option<Arc<Semaphore>>,
    /// Those for which there is no place are closed.
    refuse_connections: bool,
    connections: Mutex<Connections>,
    census: watch::Sender<Census>,
}

/// What others may wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Census {
    /// How many connections there are.
    open: usize,
    /// No more will come.
    closing: bool,
}

#[derive(Debug, Default)]
struct Connections {
    all: HashMap<u64, Known>,
    next: u64,
    /// No more connections: the server is shutting down.
    closing: bool,
}

/// A connection as its server knows it.
#[derive(Debug)]
struct Known {
    mailbox: Arc<Mailbox<Command>>,
    /// Its task, once that was spawned.
    task: Option<AbortHandle>,
}

/// A connection's place among those that may be open at one time.
pub(crate) type Place = Option<OwnedSemaphorePermit>;

/// A connection is one too many.
pub(crate) struct NoPlace;

/// What is constant of [`Shared`].
pub(crate) struct Parts {
    pub(crate) router: Router,
    pub(crate) fallback: Fallback,
    pub(crate) observers: Observers<dyn Observer>,
    pub(crate) max_handlers: usize,
    pub(crate) max_handlers_per_connection: usize,
    pub(crate) overload_pushback: Duration,
    pub(crate) max_connections: Option<usize>,
    pub(crate) refuse_connections: bool,
    pub(crate) config: Config,
    pub(crate) door: Door,
    pub(crate) max_handshakes: usize,
    pub(crate) handshake_timeout: Duration,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let places = |limit: usize| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self {
            router: parts.router,
            fallback: parts.fallback,
            observers: parts.observers,
            load: ServerLoad::new(parts.max_handlers, parts.overload_pushback),
            max_handlers_per_connection: parts.max_handlers_per_connection,
            config: parts.config,
            door: parts.door,
            handshakes: Handshakes::new(parts.max_handshakes, parts.handshake_timeout),
            places: parts.max_connections.map(places),
            refuse_connections: parts.refuse_connections,
            connections: Mutex::default(),
            census: watch::Sender::default(),
        })
    }

    /// Waits until one more connection may be open; `Err` for one that is not to wait.
    pub(crate) async fn place(&self) -> Result<Place, NoPlace> {
        let Some(places) = &self.places else { return Ok(None) };
        let places = Arc::clone(places);
        if self.refuse_connections {
            return places.try_acquire_owned().map(Some).map_err(|_| NoPlace);
        }
        Ok(places.acquire_owned().await.ok())
    }

    /// Serves one connection, its handshake included, which has a task of its own.
    pub(crate) fn serve(self: &Arc<Self>, io: Box<dyn Io>, place: Place, door: Entrance) {
        let Entrance::Guarded(door, handshake) = door else {
            return self.connect(Secured::plain(io), place);
        };
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let peer = io.peer();
            match handshake.run(door.pass(io, &handshake)).await {
                // A task of its own: this one would keep the handshake's memory.
                Ok(secured) => shared.connect(secured, place),
                Err(refusal) => shared.handshakes.failed(&peer, &refusal),
            }
        });
    }

    /// Spawns the driver of a new connection, unless the server is shutting down.
    fn connect(self: &Arc<Self>, secured: Secured, place: Place) {
        let Secured { io, fault } = secured;
        let mailbox = Mailbox::new();
        let info = Arc::new(ConnectionInfo::of(&*io));
        let Some(id) = self.add_connection(&mailbox) else { return };
        tracing::debug!(peer = %info.peer, "connection opened");
        let mut config = self.config.clone();
        config.seed = seed();
        let transport = Transport::server(config, clock::now());
        let role = Connection::new(Arc::clone(self), id, info, Arc::clone(&mailbox), place, fault);
        let task = tokio::spawn(Driver::new(io, transport, role, mailbox));
        // It may have ended, and been forgotten, already.
        if let Some(known) = self.connections().all.get_mut(&id) {
            known.task = Some(task.abort_handle());
        }
    }

    fn add_connection(&self, mailbox: &Arc<Mailbox<Command>>) -> Option<u64> {
        let mut connections = self.connections();
        if connections.closing {
            return None;
        }
        connections.next += 1;
        let id = connections.next;
        let known = Known { mailbox: Arc::clone(mailbox), task: None };
        connections.all.insert(id, known);
        self.publish(&connections);
        Some(id)
    }

    pub(crate) fn remove_connection(&self, id: u64) {
        let mut connections = self.connections();
        connections.all.remove(&id);
        self.publish(&connections);
    }

    /// Takes no more connections, and lets those there are end within `grace`.
    pub(crate) fn shutdown(&self, grace: Option<Duration>) {
        let mut connections = self.connections();
        connections.closing = true;
        for known in connections.all.values() {
            // One that is gone needs not be told.
            let _ = known.mailbox.send(Command::Shutdown { grace });
        }
        self.publish(&connections);
    }

    /// Ends all connections at once, also those that only wait for their peer to read.
    pub(crate) fn abort(&self) {
        let tasks: Vec<_> =
            self.connections().all.values().filter_map(|known| known.task.clone()).collect();
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Waits until the server is shutting down and its last connection has ended.
    pub(crate) async fn ended(&self) {
        let mut census = self.census.subscribe();
        // The sender lives in `self`: it cannot go away meanwhile.
        let _ = census.wait_for(|census| census.closing && census.open == 0).await;
    }

    /// Connections open now.
    pub(crate) fn connection_count(&self) -> usize {
        self.census.borrow().open
    }

    fn publish(&self, connections: &Connections) {
        let census = Census { open: connections.all.len(), closing: connections.closing };
        self.census.send_replace(census);
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that nobody else can guess: std's hash keys are random for each of its makers.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
