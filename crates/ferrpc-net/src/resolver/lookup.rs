//! Addresses of a target.

use std::fmt;
use std::io;
#[cfg(unix)]
use std::net::ToSocketAddrs;
use std::net::{IpAddr, SocketAddr};

use super::{Scheme, Target, completed, zoned};
use crate::trace;

/// Where a server can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// TCP.
    Socket(SocketAddr),
    /// The path of a unix socket.
    Unix(Box<str>),
    /// The name of an abstract unix socket, without the leading zero.
    UnixAbstract(Box<str>),
}

/// A target whose addresses could not be found.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResolveError {
    target: Box<str>,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Lookup(io::Error),
    NoAddress,
    NeedsConnector,
}

impl ResolveError {
    /// The name has no addresses.
    pub(crate) fn no_address(target: &Target) -> Self {
        Self { target: target.as_str().into(), problem: Problem::NoAddress }
    }
}

/// Whether the addresses of a target may change: a name is looked up for them.
pub(crate) fn may_change(target: &Target) -> bool {
    host_of(target).is_some_and(|(host, _)| host.parse::<IpAddr>().is_err())
}

/// The addresses of a target, at least one, in the order in which they are to be tried: the
/// families that the system's resolver mixed stay as it ordered them, but alternate, so that a
/// family which leads nowhere does not come first with all its addresses.
pub async fn resolve(target: &Target) -> Result<Vec<Address>, ResolveError> {
    let found = match host_of(target) {
        Some((host, port)) => tokio::net::lookup_host((host, port)).await.map(Iterator::collect),
        None => Ok(Vec::new()),
    };
    addresses(target, found)
}

/// The same for a thread that may block.
#[cfg(unix)]
pub fn resolve_blocking(target: &Target) -> Result<Vec<Address>, ResolveError> {
    let found = match host_of(target) {
        Some(host) => host.to_socket_addrs().map(Iterator::collect),
        None => Ok(Vec::new()),
    };
    addresses(target, found)
}

/// What is to be looked up.
fn host_of(target: &Target) -> Option<(&str, u16)> {
    match target.scheme() {
        Scheme::Dns { host, port } if zoned(host, *port).is_none() => Some((host, *port)),
        _ => None,
    }
}

/// The addresses of a target whose host was looked up, if it has one.
fn addresses(
    target: &Target,
    found: io::Result<Vec<SocketAddr>>,
) -> Result<Vec<Address>, ResolveError> {
    let fail = |problem| Err(ResolveError { target: target.as_str().into(), problem });
    match target.scheme() {
        Scheme::Dns { host, port } => {
            let found = match zoned(host, *port) {
                Some(address) => address.map(|address| vec![address]),
                None => completed(host, *port, found),
            };
            let found = match found {
                Ok(found) => alternate(found),
                Err(error) => return fail(Problem::Lookup(error)),
            };
            if found.is_empty() {
                return Err(ResolveError::no_address(target));
            }
            tracing::debug!(target: trace::NAMES, channel = %target, addresses = ?found);
            Ok(found.into_iter().map(Address::Socket).collect())
        }
        Scheme::Addresses(addresses) => {
            Ok(addresses.iter().copied().map(Address::Socket).collect())
        }
        Scheme::Unix(path) => Ok(vec![Address::Unix(path.clone())]),
        Scheme::UnixAbstract(name) => Ok(vec![Address::UnixAbstract(name.clone())]),
        Scheme::InProcess(_) => fail(Problem::NeedsConnector),
    }
}

/// RFC 8305, 4: families alternate, beginning with that of the first address.
fn alternate(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| seen.insert(*address));
    let Some(first) = found.first().map(SocketAddr::is_ipv4) else { return found };
    let (mut same, mut other) = (Vec::new(), Vec::new());
    for address in found {
        if address.is_ipv4() == first { same.push(address) } else { other.push(address) }
    }
    let mut mixed = Vec::with_capacity(same.len() + other.len());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let before = mixed.len();
        mixed.extend(same.next());
        mixed.extend(other.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::UnixAbstract(name) => write!(f, "unix-abstract:{name}"),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match &self.problem {
            Problem::Lookup(error) => write!(
                f,
                "failed to resolve {target}: {error}; is the host name right, and does this \
                 machine have a working DNS configuration?"
            ),
            Problem::NoAddress => write!(
                f,
                "failed to resolve {target}: the name exists but has no IP address; is it the \
                 right one?"
            ),
            Problem::NeedsConnector => write!(
                f,
                "{target} is a server in this process: give the channel a connector to it \
                 (ChannelBuilder::connector)"
            ),
        }
    }
}

impl std::error::Error for ResolveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Lookup(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_nothing_comes_twice() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|text| text.parse().expect("an address")).collect()
        };
        let mixed = alternate(parse(&[
            "[::1]:1",
            "[::1]:1",
            "[::2]:1",
            "[::3]:1",
            "1.1.1.1:1",
            "1.1.1.2:1",
        ]));
        assert_eq!(mixed, parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "[::3]:1"]));
        assert_eq!(alternate(Vec::new()), []);
    }
}
