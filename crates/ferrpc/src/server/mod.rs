//! Servers: which handler answers which call, and where the handlers run.
//!
//! ```text
//!   Listener --accept--> Driver<Connection>      a task per connection
//!                            |   Call, Message, RemoteDone, Cancelled ...
//!                            v
//!                        Router --> MethodEntry: Chain (interceptors, handler) | ExternalQueue
//!                            |
//!            in place        |  spawned               external
//!        polled right here   |  a task of its own     popped by other threads
//!                            v
//!                        respond / Cell (messages that stream)
//! ```
//!
//! A [`Server`] is described by a [`ServerBuilder`]; its methods come as [`Routes`], which
//! generated code makes. [`Dispatch`] says where handlers run.

mod accept;
mod admission;
mod builder;
mod call;
mod call_limit;
mod command;
mod connection;
mod dispatch;
mod external;
mod external_call;
mod handle;
mod handler;
mod http;
mod interceptor;
mod load;
mod machine;
mod memory;
mod observer;
mod pacing;
mod reply;
mod routes;
mod run;
mod serve;
mod settings;
mod shared;
mod slots;
mod table;
mod waiting;

use std::pin::Pin;

use futures_core::Stream;

pub use builder::ServerBuilder;
pub use call::{CallFuture, Outcome, Reply, ServerCall};
pub use call_limit::CallLimit;
pub use dispatch::{Dispatch, DispatchCounters};
pub use external::ExternalQueue;
pub use external_call::{DeferredReply, ExternalCall, ExternalReply, Sent};
pub use ferrpc_core::Counters;
pub use ferrpc_core::http2::{Budget, Keepalive, Limits, PingPolicy, Window};
pub use ferrpc_net::listen::{Accepting, Acceptor, BindError, ListenAddress, Listeners};
pub use handle::Server;
pub use http::{HttpRequest, HttpResponse};
pub use interceptor::{Interceptor, Next};
pub use memory::MemoryCounters;
pub use observer::{CallEnded, Observer};
pub use routes::Routes;

use crate::Status;

/// The responses of a handler, one after the other. The call ends with the first error, or with
/// OK at the end.
pub type ResponseStream<S> = Pin<Box<dyn Stream<Item = Result<S, Status>> + Send>>;
