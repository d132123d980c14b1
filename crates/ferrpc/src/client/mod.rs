//! Clients: a [`Channel`] to a server, and the calls made through it.
//!
//! ```text
//!   generated client -- Channel -- call (cell) -- attempts -- connection's task
//!                         |                          |
//!                         +------ Subchannel --------+   IDLE, CONNECTING, READY, ...
//! ```

mod attempt;
mod builder;
mod call;
mod channel;
mod connector;
mod error;
mod maker;
mod no_proxy;
mod observer;
mod proxy;
mod pump;
mod responses;
mod role;
mod service;
mod subchannel;

pub use builder::ChannelBuilder;
pub(crate) use builder::Config;
pub use channel::Channel;
pub(crate) use connector::seed;
pub use connector::{ConnectFuture, Connector};
#[cfg(unix)]
pub(crate) use connector::{Place, machine_config};
pub use error::{ConnectError, ConnectStage};
#[cfg(unix)]
pub(crate) use error::{Failure, Reasons};
pub use ferrpc_core::channel::{BackoffConfig, ConnectivityState};
pub use ferrpc_core::http2::{Budget, Keepalive, Limits, Window};
pub use ferrpc_core::service_config::{FieldError, LoadBalancing, ServiceConfigError};
pub(crate) use maker::{CallMaker, Head, NewCall};
pub use observer::{CallEnded, Observer};
pub use proxy::Proxy;
pub(crate) use pump::check_size;
