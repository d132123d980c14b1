//! A channel above its connections, as pure machines.
//!
//! ```text
//!   call                 pick                 Channel: names, policy, state
//!   (ClientCall) ----------------------->        |  a list of addresses for each
//!      |          Picker, or the Channel         v
//!      |          where none is ready       Subchannel: connectivity, backoff
//!      | Step::Begin                             |  attempt        ^ handle_ready
//!      v                                         v                 |
//!   Calls: of one connection             Dialing: which address when --> connection
//! ```
//!
//! Nothing here does I/O, reads a clock, takes a lock or knows a waker: drivers (a task, threads, an
//! event loop) call `handle_*` when something happened and do what `poll_*` says. A call on a ready
//! connection does not enter the [`Channel`]: it picks from the last [`Picker`].
//!
//! - [`Channel`]: the whole of it; its documentation has states, events and invariants.
//! - [`LoadBalancing`](crate::service_config::LoadBalancing): the policies, and [`Picker`]: what calls
//!   see of them.
//! - [`Subchannel`]: whether there is a connection to one of its addresses, and when the next attempt
//!   to make one starts.
//! - [`Dialing`]: which address of an attempt is tried when.
//! - [`Calls`]: the calls of one connection, those that wait for a stream included.
//! - [`ClientCall`](crate::call::ClientCall): one call over its attempts.
//! - [`AttemptEnd`]: how an attempt ended, by whom, and in which words.

mod backoff;
mod calls;
mod connectivity;
mod dialing;
mod end;
mod entry;
mod event;
mod machine;
mod picker;
mod policy;
mod reconnect;
mod resolution;
mod subchannel;

pub use backoff::{Backoff, BackoffConfig};
pub use calls::{Calls, Start, Turn};
pub use connectivity::ConnectivityState;
pub use dialing::Dialing;
pub use end::{AttemptEnd, EndedBy};
pub use event::{Causes, ChannelConfig, Dial, DialId, Event};
pub use machine::Channel;
pub use picker::Picker;
pub use subchannel::{
    Attempt, AttemptId, ConnectionId, Dialled, Pick, StateChange, Subchannel, SubchannelConfig,
    SubchannelId, UNWANTED_FOR,
};
