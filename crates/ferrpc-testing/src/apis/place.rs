//! Addresses: those of peers, and those that lead nowhere.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, process};

use serde::Deserialize;
use socket2::{Domain, SockAddr, Socket, Type};

/// What a connection is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// A TCP socket.
    Tcp,
    /// A Unix socket.
    Unix,
    /// TLS on a TCP socket.
    Tls,
    /// A pipe within the process, by a connector of the test's.
    InProcess,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Unix, Self::Tls, Self::InProcess];

    /// As scenarios write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Tls => "tls",
            Self::InProcess => "in_process",
        }
    }
}

/// What an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The scripted peer, which listens.
    Peer,
    /// The same, once the client's script lets it listen; until then it refuses.
    Later,
    /// Nobody listens there.
    Refuses,
    /// What is sent there is lost (TCP).
    Drops,
}

/// An address with the sockets that make it what it is.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) address: SockAddr,
    /// As texts show it: "127.0.0.1:PORT", "unix:PATH".
    pub(super) name: String,
    /// The bound socket, until it is handed to a listener's thread.
    socket: Option<Socket>,
    /// Connections that fill a queue.
    _fill: Vec<Socket>,
}

impl Held {
    pub(super) fn new(place: Place, transport: Transport) -> io::Result<Self> {
        let address = match transport {
            Transport::Unix => SockAddr::unix(fresh_path())?,
            _ => SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).into(),
        };
        let socket = bound(&address)?;
        let address = socket.local_addr()?;
        let name = match address.as_pathname() {
            Some(path) => format!("unix:{}", path.display()),
            None => address.as_socket().expect("a socket's address").to_string(),
        };
        let mut fill = Vec::new();
        if place == Place::Drops {
            // The queue takes one more than it is told; what comes then is dropped.
            socket.listen(0)?;
            for _ in 0..4 {
                let full = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                full.set_nonblocking(true)?;
                // "In progress", and so it stays.
                let _ = full.connect(&address);
                fill.push(full);
            }
        }
        Ok(Self { place, address, name, socket: Some(socket), _fill: fill })
    }

    /// The socket, which listens now.
    pub(super) fn listener(&mut self) -> io::Result<Socket> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                self.unlink();
                bound(&self.address)?
            }
        };
        socket.listen(128)?;
        Ok(socket)
    }

    /// The address refuses again; the listener was closed.
    pub(super) fn refuse(&mut self) -> io::Result<()> {
        self.unlink();
        self.socket = Some(bound(&self.address)?);
        Ok(())
    }

    fn unlink(&self) {
        if let Some(path) = self.address.as_pathname() {
            // It may be gone.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.unlink();
    }
}

/// A socket that has the address and does not listen: it refuses.
fn bound(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    if address.is_ipv4() {
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    Ok(socket)
}

fn fresh_path() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("ferrpc-apis-{}-{number}", process::id()))
}
