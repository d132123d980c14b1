//! Policies of a channel, as pure machines.

mod backoff;
mod connectivity;

pub use backoff::{Backoff, BackoffConfig};
pub use connectivity::ConnectivityState;
