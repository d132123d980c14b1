//! What a channel's handshakes go by.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, version};

use super::{Identity, Roots};
use crate::error::CredentialsError;
use crate::tls;

/// A channel's TLS: whom it trusts, and who it is. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    elsewhere: bool,
}

/// Puts a [`ClientTls`] together.
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until build"]
pub struct ClientTlsBuilder {
    roots: Option<Roots>,
    identity: Option<Identity>,
    sessions: Option<SessionCache>,
    common_names: bool,
}

/// Sessions that were had with servers, for those who come back to save most of the handshake.
/// May be shared by channels with the same [`ClientTls`].
#[derive(Clone)]
pub struct SessionCache {
    resumption: Resumption,
}

impl ClientTls {
    /// Begins with nothing: trust in [`Roots::from_environment`], no identity.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// Whether its handshakes may wait for a [`Signer`](super::Signer).
    pub(crate) const fn signs_elsewhere(&self) -> bool {
        self.elsewhere
    }

    pub(crate) fn rustls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl ClientTlsBuilder {
    /// Whose certificates servers may have.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// What to show to servers that ask who calls.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Where sessions are kept. By default there is room for those with 32 servers.
    pub fn session_cache(mut self, cache: SessionCache) -> Self {
        self.sessions = Some(cache);
        self
    }

    /// Whether a server's name may be its certificate's common name where that has no alternative
    /// names. By default not: certificates of that kind have not been issued in public since 2017.
    pub const fn common_names(mut self, accepted: bool) -> Self {
        self.common_names = accepted;
        self
    }

    /// The whole.
    ///
    /// # Errors
    /// If there are no roots that can be used.
    pub fn build(self) -> Result<ClientTls, CredentialsError> {
        let roots = match self.roots {
            Some(roots) => roots,
            None => Roots::from_environment()?,
        };
        let verifier = tls::server_verifier(roots.certificates(), self.common_names)
            .map_err(|error| CredentialsError::new(format!("the root certificates: {error}")))?;
        let builder = ClientConfig::builder_with_provider(tls::crypto())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| CredentialsError::new(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let elsewhere = self.identity.as_ref().is_some_and(Identity::signs_elsewhere);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key: CertifiedKey = (*identity.key()).clone();
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        config.alpn_protocols = vec![tls::ALPN_HTTP2.to_vec()];
        config.resumption = self.sessions.unwrap_or_else(|| SessionCache::new(SERVERS)).resumption;
        Ok(ClientTls { config: Arc::new(config), elsewhere })
    }
}

impl SessionCache {
    /// A cache for the sessions with so many servers, the least recently used of which are
    /// forgotten.
    pub fn new(servers: usize) -> Self {
        let store = ClientSessionMemoryCache::new(servers);
        Self { resumption: Resumption::store(Arc::new(store)) }
    }

    /// No cache: every handshake is a full one.
    pub fn disabled() -> Self {
        Self { resumption: Resumption::disabled() }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

impl fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionCache")
    }
}

/// A channel has one server, under as many names as it has addresses.
const SERVERS: usize = 32;
