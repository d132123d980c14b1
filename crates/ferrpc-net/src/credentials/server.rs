//! What a server asks of its connections.

use std::fmt;
#[cfg(feature = "_rustls")]
use std::sync::Arc;

use super::LocalKind;
use crate::streams::{Io, Refusal, Secured, Stage};
#[cfg(feature = "_rustls")]
use crate::tls::{self, Current, ServerTls, TlsSource};

/// How the connections to an address are protected. Cheap to clone.
///
/// ```no_run
/// # #[cfg(feature = "tls")]
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ferrpc::credentials::{Identity, ServerCredentials, ServerTls};
/// use ferrpc::server::Server;
///
/// let identity = Identity::from_pem(std::fs::read("server.pem")?, std::fs::read("server.key")?)?;
/// let tls = ServerTls::builder(identity).build()?;
/// let server = Server::builder().credentials(ServerCredentials::tls(tls)).bind("[::]:443").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ServerCredentials {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Insecure,
    Local(LocalKind),
    #[cfg(feature = "_rustls")]
    Tls(Arc<Current<ServerTls>>),
}

impl ServerCredentials {
    /// No protection.
    pub const fn insecure() -> Self {
        Self { kind: Kind::Insecure }
    }

    /// None is needed: callers are on this machine, and others are refused.
    pub const fn local(kind: LocalKind) -> Self {
        Self { kind: Kind::Local(kind) }
    }

    /// TLS.
    #[cfg(feature = "_rustls")]
    pub fn tls(tls: ServerTls) -> Self {
        Self { kind: Kind::Tls(Arc::new(Current::new(tls, None))) }
    }

    /// TLS by what `source` says before each handshake; `initial` until it says something.
    #[cfg(feature = "_rustls")]
    pub fn tls_from(initial: ServerTls, source: impl TlsSource<ServerTls>) -> Self {
        Self { kind: Kind::Tls(Arc::new(Current::new(initial, Some(Arc::new(source))))) }
    }
}

impl ServerCredentials {
    pub(crate) const fn is_insecure(&self) -> bool {
        matches!(self.kind, Kind::Insecure)
    }

    /// Performs the handshake; `note` is told how far it is.
    pub(crate) async fn accept(
        &self,
        io: Box<dyn Io>,
        note: impl Fn(Stage) + Send,
    ) -> Result<Secured, Refusal> {
        #[cfg(not(feature = "_rustls"))]
        drop(note);
        match &self.kind {
            Kind::Insecure => Ok(Secured::plain(io)),
            Kind::Local(kind) => kind
                .admit(io)
                .map(Secured::plain)
                .map_err(|what| Refusal::new(what, "use TLS for callers on other machines")),
            #[cfg(feature = "_rustls")]
            Kind::Tls(current) => {
                let tls = tls::accept(io, note, || current.get()).await?;
                let fault = Some(tls.fault());
                Ok(Secured { io: Box::new(tls), fault })
            }
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insecure => f.write_str("Insecure"),
            Self::Local(kind) => write!(f, "Local({kind:?})"),
            #[cfg(feature = "_rustls")]
            Self::Tls(_) => f.write_str("Tls"),
        }
    }
}
