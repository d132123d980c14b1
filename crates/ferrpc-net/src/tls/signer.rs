//! Private keys that are elsewhere.

use std::pin::Pin;

/// Signs with a private key that this process does not have: it is in a hardware module, with a key
/// service, in another process.
///
/// A closure that returns a future will do. It is asked on a thread that may block, within the time
/// that the handshake has; when that is over, or when nobody waits any more, the future is dropped.
/// A channel of `ferrpc-blocking` polls it without a runtime.
///
/// ```no_run
/// # #[cfg(feature = "tls")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn ask_vault(_: SignatureAlgorithm, _: Vec<u8>) -> std::io::Result<Vec<u8>> { todo!() }
/// use ferrpc::credentials::{ClientTls, Identity, SignatureAlgorithm};
///
/// let signer = |message: Vec<u8>, algorithm| async move {
///     Ok(ask_vault(algorithm, message).await?)
/// };
/// let identity = Identity::signed_by(std::fs::read("client.pem")?, signer)?;
/// let tls = ClientTls::builder().identity(identity).build()?;
/// # drop(tls);
/// # Ok(()) }
/// # #[cfg(not(feature = "tls"))]
/// # fn main() {}
/// ```
pub trait Signer: Send + Sync + 'static {
    /// The signature of `message` (which is to be hashed as the algorithm says), or why there is none.
    fn sign(&self, message: Vec<u8>, algorithm: SignatureAlgorithm) -> Signature;
}

/// What a [`Signer`] returns.
pub type Signature = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignError>> + Send>>;

/// Why a signer has no signature.
type SignError = Box<dyn std::error::Error + Send + Sync>;

/// How a [`Signer`] is to sign. ECDSA's signatures are in DER; the salt of RSA-PSS is as long as its
/// hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of RFC 8446, section 4.2.3, say it")]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    EcdsaSecp256r1Sha256,
    EcdsaSecp384r1Sha384,
    EcdsaSecp521r1Sha512,
    RsaPssRsaeSha256,
    RsaPssRsaeSha384,
    RsaPssRsaeSha512,
}

impl<F, Fut> Signer for F
where
    F: Fn(Vec<u8>, SignatureAlgorithm) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<u8>, SignError>> + Send + 'static,
{
    fn sign(&self, message: Vec<u8>, algorithm: SignatureAlgorithm) -> Signature {
        Box::pin(self(message, algorithm))
    }
}
