//! Clients for threads that may block, without a runtime.
//!
//! ```text
//!   calling threads -- Channel -- Call (attempts) -- Connection: one lock, one role
//!                                                     |
//!                                     whoever has it: socket <-> core's Transport
//! ```
//!
//! An event loop of the program's may take the place of the waiting threads: [`Channel::drive`].
//!
//! See [`Channel`]. The calls are those of the asynchronous [`Channel`](crate::Channel), with
//! iterators in place of streams.

mod call;
mod channel;
mod connection;
mod dial;
mod guard;
mod lead;
mod locked;
mod outside;
mod poll;
mod raw;
mod shared;
mod slots;
mod socket;
mod spinning;
mod streams;
mod watchers;

pub use channel::Channel;
pub use ferrpc_core::transport::Message;
pub use outside::{Driven, Pumped};
pub use raw::{
    Origin, Outcome, PushError, RawCall, RawMethod, RawOptions, RawUnary, Unary, Waited,
};
pub use streams::{Requests, Responses};
