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
use std::io;
#[cfg(unix)]
use std::net::ToSocketAddrs;
use std::sync::Arc;
#[cfg(unix)]
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::{ConnectError, explain};
use super::no_proxy;
use crate::base64;
use crate::resolver::{Scheme, Target};
use crate::streams::Refusal;

/// Which proxy a channel goes through, if any.
#[derive(Clone, Debug)]
pub struct Proxy {
    choice: Choice,
    /// A proxy that was chosen here is not used for what the environment excepts.
    heeds_exceptions: bool,
    /// What the environment names must be an `http://` URL; it names no proxy otherwise.
    passes_over: bool,
}

#[derive(Clone, Debug)]
enum Choice {
    Environment,
    None,
    Url(String),
}

/// A proxy that a channel goes through.
#[derive(Clone)]
pub struct Route {
    /// Its host and port, for dialling and for messages.
    address: Arc<str>,
    /// The value of `proxy-authorization`.
    authorization: Option<Arc<str>>,
    /// Who named it: an environment variable or the channel.
    source: &'static str,
    /// What it is asked to connect to, in order.
    destinations: Arc<[String]>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self::from_environment()
    }
}

impl Proxy {
    /// What the environment says, as all gRPC implementations read it: `grpc_proxy`, `https_proxy`
    /// or `http_proxy`, whichever is set first, names a proxy, and `no_grpc_proxy` or else
    /// `no_proxy` lists domains, addresses and networks that are reached without.
    pub const fn from_environment() -> Self {
        Self { choice: Choice::Environment, heeds_exceptions: true, passes_over: false }
    }

    /// None, whatever the environment says.
    pub const fn none() -> Self {
        Self { choice: Choice::None, heeds_exceptions: false, passes_over: false }
    }

    /// The proxy of this URL, `http://[USER:PASSWORD@]HOST[:PORT]`, whatever the environment says.
    pub fn http(url: impl Into<String>) -> Self {
        Self { choice: Choice::Url(url.into()), heeds_exceptions: false, passes_over: false }
    }

    /// The same, but for targets that `no_grpc_proxy` or `no_proxy` lists.
    pub const fn but_for_exceptions(mut self) -> Self {
        self.heeds_exceptions = true;
        self
    }

    /// A variable of the environment that is no `http://` URL is passed over, with a warning in the
    /// log, as gRPC's C core does; otherwise calls fail and say so.
    pub const fn pass_over_others(mut self) -> Self {
        self.passes_over = true;
        self
    }

    /// The way to `target`; `None` if it leads through no proxy.
    #[doc(hidden)]
    pub fn route(&self, target: &Target) -> Result<Option<Route>, ConnectError> {
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
                if self.passes_over && !is_http(&found.0) {
                    let (url, variable) = (without_user(&found.0), found.1);
                    tracing::warn!(%url, variable, "no http:// URL: goes without that proxy");
                    return Ok(None);
                }
                found
            }
        };
        if self.heeds_exceptions
            && let Some((list, _)) = variable(&["no_grpc_proxy", "no_proxy"])
            && no_proxy::excepts(&list, target)
        {
            return Ok(None);
        }
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
    /// What it is asked for, in order.
    pub fn destinations(&self) -> &[String] {
        &self.destinations
    }

    /// A connection to `destination` by way of the proxy.
    pub(super) async fn connect(&self, destination: &str) -> Result<TcpStream, Refusal> {
        let unreachable = |error: io::Error| self.unreachable(&error);
        let mut stream = TcpStream::connect(&*self.address).await.map_err(unreachable)?;
        let broken = |error: io::Error| self.broken(&error);
        // What is written after this must not wait.
        stream.set_nodelay(true).map_err(broken)?;
        stream.write_all(self.request(destination).as_bytes()).await.map_err(broken)?;
        let mut head = Head::default();
        let mut bytes = [0; PIECE];
        while !head.complete {
            let count = stream.peek(&mut bytes).await.map_err(broken)?;
            let taken = head.add(&bytes[..count]).map_err(|problem| self.no_answer(problem))?;
            stream.read_exact(&mut bytes[..taken]).await.map_err(broken)?;
        }
        self.judge(&head.text(), destination).map(|()| stream)
    }

    /// The same by a thread that blocks, no longer than `timeout` in all (looking the proxy's name
    /// up is the system's business).
    #[cfg(unix)]
    pub fn connect_blocking(
        &self,
        destination: &str,
        timeout: Duration,
    ) -> Result<std::net::TcpStream, Refusal> {
        use std::io::{Read, Write};
        let until = Instant::now() + timeout;
        let left = || match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
            left => Ok(left),
        };
        let found = self.address.to_socket_addrs().map_err(|error| self.unreachable(&error))?;
        let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in found {
            outcome = left().and_then(|left| std::net::TcpStream::connect_timeout(&address, left));
            if outcome.is_ok() {
                break;
            }
        }
        let mut stream = outcome.map_err(|error| self.unreachable(&error))?;
        // A read that took too long says that it would block.
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock => self.broken(&io::ErrorKind::TimedOut.into()),
            _ => self.broken(&error),
        };
        stream.set_nodelay(true).map_err(broken)?;
        stream.set_write_timeout(Some(left().map_err(broken)?)).map_err(broken)?;
        stream.write_all(self.request(destination).as_bytes()).map_err(broken)?;
        let mut head = Head::default();
        let mut bytes = [0; PIECE];
        while !head.complete {
            stream.set_read_timeout(Some(left().map_err(broken)?)).map_err(broken)?;
            let count = stream.peek(&mut bytes).map_err(broken)?;
            let taken = head.add(&bytes[..count]).map_err(|problem| self.no_answer(problem))?;
            stream.read_exact(&mut bytes[..taken]).map_err(broken)?;
        }
        self.judge(&head.text(), destination).map(|()| stream)
    }

    fn name(&self) -> String {
        format!("the proxy {} ({})", self.address, self.source)
    }

    fn unreachable(&self, error: &io::Error) -> Refusal {
        let what = explain(error).what;
        Refusal::new(format!("cannot reach {}: {what}", self.name()), UNREACHABLE)
    }

    fn broken(&self, error: &io::Error) -> Refusal {
        let what = explain(error).what;
        Refusal::new(format!("{} broke off: {what}", self.name()), UNREACHABLE)
    }

    fn no_answer(&self, problem: &str) -> Refusal {
        Refusal::new(format!("{} {problem}", self.name()), NO_PROXY)
    }

    fn request(&self, destination: &str) -> String {
        let mut request = format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        request
    }

    /// Whether an answer with this head means that the way is open.
    fn judge(&self, head: &str, destination: &str) -> Result<(), Refusal> {
        let proxy = self.name();
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let code = words.next().and_then(|code| code.parse::<u16>().ok());
        match code {
            Some(200..=299) if version.starts_with("HTTP/1.") => Ok(()),
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

/// The head of an answer, gathered up to its empty line and not a byte further: what follows is
/// the server's.
#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    complete: bool,
}

impl Head {
    /// More of it, or what comes after; how much of that belongs to it.
    fn add(&mut self, more: &[u8]) -> Result<usize, &'static str> {
        if more.is_empty() {
            return Err("ended the connection without an answer");
        }
        let before = self.bytes.len();
        self.bytes.extend_from_slice(more);
        let from = before.saturating_sub(END.len() - 1);
        let end = self.bytes[from..].windows(END.len()).position(|window| window == END);
        if let Some(at) = end {
            self.complete = true;
            self.bytes.truncate(from + at + END.len());
        } else if self.bytes.len() > LONGEST_HEAD {
            return Err("gives an answer that is too long");
        }
        Ok(self.bytes.len() - before)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
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

/// Whether it is the URL of a proxy of the kind that there is.
fn is_http(url: &str) -> bool {
    url.contains("://") && parse(url).is_ok()
}

/// "host:port" and the authorization of a proxy's URL.
fn parse(url: &str) -> Result<(String, Option<String>), &'static str> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
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

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("Route").field("address", &self.address).finish_non_exhaustive()
    }
}

const END: &[u8] = b"\r\n\r\n";

/// Proxies explain themselves in a page at most.
const LONGEST_HEAD: usize = 16 << 10;

/// Looked at together.
const PIECE: usize = 1024;

const UNREACHABLE: &str = "is it running, or should no_proxy name the server?";
const NO_PROXY: &str = "is it an HTTP proxy?";

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy that never falls silent, and never comes to an end: the time is for all of it.
    #[cfg(unix)]
    #[test]
    fn an_answer_in_drops_is_given_up() {
        use std::io::Write;

        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let proxy = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            // Ten seconds, if nobody hangs up; each time is shorter than what is left at first.
            for _ in 0..200 {
                if stream.write_all(b"H").is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let target: Target = "dns:server.invalid:7".parse().expect("a name");
        let route = Proxy::http(url).route(&target).expect("a URL").expect("a way");
        let refusal = route
            .connect_blocking("server.invalid:7", Duration::from_millis(300))
            .expect_err("it never ends");
        assert!(refusal.what.contains("broke off: timed out"), "{}", refusal.what);
        proxy.join().expect("no panic");
    }

    #[test]
    fn urls() {
        let check = |url: &str, address: &str, user: Option<&str>| {
            let (found, authorization) = parse(url).expect(url);
            assert_eq!((&*found, authorization.as_deref()), (address, user), "{url}");
        };
        check("http://proxy:3128", "proxy:3128", None);
        check("proxy:3128", "proxy:3128", None);
        check("HTTP://proxy/", "proxy:80", None);
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
            assert!(!is_http(url), "{url}");
        }
        assert!(is_http("http://proxy") && !is_http("proxy:3128"));
    }
}
