//! How a blocking channel's thread makes a connection.

use std::net::ToSocketAddrs;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ferrpc_core::Time;

use super::connection::Connection;
use super::shared::Shared;
use super::socket::{Kick, Socket};
use crate::client::{Config, ConnectError, seed};
use crate::resolver::{Address, ResolveError, Scheme, Target, alternate};
use crate::transport::clock;

/// Looks the target up, connects, and waits for the server's SETTINGS; gives up at a time.
pub(super) fn dial(
    target: &Target,
    config: &Config,
    began: Time,
    give_up: Time,
    owner: &Weak<Shared>,
) -> Result<Arc<Connection>, ConnectError> {
    let mut errors = Vec::new();
    let addresses = addresses(target)?;
    let count = addresses.len();
    for (at, address) in addresses.into_iter().enumerate() {
        // One address after the other, each with its share of the time.
        let left = give_up.since(clock::now()) / u32::try_from(count - at).unwrap_or(u32::MAX);
        if left < Duration::from_millis(1) {
            break;
        }
        let (socket, kick) =
            match Socket::connect(&address, left).and_then(|socket| Ok((socket, Kick::new()?))) {
                Ok(both) => both,
                Err(error) => {
                    errors.push((address.to_string(), error));
                    continue;
                }
            };
        let mut transport = config.transport.clone();
        transport.seed = seed();
        let connection = Connection::new(socket, kick, transport, config.spin, owner.clone());
        let connection = Arc::new(connection);
        if connection.shake_hands(give_up) {
            return Ok(connection);
        }
        if let Some(cause) = &connection.lock().closed {
            return Err(ConnectError::handshake(target, &address.to_string(), cause));
        }
        break;
    }
    if errors.is_empty() || clock::now() >= give_up {
        return Err(ConnectError::timeout(target, give_up.since(began).as_secs_f64()));
    }
    Err(ConnectError::connect(target, &errors))
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
