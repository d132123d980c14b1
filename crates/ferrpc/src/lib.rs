//! gRPC with an engine of its own: servers and clients on tokio.
//!
//! ```text
//!  your handlers and stubs      Request, Response, Streaming, Status, Metadata
//!  ---------------------------------------------------------------------------
//!  server / client              who answers which call; who sends it where
//!  transport                    one task per connection: reads, writes, timers   (tokio)
//!  ---------------------------------------------------------------------------
//!  ferrpc-core, ferrpc-http2    decide everything; do no input or output
//! ```

pub mod client;
pub mod codec;
mod compression;
pub mod credentials;
mod extensions;
#[doc(hidden)]
pub mod for_blocking;
pub mod interceptor;
mod method;
mod observers;
mod request;
pub mod resolver;
pub mod rich;
pub mod server;
mod streaming;
pub mod transport;

pub use client::Channel;
pub use codec::Codec;
pub use extensions::Extensions;
pub use ferrpc_core::transport::Cardinality;
pub use ferrpc_core::{
    Code, Encoding, EncodingSet, Metadata, MetadataError, MetadataValue, Status,
};
/// The trait of streams, as generated clients take them.
pub use futures_core::Stream;
pub use method::{Method, MethodDescriptor, ServiceDescriptor};
pub use request::{IntoStreamingRequest, Request, Response};
pub use streaming::Streaming;

/// Includes what the build script generated for a package.
///
/// `build.rs` calls `ferrpc_codegen::compile_protos(&["protos/test.proto"], &["protos"])`; then,
/// in a module of your choice:
///
/// ```
/// # #[cfg(any())] // No build script has run here.
/// pub mod example {
///     ferrpc::include_proto!("example");
/// }
/// ```
#[macro_export]
macro_rules! include_proto {
    ($package:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
    };
}
