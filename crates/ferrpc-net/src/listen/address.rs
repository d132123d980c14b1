//! Addresses to listen on.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use crate::resolver::{completed, unescaped, zoned};
#[cfg(unix)]
use crate::streams::UnixIo;
use crate::streams::{Io, TcpIo};

/// An address that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// TCP; the port is the one the system chose if 0 was asked for.
    Tcp(SocketAddr),
    /// A unix socket in the file system.
    Unix(PathBuf),
    /// A unix socket in Linux's abstract namespace.
    UnixAbstract(Vec<u8>),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixAbstract(name) => write!(f, "unix-abstract:{}", name.escape_ascii()),
        }
    }
}

/// Why a server cannot listen on an address.
#[derive(Debug)]
pub struct BindError {
    address: String,
    advice: &'static str,
    source: io::Error,
}

impl BindError {
    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The system's error.
    pub const fn io_error(&self) -> &io::Error {
        &self.source
    }

    fn new(address: &str, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there: stop it, choose another port (0 lets the system \
                 choose), or set reuse_port on both"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 and foreign directories need privileges: choose another address"
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            io::ErrorKind::InvalidInput => {
                "give HOST:PORT, [IPV6]:PORT, unix:PATH or unix-abstract:NAME"
            }
            _ => "",
        };
        Self { address: address.to_owned(), advice, source }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {:?}: {}", self.address, self.source)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Options of listening sockets and of those they accept.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// Small pieces are sent at once.
    pub nodelay: bool,
    /// Others may listen on the same port.
    pub reuse_port: bool,
    /// Connections that wait to be accepted.
    pub backlog: i32,
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp {
        listener: TcpListener,
        nodelay: bool,
    },
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        /// Removed when the listener goes.
        _file: Option<SocketFile>,
    },
}

impl Listener {
    /// One that listens already.
    pub const fn tcp(listener: TcpListener, nodelay: bool) -> Self {
        Self(Kind::Tcp { listener, nodelay })
    }

    /// The same; the socket's file stays when it goes.
    #[cfg(unix)]
    pub const fn unix(listener: UnixListener) -> Self {
        Self(Kind::Unix { listener, _file: None })
    }

    /// The next connection. Cancel-safe.
    pub async fn accept(&self) -> io::Result<Box<dyn Io>> {
        match &self.0 {
            Kind::Tcp { listener, nodelay } => {
                let (stream, _) = listener.accept().await?;
                // A peer that is gone already shows itself at the first read.
                let _ = stream.set_nodelay(*nodelay);
                Ok(Box::new(TcpIo::new(stream)))
            }
            #[cfg(unix)]
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok(Box::new(UnixIo::new(stream)))
            }
        }
    }

    /// What it listens on.
    pub fn address(&self) -> io::Result<ListenAddress> {
        match &self.0 {
            Kind::Tcp { listener, .. } => listener.local_addr().map(ListenAddress::Tcp),
            #[cfg(unix)]
            Kind::Unix { listener, .. } => {
                let address = listener.local_addr()?;
                if let Some(path) = address.as_pathname() {
                    return Ok(ListenAddress::Unix(path.to_owned()));
                }
                Ok(ListenAddress::UnixAbstract(abstract_name(&address)))
            }
        }
    }
}

#[cfg(unix)]
fn abstract_name(address: &tokio::net::unix::SocketAddr) -> Vec<u8> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from(address.clone());
        if let Some(name) = address.as_abstract_name() {
            return name.to_vec();
        }
    }
    let _ = address;
    Vec::new()
}

/// The sockets that listen on an address, before somebody serves them.
#[derive(Debug)]
pub struct Listeners {
    #[doc(hidden)]
    pub listeners: Vec<Listener>,
    addresses: Vec<ListenAddress>,
}

impl Listeners {
    /// Opens them.
    #[doc(hidden)]
    pub async fn open(address: &str, options: SocketOptions) -> Result<Self, BindError> {
        let listeners = listen(address, options).await?;
        let addresses = listeners.iter().filter_map(|one| one.address().ok()).collect();
        Ok(Self { listeners, addresses })
    }

    /// What they listen on; several if a name has several addresses.
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }
}

/// Opens the listeners of an address; a host name may have several.
pub async fn listen(address: &str, options: SocketOptions) -> Result<Vec<Listener>, BindError> {
    open(address, options).await.map_err(|error| BindError::new(address, error))
}

async fn open(address: &str, options: SocketOptions) -> io::Result<Vec<Listener>> {
    #[cfg(unix)]
    if let Some(name) = address.strip_prefix("unix-abstract:") {
        return abstract_socket(name, options).map(|listener| vec![listener]);
    }
    #[cfg(unix)]
    if let Some(path) = address.strip_prefix("unix:") {
        // "unix:path", "unix:/path" and "unix:///path".
        let path = path.strip_prefix("//").unwrap_or(path);
        return unix_socket(Path::new(path), options).map(|listener| vec![listener]);
    }
    let mut address = address;
    for scheme in ["dns:///", "dns:", "ipv4:", "ipv6:", "http://"] {
        address = address.strip_prefix(scheme).unwrap_or(address);
    }
    if let Ok(address) = address.parse::<SocketAddr>() {
        return tcp(address, options).map(|listener| vec![listener]);
    }
    let address = &*unescaped(address);
    let parsed = address.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse::<u16>().ok()?;
        (!host.is_empty() && !host.contains('/')).then_some((host, port))
    });
    let Some((host, port)) = parsed else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an address"));
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(address) = zoned(bare.unwrap_or(host), port) {
        return tcp(address?, options).map(|listener| vec![listener]);
    }
    let found = tokio::net::lookup_host((host, port)).await.map(Iterator::collect);
    let mut listeners = Vec::new();
    let mut port = 0;
    let mut failure = None;
    for mut address in completed(host, port, found)? {
        if address.port() == 0 {
            // All addresses of one name get the same port.
            address.set_port(port);
        }
        match tcp(address, options) {
            Ok(listener) => {
                if let Ok(ListenAddress::Tcp(address)) = listener.address() {
                    port = address.port();
                }
                listeners.push(listener);
            }
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        // "localhost" may have an IPv6 address on a machine without IPv6.
        Some(error) if listeners.is_empty() => Err(error),
        None if listeners.is_empty() => {
            Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address"))
        }
        _ => Ok(listeners),
    }
}

fn tcp(address: SocketAddr, options: SocketOptions) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // "[::]" takes IPv4 callers too, whatever the system's default.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    #[cfg(unix)]
    {
        // A port whose last connections are still in TIME_WAIT is free all the same.
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(options.backlog)?;
    let listener = TcpListener::from_std(socket.into())?;
    Ok(Listener::tcp(listener, options.nodelay))
}

#[cfg(unix)]
fn abstract_socket(name: &str, options: SocketOptions) -> io::Result<Listener> {
    // An abstract address is a path that begins with a zero byte.
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let path = [b"\0", name.as_bytes()].concat();
    let listener = unix_listener(Path::new(OsStr::from_bytes(&path)), options)?;
    Ok(Listener::unix(listener))
}

#[cfg(unix)]
fn unix_socket(path: &Path, options: SocketOptions) -> io::Result<Listener> {
    use std::os::unix::fs::FileTypeExt;
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is empty"));
    }
    let stale = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && matches!(
            std::os::unix::net::UnixStream::connect(path),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused
        );
    if stale {
        // Nobody listens there: left behind by a process that did not clean up.
        std::fs::remove_file(path)?;
    }
    let listener = unix_listener(path, options)?;
    Ok(Listener(Kind::Unix { listener, _file: SocketFile::of(path) }))
}

#[cfg(unix)]
fn unix_listener(path: &Path, options: SocketOptions) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(options.backlog)?;
    UnixListener::from_std(socket.into())
}

/// A socket's file, removed with its listener unless somebody put another in its place.
#[cfg(unix)]
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

#[cfg(unix)]
impl SocketFile {
    fn of(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let identity = Self::identity(&path)?;
        Some(Self { path, identity })
    }

    fn identity(path: &Path) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::symlink_metadata(path).ok()?;
        Some((file.dev(), file.ino()))
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::identity(&self.path) == Some(self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
