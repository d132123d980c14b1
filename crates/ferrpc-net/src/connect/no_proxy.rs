//! What is reached without a proxy: the list in `no_proxy`.
//!
//! | entry | means |
//! |---|---|
//! | `example.com`, `.example.com`, `*.example.com` | that host and those below it |
//! | `10.1.2.3`, `::1`, `[::1]` | that address |
//! | `10.0.0.0/8`, `fe80::/10` | the addresses of that network |
//! | any of the hosts and addresses, with `:PORT` | the same, at that port only |
//! | `*` | everything |

use std::net::IpAddr;

use crate::resolver::{Scheme, Target};

/// Whether the list has an entry for the target.
pub(super) fn excepts(list: &str, target: &Target) -> bool {
    match target.scheme() {
        Scheme::Dns { host, port } => excepts_host(list, host, *port),
        Scheme::Addresses(addresses) => addresses
            .first()
            .is_some_and(|first| excepts_host(list, &first.ip().to_string(), first.port())),
        _ => false,
    }
}

fn excepts_host(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        let address = host.parse().ok();
        if let Some((network, bits)) = entry.split_once('/') {
            let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
                return false;
            };
            return address.is_some_and(|address| is_in(address, network, bits));
        }
        let (name, at) = without_port(entry);
        at.is_none_or(|at| at == port) && is_named(&host, address, name)
    })
}

/// An entry's host, and its port if it has one.
fn without_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name, Some(port)),
        None => (entry, None),
    }
}

fn is_named(host: &str, address: Option<IpAddr>, name: &str) -> bool {
    let name = name.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase();
    if let (Some(address), Ok(named)) = (address, name.parse::<IpAddr>()) {
        return address == named;
    }
    let domain = name.trim_start_matches('*').trim_start_matches('.');
    // Whole labels: `host` is not the end of `localhost`.
    host.strip_suffix(domain)
        .is_some_and(|rest| !domain.is_empty() && (rest.is_empty() || rest.ends_with('.')))
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let shift = 32 - bits;
            let first = |address: u32| address.checked_shr(shift).unwrap_or(0);
            first(address.into()) == first(network.into())
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let shift = 128 - bits;
            let first = |address: u128| address.checked_shr(shift).unwrap_or(0);
            first(address.into()) == first(network.into())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (host, list, expect) in [
            ("a.example.com", "example.com", true),
            ("example.com", "example.com", true),
            ("a.EXAMPLE.com", " .example.com , b", true),
            ("example.com", ".example.com", true),
            ("a.example.com", "*.example.com", true),
            ("a.example.com.", "example.com", true),
            ("a.example.com", "example.com.", true),
            ("a.example.org", "example.com", false),
            ("badexample.com", "example.com", false),
            ("localhost", "host", false),
            ("localhost", "LOCALHOST", true),
            ("example.com", "", false),
            ("example.com", ",", false),
            ("example.com", ".", false),
            ("any", "*", true),
            ("host", "10.0.0.0/8", false),
            ("a.b", "b:443", true),
            ("a.b", "b:80", false),
            ("a.b", "b:x", false),
        ] {
            assert_eq!(excepts_host(list, host, 443), expect, "{host} in {list:?}");
        }
    }

    #[test]
    fn addresses() {
        for (address, list, expect) in [
            ("127.0.0.1", "localhost,127.0.0.1", true),
            ("127.0.0.1", "127.0.0.1:443", true),
            ("127.0.0.1", "127.0.0.1:80", false),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("11.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3/32", true),
            ("10.1.2.3", "10.0.0.0/99", false),
            ("110.1.2.3", "10.1.2.3", false),
            ("fe80::1", "fe80::/10", true),
            ("::1", "10.0.0.0/8", false),
            ("::1", "::1", true),
            ("::1", "0:0:0:0:0:0:0:1", true),
            ("::1", "[::1]", true),
            ("::1", "[::1]:443", true),
            ("::1", "[::1]:80", false),
        ] {
            assert_eq!(excepts_host(list, address, 443), expect, "{address} in {list:?}");
        }
    }

    #[test]
    fn targets() {
        let excepts =
            |list: &str, target: &str| super::excepts(list, &target.parse().expect("a target"));
        assert!(excepts("example.com:50051", "dns:///a.example.com:50051"));
        assert!(!excepts("example.com:50051", "dns:///a.example.com:50052"));
        assert!(excepts("10.0.0.0/8", "ipv4:10.1.2.3:4"));
        assert!(excepts("[::1]:4", "ipv6:[::1]:4"));
        assert!(!excepts("*", "unix:/run/socket"));
    }
}
