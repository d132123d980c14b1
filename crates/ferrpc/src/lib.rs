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
pub mod interceptor;
pub mod method;
pub mod request;
pub mod resolver;
pub mod server;
pub mod streaming;
pub mod transport;

pub use ferrpc_core::{
    Code, Encoding, EncodingSet, Metadata, MetadataError, MetadataValue, Status,
};
