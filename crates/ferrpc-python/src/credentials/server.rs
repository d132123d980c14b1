//! What a server's port is secured by.

use std::path::PathBuf;
use std::sync::Arc;

use ferrpc::credentials::{
    ClientAuth, CredentialsError, Identity, Roots, ServerCredentials as Engine, ServerTls, TlsFiles,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::channel::seconds;
use super::fetch::Fetches;
use super::local_kind;
use crate::fork::Owned;

/// Made for one port.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct ServerCredentials {
    engine: Owned<Engine>,
}

/// PEM of private key and certificate chain.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

#[pymethods]
impl ServerCredentials {
    /// Callers on this machine; `kind` as `grpc.LocalConnectionType` numbers it.
    #[staticmethod]
    fn local(kind: u32) -> PyResult<Self> {
        Ok(Self::of(Engine::local(local_kind(kind)?)))
    }

    /// TLS, by PEM of keys and certificates and of the roots of callers' certificates; with
    /// `fetches` those are asked before each handshake. Raises ValueError for what cannot be used.
    #[staticmethod]
    fn tls(
        pairs: Vec<Pair>,
        roots: Option<Vec<u8>>,
        require_client_auth: bool,
        fetches: Option<&Fetches>,
    ) -> PyResult<Self> {
        let tls = server_tls(&pairs, roots.as_deref(), require_client_auth).map_err(unusable)?;
        Ok(Self::of(match fetches {
            None => Engine::tls(tls),
            Some(fetches) => Engine::tls_from(tls, fetches.source(require_client_auth)),
        }))
    }

    /// TLS from PEM files, looked at again when a handshake begins, at most once in `interval`
    /// seconds. With roots, callers show a certificate, or may do so if that is `optional`. Raises
    /// ValueError if the files cannot be used now.
    #[staticmethod]
    #[pyo3(signature = (private_key, certificate_chain, roots, optional, interval))]
    fn files(
        private_key: PathBuf,
        certificate_chain: PathBuf,
        roots: Option<PathBuf>,
        optional: bool,
        interval: f64,
    ) -> PyResult<Self> {
        let mut files = TlsFiles::new().identity(certificate_chain, private_key);
        files = files.interval(seconds(interval)?);
        if let Some(roots) = roots {
            files = files.roots(roots);
        }
        if optional {
            files = files.optional_client_auth();
        }
        files.into_server().map(Self::of).map_err(unusable)
    }
}

impl ServerCredentials {
    fn of(engine: Engine) -> Self {
        Self { engine: Owned::new(engine) }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine.clone()
    }
}

/// As grpcio has it, callers are asked for a certificate only where they must have one.
pub(super) fn server_tls(
    pairs: &[Pair],
    roots: Option<&[u8]>,
    require_client_auth: bool,
) -> Result<ServerTls, String> {
    let text = |error: CredentialsError| error.to_string();
    let roots = roots.map(Roots::from_pem).transpose().map_err(text)?;
    let client_auth = match (roots, require_client_auth) {
        (Some(roots), true) => ClientAuth::Required(roots),
        (None, true) => return Err(NO_ROOTS.to_owned()),
        (_, false) => ClientAuth::None,
    };
    let mut identities = pairs.iter().map(|(key, chain)| Identity::from_pem(chain, key));
    let first = identities.next().unwrap_or_else(|| Identity::from_pem("", "")).map_err(text)?;
    let mut builder = ServerTls::builder(first);
    for identity in identities {
        builder = builder.identity(identity.map_err(text)?);
    }
    builder.client_auth(client_auth).build().map_err(text)
}

fn unusable(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// What a handshake is told: a configuration, that there is no new one, or why not.
pub(super) type Configuration = Result<Option<ServerTls>, Arc<str>>;

const NO_ROOTS: &str = "client certificates are required, and there are no root certificates to \
     check them by";
