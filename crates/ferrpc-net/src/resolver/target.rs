//! The names of servers, as channels take them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::special::{unescaped, without_zone, zoned};

/// What a channel connects to.
///
/// | text | meaning |
/// |---|---|
/// | `host:port`, `host` | a name to look up, or an IP address |
/// | `http://host:port` | the same; port 80 unless given |
/// | `https://host:port` | the same over TLS; port 443 unless given |
/// | `dns:host:port`, `dns:///host:port` | the same, as gRPC writes it |
/// | `ipv4:1.2.3.4:50051,1.2.3.5:50051` | one or several addresses |
/// | `ipv6:[::1]:50051` | likewise |
/// | `unix:path`, `unix:///absolute/path` | a unix socket |
/// | `unix-abstract:name` | a unix socket without a file (Linux) |
/// | `inproc:name` | a server in the same process, through a connector |
///
/// Where gRPC's notation has a default port, it is 443.
///
/// ```
/// use ferrpc::resolver::Target;
///
/// let target: Target = "http://localhost:50051".parse().unwrap();
/// assert_eq!(target.authority(), "localhost:50051");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: Box<str>,
    scheme: Scheme,
    tls: bool,
}

/// The kinds of targets, with what each needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// A name (or IP address) and a port.
    Dns {
        /// The name; IPv6 addresses without brackets.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// Addresses, tried in order.
    Addresses(Box<[SocketAddr]>),
    /// The path of a unix socket.
    Unix(Box<str>),
    /// The name of an abstract unix socket, without the leading zero.
    UnixAbstract(Box<str>),
    /// A name that means something to a connector.
    InProcess(Box<str>),
}

/// A text that is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetError {
    text: Box<str>,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Empty,
    NoHost,
    Port(Box<str>),
    Brackets,
    Address(Box<str>),
    Path(Box<str>),
    DnsServer(Box<str>),
    NoPath,
    UnknownScheme(Box<str>),
}

impl Target {
    /// The text it was made of.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Whether it asks for TLS ("https:").
    pub const fn wants_tls(&self) -> bool {
        self.tls
    }

    /// The `:authority` of calls to it, unless another is set.
    pub fn authority(&self) -> String {
        match &self.scheme {
            Scheme::Dns { host, port } if host.contains(':') => {
                // A zone says something to this machine alone (RFC 6874, 1).
                format!("[{}]:{port}", without_zone(host))
            }
            Scheme::Dns { host, port } => format!("{host}:{port}"),
            Scheme::Addresses(addresses) => match addresses.first() {
                Some(first) => SocketAddr::new(first.ip(), first.port()).to_string(),
                None => "localhost".to_owned(),
            },
            Scheme::Unix(_) | Scheme::UnixAbstract(_) | Scheme::InProcess(_) => {
                "localhost".to_owned()
            }
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (scheme, tls) =
            parse(text).map_err(|problem| TargetError { text: text.into(), problem })?;
        Ok(Self { text: text.into(), scheme, tls })
    }
}

fn parse(text: &str) -> Result<(Scheme, bool), Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Ok((host_and_port(text, 443)?, false));
    };
    let scheme = match scheme {
        "http" => host_and_port(origin(rest)?, 80)?,
        "https" => return Ok((host_and_port(origin(rest)?, 443)?, true)),
        "dns" => host_and_port(without_dns_server(rest)?, 443)?,
        "ipv4" => Scheme::Addresses(addresses(rest, |ip| ip.is_ipv4())?),
        "ipv6" => Scheme::Addresses(addresses(rest, |ip| ip.is_ipv6())?),
        "unix" => unix_path(rest)?,
        "unix-abstract" => Scheme::UnixAbstract(name(rest)?),
        "inproc" => Scheme::InProcess(name(rest)?),
        // "::1" has no scheme, and "localhost:50051" looks as if it had one.
        _ if rest.starts_with("//") => return Err(Problem::UnknownScheme(scheme.into())),
        _ => host_and_port(text, 443)?,
    };
    Ok((scheme, false))
}

/// "//host:port" or "//host:port/" without what surrounds the authority.
fn origin(rest: &str) -> Result<&str, Problem> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.is_empty() { Ok(authority) } else { Err(Problem::Path(path.into())) }
}

/// "host:port" of "host:port", "/host:port" or "///host:port".
fn without_dns_server(rest: &str) -> Result<&str, Problem> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Ok(rest.strip_prefix('/').unwrap_or(rest));
    };
    match rest.split_once('/') {
        Some(("", rest)) => Ok(rest),
        Some((server, _)) => Err(Problem::DnsServer(server.into())),
        // "dns://host:port", which many write and gRPC takes for a server to be asked.
        None => Err(Problem::DnsServer(rest.into())),
    }
}

fn host_and_port(text: &str, default_port: u16) -> Result<Scheme, Problem> {
    let text = &*unescaped(text);
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(Problem::Brackets)?;
        if without_zone(host).parse::<Ipv6Addr>().is_err() {
            return Err(Problem::Address(host.into()));
        }
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(Problem::Brackets),
        }
    } else {
        match text.split_once(':') {
            // More than one colon without brackets: an IPv6 address alone.
            Some((_, rest)) if rest.contains(':') => match without_zone(text).parse::<Ipv6Addr>() {
                Ok(_) => (text, None),
                Err(_) => return Err(Problem::Brackets),
            },
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(Problem::NoHost);
    }
    if let Some(bad) = host.chars().find(|c| c.is_whitespace() || "/?#@".contains(*c)) {
        let at = host.find(bad).unwrap_or(0);
        return Err(Problem::Path(host[at..].into()));
    }
    let port = match port {
        Some(port) => port.parse().map_err(|_| Problem::Port(port.into()))?,
        None => default_port,
    };
    Ok(Scheme::Dns { host: host.into(), port })
}

fn addresses(text: &str, fits: fn(&IpAddr) -> bool) -> Result<Box<[SocketAddr]>, Problem> {
    let text = text.trim_start_matches('/');
    text.split(',')
        .map(|item| {
            let item = &*unescaped(item);
            if let Some(address) = with_zone(item) {
                let address = address.map_err(|_| Problem::Address(item.into()))?;
                let is_fit = fits(&address.ip());
                return if is_fit { Ok(address) } else { Err(Problem::Address(item.into())) };
            }
            let address = item
                .parse::<SocketAddr>()
                .or_else(|_| item.parse::<Ipv4Addr>().map(|ip| SocketAddr::new(ip.into(), 443)))
                .or_else(|_| {
                    let bare = item.strip_prefix('[').and_then(|item| item.strip_suffix(']'));
                    bare.unwrap_or(item)
                        .parse::<Ipv6Addr>()
                        .map(|ip| SocketAddr::new(ip.into(), 443))
                })
                .map_err(|_| Problem::Address(item.into()))?;
            if fits(&address.ip()) { Ok(address) } else { Err(Problem::Address(item.into())) }
        })
        .collect()
}

/// "[address%zone]:port", "[address%zone]" or "address%zone"; None if it is none of these.
fn with_zone(item: &str) -> Option<io::Result<SocketAddr>> {
    let (host, port) = match item.strip_prefix('[') {
        None => (item, ""),
        Some(rest) => rest.split_once(']')?,
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok()?,
        None if port.is_empty() => 443,
        None => return None,
    };
    zoned(host, port)
}

/// "path", "/absolute" or "///absolute".
fn unix_path(rest: &str) -> Result<Scheme, Problem> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err(Problem::NoPath),
        None => rest,
    };
    // As grpcio has it: a path that begins with a zero byte is an abstract name.
    match path.strip_prefix('\0') {
        Some(name) => Ok(Scheme::UnixAbstract(name.into())),
        None if path.is_empty() => Err(Problem::NoPath),
        None => Ok(Scheme::Unix(path.into())),
    }
}

fn name(rest: &str) -> Result<Box<str>, Problem> {
    let name = rest.trim_start_matches('/');
    if name.is_empty() { Err(Problem::NoPath) } else { Ok(name.into()) }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no target: ", self.text)?;
        match &self.problem {
            Problem::Empty => f.write_str("it is empty; give host:port, for instance"),
            Problem::NoHost => f.write_str("the host is missing; give host:port"),
            Problem::Port(port) => write!(f, "{port:?} is no port number (0 to 65535)"),
            Problem::Brackets => f.write_str("write an IPv6 address with a port as [address]:port"),
            Problem::Address(item) => {
                write!(f, "{item:?} is no such IP address with a port, as in 127.0.0.1:50051")
            }
            Problem::Path(path) => write!(f, "{path:?} does not belong behind a host and a port"),
            Problem::DnsServer(server) => write!(
                f,
                "asking a certain DNS server ({server:?}) is not supported; \
                 write three slashes: dns:///host:port"
            ),
            Problem::NoPath => {
                f.write_str("the path or name is missing, as in unix:/run/app.socket")
            }
            Problem::UnknownScheme(scheme) => write!(
                f,
                "the scheme {scheme:?} is not known; use host:port, http:, https:, dns:, ipv4:, \
                 ipv6:, unix:, unix-abstract: or inproc:"
            ),
        }
    }
}

impl std::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(host: &str, port: u16) -> Scheme {
        Scheme::Dns { host: host.into(), port }
    }

    #[test]
    fn targets() {
        let check = |text: &str, scheme: Scheme, authority: &str| {
            let target: Target = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(target.scheme(), &scheme, "{text}");
            assert_eq!(target.authority(), authority, "{text}");
            assert_eq!(target.to_string(), text);
        };
        let ips = |list: &[&str]| {
            Scheme::Addresses(list.iter().map(|ip| ip.parse().expect("an address")).collect())
        };
        check("localhost:50051", dns("localhost", 50051), "localhost:50051");
        check("localhost", dns("localhost", 443), "localhost:443");
        check("127.0.0.1:1", dns("127.0.0.1", 1), "127.0.0.1:1");
        check("[::1]:50051", dns("::1", 50051), "[::1]:50051");
        check("[fe80::1%eth0]:1", dns("fe80::1%eth0", 1), "[fe80::1]:1");
        check("dns:///[fe80::1%25eth0]:1", dns("fe80::1%eth0", 1), "[fe80::1]:1");
        check("fe80::1%3", dns("fe80::1%3", 443), "[fe80::1]:443");
        check("ipv6:[fe80::1%3]:5", ips(&["[fe80::1%3]:5"]), "[fe80::1]:5");
        check("ipv6:[fe80::1%253],::1", ips(&["[fe80::1%3]:443", "[::1]:443"]), "[fe80::1]:443");
        check("ipv6:%5Bfe80::1%253%5D:5", ips(&["[fe80::1%3]:5"]), "[fe80::1]:5");
        check("::1", dns("::1", 443), "[::1]:443");
        check("http://host:8080", dns("host", 8080), "host:8080");
        check("http://host/", dns("host", 80), "host:80");
        check("https://host", dns("host", 443), "host:443");
        check("dns:host:1", dns("host", 1), "host:1");
        check("dns:///host:1", dns("host", 1), "host:1");
        check("dns:/host", dns("host", 443), "host:443");
        check("ipv4:1.2.3.4:5", ips(&["1.2.3.4:5"]), "1.2.3.4:5");
        check("ipv4:1.2.3.4:5,1.2.3.5", ips(&["1.2.3.4:5", "1.2.3.5:443"]), "1.2.3.4:5");
        check("ipv6:[::1]:5", ips(&["[::1]:5"]), "[::1]:5");
        check("ipv6:[::1]", ips(&["[::1]:443"]), "[::1]:443");
        check("unix:a/b", Scheme::Unix("a/b".into()), "localhost");
        check("unix:/a/b", Scheme::Unix("/a/b".into()), "localhost");
        check("unix:///a/b", Scheme::Unix("/a/b".into()), "localhost");
        check("unix-abstract:a", Scheme::UnixAbstract("a".into()), "localhost");
        check("unix:\0a", Scheme::UnixAbstract("a".into()), "localhost");
        check("inproc:test", Scheme::InProcess("test".into()), "localhost");
    }

    #[test]
    fn https_asks_for_tls() {
        assert!("https://a".parse::<Target>().expect("a target").wants_tls());
        assert!(!"http://a".parse::<Target>().expect("a target").wants_tls());
    }

    #[test]
    fn what_is_no_target_says_why() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        };
        check("", "empty");
        check(":50051", "host is missing");
        check("host:port", "\"port\" is no port number");
        check("host:70000", "\"70000\" is no port number");
        check("::1:50051:x", "[address]:port");
        check("[::1", "[address]:port");
        check("[nonsense]:1", "\"nonsense\"");
        check("[nonsense%lo]:1", "\"nonsense%lo\"");
        check("ipv6:[fe80::1%no-such-one]:1", "no-such-one");
        check("http://host/path", "\"path\"");
        check("ipv4:[::1]:5", "\"[::1]:5\"");
        check("ipv4:host:5", "\"host:5\"");
        check("dns://8.8.8.8/host:1", "dns:///host:port");
        check("dns://host:1", "dns:///host:port");
        check("unix:", "unix:/run/app.socket");
        check("unix://a/b", "unix:/run/app.socket");
        check("xds:///a", "\"xds\" is not known");
        check("ho st:1", "\" st\"");
    }
}
