//! Policies of a channel, as pure machines.

mod backoff;
mod connectivity;
mod dialing;

pub use backoff::{Backoff, BackoffConfig};
pub use connectivity::ConnectivityState;
pub use dialing::Dialing;
