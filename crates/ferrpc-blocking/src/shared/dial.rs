//! How a blocking channel's thread makes a connection.
//!
//! It tries a single address itself. Where there are several, each has a thread of its own, as the
//! plan of the engine's core says, and the first whose SETTINGS come wins; the others see that
//! within [`SLICE`]. So does an attempt whose channel is closed.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use ferrpc::for_blocking::{Config, seed};
use ferrpc_core::channel::{Attempt, AttemptId, Dialing, Dialled};
use ferrpc_net::connect::{ConnectError, Failure, Place};
use ferrpc_net::resolver::{Scheme, Target, resolve_blocking};
use ferrpc_net::socket::{Kick, Patience, SLICE, Socket};
use ferrpc_net::streams::Fault;
use ferrpc_net::{clock, trace};

use super::Shared;
use crate::connection::Connection;
use crate::wake::Owner;

/// Looks the target up, connects, and waits for the server's SETTINGS; gives up at a time.
pub(super) fn dial(
    shared: &Arc<Shared>,
    attempt: Attempt,
) -> Result<Arc<Connection>, ConnectError> {
    let target = &shared.target;
    let Attempt { id, began, give_up } = attempt;
    let mut places = places(target, &shared.config)?;
    let mut failures = Vec::new();
    let connection = match (places.pop(), places.is_empty()) {
        (None, _) => None,
        (Some(place), true) => {
            let patience = Patience { until: give_up, over: [&shared.closed, &shared.closed] };
            match reach(shared, id, &place, &patience, || ()) {
                Ok(connection) => connection,
                Err(failure) => {
                    failures.push((place.name(target, &shared.config.dialer), failure));
                    None
                }
            }
        }
        (Some(place), false) => {
            places.push(place);
            race(shared, attempt, &places, &mut failures)
        }
    };
    connection.ok_or_else(|| {
        if failures.is_empty() || clock::now() >= give_up {
            ConnectError::timeout(target, give_up.since(began))
        } else {
            ConnectError::failed(target, failures)
        }
    })
}

/// What a thread that tries an address tells.
enum Event {
    /// The address was accepted; handshakes follow.
    Connected,
    /// It is done with this one.
    Ended(usize, Result<Option<Arc<Connection>>, Failure>),
}

/// Tries several places, the first to answer wins.
fn race(
    shared: &Arc<Shared>,
    attempt: Attempt,
    places: &[Place],
    failures: &mut Vec<(String, Failure)>,
) -> Option<Arc<Connection>> {
    let Attempt { id, give_up, .. } = attempt;
    let name = |at: usize| places[at].name(&shared.target, &shared.config.dialer);
    let mut plan = Dialing::new(places.len());
    let (tells, told) = mpsc::channel();
    let abandoned = Arc::new(AtomicBool::new(false));
    let winner = loop {
        while let Some(at) = plan.poll_start(clock::now()) {
            let (shared, place) = (Arc::clone(shared), places[at].clone());
            let (tells, abandoned) = (tells.clone(), Arc::clone(&abandoned));
            let started = thread::Builder::new().name("ferrpc-dial".to_owned()).spawn(move || {
                let patience = Patience { until: give_up, over: [&shared.closed, &abandoned] };
                let connected = || drop(tells.send(Event::Connected));
                let result = reach(&shared, id, &place, &patience, connected);
                if let Err(mpsc::SendError(late)) = tells.send(Event::Ended(at, result)) {
                    late.give_up();
                }
            });
            if let Err(error) = started {
                failures.push((name(at), Failure::dial(&error)));
                plan.handle_failed(clock::now());
            }
        }
        if plan.has_failed() {
            break None;
        }
        let until = plan.poll_timeout().map_or(give_up, |at| at.min(give_up));
        let wait = until.since(clock::now()).min(SLICE);
        match told.recv_timeout(wait) {
            Ok(Event::Connected) => plan.handle_connected(clock::now()),
            Ok(Event::Ended(_, Ok(Some(connection)))) => break Some(connection),
            Ok(Event::Ended(at, result)) => {
                failures.extend(result.err().map(|failure| (name(at), failure)));
                plan.handle_failed(clock::now());
            }
            Err(_) if clock::now() >= give_up || shared.closed.load(Ordering::Relaxed) => {
                break None;
            }
            // It may be time for the next one.
            Err(_) => {}
        }
    };
    abandoned.store(true, Ordering::Relaxed);
    told.try_iter().for_each(Event::give_up);
    winner
}

impl Event {
    /// Another one was first.
    fn give_up(self) {
        if let Self::Ended(_, Ok(Some(connection))) = self {
            connection.socket.shut_down();
        }
    }
}

/// A connection to one place, which has its SETTINGS. None: there was no more patience.
fn reach(
    shared: &Arc<Shared>,
    attempt: AttemptId,
    place: &Place,
    patience: &Patience<'_>,
    connected: impl FnOnce(),
) -> Result<Option<Arc<Connection>>, Failure> {
    let (target, config) = (&shared.target, &shared.config);
    let name = place.name(target, &config.dialer);
    tracing::debug!(
        target: trace::CONNECTIVITY, channel = %target, address = name, "connecting"
    );
    let Some((socket, kick, fault)) = connect(place, &name, config, patience, connected)? else {
        return Ok(None);
    };
    let Some(Dialled { id, keepalive }) = shared.dialled(attempt) else { return Ok(None) };
    let mut transport = config.transport.clone();
    transport.seed = seed();
    transport.http2.keepalive.interval = keepalive;
    let owner = Arc::downgrade(shared);
    let connection = Connection::new(id, socket, kick, transport, config.spin, owner);
    while let Some(left) = patience.left() {
        if connection.shake_hands(clock::now() + left) {
            return Ok(Some(Arc::new(connection)));
        }
        if let Some(cause) = connection.look().closed.clone() {
            shared.closed(id, &cause);
            return Err(Failure::handshake(cause, fault.as_deref()));
        }
    }
    connection.socket.shut_down();
    Ok(None)
}

/// A socket that is ready for HTTP/2, and where TLS says why it ended the connection.
type Connected = (Socket, Kick, Option<Arc<Fault>>);

/// Connects and secures the connection; `None`: there was no more patience.
fn connect(
    place: &Place,
    name: &str,
    config: &Config,
    patience: &Patience<'_>,
    connected: impl FnOnce(),
) -> Result<Option<Connected>, Failure> {
    let dial = |error: io::Error| Failure::dial(&error);
    let socket = match (place, &config.dialer.route) {
        (Place::ByProxy(destination), Some(route)) => {
            let left = patience.until.since(clock::now());
            let stream = route.connect_blocking(destination, left).map_err(Failure::proxy)?;
            Socket::tcp(stream).map_err(dial)?
        }
        (Place::Address(address), _) => match Socket::connect(address, patience).map_err(dial)? {
            Some(socket) => socket,
            None => return Ok(None),
        },
        (Place::ByProxy(_), None) | (Place::Connector, _) => {
            unreachable!("places are made of the same configuration, which has no connector")
        }
    };
    connected();
    let kick = Kick::new().map_err(dial)?;
    let secured = config.dialer.security.secure_blocking(socket, name, patience);
    let secured = secured.map_err(Failure::tls)?;
    Ok(secured.map(|(socket, fault)| (socket, kick, fault)))
}

/// Where the attempts of a channel lead, in order.
fn places(target: &Target, config: &Config) -> Result<Vec<Place>, ConnectError> {
    if let Some(places) = Place::configured(&config.dialer) {
        return Ok(places);
    }
    if matches!(target.scheme(), Scheme::InProcess(_)) {
        return Err(ConnectError::needs_runtime(target));
    }
    Ok(resolve_blocking(target)?.into_iter().map(Place::Address).collect())
}
