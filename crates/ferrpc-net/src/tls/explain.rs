//! What went wrong in a handshake: what was expected, what was seen, what to do.

use std::cell::{Cell, RefCell};
use std::io;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerMisbehaved};

use super::facts::Summary;
use crate::streams::Refusal;

/// Which side of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What is known of a handshake beside rustls' own state: enough to say why it failed.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    side: Side,
    /// The name expected of a server, or asked of us.
    name: Option<Box<str>>,
    first: [u8; FIRST],
    seen: usize,
}

impl Hello {
    pub(super) fn new(side: Side, name: Option<&ServerName<'_>>) -> Self {
        let name = name.map(|name| name.to_str().into());
        Self { side, name, first: [0; FIRST], seen: 0 }
    }

    /// Bytes of the peer, in order; only the first are kept.
    pub(super) fn saw(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(FIRST - self.seen);
        self.first[self.seen..self.seen + count].copy_from_slice(&bytes[..count]);
        self.seen += count;
    }

    pub(super) fn asked_for(&mut self, name: &str) {
        self.name = Some(name.into());
    }

    /// The stream beneath broke or ended.
    pub(super) fn broken(&self, error: &io::Error) -> Refusal {
        let ended = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
        );
        match self.side {
            _ if !ended => Refusal::new(format!("the TLS handshake failed: {error}"), RETRY),
            Side::Client => Refusal::new(
                "the connection ended in the TLS handshake",
                "does the server speak TLS, and does it want a client certificate?",
            ),
            Side::Server => {
                Refusal::quiet("the caller left in the TLS handshake", "it may say why")
            }
        }
    }

    /// The handshake succeeded, without an agreement on HTTP/2.
    pub(super) fn no_alpn(&self) -> Refusal {
        let what = match self.side {
            Side::Client => {
                "TLS: the server did not agree to speak HTTP/2: expected the protocol \"h2\" by \
                 ALPN, it named none"
            }
            Side::Server => "TLS: expected the protocol \"h2\" by ALPN, the caller offers none",
        };
        Refusal::new(what, ALPN)
    }

    /// What an error of rustls means here.
    pub(super) fn explain(&self, error: &Error) -> Refusal {
        let refused = REFUSED.take();
        if let Some(why) = UNSIGNED.take() {
            let what = format!("TLS: our signer gave no signature: {why}");
            return Refusal::new(what, "it has the time of the handshake, and must not fail");
        }
        match (error, self.side) {
            (Error::InvalidCertificate(error), _) => self.certificate(error, refused),
            (Error::NoCertificatesPresented, _) => Refusal::new(
                "TLS: expected a client certificate, the caller has none",
                "give the client a certificate, or make it optional on the server",
            ),
            (Error::InvalidMessage(problem), _) => self.no_tls(problem),
            (Error::NoApplicationProtocol, _)
            | (Error::AlertReceived(AlertDescription::NoApplicationProtocol), _) => {
                let other = if self.side == Side::Client { "server" } else { "caller" };
                Refusal::new(
                    format!("TLS: expected the protocol \"h2\" by ALPN, the {other} has others"),
                    ALPN,
                )
            }
            (Error::AlertReceived(alert), _) => self.alert(*alert),
            (Error::PeerMisbehaved(PeerMisbehaved::TooManyRenegotiationRequests), _) => {
                let other = if self.side == Side::Client { "server" } else { "caller" };
                Refusal::new(
                    format!("TLS: the {other} asks again for a renegotiation, which was refused"),
                    "connect anew, or use TLS 1.3",
                )
            }
            (Error::PeerIncompatible(problem), Side::Client) => Refusal::new(
                format!("TLS: nothing in common with the server: {problem:?}"),
                "it must speak TLS 1.2 or 1.3 with a modern cipher suite",
            ),
            (Error::PeerIncompatible(problem), Side::Server) => Refusal::new(
                format!("TLS: nothing in common with the caller: {problem:?}"),
                "it must speak TLS 1.2 or 1.3 with a modern cipher suite",
            ),
            (error, _) => Refusal::new(format!("TLS: {error}"), RETRY),
        }
    }

    /// The peer's certificate was refused by us.
    fn certificate(&self, error: &CertificateError, refused: Option<Refused>) -> Refusal {
        use CertificateError::{
            Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext, NotValidForName,
            NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
        };
        let (whose, short) = match self.side {
            Side::Client => ("the server's certificate", "server"),
            Side::Server => ("the client's certificate", "client"),
        };
        let seen = refused.as_ref().and_then(|refused| refused.seen.as_ref());
        let subject = seen.map_or_else(String::new, |seen| format!(" ({})", seen.subject));
        match error {
            NotValidForName | NotValidForNameContext { .. } => {
                let expected = self.name.as_deref().unwrap_or_default();
                let names = match seen.map(|seen| seen.names.join(", ")) {
                    Some(names) if !names.is_empty() => format!("is for {names}"),
                    _ => format!("names no host{subject}"),
                };
                Refusal::new(
                    format!("TLS: wrong name: expected {expected}, {whose} {names}"),
                    "connect by a name that it has, or set the server name that is expected",
                )
            }
            UnknownIssuer => {
                let issuer = seen.map_or("(unreadable)", |seen| &seen.issuer);
                let roots = refused.as_ref().map_or(0, |refused| refused.roots);
                Refusal::new(
                    format!(
                        "TLS: unknown issuer: expected one of {roots} trusted roots, {whose}\
                         {subject} was issued by {issuer}"
                    ),
                    match self.side {
                        Side::Client => "add that issuer's certificate to the channel's roots",
                        Side::Server => {
                            "add that issuer's certificate to the server's client roots"
                        }
                    },
                )
            }
            Expired | ExpiredContext { .. } => {
                let until = seen.map_or("(unreadable)", |seen| &seen.not_after);
                Refusal::new(
                    format!("TLS: expired: {whose}{subject} was valid until {until}"),
                    "renew it, or set this machine's clock",
                )
            }
            NotValidYet | NotValidYetContext { .. } => {
                let from = seen.map_or("(unreadable)", |seen| &seen.not_before);
                Refusal::new(
                    format!("TLS: not yet valid: {whose}{subject} is valid from {from}"),
                    "wait, or set this machine's clock",
                )
            }
            InvalidPurpose | InvalidPurposeContext { .. } => Refusal::new(
                format!("TLS: {whose}{subject} was not issued for a {short}"),
                "its extended key usage must name that purpose",
            ),
            other => Refusal::new(format!("TLS: {whose}{subject} is refused: {other}"), RENEW),
        }
    }

    /// The peer refused us.
    fn alert(&self, alert: AlertDescription) -> Refusal {
        use AlertDescription::{
            AccessDenied, BadCertificate, CertificateExpired, CertificateRequired,
            CertificateRevoked, CertificateUnknown, UnknownCA, UnrecognisedName,
            UnsupportedCertificate,
        };
        let (who, ours) = match self.side {
            Side::Client => ("server", "client certificate"),
            Side::Server => ("caller", "certificate"),
        };
        match (alert, self.side) {
            (CertificateRequired, _) => Refusal::new(
                format!("TLS: the {who} expects a client certificate, the channel has none"),
                "give the channel a certificate and its key",
            ),
            (
                BadCertificate
                | UnsupportedCertificate
                | CertificateRevoked
                | CertificateExpired
                | CertificateUnknown
                | UnknownCA
                | AccessDenied,
                _,
            ) => Refusal::new(
                format!("TLS: the {who} refuses our {ours} ({})", words(alert)),
                match self.side {
                    Side::Client => "its log may say why",
                    Side::Server => {
                        "does the caller trust its issuer, and is it asked by its name?"
                    }
                },
            ),
            (UnrecognisedName, Side::Client) => Refusal::new(
                format!(
                    "TLS: the server knows no host {}",
                    self.name.as_deref().unwrap_or_default()
                ),
                "connect by a name that it has, or set the server name that is expected",
            ),
            _ => Refusal::new(
                format!("TLS: the {who} ended the handshake: {}", words(alert)),
                match self.side {
                    Side::Client => "its log may say why; does it want a client certificate?",
                    Side::Server => "its log may say why",
                },
            ),
        }
    }

    /// What came is no TLS.
    fn no_tls(&self, problem: &InvalidMessage) -> Refusal {
        let first = &self.first[..self.seen];
        let looks_like = if first.starts_with(b"PRI * HTTP/2") {
            Some("plaintext HTTP/2")
        } else if first.starts_with(b"HTTP/1.") || first.starts_with(b"GET ") {
            Some("plaintext HTTP/1")
        // The length, type and stream of a SETTINGS frame, with which plaintext servers begin.
        } else if first.len() >= 9 && first[0] == 0 && first[3..9] == [4, 0, 0, 0, 0, 0] {
            Some("plaintext HTTP/2")
        } else if matches!(first.first(), Some(20..=23)) && first.get(1) == Some(&3) {
            None
        } else {
            Some("something else")
        };
        let what = match looks_like {
            Some(kind) => {
                let who = if self.side == Side::Client { "server" } else { "caller" };
                let shown: String = first.iter().take(SHOWN).map(|b| format!("{b:02x} ")).collect();
                let shown = shown.trim_end();
                format!("expected TLS, the {who} speaks {kind} (it begins with {shown})")
            }
            None => return Refusal::new(format!("TLS: not a valid message: {problem:?}"), RETRY),
        };
        Refusal::new(
            what,
            match self.side {
                Side::Client => "use insecure credentials or http:// for a server without TLS",
                Side::Server => "give the client TLS credentials",
            },
        )
    }
}

/// "certificate expired" of `CertificateExpired`.
fn words(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    let mut words = String::new();
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 && !words.ends_with(char::is_uppercase) {
            words.push(' ');
        }
        words.push(c);
    }
    words.to_lowercase()
}

/// A certificate that a verifier of ours refused, in the step that this thread is running.
struct Refused {
    seen: Option<Summary>,
    roots: usize,
}

thread_local! {
    /// rustls' errors do not carry the certificate; a verifier leaves it here, and whoever ran the
    /// step that failed takes it, on the same thread and at once.
    static REFUSED: RefCell<Option<Refused>> = const { RefCell::new(None) };
}

thread_local! {
    /// Why a signer of ours had no signature, left in the same way.
    static UNSIGNED: Cell<Option<String>> = const { Cell::new(None) };
}

pub(super) fn unsigned(why: String) {
    UNSIGNED.set(Some(why));
}

pub(super) fn refused(certificate: &CertificateDer<'_>, roots: usize) {
    REFUSED.replace(Some(Refused { seen: Summary::of(certificate), roots }));
}

/// What is kept of a peer's first bytes.
const FIRST: usize = 16;

/// What is shown of them.
const SHOWN: usize = 9;

const RETRY: &str = "is there something between the two that breaks TLS?";
const RENEW: &str = "renew it";
const ALPN: &str = "does a proxy in between speak HTTP/1 only?";
