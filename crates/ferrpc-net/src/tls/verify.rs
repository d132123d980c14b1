//! Who is trusted: rustls' verifiers, with three additions.
//!
//! A certificate that is itself among the trusted roots is accepted for what it is (its dates and
//! its names are checked): self-signed certificates are used so, and gRPC's other implementations
//! take them. End entities may be of X.509's version 1 (`version_1`). And what was refused is noted for the error's text.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::{crypto, explain, facts, version_1};

/// Verifies servers by these roots; with `common_names`, one whose certificate has no alternative
/// names may have its name there.
pub(crate) fn server_verifier(
    roots: &[CertificateDer<'static>],
    common_names: bool,
) -> Result<Arc<dyn ServerCertVerifier>, VerifierBuilderError> {
    let inner =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store(roots)), provider()).build()?;
    Ok(Arc::new(Servers { inner, roots: roots.into(), common_names }))
}

/// Verifies clients by these roots; those without a certificate pass unless it is `required`.
pub(crate) fn client_verifier(
    roots: &[CertificateDer<'static>],
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store(roots)), provider());
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    Ok(Arc::new(Clients { inner: builder.build()?, roots: roots.into() }))
}

/// Whether a certificate is for this host, by its alternative names, or its common name if it has none.
pub(crate) fn is_for_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    is_commonly_for(certificate, name)
        || ParsedCertificate::try_from(&version_1::readable(certificate))
            .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, name).is_ok())
}

fn is_commonly_for(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    matches!(name, ServerName::DnsName(_))
        && facts::common_name(certificate).is_some_and(|own| fits(&own, &name.to_str()))
}

/// The cryptography by which chains are checked.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let provider = PROVIDER.get_or_init(|| {
        let mut provider = (*crypto()).clone();
        provider.signature_verification_algorithms =
            version_1::comparing(provider.signature_verification_algorithms);
        Arc::new(provider)
    });
    Arc::clone(provider)
}

/// Whether a common name is this host's: the same, or "*." in place of its first label.
fn fits(own: &str, host: &str) -> bool {
    let same = |one: &str, other: &str| !one.is_empty() && one.eq_ignore_ascii_case(other);
    let host = host.strip_suffix('.').unwrap_or(host);
    same(own, host)
        || own.strip_prefix("*.").is_some_and(|parent| {
            // A star for a whole top-level domain is nobody's name.
            parent.contains('.')
                && host
                    .split_once('.')
                    .is_some_and(|(first, rest)| !first.is_empty() && same(parent, rest))
        })
}

fn store(roots: &[CertificateDer<'static>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    // A system's collection may have some that nobody can read.
    store.add_parsable_certificates(roots.iter().cloned());
    store
}

#[derive(Debug)]
struct Servers {
    inner: Arc<WebPkiServerVerifier>,
    roots: Box<[CertificateDer<'static>]>,
    common_names: bool,
}

impl Servers {
    /// Names are looked at last: all else was in order. An issuer that may not issue for any name
    /// is asked for alternative names: rustls does not hold common ones against its constraints.
    fn has_common_name(
        &self,
        error: &Error,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> bool {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        matches!(error, Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
            && self.common_names
            && is_commonly_for(certificate, name)
            && !facts::is_constrained(certificate, intermediates, &self.roots)
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let readable = version_1::readable(end_entity);
        let verified = match self.roots.iter().any(|root| root == end_entity) {
            true => valid_now(end_entity, now).and_then(|()| {
                let parsed = ParsedCertificate::try_from(&readable)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
                Ok(ServerCertVerified::assertion())
            }),
            false => self.inner.verify_server_cert(
                &readable,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
        };
        match verified {
            Err(error) if self.has_common_name(&error, end_entity, intermediates, server_name) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified.inspect_err(|_| explain::refused(end_entity, self.roots.len())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, &version_1::readable(cert), dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, &version_1::readable(cert), dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    roots: Box<[CertificateDer<'static>]>,
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = match self.roots.iter().any(|root| root == end_entity) {
            true => valid_now(end_entity, now).map(|()| ClientCertVerified::assertion()),
            false => {
                let readable = version_1::readable(end_entity);
                self.inner.verify_client_cert(&readable, intermediates, now)
            }
        };
        verified.inspect_err(|_| explain::refused(end_entity, self.roots.len()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, &version_1::readable(cert), dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, &version_1::readable(cert), dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The dates of a certificate that is trusted as it is.
fn valid_now(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let Some((from, until)) = facts::validity(certificate) else {
        return Err(CertificateError::BadEncoding.into());
    };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < from {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > until {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names() {
        let check = |own: &str, host: &str, expect: bool| {
            assert_eq!(fits(own, host), expect, "{own} {host}");
        };
        check("a.example", "A.example", true);
        check("a.example", "a.example.", true);
        check("*.test.example", "a.test.example", true);
        check("*.test.example", "a.b.test.example", false);
        check("*.test.example", "test.example", false);
        check("*.test.example", ".test.example", false);
        check("*.example", "a.example", false);
        check("*", "a", false);
        check("", "", false);
        check("a.example", "b.example", false);
    }
}
