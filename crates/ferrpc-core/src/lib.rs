//! gRPC as a pure state machine on ferrpc-http2.

mod binary;
pub mod call;
pub mod channel;
mod counters;
mod details;
mod encoding;
mod framing;
mod mapping;
mod metadata;
mod percent;
mod random;
pub mod service_config;
mod shown;
mod status;
mod timeout;
pub mod transport;
#[cfg(test)]
mod vectors;

pub use counters::Counters;
pub use encoding::{Encoding, EncodingSet};
pub use ferrpc_http2 as http2;
pub use ferrpc_http2::Time;
pub use metadata::{Metadata, MetadataError, MetadataValue};
pub use status::{Code, DetailsError, Status, UnknownCode};
pub use transport::Transport;
