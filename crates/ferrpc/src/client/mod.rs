//! Clients: a [`Channel`] to a server, and the calls made through it.
//!
//! ```text
//!   generated client -- Channel -- call (cell) -- attempts -- connection's task
//!                         |                          |
//!                         +------ Connections -------+   IDLE, CONNECTING, READY, ...
//! ```

mod attempt;
pub(crate) mod builder;
mod call;
mod channel;
pub(crate) mod connections;
pub(crate) mod maker;
mod observer;
pub(crate) mod pump;
mod responses;
mod role;
mod service;

pub use builder::ChannelBuilder;
pub use channel::Channel;
pub use ferrpc_core::channel::{BackoffConfig, ConnectivityState};
pub use ferrpc_core::http2::{Budget, Keepalive, Limits, Window};
pub use ferrpc_core::service_config::{FieldError, LoadBalancing, ServiceConfigError};
pub use ferrpc_net::connect::{ConnectError, ConnectFuture, ConnectStage, Connector, Proxy};
pub use observer::{CallEnded, Observer};
