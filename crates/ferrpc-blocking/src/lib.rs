//! ferrpc for programs without a runtime: clients for threads that may block, connections that an
//! event loop of the program's drives, and executors of the program's that take a server's calls.
//!
//! ```text
//!   calling threads -- Channel -- Call (attempts) -- Connection: one lock, one role
//!                                                     |
//!                                     whoever has it: socket <-> core's Transport
//!
//!   a server's ExternalQueue -- Drains -- tasks of the executor
//! ```
//!
//! See [`Channel`]. The calls are those of the asynchronous [`Channel`](ferrpc::Channel), with
//! iterators in place of streams. An event loop may take the place of the waiting threads:
//! [`Channel::drive`]. [`RawCall`] and [`Drains`] have messages as bytes, for programs that bring their
//! own serialisers.
#![cfg(unix)]

mod call;
mod channel;
mod connection;
mod drains;
mod driver;
mod guard;
mod lead;
mod locked;
mod outcome;
mod outside;
mod poll;
mod raw;
mod reading;
mod sending;
mod shared;
mod slot;
mod slots;
mod spinning;
mod state;
mod streams;
mod wake;
mod watchers;

pub use channel::Channel;
pub use drains::{Drains, Taken, Task, Turn};
pub use ferrpc_core::transport::Message;
pub use outcome::{Origin, Outcome};
pub use outside::{Driven, Pumped};
pub use raw::{PushError, RawCall, RawMethod, RawOptions, RawUnary, Unary, Waited};
pub use streams::{Requests, Responses};
