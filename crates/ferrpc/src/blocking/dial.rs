//! How a blocking channel's thread makes a connection.

use std::fmt;
use std::net::ToSocketAddrs;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ferrpc_core::Time;

use super::connection::Connection;
use super::shared::Shared;
use super::socket::{Kick, Socket};
use crate::client::{Config, ConnectError, explain, seed};
use crate::resolver::{Address, ResolveError, Scheme, Target, alternate};
use crate::trace;
use crate::transport::clock;
use crate::transport::refusal::{Fault, Refusal};

/// Looks the target up, connects, and waits for the server's SETTINGS; gives up at a time.
pub(super) fn dial(
    target: &Target,
    config: &Config,
    transport: ferrpc_core::transport::Config,
    began: Time,
    give_up: Time,
    owner: &Weak<Shared>,
) -> Result<Arc<Connection>, ConnectError> {
    let mut errors = Vec::new();
    let addresses = destinations(target, config)?;
    let count = addresses.len();
    tracing::debug!(target: trace::NAMES, channel = %target, ?addresses);
    for (at, address) in addresses.into_iter().enumerate() {
        // One address after the other, each with its share of the time.
        let left = give_up.since(clock::now()) / u32::try_from(count - at).unwrap_or(u32::MAX);
        if left < Duration::from_millis(1) {
            break;
        }
        let until = clock::now() + left;
        tracing::debug!(target: trace::CONNECTIVITY, channel = %target, %address, "connecting");
        let (socket, kick, fault) = match connect(&address, config, until) {
            Ok(Some(connected)) => connected,
            Ok(None) => continue,
            Err(refusal) => {
                errors.push((address.to_string(), refusal));
                continue;
            }
        };
        let mut transport = transport.clone();
        transport.seed = seed();
        let connection = Connection::new(socket, kick, transport, config.spin, owner.clone());
        let connection = Arc::new(connection);
        if connection.shake_hands(give_up) {
            return Ok(connection);
        }
        if let Some(cause) = &connection.look().closed {
            let address = address.to_string();
            return Err(match fault.map(|fault| fault.take()) {
                Some(Some(refusal)) => ConnectError::refused(target, &[(address, refusal)]),
                Some(None) => ConnectError::after_tls(target, &address, cause),
                None => ConnectError::handshake(target, &address, cause),
            });
        }
        break;
    }
    if errors.is_empty() || clock::now() >= give_up {
        return Err(ConnectError::timeout(target, give_up.since(began).as_secs_f64()));
    }
    Err(ConnectError::refused(target, &errors))
}

/// A socket that is ready for HTTP/2, and where TLS says why it ended the connection.
type Connected = (Socket, Kick, Option<Arc<Fault>>);

/// Connects and secures the connection, at most until a time; `None`: there was not enough.
fn connect(
    address: &Destination,
    config: &Config,
    until: Time,
) -> Result<Option<Connected>, Refusal> {
    let left = until.since(clock::now());
    let socket = match (address, &config.route) {
        (Destination::ByProxy(destination), Some(route)) => {
            let stream = route.connect_blocking(destination, left)?;
            Socket::tcp(stream).map_err(|error| explain(&error))?
        }
        (Destination::ByProxy(_), None) => return Ok(None),
        (Destination::Direct(address), _) => {
            Socket::connect(address, left).map_err(|error| explain(&error))?
        }
    };
    let kick = Kick::new().map_err(|error| explain(&error))?;
    let security = &config.security;
    #[cfg(feature = "_rustls")]
    if let Some(session) = security.credentials.session(&socket.peer(), &security.server_name)? {
        let fault = session.fault();
        let socket = socket.secure(session, until, &security.giving_up);
        match &socket {
            Ok(_) => tracing::debug!(target: trace::TLS, %address, "handshake done"),
            Err(refusal) => {
                tracing::debug!(target: trace::TLS, %address, %refusal, "handshake failed")
            }
        }
        let socket = socket?;
        return Ok(socket.map(|socket| (socket, kick, Some(fault))));
    }
    #[cfg(not(feature = "_rustls"))]
    security.credentials.check_peer(&socket.peer())?;
    Ok(Some((socket, kick, None)))
}

/// Where an attempt leads.
#[derive(Debug)]
enum Destination {
    Direct(Address),
    /// What a proxy is asked for.
    ByProxy(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(address) => address.fmt(f),
            Self::ByProxy(destination) => write!(f, "{destination} by way of a proxy"),
        }
    }
}

/// Where the attempts of a channel lead, in order.
fn destinations(target: &Target, config: &Config) -> Result<Vec<Destination>, ConnectError> {
    if let Some(route) = &config.route {
        return Ok(route.destinations().iter().cloned().map(Destination::ByProxy).collect());
    }
    Ok(addresses(target)?.into_iter().map(Destination::Direct).collect())
}

fn addresses(target: &Target) -> Result<Vec<Address>, ConnectError> {
    Ok(match target.scheme() {
        Scheme::Dns { host, port } => {
            let found = (&**host, *port).to_socket_addrs();
            let found: Vec<_> =
                found.map_err(|error| ResolveError::lookup(target, error))?.collect();
            if found.is_empty() {
                return Err(ResolveError::no_address(target).into());
            }
            alternate(found).into_iter().map(Address::Socket).collect()
        }
        Scheme::Addresses(addresses) => addresses.iter().copied().map(Address::Socket).collect(),
        Scheme::Unix(path) => vec![Address::Unix(path.clone())],
        Scheme::UnixAbstract(name) => vec![Address::UnixAbstract(name.clone())],
        Scheme::InProcess(_) => return Err(ConnectError::needs_runtime(target)),
    })
}
