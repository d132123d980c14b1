//! Why a server could not be reached.

use std::fmt;
use std::io;
use std::sync::Arc;

use ferrpc_core::http2::CloseCause;

use crate::resolver::{ResolveError, Target, TargetError};
use crate::transport::refusal::{Fault, Refusal};
use crate::{Code, Status};

/// A channel without a connection: what was wrong, where, and what to do about it.
///
/// As a [`Status`] it is UNAVAILABLE, or CANCELLED if the channel was closed.
#[derive(Clone, Debug)]
pub struct ConnectError {
    text: Arc<str>,
    code: Code,
    /// The address tried last, and what the system said.
    last: Option<(Arc<str>, Arc<str>)>,
}

/// Why an address did not lead to a server.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// By the network, or by TLS.
    Refused(Refusal),
    /// The connection ended before the server's SETTINGS came.
    NoHttp2 { cause: CloseCause },
    /// The same after a TLS handshake that was in order, as far as a client can see.
    NoHttp2AfterTls { cause: CloseCause },
}

impl Failure {
    /// The connection ended before the server's SETTINGS came, perhaps by TLS, which then says why.
    pub(crate) fn handshake(cause: CloseCause, fault: Option<&Fault>) -> Self {
        match fault.map(Fault::take) {
            Some(Some(refusal)) => Self::Refused(refusal),
            Some(None) => Self::NoHttp2AfterTls { cause },
            None => Self::NoHttp2 { cause },
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.what.clone(),
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
        !matches!(self, Self::Refused(Refusal { system: Some(_), .. }))
    }

    const fn hint(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.hint,
            Self::NoHttp2 { .. } => "is it a gRPC server, and does it expect TLS?",
            Self::NoHttp2AfterTls { .. } => {
                "does it want a client certificate, or another? its log may say why"
            }
        }
    }
}

impl ConnectError {
    fn new(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), code: Code::Unavailable, last: None }
    }

    /// No address led to a server, for the reasons that each gave.
    pub(crate) fn failed(target: &Target, failures: &[(String, Failure)]) -> Self {
        let error = Self::failed_text(target, failures);
        let last = match failures.last() {
            Some((address, Failure::Refused(refusal))) => {
                let text = refusal.system.as_deref().unwrap_or(&refusal.what);
                Some((address.as_str().into(), text.into()))
            }
            // What was wrong there needs the whole text.
            _ => None,
        };
        Self { last, ..error }
    }

    /// The address that was tried last, and what was said of it, if it came to that.
    pub fn last_address(&self) -> Option<(&str, &str)> {
        self.last.as_ref().map(|(address, text)| (&**address, &**text))
    }

    fn failed_text(target: &Target, failures: &[(String, Failure)]) -> Self {
        Self::new(match failures {
            [] => format!("failed to connect to {target}: the runtime is shutting down"),
            [(address, Failure::Refused(refusal))] => {
                format!("failed to connect to {}: {refusal}", place(target, address))
            }
            [(address, failure)] => {
                format!("{} {}; {}", place(target, address), failure.what(), failure.hint())
            }
            [(_, first), ..] => {
                // Who answered, if only to refuse, is nearer to what is wanted.
                let answered = failures.iter().find(|(_, failure)| failure.has_peer());
                let telling = answered.map_or(first, |(_, failure)| failure);
                let list: Vec<_> = failures
                    .iter()
                    .map(|(address, failure)| format!("{address}: {}", failure.what()))
                    .collect();
                let (list, hint) = (list.join(", "), telling.hint());
                format!("failed to connect to {target} ({list}); {hint}")
            }
        })
    }

    /// The time for an attempt was over.
    pub(crate) fn timeout(target: &Target, seconds: f64) -> Self {
        Self::new(format!(
            "failed to connect to {target}: no answer within {seconds} s; is the address right, \
             and does a firewall let the connection through?"
        ))
    }

    pub(crate) fn tls(target: &Target) -> Self {
        Self::new(format!(
            "failed to connect to {target}: this channel has no TLS: it is not among the \
             features that ferrpc was built with, or the channel's credentials say so; use http:// \
             for a server without it"
        ))
    }

    /// The system gave no thread for a connection.
    #[cfg(unix)]
    pub(crate) fn no_thread(target: &Target, error: &io::Error) -> Self {
        Self::new(format!("failed to connect to {target}: no thread for a connection: {error}"))
    }

    /// A connector was given to a channel that has no runtime for it.
    pub(crate) fn needs_runtime(target: &Target) -> Self {
        Self::new(format!(
            "failed to connect to {target}: a blocking channel makes its own sockets and takes \
             no connector; use a target that names a socket, or an asynchronous channel"
        ))
    }

    /// What is to lead to the server is no proxy.
    pub(crate) fn proxy(target: &Target, source: &str, url: &str, problem: &str) -> Self {
        Self::new(format!(
            "failed to connect to {target}: the proxy {url:?} ({source}) cannot be used: {problem}; \
             give it as http://HOST:PORT"
        ))
    }

    /// The runtime that drove the connection is gone.
    pub(crate) fn runtime(target: &Target) -> Self {
        Self::new(format!("the runtime that connected to {target} has shut down"))
    }

    /// [`Channel::close`](super::Channel::close) was called.
    pub(crate) fn closed() -> Self {
        Self { text: "the channel was closed".into(), code: Code::Cancelled, last: None }
    }

    /// What calls that cannot go out end with.
    pub(crate) fn status(&self) -> Status {
        Status::new(self.code, self.text.to_string())
    }
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
pub(crate) fn explain(error: &io::Error) -> Refusal {
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

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConnectError {}

impl From<TargetError> for ConnectError {
    fn from(error: TargetError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<ResolveError> for ConnectError {
    fn from(error: ResolveError) -> Self {
        Self::new(error.to_string())
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
        let silent = ("[::1]:1".to_owned(), Failure::Refused(explain(&refused())));
        let cause = CloseCause::TransportLost;
        let answered = ("127.0.0.1:1".to_owned(), Failure::NoHttp2 { cause });
        for failures in [[silent.clone(), answered.clone()], [answered, silent]] {
            let text = ConnectError::failed(&target, &failures).to_string();
            assert!(text.ends_with("; is it a gRPC server, and does it expect TLS?"), "{text}");
        }
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
                .map(|address| ((*address).to_owned(), Failure::Refused(explain(&refused()))))
                .collect();
            assert_eq!(ConnectError::failed(&target, &errors).to_string(), expect);
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
