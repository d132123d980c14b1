//! The seam between a connection and its bytes.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

/// A byte stream with two ends, as a connection's driver uses it: TCP, a unix socket, TLS over
/// either, a pipe within the process, or one of your own.
///
/// All methods follow the rules of [`tokio::io::AsyncRead`] and [`tokio::io::AsyncWrite`]: on
/// `Pending` the task in `cx` is woken when calling again may help.
pub trait Io: Send + 'static {
    /// Reads into `buf`; nothing read means that the peer closed its side.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;

    /// Writes some of the bytes in `slices`, in order, and returns how many.
    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Hands over what an implementation buffers. Sockets buffer nothing.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Whether there is something to read, the end included, that [`poll_read`](Self::poll_read)
    /// may not know of yet, since it learns that from an event. A client asks before it sends a call
    /// over a connection that had none: it may have been closed. To be cheap, and without side effects.
    fn has_input(&self) -> bool {
        false
    }

    /// Closes the writing side.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Who is at the other end, in gRPC's notation: `ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711`,
    /// `unix:/path`, `inproc`.
    fn peer(&self) -> String;

    /// The address on this side, in the same notation.
    fn local(&self) -> String {
        String::new()
    }

    /// What is known about the peer's identity; `None` on transports without security.
    fn auth_context(&self) -> Option<AuthContext> {
        None
    }
}

/// What a secure transport found out about its peer.
#[derive(Clone)]
pub struct AuthContext {
    /// How the peer was authenticated, for instance "ssl".
    pub transport_security_type: &'static str,
    /// Properties in order: name and value, names may repeat.
    pub properties: Arc<[(String, Vec<u8>)]>,
    /// Whatever else the transport wants its users to see.
    pub extra: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext")
            .field("transport_security_type", &self.transport_security_type)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}
