//! Signatures that are made elsewhere, by a [`Signer`].
//!
//! rustls asks for a signature and goes on with it: it cannot come back for one later. So the thread
//! of such a step waits, as long as the handshake has time, and is one that may: the blocking
//! channel's own, or one of the runtime's for that.
//!
//! ```text
//!   handshake --apart--> a thread: within(limit, step) --> rustls --> Elsewhere::sign --> Signer
//!       | given up (dropped, the channel is shut down)                    ^ waits
//!       +--> Limit::end --------------------------------------------------+
//! ```

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use ferrpc_core::Time;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{Error, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::explain;
use super::{Signature, SignatureAlgorithm, Signer};
use crate::wait::block_on_until;

/// How long a handshake waits for a signature.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limit {
    until: Option<Time>,
    ended: Arc<Mutex<Ended>>,
}

#[derive(Debug, Default)]
struct Ended {
    ended: bool,
    waiting: Option<Waker>,
}

impl Limit {
    /// The same limit that ends at a time, too.
    #[cfg(unix)]
    pub(crate) fn until(&self, until: Time) -> Self {
        Self { until: Some(until), ended: Arc::clone(&self.ended) }
    }

    /// Nobody waits any more.
    pub(crate) fn end(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.ended = true;
        let waiting = ended.waiting.take();
        drop(ended);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Whether it ended; if not, `waker` is woken when it does.
    fn poll_ended(&self, waker: &Waker) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.waiting = Some(waker.clone());
        ended.ended
    }

    /// Waits in this thread.
    fn wait(&self, mut signature: Signature) -> Result<Vec<u8>, String> {
        let waiting = std::future::poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| signature.as_mut().poll(cx)));
            match polled {
                Ok(Poll::Ready(signed)) => Poll::Ready(signed.map_err(|error| error.to_string())),
                Err(_) => Poll::Ready(Err(PANICKED.to_owned())),
                Ok(Poll::Pending) if self.poll_ended(cx.waker()) => {
                    Poll::Ready(Err("the handshake was given up".to_owned()))
                }
                Ok(Poll::Pending) => Poll::Pending,
            }
        });
        block_on_until(waiting, self.until)
            .unwrap_or_else(|| Err("it took longer than the handshake may".to_owned()))
    }
}

thread_local! {
    /// rustls hands nothing on to who signs; whoever runs a step leaves the limit here.
    static LIMIT: RefCell<Option<Limit>> = const { RefCell::new(None) };
}

/// Takes a step of a handshake in which this thread may wait for a signature.
pub(crate) fn within<T>(limit: &Limit, step: impl FnOnce() -> T) -> T {
    LIMIT.replace(Some(limit.clone()));
    let result = step();
    LIMIT.replace(None);
    result
}

/// Takes such a step on a thread that may wait. Dropped, it gives the signature up. `None` if the
/// runtime is shutting down.
pub(super) async fn apart<T: Send + 'static>(
    step: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    struct EndOnDrop(Limit);
    impl Drop for EndOnDrop {
        fn drop(&mut self) {
            self.0.end();
        }
    }
    let limit = Limit::default();
    let _given_up = EndOnDrop(limit.clone());
    tokio::task::spawn_blocking(move || within(&limit, step)).await.ok()
}

/// The key of a certificate whose signatures come from `signer`; `None` if it is of a kind that
/// signers are not asked for.
pub(crate) fn elsewhere(
    chain: Vec<CertificateDer<'static>>,
    signer: Arc<dyn Signer>,
) -> Option<CertifiedKey> {
    let (algorithm, schemes) = schemes(chain.first()?)?;
    let key = Elsewhere { signer, algorithm, schemes };
    Some(CertifiedKey::new(chain, Arc::new(key)))
}

/// What a certificate's key can sign by, the first liked best.
fn schemes(
    certificate: &CertificateDer<'_>,
) -> Option<(rustls::SignatureAlgorithm, &'static [SignatureScheme])> {
    use rustls::SignatureAlgorithm::{ECDSA, RSA};
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let key = &parsed.public_key().algorithm;
    let curve = key.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    let curve = curve.map(|curve| curve.to_id_string());
    match (&*key.algorithm.to_id_string(), curve.as_deref()) {
        (RSA_KEY, _) => Some((RSA, RSA_SCHEMES)),
        (EC_KEY, Some(P256)) => Some((ECDSA, &[SignatureScheme::ECDSA_NISTP256_SHA256])),
        (EC_KEY, Some(P384)) => Some((ECDSA, &[SignatureScheme::ECDSA_NISTP384_SHA384])),
        (EC_KEY, Some(P521)) => Some((ECDSA, &[SignatureScheme::ECDSA_NISTP521_SHA512])),
        _ => None,
    }
}

/// A key that signs elsewhere.
struct Elsewhere {
    signer: Arc<dyn Signer>,
    algorithm: rustls::SignatureAlgorithm,
    schemes: &'static [SignatureScheme],
}

/// The same, once it is known how.
struct ByScheme {
    signer: Arc<dyn Signer>,
    scheme: SignatureScheme,
    algorithm: SignatureAlgorithm,
}

impl SigningKey for Elsewhere {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        let algorithm = algorithm(scheme)?;
        Some(Box::new(ByScheme { signer: Arc::clone(&self.signer), scheme, algorithm }))
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        self.algorithm
    }
}

impl rustls::sign::Signer for ByScheme {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signing = || self.signer.sign(message.to_vec(), self.algorithm);
        let signed =
            match (LIMIT.with_borrow(Clone::clone), catch_unwind(AssertUnwindSafe(signing))) {
                (Some(limit), Ok(signature)) => limit.wait(signature),
                (_, Err(_)) => Err(PANICKED.to_owned()),
                (None, _) => Err("no handshake waits for it".to_owned()),
            };
        signed.map_err(|why| {
            explain::unsigned(why.clone());
            Error::General(why)
        })
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

const fn algorithm(scheme: SignatureScheme) -> Option<SignatureAlgorithm> {
    Some(match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => SignatureAlgorithm::RsaPkcs1Sha256,
        SignatureScheme::RSA_PKCS1_SHA384 => SignatureAlgorithm::RsaPkcs1Sha384,
        SignatureScheme::RSA_PKCS1_SHA512 => SignatureAlgorithm::RsaPkcs1Sha512,
        SignatureScheme::ECDSA_NISTP256_SHA256 => SignatureAlgorithm::EcdsaSecp256r1Sha256,
        SignatureScheme::ECDSA_NISTP384_SHA384 => SignatureAlgorithm::EcdsaSecp384r1Sha384,
        SignatureScheme::ECDSA_NISTP521_SHA512 => SignatureAlgorithm::EcdsaSecp521r1Sha512,
        SignatureScheme::RSA_PSS_SHA256 => SignatureAlgorithm::RsaPssRsaeSha256,
        SignatureScheme::RSA_PSS_SHA384 => SignatureAlgorithm::RsaPssRsaeSha384,
        SignatureScheme::RSA_PSS_SHA512 => SignatureAlgorithm::RsaPssRsaeSha512,
        _ => return None,
    })
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Elsewhere({:?})", self.algorithm)
    }
}

impl fmt::Debug for ByScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ByScheme({:?})", self.scheme)
    }
}

const PANICKED: &str = "the signer panicked";

/// As BoringSSL likes them: a signer that was written for grpcio may know no others than it asks for.
const RSA_SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA512,
];

// RFC 3279 and RFC 5480.
const RSA_KEY: &str = "1.2.840.113549.1.1.1";
const EC_KEY: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
