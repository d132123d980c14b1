//! TCP.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::io::Io;

/// A TCP connection.
#[derive(Debug)]
pub struct TcpIo {
    stream: TcpStream,
    peer: String,
    local: String,
}

impl TcpIo {
    /// Takes over a connected socket.
    pub fn new(stream: TcpStream) -> Self {
        let text = |address: io::Result<SocketAddr>| address.map(address_text).unwrap_or_default();
        let (peer, local) = (text(stream.peer_addr()), text(stream.local_addr()));
        Self { stream, peer, local }
    }
}

impl Io for TcpIo {
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
        self.peer.clone()
    }

    fn local(&self) -> String {
        self.local.clone()
    }
}

/// Whether a read would find something, now.
pub(super) fn has_input(socket: &SockRef<'_>) -> bool {
    let peeked = socket.peek(&mut [MaybeUninit::uninit()]);
    !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// An address as gRPC writes it: `ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711`.
pub(crate) fn address_text(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => format!("ipv4:{address}"),
        SocketAddr::V6(address) => match address.ip().to_ipv4_mapped() {
            // A dual-stack listener sees its IPv4 callers so.
            Some(ip) => format!("ipv4:{ip}:{}", address.port()),
            None => format!("ipv6:%5B{}%5D:{}", address.ip(), address.port()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_grpc_does() {
        let check = |address: &str, expect: &str| {
            assert_eq!(address_text(address.parse().expect("an address")), expect);
        };
        check("127.0.0.1:4711", "ipv4:127.0.0.1:4711");
        check("[::1]:4711", "ipv6:%5B::1%5D:4711");
        check("[::ffff:10.0.0.1]:80", "ipv4:10.0.0.1:80");
    }
}
