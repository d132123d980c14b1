//! Connections within the process, and connections over any other byte stream.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::io::Io;
use super::tcp::has_input;

/// Any asynchronous byte stream as an [`Io`].
///
/// For good speed the stream should support vectored writes.
pub struct StreamIo<T> {
    stream: T,
    peer: String,
}

/// The two ends of a pipe within the process, one for a server
/// (`Server::serve_io`) and one for a client. Both call their
/// peer `inproc`.
pub fn in_process() -> (Box<dyn Io>, Box<dyn Io>) {
    let (left, right) = tokio::io::duplex(PIPE_BYTES);
    (Box::new(StreamIo::new(left, "inproc")), Box::new(StreamIo::new(right, "inproc")))
}

impl<T> StreamIo<T>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// Wraps `stream`; `peer` is what calls say about who is at its other end. A TCP socket is set
    /// to send small frames at once (TCP_NODELAY), as all of ferrpc's are.
    pub fn new(stream: T, peer: impl Into<String>) -> Self {
        if let Some(socket) = (&stream as &dyn Any).downcast_ref::<TcpStream>() {
            // One that is gone shows itself when it is read.
            let _ = socket.set_nodelay(true);
        }
        Self { stream, peer: peer.into() }
    }
}

impl<T> Io for StreamIo<T>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn has_input(&self) -> bool {
        let socket = (&self.stream as &dyn Any).downcast_ref::<TcpStream>();
        socket.is_some_and(|socket| has_input(&SockRef::from(socket)))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }

    fn local(&self) -> String {
        self.peer.clone()
    }
}

impl<T> fmt::Debug for StreamIo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamIo").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// What each direction of a pipe holds: as much as a socket's buffers, roughly.
const PIPE_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn sockets_send_small_frames_at_once_and_are_asked_for_input() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let io = StreamIo::new(TcpStream::connect(address).await.expect("it listens"), "peer");
        assert!(io.stream.nodelay().expect("a socket"));
        assert!(!io.has_input());
        drop(listener.accept().await.expect("a connection"));
        // Its end arrives at once, or nearly.
        while !io.has_input() {
            tokio::task::yield_now().await;
        }
    }
}
