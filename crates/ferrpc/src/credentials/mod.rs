//! Who the two ends of a connection prove to be, and what protects what is between them.
//!
//! ```text
//!   ServerCredentials   on an address: insecure | local | TLS      Server::bind_with
//!   ChannelCredentials  on a channel:  insecure | local | TLS      ChannelBuilder::credentials
//!   CallCredentials     with each call: metadata that says who calls
//! ```
//!
//! What TLS goes by is an [`Identity`] (a certificate and its key) and [`Roots`] (whom to trust),
//! put together as [`ServerTls`] or [`ClientTls`]. Both may be replaced while the program runs, by
//! a function that is asked before each handshake ([`TlsSource`]) or by files that are watched
//! ([`TlsFiles`]): connections that are open stay as they are.

#[cfg(feature = "_rustls")]
mod cache;
mod call;
mod channel;
#[cfg(feature = "_rustls")]
mod client_tls;
#[cfg(feature = "_rustls")]
mod files;
mod local;
#[cfg(feature = "_rustls")]
mod pem;
mod server;
#[cfg(feature = "_rustls")]
mod server_tls;
#[cfg(feature = "_rustls")]
mod signer;
#[cfg(feature = "_rustls")]
mod source;

use std::fmt;

pub use call::{
    AccessToken, Blocking, CallContext, CallCredentials, CallMetadata, Composite, PluginError,
};
pub(crate) use call::{OfRequest, ask, insecure};
pub use channel::ChannelCredentials;
#[cfg(feature = "_rustls")]
pub use client_tls::{ClientTls, ClientTlsBuilder, SessionCache};
#[cfg(feature = "_rustls")]
pub use files::TlsFiles;
pub use local::LocalKind;
#[cfg(feature = "_rustls")]
pub use pem::{Identity, Roots};
pub use server::ServerCredentials;
#[cfg(feature = "_rustls")]
pub use server_tls::{ClientAuth, ServerTls, ServerTlsBuilder};
#[cfg(feature = "_rustls")]
pub use signer::{Signature, SignatureAlgorithm, Signer};
#[cfg(feature = "_rustls")]
pub use source::{Provided, TlsSource};

/// What a connection protects its calls from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    /// Nothing.
    None,
    /// Others can neither read nor change what is sent, and the server is who it should be.
    PrivacyAndIntegrity,
}

/// Credentials that cannot be used: what is wrong with which part.
#[derive(Clone, Debug)]
pub struct CredentialsError {
    text: String,
}

impl CredentialsError {
    /// An error that says what is wrong, for a [`ChannelCredentials::tls_or_error`].
    #[cfg(feature = "_rustls")]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CredentialsError {}
