//! What a channel's connections are secured by.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrpc::credentials::{
    ChannelCredentials as Engine, ClientTls, CredentialsError, Identity, LocalKind, Roots,
    SessionCache, TlsFiles,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::local_kind;
use super::sign::{Owner, Signatures};
use crate::fork::Owned;

/// Channels that share an object of this class share its TLS sessions.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct ChannelCredentials {
    shared: Arc<Shared>,
}

/// What such an object is made from, and what was made of it in this process.
pub(crate) struct Shared {
    recipe: Recipe,
    /// Locked by threads that are attached, for a moment: at a fork it is free.
    made: Mutex<Owned<Engine>>,
}

enum Recipe {
    Local(LocalKind),
    Tls { roots: Option<Vec<u8>>, identity: Option<(Vec<u8>, Vec<u8>)>, sessions: Option<usize> },
    Signed { roots: Option<Vec<u8>>, chain: Vec<u8>, signer: Owner, sessions: Option<usize> },
    Files(TlsFiles),
    Missing(String),
}

#[pymethods]
impl ChannelCredentials {
    /// Connections that do not leave the machine; `kind` as `grpc.LocalConnectionType` numbers it.
    #[staticmethod]
    fn local(kind: u32) -> PyResult<Self> {
        Self::new(Recipe::Local(local_kind(kind)?)).map_err(unusable)
    }

    /// Whether the system has root certificates.
    #[staticmethod]
    fn has_system_roots() -> bool {
        Roots::system().is_ok()
    }

    /// What there is no transport for: the channel's attempts to connect fail, and say `text`.
    #[staticmethod]
    fn missing(text: String) -> PyResult<Self> {
        Self::new(Recipe::Missing(text)).map_err(unusable)
    }

    /// TLS: PEM of the roots and of the identity. What cannot be used fails when a channel connects.
    /// `sessions` is how many servers' sessions are kept (None: as many as are usual).
    #[staticmethod]
    #[pyo3(signature = (roots, private_key, certificate_chain, sessions))]
    fn tls(
        roots: Option<Vec<u8>>,
        private_key: Option<Vec<u8>>,
        certificate_chain: Option<Vec<u8>>,
        sessions: Option<usize>,
    ) -> PyResult<Self> {
        let identity = match (private_key, certificate_chain) {
            (None, None) => None,
            (key, chain) => Some((key.unwrap_or_default(), chain.unwrap_or_default())),
        };
        Self::new(Recipe::Tls { roots, identity, sessions }).map_err(unusable)
    }

    /// The same with a private key that is elsewhere: `signatures` are asked for those by it.
    #[staticmethod]
    #[pyo3(signature = (roots, certificate_chain, signatures, sessions))]
    fn signed(
        roots: Option<Vec<u8>>,
        certificate_chain: Vec<u8>,
        signatures: &Signatures,
        sessions: Option<usize>,
    ) -> PyResult<Self> {
        let (chain, signer) = (certificate_chain, signatures.owner());
        Self::new(Recipe::Signed { roots, chain, signer, sessions }).map_err(unusable)
    }

    /// TLS from PEM files, which are looked at again when a handshake begins, at most once in
    /// `interval` seconds. Raises ValueError if they cannot be used now.
    #[staticmethod]
    #[pyo3(signature = (roots, private_key, certificate_chain, interval))]
    fn files(
        roots: Option<PathBuf>,
        private_key: Option<PathBuf>,
        certificate_chain: Option<PathBuf>,
        interval: f64,
    ) -> PyResult<Self> {
        let mut files = TlsFiles::new().interval(seconds(interval)?);
        if let (Some(key), Some(chain)) = (private_key, certificate_chain) {
            files = files.identity(chain, key);
        }
        if let Some(roots) = roots {
            files = files.roots(roots);
        }
        Self::new(Recipe::Files(files)).map_err(unusable)
    }
}

impl ChannelCredentials {
    fn new(recipe: Recipe) -> Result<Self, CredentialsError> {
        let made = Mutex::new(Owned::new(recipe.make()?));
        Ok(Self { shared: Arc::new(Shared { recipe, made }) })
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Shared {
    /// The engine's credentials of this process; in words why there are none.
    pub(crate) fn engine(&self) -> Result<Engine, String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = made.get() {
            return Ok(engine.clone());
        }
        let engine = self.recipe.make().map_err(|error| error.to_string())?;
        *made = Owned::new(engine.clone());
        Ok(engine)
    }
}

impl Recipe {
    fn make(&self) -> Result<Engine, CredentialsError> {
        match self {
            Self::Local(kind) => Ok(Engine::local(*kind)),
            Self::Tls { roots, identity, sessions } => Ok(Engine::tls_or_error(tls(
                roots.as_deref(),
                identity.as_ref().map(|(key, chain)| Identity::from_pem(chain, key)),
                *sessions,
            ))),
            Self::Signed { roots, chain, signer, sessions } => Ok(Engine::tls_or_error(tls(
                roots.as_deref(),
                Some(Identity::signed_by(chain, signer.signer())),
                *sessions,
            ))),
            Self::Files(files) => files.clone().into_channel(),
            Self::Missing(text) => Ok(Engine::tls_or_error(Err(CredentialsError::new(text)))),
        }
    }
}

fn tls(
    roots: Option<&[u8]>,
    identity: Option<Result<Identity, CredentialsError>>,
    sessions: Option<usize>,
) -> Result<ClientTls, CredentialsError> {
    // As in grpcio.
    let mut builder = ClientTls::builder().common_names(true);
    if let Some(roots) = roots {
        builder = builder.roots(Roots::from_pem(roots)?);
    }
    if let Some(identity) = identity {
        builder = builder.identity(identity?);
    }
    match sessions {
        None => {}
        Some(0) => builder = builder.session_cache(SessionCache::disabled()),
        Some(servers) => builder = builder.session_cache(SessionCache::new(servers)),
    }
    builder.build()
}

fn unusable(error: CredentialsError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// So many seconds, as an argument.
pub(super) fn seconds(number: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(number)
        .map_err(|error| PyValueError::new_err(format!("an interval of {number} s: {error}")))
}
