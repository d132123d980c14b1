//! Certificates and keys.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::Signer;
use super::cache::{Cache, ROOTS_VARIABLE};
use crate::error::CredentialsError;
use crate::tls;

/// A certificate, those that lead from it to a root, and its private key.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    /// A [`Signer`] is asked for its signatures.
    elsewhere: bool,
}

/// Certificates of those who are trusted to issue others.
///
/// A self-signed certificate among them is trusted as the peer's own, too.
#[derive(Clone)]
pub struct Roots {
    certificates: Arc<[CertificateDer<'static>]>,
}

impl Identity {
    /// The identity of a chain of certificates in PEM, its own first, and a private key in PEM
    /// (PKCS #8, PKCS #1 or SEC 1, not encrypted).
    ///
    /// # Errors
    /// If one of them is not that, or if they do not belong together.
    pub fn from_pem(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, CredentialsError> {
        let chain = certificates(chain.as_ref(), "the certificate chain")?;
        let key = PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(|error| {
            CredentialsError::new(format!("the private key is no PEM of a private key: {error}"))
        })?;
        let mut readable = chain.clone();
        readable[0] = tls::readable(&chain[0]).into_owned();
        let mut key = CertifiedKey::from_der(readable, key, &tls::crypto()).map_err(|error| {
            CredentialsError::new(format!(
                "the private key and the certificate cannot be used together: {error}"
            ))
        })?;
        key.cert = chain;
        Ok(Self { key: Arc::new(key), elsewhere: false })
    }

    /// The identity of such a chain whose private key is elsewhere: `signer` is asked to sign by it,
    /// once for each full handshake in which this side has to prove who it is. Keys are RSA, or on
    /// the curves P-256, P-384 and P-521. Whether they belong together is found out by the peer.
    ///
    /// # Errors
    /// If the chain is no such thing.
    pub fn signed_by(
        chain: impl AsRef<[u8]>,
        signer: impl Signer,
    ) -> Result<Self, CredentialsError> {
        let chain = certificates(chain.as_ref(), "the certificate chain")?;
        let key = tls::elsewhere(chain, Arc::new(signer)).ok_or_else(|| {
            CredentialsError::new(
                "the certificate chain: signers are asked for signatures by RSA, or ECDSA on P-256, \
                 P-384 or P-521; the certificate has another kind of key",
            )
        })?;
        Ok(Self { key: Arc::new(key), elsewhere: true })
    }

    pub(super) const fn signs_elsewhere(&self) -> bool {
        self.elsewhere
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl Roots {
    /// The roots in a PEM file's content.
    ///
    /// # Errors
    /// If there is no certificate, or one that is none.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, CredentialsError> {
        let certificates = certificates(pem.as_ref(), "the root certificates")?;
        Ok(Self { certificates: certificates.into() })
    }

    /// The roots that the system trusts (also `SSL_CERT_FILE` and `SSL_CERT_DIR`). They are read
    /// once, and again only if those variables change.
    ///
    /// # Errors
    /// If there are none.
    pub fn system() -> Result<Self, CredentialsError> {
        SYSTEM.roots(Self::read_system)
    }

    fn read_system() -> Result<Self, CredentialsError> {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(CredentialsError::new(format!(
                "the system has no root certificates ({}); install them (ca-certificates), set \
                 {ROOTS_VARIABLE}, or give the channel roots of its own",
                if errors.is_empty() { "none were found".to_owned() } else { errors.join(", ") }
            )));
        }
        Ok(Self { certificates: found.certs.into() })
    }

    /// What channels trust unless they are told: the file that the environment variable
    /// `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH` names, or else the system's roots. They
    /// are read once, and again only if one of the variables changes.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn from_environment() -> Result<Self, CredentialsError> {
        match std::env::var_os(ROOTS_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => ENVIRONMENT.roots(|| Self::read_file(Path::new(&path))),
            None => Self::system(),
        }
    }

    fn read_file(path: &Path) -> Result<Self, CredentialsError> {
        let pem = std::fs::read(path).map_err(|error| {
            let path = path.display();
            CredentialsError::new(format!("cannot read {ROOTS_VARIABLE}={path}: {error}"))
        })?;
        Self::from_pem(pem)
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { certificates: Arc::default() }
    }

    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CredentialsError::new(format!("{what}: not valid PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(CredentialsError::new(format!(
            "{what}: there is no certificate in PEM (\"-----BEGIN CERTIFICATE-----\")"
        )));
    }
    Ok(certificates)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.key.cert.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("certificates", &self.certificates.len()).finish()
    }
}

static SYSTEM: Cache = Cache::new();

static ENVIRONMENT: Cache = Cache::new();
