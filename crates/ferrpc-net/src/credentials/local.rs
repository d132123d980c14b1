//! Credentials of those who are on one machine.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use crate::streams::{AuthContext, Io};

/// How the two ends on one machine are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalKind {
    /// A unix socket.
    Unix,
    /// TCP over the loopback interface.
    Tcp,
}

impl LocalKind {
    /// Whether a peer, in gRPC's notation, is of this kind.
    fn covers(self, peer: &str) -> bool {
        match self {
            Self::Unix => peer.starts_with("unix:") || peer.starts_with("unix-abstract:"),
            Self::Tcp => peer.starts_with("ipv4:127.") || peer.starts_with("ipv6:%5B::1%5D:"),
        }
    }

    /// A connection of this kind; the error names what it is instead.
    pub(crate) fn admit(self, io: Box<dyn Io>) -> Result<Box<dyn Io>, String> {
        self.check(&io.peer())?;
        Ok(Box::new(LocalIo { io }))
    }

    /// Whether the peer is of this kind; the error names what it is instead.
    pub(crate) fn check(self, peer: &str) -> Result<(), String> {
        if self.covers(peer) {
            return Ok(());
        }
        Err(match self {
            Self::Unix => format!("local credentials expected a unix socket, this is {peer}"),
            Self::Tcp => format!("local credentials expected a loopback address, this is {peer}"),
        })
    }
}

/// A stream that says that it is local.
struct LocalIo {
    io: Box<dyn Io>,
}

impl Io for LocalIo {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.poll_read(cx, buf)
    }

    fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_write_vectored(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_flush(cx)
    }

    fn has_input(&self) -> bool {
        self.io.has_input()
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_shutdown(cx)
    }

    fn peer(&self) -> String {
        self.io.peer()
    }

    fn local(&self) -> String {
        self.io.local()
    }

    fn auth_context(&self) -> Option<AuthContext> {
        let text = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        Some(AuthContext {
            transport_security_type: "local",
            properties: [
                text("transport_security_type", "local"),
                text("security_level", "TSI_PRIVACY_AND_INTEGRITY"),
            ]
            .into(),
            extra: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_of_each_kind() {
        let check = |kind: LocalKind, peer: &str, expect: bool| {
            assert_eq!(kind.covers(peer), expect, "{kind:?} {peer}");
        };
        check(LocalKind::Unix, "unix:", true);
        check(LocalKind::Unix, "unix:/run/x", true);
        check(LocalKind::Unix, "unix-abstract:x", true);
        check(LocalKind::Unix, "ipv4:127.0.0.1:1", false);
        check(LocalKind::Tcp, "ipv4:127.0.0.1:1", true);
        check(LocalKind::Tcp, "ipv4:127.8.8.8:1", true);
        check(LocalKind::Tcp, "ipv6:%5B::1%5D:1", true);
        check(LocalKind::Tcp, "ipv4:10.0.0.1:1", false);
        check(LocalKind::Tcp, "ipv6:%5B::12%5D:1", false);
        check(LocalKind::Tcp, "unix:", false);
    }
}
