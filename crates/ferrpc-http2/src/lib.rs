//! HTTP/2 (RFC 9113) and HPACK (RFC 7541) as a pure state machine.

mod fields;
pub mod hpack;
mod time;

pub use fields::{Field, Fields};
pub use time::Time;
