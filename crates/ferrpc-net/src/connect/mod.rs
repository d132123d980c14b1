//! From a channel's target to byte streams, and why there are none.

mod connector;
mod error;
mod no_proxy;
mod proxy;

#[cfg(unix)]
pub use connector::SecuredSocket;
pub use connector::{ConnectFuture, Connector, Dialer, Place, Security, may_change, places};
pub use error::{ConnectError, ConnectStage, Failure, Reasons};
pub use proxy::{Proxy, Route};
