//! From addresses to connections that were accepted, and what these have to pass.

mod address;
mod door;
mod handshakes;

pub use address::{BindError, ListenAddress, Listener, Listeners, SocketOptions, listen};
pub use door::{Accepting, Acceptor, Door, Entrance};
pub use handshakes::{Handshake, Handshakes};
