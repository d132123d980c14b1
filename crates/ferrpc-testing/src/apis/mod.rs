//! The suite over every API: behaviours stated once, as data, that all clients have to show.
//!
//! ```text
//!   testdata/apis/*.toml -- Scenario --+-- Host: scripted peers on addresses
//!                                      |
//!                                      +-- Client: async, blocking (tests/apis), Python's (python/tests/apis)
//! ```
//!
//! A [`Scenario`] says what a peer does on each connection ([`Script`]), what the client does
//! ([`Step`]), and what both must have seen. [`Host`] plays the peer on TCP, a Unix socket, TLS or a
//! pipe. The binary `api_peer` lends it to programs in other languages.

mod connection;
mod host;
mod line;
mod place;
mod scenario;
mod script;

pub use host::{Host, Seen};
pub use line::certificates;
pub use place::Transport;
pub use scenario::{Call, End, Kind, Pace, Scenario, Settings, Step, load};
pub use script::Script;

/// How long anything may take before a test has failed: nothing here takes long.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
