//! TLS over any byte stream, by rustls.
//!
//! ```text
//!   Driver --plaintext--> TlsIo --records--> Io (TCP, unix socket, pipe)
//!                           ^
//!        handshake.rs makes one; facts.rs reads what it found out; explain.rs says what failed
//! ```
//!
//! What a handshake goes by is an [`Identity`] and [`Roots`] (pem.rs), put together as [`ServerTls`]
//! or [`ClientTls`], which a [`TlsSource`] may replace.

mod cache;
mod client;
mod explain;
mod facts;
mod handshake;
mod io;
mod pem;
mod server;
#[cfg(unix)]
mod session;
mod signer;
mod signing;
mod source;
mod turns;
mod verify;
mod version_1;

use std::sync::{Arc, OnceLock};

pub use client::{ClientTls, ClientTlsBuilder, SessionCache};
pub(crate) use handshake::{accept, connect};
pub use pem::{Identity, Roots};
use rustls::crypto::CryptoProvider;
pub use server::{ClientAuth, ServerTls, ServerTlsBuilder};
#[cfg(unix)]
pub(crate) use session::{Session, Want};
pub use signer::{Signature, SignatureAlgorithm, Signer};
pub(crate) use signing::elsewhere;
#[cfg(unix)]
pub(crate) use signing::{Limit, within};
pub(crate) use source::{Current, SourceError};
pub use source::{Provided, TlsSource};
pub(crate) use turns::Steps;
pub(crate) use verify::{client_verifier, is_for_name, server_verifier};
pub(crate) use version_1::readable;

/// The one protocol that gRPC is spoken over.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

/// The cryptography that this crate was built with.
pub(crate) fn crypto() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    #[cfg(feature = "tls")]
    use rustls::crypto::aws_lc_rs as library;
    #[cfg(not(feature = "tls"))]
    use rustls::crypto::ring as library;
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(library::default_provider())))
}

/// Makes session tickets that need no memory on the server.
pub(crate) fn ticketer() -> Result<Arc<dyn rustls::server::ProducesTickets>, rustls::Error> {
    #[cfg(feature = "tls")]
    use rustls::crypto::aws_lc_rs::Ticketer;
    #[cfg(not(feature = "tls"))]
    use rustls::crypto::ring::Ticketer;
    Ticketer::new()
}
