//! Test tools of ferrpc; a dev-dependency only.
//!
//! - [`Pair`]: two gRPC transports joined in memory under virtual time.
//! - [`Sim`]: the same over a seeded network that splits, joins, delays, stalls and cuts the byte
//!   streams.
//! - [`Scripted`]: one transport whose peer the test writes by hand.
//! - [`wire`]: frames by hand, for peers that break rules.
//! - `interop` (feature `interop`): both ends of the interop cases on ferrpc.
//! - `certificates` (likewise): for peers over TLS.
//! - `apis` (likewise): behaviours that all APIs have, as data, and the peers that they need.

#[cfg(feature = "interop")]
pub mod apis;
#[cfg(feature = "interop")]
pub mod certificates;
#[cfg(feature = "interop")]
pub mod interop;
mod pair;
mod scripted;
mod sim;
pub mod wire;

pub use pair::{End, Pair};
pub use scripted::Scripted;
pub use sim::{Sim, SimConfig};
