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
pub(crate) mod driver;
pub(crate) mod inbox;
pub(crate) mod lookout;
pub(crate) mod mailbox;
mod parting;
pub(crate) mod peer;
mod scratch;
mod timer;

pub use ferrpc_net::streams::{AuthContext, Io, StreamIo, in_process};
pub use peer::{CallInfo, ConnectionInfo};
