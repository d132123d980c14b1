//! Who the two ends of a connection prove to be, and what protects what is between them.
//!
//! ```text
//!   ServerCredentials   on an address: insecure | local | TLS      Server::bind_with
//!   ChannelCredentials  on a channel:  insecure | local | TLS      ChannelBuilder::credentials
//!   CallCredentials     with each call: metadata that says who calls
//! ```
//!
//! What TLS goes by is an `Identity` (a certificate and its key) and `Roots` (whom to trust), put
//! together as `ServerTls` or `ClientTls`. Both may be replaced while the program runs, by a function
//! that is asked before each handshake (`TlsSource`) or by files that are watched (`TlsFiles`):
//! connections that are open stay as they are.

pub use ferrpc_net::credentials::{
    AccessToken, Blocking, CallContext, CallCredentials, CallMetadata, ChannelCredentials,
    Composite, CredentialsError, LocalKind, PluginError, SecurityLevel, ServerCredentials,
};
#[cfg(feature = "_rustls")]
pub use ferrpc_net::credentials::{
    ClientAuth, ClientTls, ClientTlsBuilder, Identity, Provided, Roots, ServerTls,
    ServerTlsBuilder, SessionCache, Signature, SignatureAlgorithm, Signer, TlsFiles, TlsSource,
};
