//! HTTP/2 (RFC 9113) and HPACK (RFC 7541) as a pure state machine.

mod config;
mod counters;
mod error;
mod fields;
pub mod hpack;
mod limits;
mod time;
mod transmit;

pub use config::{Config, Keepalive, Role, Window};
pub use counters::Counters;
pub use error::{CloseCause, Reason};
pub use fields::{Field, Fields};
pub use limits::{Budget, Limits, PingPolicy};
pub use time::Time;
pub use transmit::Transmit;
