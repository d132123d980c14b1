//! What a server's handshakes go by.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

use super::{Identity, Roots};
use crate::error::CredentialsError;
use crate::tls;

/// A server's TLS: its identities, and what it wants of its callers. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    steps: Arc<tls::Steps>,
    elsewhere: bool,
}

/// Puts a [`ServerTls`] together.
#[derive(Debug)]
#[must_use = "a builder does nothing until build"]
pub struct ServerTlsBuilder {
    identities: Vec<Identity>,
    client_auth: ClientAuth,
    resumption: bool,
}

/// What a server wants to know of its callers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    None,
    /// A certificate, if they have one; if so, it must be issued by one of the roots.
    Optional(Roots),
    /// A certificate issued by one of the roots.
    Required(Roots),
}

impl ServerTls {
    /// Begins with who the server is.
    pub fn builder(identity: Identity) -> ServerTlsBuilder {
        ServerTlsBuilder {
            identities: vec![identity],
            client_auth: ClientAuth::None,
            resumption: true,
        }
    }

    /// Whether its handshakes may wait for a [`Signer`](super::Signer).
    pub(crate) const fn signs_elsewhere(&self) -> bool {
        self.elsewhere
    }

    pub(crate) fn rustls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    pub(crate) const fn steps(&self) -> &Arc<tls::Steps> {
        &self.steps
    }
}

impl ServerTlsBuilder {
    /// One more identity. Of several, a caller gets the first that is for the name it asks for;
    /// if none is, the first that it can use.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identities.push(identity);
        self
    }

    /// What callers must show. By default nothing.
    pub fn client_auth(mut self, auth: ClientAuth) -> Self {
        self.client_auth = auth;
        self
    }

    /// Whether callers that come back may save most of the handshake, by a ticket that the server
    /// gives them. On by default.
    pub const fn session_resumption(mut self, on: bool) -> Self {
        self.resumption = on;
        self
    }

    /// The whole.
    ///
    /// # Errors
    /// If the roots for clients are of no use.
    pub fn build(self) -> Result<ServerTls, CredentialsError> {
        let builder = ServerConfig::builder_with_provider(tls::crypto())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| CredentialsError::new(error.to_string()))?;
        let (roots, required) = match &self.client_auth {
            ClientAuth::None => (None, false),
            ClientAuth::Optional(roots) => (Some(roots), false),
            ClientAuth::Required(roots) => (Some(roots), true),
        };
        let builder = match roots {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier = tls::client_verifier(roots.certificates(), required);
                builder.with_client_cert_verifier(verifier.map_err(|error| {
                    CredentialsError::new(format!("the roots for client certificates: {error}"))
                })?)
            }
        };
        let elsewhere = self.identities.iter().any(Identity::signs_elsewhere);
        let keys: Box<[_]> = self.identities.iter().map(Identity::key).collect();
        let algorithm = |key: &Arc<CertifiedKey>| key.key.algorithm();
        let mixed = keys.windows(2).any(|keys| algorithm(&keys[0]) != algorithm(&keys[1]));
        let mut config = builder.with_cert_resolver(Arc::new(Identities { keys }));
        config.alpn_protocols = vec![tls::ALPN_HTTP2.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if self.resumption {
            // Tickets are of this configuration alone: who comes back after the roots for clients
            // were changed is looked at anew.
            config.ticketer = tls::ticketer()
                .map_err(|error| CredentialsError::new(format!("session tickets: {error}")))?;
            config.send_tls13_tickets = 1;
        } else {
            config.send_tls13_tickets = 0;
        }
        Ok(ServerTls { config: Arc::new(config), steps: tls::Steps::new(mixed), elsewhere })
    }
}

/// Chooses the identity for a caller.
#[derive(Debug)]
struct Identities {
    keys: Box<[Arc<CertifiedKey>]>,
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let [only] = &*self.keys {
            return Some(Arc::clone(only));
        }
        let usable =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let for_name = name.and_then(|name| {
            let is_for = |key: &&Arc<CertifiedKey>| {
                key.cert.first().is_some_and(|certificate| tls::is_for_name(certificate, &name))
            };
            self.keys.iter().filter(usable).find(is_for)
        });
        for_name.or_else(|| self.keys.iter().find(usable)).map(Arc::clone)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}
