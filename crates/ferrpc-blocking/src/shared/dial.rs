//! How a blocking channel's threads look up and connect.
//!
//! Each address that the channel's machine wants tried has a thread. It sees soon that
//! another address was first, or that the channel was closed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use ferrpc::for_blocking::Config;
use ferrpc_core::channel::{Dial, Dialled};
use ferrpc_net::connect::{ConnectError, Failure, Place, may_change};
use ferrpc_net::resolver::{Address, Scheme, Target, resolve_blocking};
use ferrpc_net::seed::seed;
use ferrpc_net::socket::{Kick, Patience, Socket};
use ferrpc_net::streams::Fault;
use ferrpc_net::{clock, trace};

use super::Shared;
use crate::connection::Connection;
use crate::wake::Owner;

/// The thread of a dial: tries the address, and keeps guard over the connection.
pub(super) fn run(shared: Arc<Shared>, dial: &Dial<Place>, abandoned: &AtomicBool) {
    let panics = Panics { shared: &shared, dial };
    let patience = Patience { until: dial.give_up, over: [&shared.closed, abandoned] };
    let reached = reach(&shared, dial, &patience);
    drop(panics);
    match reached {
        Ok(Some(connection)) => shared.connected(dial.id, &connection),
        // It was abandoned, unless its time is over.
        Ok(None) => shared.not_connected(dial, None),
        Err(failure) => shared.not_connected(dial, Some(failure)),
    }
}

/// The thread of a look-up.
pub(super) fn look_up(shared: &Shared) {
    let answer = resolve_blocking(&shared.target);
    shared.resolved(answer.map(addresses).map_err(ConnectError::from));
}

/// A thread dials. A panic there, which a signer of the program's may cause, is a failure like others.
struct Panics<'a> {
    shared: &'a Arc<Shared>,
    dial: &'a Dial<Place>,
}

impl Drop for Panics<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let failure = Failure::dial(&io::Error::other("the thread that connects panicked"));
            self.shared.not_connected(self.dial, Some(failure));
        }
    }
}

/// A connection to one place, which has its SETTINGS. None: there was no more patience.
fn reach(
    shared: &Arc<Shared>,
    dial: &Dial<Place>,
    patience: &Patience<'_>,
) -> Result<Option<Arc<Connection>>, Failure> {
    let Dial { id: dial, address: place, .. } = dial;
    let (target, config) = (&shared.target, &shared.config);
    let name = shared.name(place);
    let connected = || shared.reached(*dial);
    tracing::debug!(
        target: trace::CONNECTIVITY, channel = %target, address = name, "connecting"
    );
    let Some((socket, kick, fault)) = connect(place, &name, config, patience, connected)? else {
        return Ok(None);
    };
    let Some(Dialled { id, keepalive }) = shared.dialled(*dial) else { return Ok(None) };
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

/// Where the dials of a channel lead, in order, where nothing is to be looked up.
pub(super) fn known_places(
    target: &Target,
    config: &Config,
) -> Option<Result<Vec<Place>, ConnectError>> {
    if let Some(places) = Place::configured(&config.dialer) {
        return Some(Ok(places));
    }
    if matches!(target.scheme(), Scheme::InProcess(_)) {
        return Some(Err(ConnectError::needs_runtime(target)));
    }
    let known = !may_change(target, &config.dialer);
    known.then(|| resolve_blocking(target).map(addresses).map_err(ConnectError::from))
}

fn addresses(addresses: Vec<Address>) -> Vec<Place> {
    addresses.into_iter().map(Place::Address).collect()
}
