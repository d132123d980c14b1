//! Who the two ends of a connection prove to be, and what protects what is between them.

mod call;
mod channel;
#[cfg(feature = "_rustls")]
mod files;
mod local;
mod server;

pub use call::{
    AccessToken, Blocking, CallContext, CallCredentials, CallMetadata, Composite, OfRequest,
    PluginError, ask, insecure,
};
pub use channel::ChannelCredentials;
#[cfg(feature = "_rustls")]
pub use files::TlsFiles;
pub use local::LocalKind;
pub use server::ServerCredentials;

pub use crate::error::CredentialsError;
#[cfg(feature = "_rustls")]
pub use crate::tls::{
    ClientAuth, ClientTls, ClientTlsBuilder, Identity, Provided, Roots, ServerTls,
    ServerTlsBuilder, SessionCache, Signature, SignatureAlgorithm, Signer, TlsSource,
};

/// What a connection protects its calls from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    /// Nothing.
    None,
    /// Others can neither read nor change what is sent, and the server is who it should be.
    PrivacyAndIntegrity,
}
