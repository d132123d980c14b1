//! What all connections of a server share.

use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_core::transport::Config;
use ferrpc_net::listen::{Door, Handshakes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::http::Fallback;
use super::load::ServerLoad;
use super::memory::Memory;
use super::observer::Observer;
use super::routes::Router;
use super::table::Table;
use crate::observers::Observers;

/// The constant part of a server, and the list of its connections.
pub(crate) struct Shared {
    pub(crate) router: Router,
    pub(crate) fallback: Fallback,
    pub(crate) observers: Observers<dyn Observer>,
    pub(crate) load: Arc<ServerLoad>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) max_handlers_per_connection: usize,
    pub(crate) config: Config,
    /// What connections pass where nothing else is said.
    pub(crate) door: Door,
    pub(crate) handshakes: Arc<Handshakes>,
    /// Connections that may still be accepted.
    places: Arc<Semaphore>,
    no_place: NoPlaceLeft,
    pub(crate) connections: Table,
}

/// A connection's place among those that may be open at one time, if it was accepted.
pub(crate) type Place = Option<OwnedSemaphorePermit>;

/// What becomes of a connection for which there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlaceLeft {
    /// It waits until another ends.
    Wait,
    /// It is closed.
    Refuse,
    /// Connections without calls end for it.
    EndIdle,
}

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
    pub(crate) max_memory: usize,
    pub(crate) max_connections: usize,
    pub(crate) no_place: NoPlaceLeft,
    pub(crate) config: Config,
    pub(crate) door: Door,
    pub(crate) max_handshakes: usize,
    pub(crate) handshake_timeout: Duration,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let places = parts.max_connections.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            router: parts.router,
            fallback: parts.fallback,
            observers: parts.observers,
            memory: Memory::new(parts.max_memory),
            load: ServerLoad::new(parts.max_handlers, parts.overload_pushback),
            max_handlers_per_connection: parts.max_handlers_per_connection,
            config: parts.config,
            door: parts.door,
            handshakes: Handshakes::new(parts.max_handshakes, parts.handshake_timeout),
            places: Arc::new(Semaphore::new(places)),
            no_place: parts.no_place,
            connections: Table::default(),
        })
    }

    /// Waits until one more connection may be open; `Err` for one that is not to wait.
    pub(crate) async fn place(&self) -> Result<Place, NoPlace> {
        let places = &self.places;
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(Some(place));
        }
        match self.no_place {
            NoPlaceLeft::Refuse => Err(NoPlace),
            NoPlaceLeft::Wait => Ok(Arc::clone(places).acquire_owned().await.ok()),
            NoPlaceLeft::EndIdle => loop {
                self.connections.end_idle(&self.memory);
                // Others may become idle meanwhile.
                let place = Arc::clone(places).acquire_owned();
                if let Ok(place) = tokio::time::timeout(BETWEEN_ROUNDS, place).await {
                    return Ok(place.ok());
                }
            },
        }
    }

    /// Memory is exhausted: somebody has to give way.
    #[cold]
    pub(crate) fn relieve(&self, now: Time) {
        self.connections.relieve(&self.memory, now);
    }
}

/// While nobody finds a place, idle connections are looked for so often.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);
