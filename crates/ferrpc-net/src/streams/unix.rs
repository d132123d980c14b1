//! Unix domain sockets.

use std::io::{self, IoSlice};
use std::os::unix::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::io::Io;
use super::tcp::has_input;

/// A connection over a unix socket.
#[derive(Debug)]
pub struct UnixIo {
    stream: UnixStream,
}

impl UnixIo {
    /// Takes over a connected socket.
    pub const fn new(stream: UnixStream) -> Self {
        Self { stream }
    }
}

impl Io for UnixIo {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            // Usual, and cheaper in the kernel.
            [slice] => Pin::new(&mut self.stream).poll_write(cx, slice),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn has_input(&self) -> bool {
        has_input(&SockRef::from(&self.stream))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn peer(&self) -> String {
        let ends = [self.stream.peer_addr(), self.stream.local_addr()];
        named_end(ends.map(|end| Some(end.ok()?.into())))
    }

    fn local(&self) -> String {
        named_end([self.stream.local_addr().ok().map(Into::into)])
    }
}

/// The first of these ends that has a name. Callers mostly have none: they are known by the socket
/// that they came to.
pub(crate) fn named_end<const N: usize>(ends: [Option<SocketAddr>; N]) -> String {
    let named = ends.into_iter().flatten().find(|end| !end.is_unnamed());
    named.map_or_else(|| "unix:".to_owned(), |end| text(&end))
}

/// `unix:/path`, `unix-abstract:name`; `unix:` for a socket without a name, as callers have.
fn text(address: &SocketAddr) -> String {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        if let Some(name) = address.as_abstract_name() {
            return format!("unix-abstract:{}", name.escape_ascii());
        }
    }
    match address.as_pathname() {
        Some(path) => format!("unix:{}", path.display()),
        None => "unix:".to_owned(),
    }
}
