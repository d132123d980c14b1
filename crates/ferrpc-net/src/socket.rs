//! Sockets that never block, and waiting for them.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "_rustls")]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrpc_core::Time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::clock;
use crate::resolver::Address;
#[cfg(feature = "_rustls")]
use crate::streams::Refusal;
use crate::streams::{address_text, named_end};
#[cfg(feature = "_rustls")]
use crate::tls::{Limit, Session, Want, within};

/// A connected socket, with TLS or without. Reading and writing never block.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    #[cfg(feature = "_rustls")]
    tls: Option<Mutex<Session>>,
}

/// What a socket is made of.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a socket, and a kick, are ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read, or an error.
    pub readable: bool,
    /// It takes bytes, or an error.
    pub writable: bool,
    /// Somebody kicked.
    pub kicked: bool,
}

/// Gets threads out of their wait for the socket: the guard, and the caller that has the role. Both
/// may wait at the same time, and neither takes a kick that is the other's.
#[derive(Debug)]
pub struct Kick {
    /// What is written here is the guard's to read, and the other way round.
    caller: UnixStream,
    guard: UnixStream,
}

/// How long to wait for an address.
#[derive(Debug)]
pub struct Patience<'a> {
    /// When it is over.
    pub until: Time,
    /// Set when the channel was closed, and when another address was first.
    pub over: [&'a AtomicBool; 2],
}

impl Patience<'_> {
    /// For how long to wait now; another wait may follow. None: no longer.
    pub fn left(&self) -> Option<Duration> {
        let left = self.until.since(clock::now());
        let over = self.over.iter().any(|over| over.load(Ordering::Relaxed));
        (!over && !left.is_zero()).then(|| left.min(SLICE))
    }
}

impl Socket {
    /// Connects. None: there was no more patience.
    pub fn connect(address: &Address, patience: &Patience<'_>) -> io::Result<Option<Self>> {
        match address {
            Address::Socket(address) => {
                let Some(stream) = connect_tcp(*address, patience)? else { return Ok(None) };
                stream.set_nodelay(true)?;
                Self::tcp(stream)
            }
            Address::Unix(path) => Self::unix(UnixStream::connect(&**path)?),
            Address::UnixAbstract(name) => Self::unix(connect_abstract(name)?),
        }
        .map(Some)
    }

    fn unix(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::plain(Stream::Unix(stream)))
    }

    /// Takes over a connected socket.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::plain(Stream::Tcp(stream)))
    }

    const fn plain(stream: Stream) -> Self {
        Self {
            stream,
            #[cfg(feature = "_rustls")]
            tls: None,
        }
    }

    /// Who is at the other end, in gRPC's notation.
    pub fn peer(&self) -> String {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().map(address_text).unwrap_or_default(),
            Stream::Unix(stream) => named_end([stream.peer_addr().ok()]),
        }
    }

    /// Performs a TLS handshake (`None`: there was no more patience), or fails when the channel is
    /// given up where it waits for a signer.
    #[cfg(feature = "_rustls")]
    pub(crate) fn secure(
        mut self,
        mut session: Session,
        patience: &Patience<'_>,
        giving_up: &Limit,
    ) -> Result<Option<Self>, Refusal> {
        let limit = giving_up.until(patience.until);
        loop {
            let mut flags = PollFlags::empty();
            match within(&limit, || session.shake_hands(&mut &self.stream))? {
                Want::Nothing => {
                    self.tls = Some(Mutex::new(session));
                    return Ok(Some(self));
                }
                Want::Read => flags |= PollFlags::IN,
                Want::Write => flags |= PollFlags::OUT,
            }
            let Some(left) = patience.left() else { return Ok(None) };
            // A signal ends the wait early, and another follows.
            let _ = poll(&mut [PollFd::new(&self, flags)], Some(&timespec(left)));
        }
    }

    /// Reads what there is.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "_rustls")]
        if let Some(tls) = &self.tls {
            return locked(tls).read(&mut &self.stream, buffer);
        }
        (&mut &self.stream).read(buffer)
    }

    /// Writes what the socket takes.
    #[inline]
    pub fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(feature = "_rustls")]
        if let Some(tls) = &self.tls {
            return locked(tls).write(&mut &self.stream, slices);
        }
        (&mut &self.stream).write_vectored(slices)
    }

    /// Closes it for both directions, whoever else still holds it.
    pub fn shut_down(&self) {
        #[cfg(feature = "_rustls")]
        if let Some(tls) = &self.tls {
            locked(tls).close(&mut &self.stream);
        }
        // Failing means that it is closed already.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
        };
    }

    /// Whether TLS has records that the socket did not take yet.
    #[inline]
    pub fn owes(&self) -> bool {
        #[cfg(feature = "_rustls")]
        if let Some(tls) = &self.tls {
            return locked(tls).owes();
        }
        false
    }

    /// Whether there is something to read that the socket knows nothing of.
    #[inline]
    pub fn holds_input(&self) -> bool {
        #[cfg(feature = "_rustls")]
        if let Some(tls) = &self.tls {
            return locked(tls).holds_input();
        }
        false
    }

    /// Writes what TLS owes. An error is found by the next read as well.
    pub fn settle(&self) {
        #[cfg(feature = "_rustls")]
        if let Some(tls) = &self.tls {
            let _ = locked(tls).flush(&mut &self.stream);
        }
    }
}

#[cfg(feature = "_rustls")]
fn locked(tls: &Mutex<Session>) -> MutexGuard<'_, Session> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            // One piece, as nearly always: the plainer system call.
            (stream, [slice]) => stream.write(slice),
            (Stream::Tcp(stream), slices) => (&mut &*stream).write_vectored(slices),
            (Stream::Unix(stream), slices) => (&mut &*stream).write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects a socket without blocking in a way that nobody can end.
fn connect_tcp(address: SocketAddr, patience: &Patience<'_>) -> io::Result<Option<TcpStream>> {
    use socket2::{Domain, Protocol, Type};
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
            return Err(error);
        }
        connected => {
            if connected.is_err() && !wait_until_connected(&socket, patience)? {
                return Ok(None);
            }
        }
    }
    Ok(Some(socket.into()))
}

/// Whether it connected; not if there was no more patience.
fn wait_until_connected(socket: &socket2::Socket, patience: &Patience<'_>) -> io::Result<bool> {
    while let Some(left) = patience.left() {
        let mut fds = [PollFd::new(socket, PollFlags::OUT)];
        // A signal ends the wait early, and another follows.
        let ready = poll(&mut fds, Some(&timespec(left))).is_ok_and(|ready| ready > 0);
        if ready {
            return socket.take_error()?.map_or(Ok(true), Err);
        }
    }
    Ok(false)
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
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Kick {
    /// A pair that nobody waits for yet.
    pub fn new() -> io::Result<Self> {
        let (caller, guard) = UnixStream::pair()?;
        caller.set_nonblocking(true)?;
        guard.set_nonblocking(true)?;
        Ok(Self { caller, guard })
    }

    /// Kicks the guard.
    pub fn guard(&self) {
        // Full means that it was kicked often enough.
        let _ = (&mut &self.caller).write(&[1]);
    }

    /// Kicks the caller that has the role.
    pub fn caller(&self) {
        let _ = (&mut &self.guard).write(&[1]);
    }

    /// What the guard waits for.
    pub const fn of_guard(&self) -> &UnixStream {
        &self.guard
    }

    /// What a caller waits for.
    pub const fn of_caller(&self) -> &UnixStream {
        &self.caller
    }

    /// Forgets the kicks so far, of one of the two.
    pub fn clear(mut kicks: &UnixStream) {
        let mut buffer = [0; 64];
        while matches!(kicks.read(&mut buffer), Ok(count) if count == buffer.len()) {}
    }
}

/// Waits until the socket is ready, somebody kicks, or the time is over. A signal ends the wait
/// with nothing ready.
pub fn wait(
    socket: &Socket,
    kicks: &UnixStream,
    read: bool,
    write: bool,
    timeout: Option<Duration>,
) -> Readiness {
    if read && socket.holds_input() {
        return Readiness { readable: true, ..Readiness::default() };
    }
    let owes = socket.owes();
    let mut wanted = PollFlags::empty();
    wanted.set(PollFlags::IN, read);
    wanted.set(PollFlags::OUT, write || owes);
    let mut fds = [PollFd::new(socket, wanted), PollFd::new(kicks, PollFlags::IN)];
    let timeout = timeout.map(timespec);
    if poll(&mut fds, timeout.as_ref()).is_err() {
        return Readiness::default();
    }
    let (ready, kick) = (fds[0].revents(), fds[1].revents());
    if owes && ready.intersects(PollFlags::OUT) {
        socket.settle();
    }
    // Errors are found by reading, which is always allowed to find nothing.
    let failed = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    Readiness {
        readable: ready.intersects(PollFlags::IN | failed),
        writable: ready.intersects(PollFlags::OUT | failed),
        kicked: kick.intersects(PollFlags::IN),
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// How soon a thread sees that another address was first, or that the channel was closed.
pub const SLICE: Duration = Duration::from_millis(100);
