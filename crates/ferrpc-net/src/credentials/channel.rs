//! What a channel asks of its connections, and says with its calls.

use std::fmt;
use std::sync::Arc;

use super::{CallCredentials, Composite, LocalKind, SecurityLevel};
#[cfg(feature = "_rustls")]
use crate::error::CredentialsError;
use crate::streams::{Io, Refusal, Secured};
#[cfg(all(unix, feature = "_rustls"))]
use crate::tls::Session;
#[cfg(feature = "_rustls")]
use crate::tls::{self, ClientTls, Current, TlsSource};

/// How a channel's connections are protected, and what its calls say about who makes them. Cheap
/// to clone.
///
/// ```no_run
/// # #[cfg(feature = "tls")]
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use ferrpc::Channel;
/// use ferrpc::credentials::{AccessToken, ChannelCredentials, ClientTls, Roots};
///
/// let tls = ClientTls::builder().roots(Roots::from_pem(std::fs::read("ca.pem")?)?).build()?;
/// let credentials = ChannelCredentials::tls(tls).with_call_credentials(AccessToken::new("t0ken"));
/// let channel = Channel::builder("localhost:50051").credentials(credentials).connect().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ChannelCredentials {
    kind: Kind,
    call: Option<Arc<dyn CallCredentials>>,
}

#[derive(Clone)]
enum Kind {
    Insecure,
    Local(LocalKind),
    #[cfg(feature = "_rustls")]
    Tls(Arc<Current<ClientTls>>),
    #[cfg(feature = "_rustls")]
    Unusable(CredentialsError),
}

impl ChannelCredentials {
    /// No protection.
    pub const fn insecure() -> Self {
        Self { kind: Kind::Insecure, call: None }
    }

    /// None is needed: the server is on this machine, and others are refused. Counts as secure.
    pub const fn local(kind: LocalKind) -> Self {
        Self { kind: Kind::Local(kind), call: None }
    }

    /// TLS.
    #[cfg(feature = "_rustls")]
    pub fn tls(tls: ClientTls) -> Self {
        Self::of(Kind::Tls(Arc::new(Current::new(tls, None))))
    }

    /// TLS by what `source` says before each handshake; `initial` until it says something.
    #[cfg(feature = "_rustls")]
    pub fn tls_from(initial: ClientTls, source: impl TlsSource<ClientTls>) -> Self {
        Self::of(Kind::Tls(Arc::new(Current::new(initial, Some(Arc::new(source))))))
    }

    /// TLS, if it can be had: with an error, the channel can be made, and each of its attempts to
    /// connect fails with it.
    #[cfg(feature = "_rustls")]
    pub fn tls_or_error(tls: Result<ClientTls, CredentialsError>) -> Self {
        match tls {
            Ok(tls) => Self::tls(tls),
            Err(error) => Self::of(Kind::Unusable(error)),
        }
    }

    /// The same, with credentials for all calls of the channel; added to those there are.
    pub fn with_call_credentials(self, credentials: impl CallCredentials) -> Self {
        let credentials: Arc<dyn CallCredentials> = Arc::new(credentials);
        let call = match self.call {
            None => credentials,
            Some(first) => Arc::new(Composite::of(first, credentials)),
        };
        Self { kind: self.kind, call: Some(call) }
    }

    #[cfg(feature = "_rustls")]
    const fn of(kind: Kind) -> Self {
        Self { kind, call: None }
    }

    /// What the channel's connections are protected from.
    pub const fn security_level(&self) -> SecurityLevel {
        match self.kind {
            Kind::Insecure => SecurityLevel::None,
            _ => SecurityLevel::PrivacyAndIntegrity,
        }
    }

    /// Whether that is TLS.
    #[doc(hidden)]
    pub const fn is_tls(&self) -> bool {
        match self.kind {
            Kind::Insecure | Kind::Local(_) => false,
            #[cfg(feature = "_rustls")]
            Kind::Tls(_) | Kind::Unusable(_) => true,
        }
    }

    /// Whether the server has to be on this machine.
    #[doc(hidden)]
    pub const fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local(_))
    }

    /// What all calls of the channel say about who makes them.
    #[doc(hidden)]
    pub const fn call_credentials(&self) -> Option<&Arc<dyn CallCredentials>> {
        self.call.as_ref()
    }

    /// Secures a connection to the server of this name.
    #[cfg(feature = "_rustls")]
    pub(crate) async fn secure(&self, io: Box<dyn Io>, name: &str) -> Result<Secured, Refusal> {
        match &self.kind {
            Kind::Insecure => Ok(Secured::plain(io)),
            Kind::Local(kind) => local(*kind, io).map(Secured::plain),
            Kind::Tls(current) => {
                let name = server_name(name)?;
                let tls = tls::connect(io, &current.get().await, name).await?;
                let fault = Some(tls.fault());
                Ok(Secured { io: Box::new(tls), fault })
            }
            Kind::Unusable(error) => Err(unusable(error)),
        }
    }

    /// What a connection to `peer` needs before it can be used by threads that block: a session of
    /// TLS whose handshake is to be done, or nothing.
    #[cfg(all(unix, feature = "_rustls"))]
    pub(crate) fn session(&self, peer: &str, name: &str) -> Result<Option<Session>, Refusal> {
        match &self.kind {
            Kind::Insecure => Ok(None),
            Kind::Local(kind) => kind.check(peer).map(|()| None).map_err(not_local),
            Kind::Tls(current) => {
                let name = server_name(name)?;
                let tls = crate::wait::block_on(current.get());
                Session::new(tls.rustls(), name).map(Some)
            }
            Kind::Unusable(error) => Err(unusable(error)),
        }
    }

    /// The same without TLS.
    #[cfg(all(unix, not(feature = "_rustls")))]
    pub(crate) fn check_peer(&self, peer: &str) -> Result<(), Refusal> {
        match &self.kind {
            Kind::Insecure => Ok(()),
            Kind::Local(kind) => kind.check(peer).map_err(not_local),
        }
    }

    /// Secures a connection.
    #[cfg(not(feature = "_rustls"))]
    pub(crate) async fn secure(&self, io: Box<dyn Io>, _name: &str) -> Result<Secured, Refusal> {
        match &self.kind {
            Kind::Insecure => Ok(Secured::plain(io)),
            Kind::Local(kind) => local(*kind, io).map(Secured::plain),
        }
    }
}

fn local(kind: LocalKind, io: Box<dyn Io>) -> Result<Box<dyn Io>, Refusal> {
    kind.admit(io).map_err(not_local)
}

fn not_local(what: String) -> Refusal {
    Refusal::new(what, "use TLS for servers on other machines, or the other kind of local")
}

#[cfg(feature = "_rustls")]
fn server_name(name: &str) -> Result<rustls::pki_types::ServerName<'static>, Refusal> {
    rustls::pki_types::ServerName::try_from(name.to_owned()).map_err(|_| {
        Refusal::new(
            format!("TLS: {name:?} is not a name that a server can prove to have"),
            "set the server name that is expected",
        )
    })
}

#[cfg(feature = "_rustls")]
fn unusable(error: &CredentialsError) -> Refusal {
    Refusal::new(format!("the channel's credentials cannot be used: {error}"), "correct them")
}

impl fmt::Debug for ChannelCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Insecure => "insecure",
            Kind::Local(_) => "local",
            #[cfg(feature = "_rustls")]
            Kind::Tls(_) => "TLS",
            #[cfg(feature = "_rustls")]
            Kind::Unusable(_) => "unusable",
        };
        f.debug_struct("ChannelCredentials")
            .field("kind", &kind)
            .field("call", &self.call.is_some())
            .finish()
    }
}
