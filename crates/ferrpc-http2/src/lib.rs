//! HTTP/2 (RFC 9113) and HPACK (RFC 7541) as a pure state machine: no I/O, no clock, no lock, no
//! thread, and no word of gRPC.
//!
//! A [`Connection`] takes what the peer sent and says what it means, takes commands, and gives the
//! bytes to send:
//!
//! ```text
//!   bytes --> receive() --> Event        open(), send_data(), reset(), ... (commands)
//!                  |                                      |
//!                  +-------------> Connection <-----------+
//!                                      |
//!   bytes <-- poll_transmit() <--------+--------> poll_timeout(), handle_timeout()
//! ```
//!
//! What a peer may do is bounded by [`Limits`]; each of them has a counter in [`Counters`].
//!
//! Not here, on purpose: server push, priorities (checked and ignored, RFC 9113 5.3), CONNECT
//! tunnels, HTTP/1.1 and its upgrade.

mod config;
mod connection;
mod counters;
mod error;
mod fields;
mod flow;
mod frame;
pub mod hpack;
mod ledger;
mod limit_names;
mod limits;
mod ping;
mod stream;
mod time;
mod transmit;
mod validate;

pub use config::{Config, Keepalive, Role, Window};
pub use connection::{Accounts, Connection, Event, HeadersKind, OpenError, ResetBy, TooLarge};
pub use counters::Counters;
pub use error::{CloseCause, Reason};
pub use fields::{Field, Fields};
pub use limits::{Budget, Limits, PingPolicy};
pub use stream::StreamKey;
pub use time::Time;
pub use transmit::Transmit;
