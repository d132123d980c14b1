//! Hosts that need no look-up, or more than that: IPv6 addresses with a zone, and `localhost`.

use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The address of a host such as `fe80::1%eth0` or `fe80::1%3`; None if it is no such host.
pub(crate) fn zoned(host: &str, port: u16) -> Option<io::Result<SocketAddr>> {
    let (address, zone) = host.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    Some(scope(zone).map(|scope| SocketAddrV6::new(address, port, 0, scope).into()))
}

fn scope(zone: &str) -> io::Result<u32> {
    match zone.parse() {
        Ok(number) => Ok(number),
        Err(_) => interface(zone),
    }
}

/// The number of a network interface.
#[cfg(target_os = "linux")]
fn interface(name: &str) -> io::Result<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    netdevice::name_to_index(socket, name).map_err(|_| no_interface(name))
}

/// The same, where the system's look-up knows.
#[cfg(not(target_os = "linux"))]
fn interface(name: &str) -> io::Result<u32> {
    use std::net::ToSocketAddrs;
    let found = (format!("fe80::1%{name}").as_str(), 0).to_socket_addrs();
    let found = found.map_err(|_| no_interface(name))?.next();
    match found {
        Some(SocketAddr::V6(address)) => Ok(address.scope_id()),
        _ => Err(no_interface(name)),
    }
}

fn no_interface(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no network interface {name:?}"))
}

/// What a look-up of a host found, completed: `localhost` is both loopback addresses, whatever the
/// system's tables say (RFC 6761, 6.3). `::1` comes first where the tables lack it, as RFC 6724 sorts
/// the two, and as grpcio tries them.
pub(crate) fn completed(
    host: &str,
    port: u16,
    found: io::Result<Vec<SocketAddr>>,
) -> io::Result<Vec<SocketAddr>> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    if !last.eq_ignore_ascii_case("localhost") {
        return found;
    }
    let mut found = found.unwrap_or_default();
    if !found.iter().any(SocketAddr::is_ipv6) {
        found.insert(0, (Ipv6Addr::LOCALHOST, port).into());
    }
    if !found.iter().any(SocketAddr::is_ipv4) {
        found.push((Ipv4Addr::LOCALHOST, port).into());
    }
    Ok(found)
}

/// A host without the percent signs that URIs need: `[fe80::1%25eth0]`, `%5B::1%5D`.
pub(crate) fn unescaped(host: &str) -> Cow<'_, str> {
    if !host.contains('%') {
        return host.into();
    }
    let mut text = host.to_owned();
    for (escaped, plain) in [("%5B", "["), ("%5b", "["), ("%5D", "]"), ("%5d", "]"), ("%25", "%")] {
        text = text.replace(escaped, plain);
    }
    text.into()
}

/// A host without its zone, which means something on this machine only.
pub(super) fn without_zone(host: &str) -> &str {
    match host.split_once('%') {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => address,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_or_numbers() {
        let address = zoned("fe80::1%7", 80).expect("it has one").expect("a number");
        assert_eq!(address, SocketAddrV6::new("fe80::1".parse().expect("IPv6"), 80, 0, 7).into());
        assert!(zoned("::1", 80).is_none());
        assert!(zoned("host%7", 80).is_none());
        let error = zoned("fe80::1%no-such-one", 80).expect("it has one").expect_err("unknown");
        assert!(error.to_string().contains("no-such-one"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_loopback_interface_is_known_by_its_name() {
        let address = zoned("::1%lo", 80).expect("it has one").expect("there is one");
        let SocketAddr::V6(address) = address else { panic!("{address}") };
        assert_ne!(address.scope_id(), 0);
    }

    #[test]
    fn localhost_is_both() {
        let list = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|text| text.parse().expect("an address")).collect()
        };
        let check = |host: &str, found: &[&str], expected: &[&str]| {
            let found = completed(host, 1, Ok(list(found))).expect("found");
            assert_eq!(found, list(expected), "{host}");
        };
        check("localhost", &["127.0.0.1:1"], &["[::1]:1", "127.0.0.1:1"]);
        check("Localhost.", &["[::1]:1"], &["[::1]:1", "127.0.0.1:1"]);
        check("a.localhost", &["[::1]:1", "127.0.0.2:1"], &["[::1]:1", "127.0.0.2:1"]);
        check("local", &["10.0.0.1:1"], &["10.0.0.1:1"]);
        check("notlocalhost", &["10.0.0.1:1"], &["10.0.0.1:1"]);
        let failed = || Err(io::ErrorKind::NotFound.into());
        assert_eq!(completed("localhost", 1, failed()).expect("always").len(), 2);
        completed("example.org", 1, failed()).expect_err("not known");
    }

    #[test]
    fn escapes_are_those_of_uris() {
        assert_eq!(unescaped("%5Bfe80::1%25eth0%5D:1"), "[fe80::1%eth0]:1");
        assert_eq!(unescaped("[fe80::1%eth0]:1"), "[fe80::1%eth0]:1");
        assert_eq!(without_zone("fe80::1%eth0"), "fe80::1");
        assert_eq!(without_zone("a%b"), "a%b");
    }
}
