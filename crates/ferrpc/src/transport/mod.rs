//! Byte streams, and the task that drives a connection over one.
//!
//! ```text
//!   other tasks --commands, wakes--> Mailbox --\
//!                                               Driver<Role> --- Transport (core: decides)
//!   socket ------------- Io ------------------/
//! ```
//!
//! One task owns a connection: its [`Io`], its core `Transport` and its role (server or client).
//! Everybody else reaches it through the mailbox.

mod allocator;
pub(crate) mod backlog;
pub(crate) mod buffers;
pub(crate) mod cell;
pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod in_process;
pub(crate) mod inbox;
pub(crate) mod io;
pub(crate) mod lookout;
pub(crate) mod mailbox;
mod parting;
pub(crate) mod peer;
pub(crate) mod refusal;
mod scratch;
pub(crate) mod tcp;
mod timer;
#[cfg(feature = "_rustls")]
pub(crate) mod tls;
#[cfg(unix)]
pub(crate) mod unix;
#[cfg(any(unix, feature = "_rustls"))]
pub(crate) mod wait;

pub use in_process::{StreamIo, in_process};
pub use io::{AuthContext, Io};
pub use peer::{CallInfo, ConnectionInfo};
