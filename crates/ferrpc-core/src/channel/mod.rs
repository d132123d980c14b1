//! A channel above its connections, as pure machines.
//!
//! ```text
//!   call                 pick                 Subchannel           Dialing
//!   (ClientCall) ----------------------->  connectivity, backoff -- attempt --> addresses, when
//!      |                                          |
//!      | Step::Begin                              | handle_ready
//!      v                                          v
//!   Calls: of one connection  <------------- connection
//! ```
//!
//! Nothing here does I/O, reads a clock, takes a lock or knows a waker: drivers (a task, threads, an
//! event loop) call `handle_*` when something happened and do what `poll_*` says. A call on a ready
//! connection does not enter the [`Subchannel`]: its driver keeps the connection at hand.
//!
//! - [`Subchannel`]: whether there is a connection, and when the next attempt to make one starts.
//! - [`Dialing`]: which address of an attempt is tried when.
//! - [`Calls`]: the calls of one connection, those that wait for a stream included.
//! - [`ClientCall`](crate::call::ClientCall): one call over its attempts.
//! - [`AttemptEnd`]: how an attempt ended, by whom, and in which words.

mod backoff;
mod calls;
mod connectivity;
mod dialing;
mod end;
mod reconnect;
mod subchannel;

pub use backoff::{Backoff, BackoffConfig};
pub use calls::{Calls, Start, Turn};
pub use connectivity::ConnectivityState;
pub use dialing::Dialing;
pub use end::{AttemptEnd, EndedBy};
pub use subchannel::{
    Attempt, AttemptId, ConnectionId, Dialled, Pick, StateChange, Subchannel, SubchannelConfig,
    UNWANTED_FOR,
};
