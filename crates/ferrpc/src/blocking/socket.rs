//! Sockets that never block, and waiting for them.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::resolver::Address;

/// A connected socket. Reading and writing never block.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a socket, and a kick, are ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) kicked: bool,
}

/// Gets a thread out of its wait for the socket.
#[derive(Debug)]
pub(super) struct Kick {
    sender: UnixStream,
    receiver: UnixStream,
}

impl Socket {
    /// Connects; waits for that no longer than `timeout` (TCP).
    pub(super) fn connect(address: &Address, timeout: Duration) -> io::Result<Self> {
        match address {
            Address::Socket(address) => {
                let stream = TcpStream::connect_timeout(address, timeout)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(Self::Tcp(stream))
            }
            Address::Unix(path) => Self::unix(UnixStream::connect(&**path)?),
            Address::UnixAbstract(name) => Self::unix(connect_abstract(name)?),
        }
    }

    fn unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::Unix(stream))
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            Self::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }

    pub(super) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            // One piece, as nearly always: the plainer system call.
            (Self::Tcp(stream), [slice]) => (&mut &*stream).write(slice),
            (Self::Tcp(stream), slices) => (&mut &*stream).write_vectored(slices),
            (Self::Unix(stream), slices) => (&mut &*stream).write_vectored(slices),
        }
    }

    /// Closes it for both directions, whoever else still holds it.
    pub(super) fn shut_down(&self) {
        // Failing means that it is closed already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
        };
    }
}

#[cfg(target_os = "linux")]
fn connect_abstract(name: &str) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_: &str) -> io::Result<UnixStream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no abstract unix sockets"))
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Kick {
    pub(super) fn new() -> io::Result<Self> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok(Self { sender, receiver })
    }

    pub(super) fn kick(&self) {
        // Full means that it was kicked often enough.
        let _ = (&mut &self.sender).write(&[1]);
    }

    /// Forgets the kicks so far.
    pub(super) fn clear(&self) {
        let mut buffer = [0; 64];
        while matches!((&mut &self.receiver).read(&mut buffer), Ok(count) if count == buffer.len())
        {
        }
    }
}

/// Waits until the socket is ready, somebody kicks, or the time is over. A signal ends the wait
/// with nothing ready.
pub(super) fn wait(
    socket: &Socket,
    kick: &Kick,
    read: bool,
    write: bool,
    timeout: Option<Duration>,
) -> Readiness {
    let mut wanted = PollFlags::empty();
    wanted.set(PollFlags::IN, read);
    wanted.set(PollFlags::OUT, write);
    let mut fds = [PollFd::new(socket, wanted), PollFd::new(&kick.receiver, PollFlags::IN)];
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    if poll(&mut fds, timeout.as_ref()).is_err() {
        return Readiness::default();
    }
    let (socket, kick) = (fds[0].revents(), fds[1].revents());
    // Errors are found by reading, which is always allowed to find nothing.
    let failed = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    Readiness {
        readable: socket.intersects(PollFlags::IN | failed),
        writable: socket.intersects(PollFlags::OUT | failed),
        kicked: kick.intersects(PollFlags::IN),
    }
}
