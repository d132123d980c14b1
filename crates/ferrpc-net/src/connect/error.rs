//! Why a server could not be reached: typed from the socket to the status, and put into words in one
//! place.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::channel::Causes;
use ferrpc_core::http2::CloseCause;
use ferrpc_core::{Code, Status};

use crate::resolver::{ResolveError, Target, TargetError};
use crate::streams::{Fault, Refusal};

/// A channel without a connection: what was wrong, where, and what to do about it.
///
/// As a [`Status`] it is UNAVAILABLE, or CANCELLED if the channel was closed.
#[derive(Clone, Debug)]
pub struct ConnectError(Arc<Cause>);

/// How far an attempt to connect came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectStage {
    /// The target was to become addresses.
    Resolve,
    /// A byte stream to an address was to be made.
    Dial,
    /// A proxy was asked for the server.
    Proxy,
    /// The byte stream was to be secured.
    Tls,
    /// The server's first HTTP/2 frame was waited for.
    Http2,
}

#[derive(Debug)]
enum Cause {
    /// It is no target.
    Target(TargetError),
    /// The target has no addresses.
    Resolve(ResolveError),
    /// What is to lead to the server is no proxy.
    Proxy { target: Target, source: String, url: String, problem: String },
    /// No address led to a server, for the reasons that each gave: at least one.
    Addresses { target: Target, failures: Vec<(String, Failure)> },
    /// The time for an attempt was over.
    Timeout { target: Target, patience: Duration },
    /// The target wants TLS, and the channel has none.
    NoTls { target: Target },
    /// A connector was given to a channel that has no runtime for it.
    Connector { target: Target },
    /// The system gave no thread for a connection.
    NoThread { target: Target, error: io::Error },
    /// The runtime that drove the connection is gone.
    Runtime { target: Target, connected: bool },
    /// `Channel::close` was called.
    Closed,
}

/// Why an address did not lead to a server.
#[derive(Clone, Debug)]
pub enum Failure {
    /// By the network, a proxy, or TLS.
    Refused {
        /// How far it came.
        stage: ConnectStage,
        /// In words.
        refusal: Refusal,
    },
    /// The connection ended before the server's SETTINGS came.
    NoHttp2 {
        /// Why it ended.
        cause: CloseCause,
    },
    /// The same after a TLS handshake that was in order, as far as a client can see.
    NoHttp2AfterTls {
        /// Why it ended.
        cause: CloseCause,
    },
}

impl Failure {
    /// The system gave no byte stream.
    pub fn dial(error: &io::Error) -> Self {
        Self::Refused { stage: ConnectStage::Dial, refusal: explain(error) }
    }

    /// A proxy did not lead to the server.
    pub const fn proxy(refusal: Refusal) -> Self {
        Self::Refused { stage: ConnectStage::Proxy, refusal }
    }

    /// The byte stream could not be secured.
    pub const fn tls(refusal: Refusal) -> Self {
        Self::Refused { stage: ConnectStage::Tls, refusal }
    }

    /// The connection ended before the server's SETTINGS came, perhaps by TLS, which then says why.
    pub fn handshake(cause: CloseCause, fault: Option<&Fault>) -> Self {
        match fault.map(Fault::take) {
            Some(Some(refusal)) => Self::tls(refusal),
            Some(None) => Self::NoHttp2AfterTls { cause },
            None => Self::NoHttp2 { cause },
        }
    }

    const fn stage(&self) -> ConnectStage {
        match self {
            Self::Refused { stage, .. } => *stage,
            Self::NoHttp2 { .. } | Self::NoHttp2AfterTls { .. } => ConnectStage::Http2,
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Refused { refusal, .. } => refusal.what.clone(),
            Self::NoHttp2 { cause } => {
                format!("accepted the connection but did not speak HTTP/2: {cause}")
            }
            Self::NoHttp2AfterTls { cause } => {
                format!("accepted the TLS connection but did not speak HTTP/2: {cause}")
            }
        }
    }

    /// Whether there was a connection, and the fault is in what was said on it.
    const fn has_peer(&self) -> bool {
        !matches!(self, Self::Refused { refusal: Refusal { system: Some(_), .. }, .. })
    }

    const fn hint(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal.hint,
            Self::NoHttp2 { .. } => "is it a gRPC server, and does it expect TLS?",
            Self::NoHttp2AfterTls { .. } => {
                "does it want a client certificate, or another? its log may say why"
            }
        }
    }
}

impl ConnectError {
    fn new(cause: Cause) -> Self {
        Self(Arc::new(cause))
    }

    /// No address led to a server, for the reasons that each gave.
    #[doc(hidden)]
    pub fn failed(target: &Target, failures: Vec<(String, Failure)>) -> Self {
        let target = target.clone();
        Self::new(if failures.is_empty() {
            Cause::Runtime { target, connected: false }
        } else {
            Cause::Addresses { target, failures }
        })
    }

    /// The time for an attempt was over.
    #[doc(hidden)]
    pub fn timeout(target: &Target, patience: Duration) -> Self {
        Self::new(Cause::Timeout { target: target.clone(), patience })
    }

    /// The target wants TLS, and the channel has none.
    #[doc(hidden)]
    pub fn tls(target: &Target) -> Self {
        Self::new(Cause::NoTls { target: target.clone() })
    }

    /// The system gave no thread for a connection.
    #[doc(hidden)]
    pub fn no_thread(target: &Target, error: io::Error) -> Self {
        Self::new(Cause::NoThread { target: target.clone(), error })
    }

    /// A connector was given to a channel that has no runtime for it.
    #[doc(hidden)]
    pub fn needs_runtime(target: &Target) -> Self {
        Self::new(Cause::Connector { target: target.clone() })
    }

    /// What is to lead to the server is no proxy.
    #[doc(hidden)]
    pub fn proxy(target: &Target, source: &str, url: &str, problem: &str) -> Self {
        let (target, problem) = (target.clone(), problem.to_owned());
        Self::new(Cause::Proxy { target, source: source.to_owned(), url: url.to_owned(), problem })
    }

    /// The runtime that drove the connection is gone.
    #[doc(hidden)]
    pub fn runtime(target: &Target) -> Self {
        Self::new(Cause::Runtime { target: target.clone(), connected: true })
    }

    /// `Channel::close` was called.
    #[doc(hidden)]
    pub fn closed() -> Self {
        Self::new(Cause::Closed)
    }

    /// How far the last attempt came, where that says something: at the address that was tried last,
    /// if there were addresses.
    pub fn stage(&self) -> Option<ConnectStage> {
        match &*self.0 {
            Cause::Target(_) | Cause::Resolve(_) => Some(ConnectStage::Resolve),
            Cause::Proxy { .. } => Some(ConnectStage::Proxy),
            Cause::NoTls { .. } => Some(ConnectStage::Tls),
            Cause::NoThread { .. } | Cause::Connector { .. } => Some(ConnectStage::Dial),
            Cause::Addresses { failures, .. } => failures.last().map(|(_, last)| last.stage()),
            Cause::Timeout { .. } | Cause::Runtime { .. } | Cause::Closed => None,
        }
    }

    /// The addresses that were tried, in the order in which they failed, and how far each came.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, ConnectStage)> {
        let failures = match &*self.0 {
            Cause::Addresses { failures, .. } => &**failures,
            _ => &[],
        };
        failures.iter().map(|(address, failure)| (&**address, failure.stage()))
    }

    /// The address that was tried last, and what was said of it, if it was refused.
    pub fn last_address(&self) -> Option<(&str, &str)> {
        match &*self.0 {
            Cause::Addresses { failures, .. } => match failures.last()? {
                (address, Failure::Refused { refusal, .. }) => {
                    Some((address, refusal.system.as_deref().unwrap_or(&refusal.what)))
                }
                // What was wrong there needs the whole text.
                _ => None,
            },
            _ => None,
        }
    }

    /// What calls that cannot go out end with.
    #[doc(hidden)]
    pub fn status(&self) -> Status {
        let code = match *self.0 {
            Cause::Closed => Code::Cancelled,
            _ => Code::Unavailable,
        };
        Status::new(code, self.to_string())
    }
}

/// Makes the errors of a channel to this target.
#[derive(Debug)]
pub struct Reasons(pub Target);

impl Causes for Reasons {
    /// An address, and what it said.
    type Address = (String, Failure);
    type Error = ConnectError;

    fn addresses(&self, failures: Vec<(String, Failure)>) -> ConnectError {
        ConnectError::failed(&self.0, failures)
    }

    fn timed_out(&self, patience: Duration) -> ConnectError {
        ConnectError::timeout(&self.0, patience)
    }

    fn no_addresses(&self) -> ConnectError {
        ResolveError::no_address(&self.0).into()
    }
}

/// The words for all of it.
impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Target(error) => error.fmt(f),
            Cause::Resolve(error) => error.fmt(f),
            Cause::Proxy { target, source, url, problem } => write!(
                f,
                "failed to connect to {target}: the proxy {url:?} ({source}) cannot be used: \
                 {problem}; give it as http://HOST:PORT"
            ),
            Cause::Addresses { target, failures } => match &failures[..] {
                [(address, Failure::Refused { refusal, .. })] => {
                    write!(f, "failed to connect to {}: {refusal}", place(target, address))
                }
                [(address, failure)] => {
                    write!(f, "{} {}; {}", place(target, address), failure.what(), failure.hint())
                }
                failures => several(f, target, failures),
            },
            Cause::Timeout { target, patience } => write!(
                f,
                "failed to connect to {target}: no answer within {} s; is the address right, and \
                 does a firewall let the connection through?",
                patience.as_secs_f64()
            ),
            Cause::NoTls { target } => write!(
                f,
                "failed to connect to {target}: this channel has no TLS: it is not among the \
                 features that ferrpc was built with, or the channel's credentials say so; use \
                 http:// for a server without it"
            ),
            Cause::Connector { target } => write!(
                f,
                "failed to connect to {target}: a blocking channel makes its own sockets and \
                 takes no connector; use a target that names a socket, or an asynchronous channel"
            ),
            Cause::NoThread { target, error } => {
                write!(f, "failed to connect to {target}: no thread for a connection: {error}")
            }
            Cause::Runtime { target, connected: false } => {
                write!(f, "failed to connect to {target}: the runtime is shutting down")
            }
            Cause::Runtime { target, connected: true } => {
                write!(f, "the runtime that connected to {target} has shut down")
            }
            Cause::Closed => f.write_str(CLOSED),
        }
    }
}

/// What several addresses said.
fn several(
    f: &mut fmt::Formatter<'_>,
    target: &Target,
    failures: &[(String, Failure)],
) -> fmt::Result {
    write!(f, "failed to connect to {target} (")?;
    for (at, (address, failure)) in failures.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        write!(f, "{separator}{address}: {}", failure.what())?;
    }
    // Who answered, if only to refuse, is nearer to what is wanted.
    let answered = failures.iter().find(|(_, failure)| failure.has_peer());
    let hint = answered.or(failures.first()).map_or("", |(_, telling)| telling.hint());
    write!(f, "); {hint}")
}

/// "host:port", with the address it led to where that says more.
fn place(target: &Target, address: &str) -> String {
    let authority = target.authority();
    if target.as_str().contains(address) {
        address.to_owned()
    } else if address.ends_with(&authority) || authority == "localhost" {
        target.to_string()
    } else {
        format!("{authority} ({address})")
    }
}

/// What went wrong in words, and what to do.
pub(super) fn explain(error: &io::Error) -> Refusal {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "timed out".to_owned(),
        _ => error.to_string(),
    };
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "is the server running?",
        io::ErrorKind::NotFound => "there is no such socket: is the server running?",
        io::ErrorKind::PermissionDenied => "may this user open it?",
        io::ErrorKind::TimedOut
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => {
            "is the address right, and does a firewall let the connection through?"
        }
        io::ErrorKind::ConnectionReset => "is it a gRPC server, and does it expect TLS?",
        _ => "is the address right?",
    };
    let text = error.to_string();
    let system = text.split(" (os error").next().unwrap_or_default().to_owned();
    Refusal { system: Some(system), ..Refusal::new(what, hint) }
}

/// As [`AttemptEnd::closed`](ferrpc_core::channel::AttemptEnd::closed) has it.
const CLOSED: &str = "the channel was closed";

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Cause::Target(error) => Some(error),
            Cause::Resolve(error) => Some(error),
            Cause::NoThread { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<TargetError> for ConnectError {
    fn from(error: TargetError) -> Self {
        Self::new(Cause::Target(error))
    }
}

impl From<ResolveError> for ConnectError {
    fn from(error: ResolveError) -> Self {
        Self::new(Cause::Resolve(error))
    }
}

impl From<ConnectError> for Status {
    fn from(error: ConnectError) -> Self {
        error.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_is_that_of_the_address_that_answered() {
        let target: Target = "localhost:1".parse().expect("a target");
        let silent = ("[::1]:1".to_owned(), Failure::dial(&refused()));
        let cause = CloseCause::TransportLost;
        let answered = ("127.0.0.1:1".to_owned(), Failure::NoHttp2 { cause });
        for failures in [[silent.clone(), answered.clone()], [answered, silent]] {
            let error = ConnectError::failed(&target, failures.to_vec());
            let text = error.to_string();
            assert!(text.ends_with("; is it a gRPC server, and does it expect TLS?"), "{text}");
        }
    }

    #[test]
    fn errors_say_how_far_each_address_came() {
        let target: Target = "localhost:1".parse().expect("a target");
        let tls = Refusal::new("the certificate has expired", "");
        let failures = vec![
            ("[::1]:1".to_owned(), Failure::dial(&refused())),
            ("127.0.0.1:1".to_owned(), Failure::tls(tls)),
        ];
        let error = ConnectError::failed(&target, failures);
        let stages: Vec<_> = error.addresses().collect();
        assert_eq!(stages, [("[::1]:1", ConnectStage::Dial), ("127.0.0.1:1", ConnectStage::Tls)]);
        assert_eq!(error.stage(), Some(ConnectStage::Tls));
        assert_eq!(error.last_address(), Some(("127.0.0.1:1", "the certificate has expired")));
        let no_target: ConnectError = "".parse::<Target>().expect_err("it is empty").into();
        assert_eq!(no_target.stage(), Some(ConnectStage::Resolve));
        let closed = ferrpc_core::channel::AttemptEnd::closed().status;
        assert_eq!(ConnectError::closed().status().message(), closed.message());
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[test]
    fn errors_name_the_place_and_say_what_to_do() {
        let check = |target: &str, addresses: &[&str], expect: &str| {
            let target: Target = target.parse().expect("a target");
            let errors: Vec<_> = addresses
                .iter()
                .map(|address| ((*address).to_owned(), Failure::dial(&refused())))
                .collect();
            assert_eq!(ConnectError::failed(&target, errors).to_string(), expect);
        };
        check(
            "127.0.0.1:50051",
            &["127.0.0.1:50051"],
            "failed to connect to 127.0.0.1:50051: connection refused; is the server running?",
        );
        check(
            "http://127.0.0.1:1",
            &["127.0.0.1:1"],
            "failed to connect to 127.0.0.1:1: connection refused; is the server running?",
        );
        check(
            "dns:///localhost:1",
            &["127.0.0.1:1"],
            "failed to connect to localhost:1 (127.0.0.1:1): connection refused; \
             is the server running?",
        );
        check(
            "localhost:1",
            &["[::1]:1", "127.0.0.1:1"],
            "failed to connect to localhost:1 ([::1]:1: connection refused, \
             127.0.0.1:1: connection refused); is the server running?",
        );
        check(
            "unix:///run/x",
            &["unix:/run/x"],
            "failed to connect to unix:///run/x: connection refused; is the server running?",
        );
    }
}
