//! Proxies: channels that reach their server through somebody else, by HTTP's CONNECT.
//!
//! ```text
//!   channel --TCP--> proxy --TCP--> server
//!           CONNECT host:port
//!           <-- 200
//!           ====== TLS, HTTP/2 between channel and server ======
//! ```
//!
//! The proxy gets the server's name as the target has it, and looks it up itself.

use std::env;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::{ConnectError, explain};
use crate::base64;
use crate::resolver::{Scheme, Target};
use crate::transport::refusal::Refusal;

/// Which proxy a channel goes through, if any.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    choice: Choice,
}

#[derive(Clone, Debug, Default)]
enum Choice {
    #[default]
    Environment,
    None,
    Url(String),
}

/// A proxy that a channel goes through.
#[derive(Clone)]
pub(crate) struct Route {
    /// Its host and port, for dialling and for messages.
    address: Arc<str>,
    /// The value of `proxy-authorization`.
    authorization: Option<Arc<str>>,
    /// Who named it: an environment variable or the channel.
    source: &'static str,
    /// What it is asked to connect to, in order.
    destinations: Arc<[String]>,
}

impl Proxy {
    /// What the environment says, as all gRPC implementations read it: `grpc_proxy`, `https_proxy`
    /// or `http_proxy`, whichever is set first, names a proxy, and `no_grpc_proxy` or else
    /// `no_proxy` lists the ends of host names, addresses and networks that are reached without.
    pub const fn from_environment() -> Self {
        Self { choice: Choice::Environment }
    }

    /// None, whatever the environment says.
    pub const fn none() -> Self {
        Self { choice: Choice::None }
    }

    /// The proxy of this URL, `http://[USER:PASSWORD@]HOST[:PORT]`, whatever the environment says.
    pub fn http(url: impl Into<String>) -> Self {
        Self { choice: Choice::Url(url.into()) }
    }

    /// The way to `target`; `None` if it leads through no proxy.
    pub(super) fn route(&self, target: &Target) -> Result<Option<Route>, ConnectError> {
        let destinations: Vec<_> = match target.scheme() {
            Scheme::Dns { .. } => vec![target.authority()],
            Scheme::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
            // Sockets of this machine.
            _ => return Ok(None),
        };
        let (url, source) = match &self.choice {
            Choice::None => return Ok(None),
            Choice::Url(url) => (url.clone(), "the channel's option"),
            Choice::Environment => {
                let Some(found) = variable(&["grpc_proxy", "https_proxy", "http_proxy"]) else {
                    return Ok(None);
                };
                let exceptions = variable(&["no_grpc_proxy", "no_proxy"]);
                let host = match target.scheme() {
                    Scheme::Dns { host, .. } => host.to_string(),
                    Scheme::Addresses(addresses) => {
                        addresses.first().map_or_else(String::new, |first| first.ip().to_string())
                    }
                    _ => String::new(),
                };
                if exceptions.is_some_and(|(list, _)| is_excepted(&host, &list)) {
                    return Ok(None);
                }
                found
            }
        };
        let (address, authorization) = parse(&url)
            .map_err(|problem| ConnectError::proxy(target, source, &without_user(&url), problem))?;
        Ok(Some(Route {
            address: address.into(),
            authorization: authorization.map(Into::into),
            source,
            destinations: destinations.into(),
        }))
    }
}

impl Route {
    pub(super) fn destinations(&self) -> &[String] {
        &self.destinations
    }

    /// A connection to `destination` by way of the proxy.
    pub(super) async fn connect(&self, destination: &str) -> Result<TcpStream, Refusal> {
        let proxy = format!("the proxy {} ({})", self.address, self.source);
        let mut stream = TcpStream::connect(&*self.address).await.map_err(|error| {
            Refusal::new(format!("cannot reach {proxy}: {}", explain(&error).what), UNREACHABLE)
        })?;
        let broken = |error: &std::io::Error| {
            Refusal::new(format!("{proxy} broke off: {}", explain(error).what), UNREACHABLE)
        };
        // What is written after this must not wait.
        stream.set_nodelay(true).map_err(|error| broken(&error))?;
        let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| broken(&error))?;
        let head = read_head(&mut stream).await.map_err(|problem| match problem {
            Head::Broken(error) => broken(&error),
            Head::Ended => {
                Refusal::new(format!("{proxy} ended the connection without an answer"), NO_PROXY)
            }
            Head::TooLong => Refusal::new(format!("the answer of {proxy} is too long"), NO_PROXY),
        })?;
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let code = words.next().and_then(|code| code.parse::<u16>().ok());
        match code {
            Some(200..=299) if version.starts_with("HTTP/1.") => Ok(stream),
            Some(407) => Err(Refusal::new(
                format!("{proxy} wants to know who asks ({})", shown(line)),
                "put USER:PASSWORD@ before the host in its URL",
            )),
            Some(_) if version.starts_with("HTTP/") => Err(Refusal::new(
                format!("{proxy} refused to connect to {destination}: {}", shown(line)),
                "does it allow CONNECT to that port, and is the server running?",
            )),
            _ => Err(Refusal::new(
                format!("{proxy} does not answer in HTTP (it begins with {:?})", shown(line)),
                NO_PROXY,
            )),
        }
    }

    /// The proxy's name, for messages.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

/// Why there is no answer.
enum Head {
    Broken(std::io::Error),
    Ended,
    TooLong,
}

/// Reads up to the empty line and not a byte further: what follows is the server's.
async fn read_head(stream: &mut TcpStream) -> Result<String, Head> {
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let count = stream.peek(&mut bytes).await.map_err(Head::Broken)?;
        if count == 0 {
            return Err(Head::Ended);
        }
        let before = head.len();
        head.extend_from_slice(&bytes[..count]);
        let from = before.saturating_sub(END.len() - 1);
        let end = head[from..].windows(END.len()).position(|window| window == END);
        let end = end.map(|at| from + at + END.len());
        let taken = end.unwrap_or(head.len()) - before;
        stream.read_exact(&mut bytes[..taken]).await.map_err(Head::Broken)?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(String::from_utf8_lossy(&head).into_owned());
        }
        if head.len() > LONGEST_HEAD {
            return Err(Head::TooLong);
        }
    }
}

/// What is shown of a stranger's text.
fn shown(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(100).collect()
}

fn variable(names: &[&'static str]) -> Option<(String, &'static str)> {
    names.iter().find_map(|name| {
        env::var(name).ok().filter(|value| !value.is_empty()).map(|value| (value, *name))
    })
}

/// "host:port" and the authorization of a proxy's URL.
fn parse(url: &str) -> Result<(String, Option<String>), &'static str> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return Err("only http:// proxies are supported"),
        None => url,
    };
    let rest = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let (user, address) = match rest.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, rest),
    };
    if address.is_empty() || address.contains(char::is_whitespace) {
        return Err("it names no host");
    }
    let has_port = match address.rsplit_once(':') {
        // The colon may be one of an IPv6 address in brackets.
        Some((_, port)) if !port.ends_with(']') => {
            port.parse::<u16>().map_err(|_| "its port is no number")?;
            true
        }
        _ => false,
    };
    let address = if has_port { address.to_owned() } else { format!("{address}:80") };
    let user = user.map(|user| format!("Basic {}", base64::encode(&percent_decoded(user))));
    Ok((address, user))
}

/// A URL that may be shown.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, address)) => format!("...@{address}"),
        None => url.to_owned(),
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code) if bytes[at] == b'%' => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// Whether `host` ends as an entry of the list does, or is an address in one of its networks.
fn is_excepted(host: &str, list: &str) -> bool {
    let ip = host.parse::<IpAddr>().ok();
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/') {
            let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
                return false;
            };
            return ip.is_some_and(|ip| is_in(ip, network, bits));
        }
        let (host, entry) = (host.to_ascii_lowercase(), entry.to_ascii_lowercase());
        host.ends_with(&entry)
    })
}

fn is_in(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) if bits <= 32 => {
            let shift = 32 - bits;
            let first = |ip: u32| ip.checked_shr(shift).unwrap_or(0);
            first(ip.into()) == first(network.into())
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) if bits <= 128 => {
            let shift = 128 - bits;
            let first = |ip: u128| ip.checked_shr(shift).unwrap_or(0);
            first(ip.into()) == first(network.into())
        }
        _ => false,
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("Route").field("address", &self.address).finish_non_exhaustive()
    }
}

const END: &[u8] = b"\r\n\r\n";

/// Proxies explain themselves in a page at most.
const LONGEST_HEAD: usize = 16 << 10;

const UNREACHABLE: &str = "is it running, or should no_proxy name the server?";
const NO_PROXY: &str = "is it an HTTP proxy?";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |url: &str, address: &str, user: Option<&str>| {
            let (found, authorization) = parse(url).expect(url);
            assert_eq!((&*found, authorization.as_deref()), (address, user), "{url}");
        };
        check("http://proxy:3128", "proxy:3128", None);
        check("proxy:3128", "proxy:3128", None);
        check("http://proxy/", "proxy:80", None);
        check("http://[::1]", "[::1]:80", None);
        check("http://[::1]:8080", "[::1]:8080", None);
        check("http://u:p%40ss@proxy:1", "proxy:1", Some("Basic dTpwQHNz"));
        for (url, problem) in [
            ("https://proxy", "only http"),
            ("socks5://proxy", "only http"),
            ("http://", "no host"),
            ("http://proxy:port", "no number"),
        ] {
            assert!(parse(url).expect_err(url).contains(problem), "{url}");
        }
    }

    #[test]
    fn exceptions() {
        let check = |host: &str, list: &str, expect: bool| {
            assert_eq!(is_excepted(host, list), expect, "{host} in {list:?}");
        };
        check("a.example.com", "example.com", true);
        check("a.EXAMPLE.com", " .example.com , b", true);
        check("a.example.org", "example.com", false);
        check("example.com", "", false);
        check("any", "*", true);
        check("127.0.0.1", "localhost,127.0.0.1", true);
        check("10.1.2.3", "10.0.0.0/8", true);
        check("11.1.2.3", "10.0.0.0/8", false);
        check("11.1.2.3", "0.0.0.0/0", true);
        check("10.1.2.3", "10.1.2.3/32", true);
        check("10.1.2.3", "10.0.0.0/99", false);
        check("fe80::1", "fe80::/10", true);
        check("::1", "10.0.0.0/8", false);
        check("host", "10.0.0.0/8", false);
    }
}
