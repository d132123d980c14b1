//! From addresses to byte streams.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::ConnectError;
use crate::resolver::{self, Address, Target};
use crate::transport::Io;
use crate::transport::tcp::TcpIo;
#[cfg(unix)]
use crate::transport::unix::UnixIo;

/// Makes the byte streams of a channel's connections, in place of the channel's own resolver and
/// sockets: for servers in the same process, proxies, tunnels, tests.
///
/// A closure that returns a future will do:
///
/// ```no_run
/// # fn serve(_: Box<dyn ferrpc::transport::Io>) {}
/// use ferrpc::Channel;
///
/// let channel = Channel::builder("inproc:test")
///     .connector(|_: &_| async {
///         let (ours, theirs) = ferrpc::transport::in_process();
///         serve(theirs);
///         Ok(ours)
///     })
///     .connect_lazy();
/// ```
pub trait Connector: Send + Sync + 'static {
    /// A new byte stream to the server. The future is dropped when the attempt takes too long.
    fn connect(&self, target: &Target) -> ConnectFuture;
}

/// What a [`Connector`] returns.
pub type ConnectFuture = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

impl<F, Fut> Connector for F
where
    F: Fn(&Target) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<Box<dyn Io>>> + Send + 'static,
{
    fn connect(&self, target: &Target) -> ConnectFuture {
        Box::pin(self(target))
    }
}

/// A byte stream to the target, made by `connector` or by sockets of our own; and the name of
/// what it leads to, for messages.
pub(super) async fn connect(
    target: &Target,
    connector: Option<&dyn Connector>,
) -> Result<(Box<dyn Io>, String), ConnectError> {
    if let Some(connector) = connector {
        let connecting = async { connector.connect(target).await };
        return match Caught(Box::pin(connecting)).await {
            Ok(io) => Ok((io, target.to_string())),
            Err(error) => Err(ConnectError::connect(target, &[(target.to_string(), error)])),
        };
    }
    if target.wants_tls() {
        return Err(ConnectError::tls(target));
    }
    let addresses = resolver::resolve(target).await?;
    connect_first(target, addresses).await
}

/// The work of a connector: a panic there is a failed attempt like others. (It would end the task
/// that connects, the next call would start another, and so on without a pause.)
struct Caught<F>(Pin<Box<F>>);

impl<F: Future<Output = io::Result<Box<dyn Io>>>> Future for Caught<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| Poll::Ready(Err(io::Error::other("the connector panicked"))))
    }
}

/// Tries the addresses in order, the next one as soon as one failed or took [`NEXT_AFTER`]; the
/// first to answer wins (RFC 8305, gRFC A61).
async fn connect_first(
    target: &Target,
    addresses: Vec<Address>,
) -> Result<(Box<dyn Io>, String), ConnectError> {
    let mut attempts = JoinSet::new();
    let mut errors = Vec::new();
    let mut addresses = addresses.into_iter().peekable();
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(async move {
                let result = connect_address(&address).await;
                (address, result)
            });
        }
        let joined = if addresses.peek().is_some() {
            match tokio::time::timeout(NEXT_AFTER, attempts.join_next()).await {
                Ok(joined) => joined,
                Err(_) => continue,
            }
        } else {
            attempts.join_next().await
        };
        match joined {
            Some(Ok((address, Ok(io)))) => return Ok((io, address.to_string())),
            Some(Ok((address, Err(error)))) => errors.push((address.to_string(), error)),
            // A task ends without a result only when the runtime shuts down.
            Some(Err(_)) => {}
            None => return Err(ConnectError::connect(target, &errors)),
        }
    }
}

async fn connect_address(address: &Address) -> io::Result<Box<dyn Io>> {
    match address {
        Address::Socket(address) => {
            let stream = TcpStream::connect(address).await?;
            // Small frames must not wait for acknowledgements; what belongs together is written
            // together anyway.
            stream.set_nodelay(true)?;
            Ok(Box::new(TcpIo::new(stream)))
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let stream = tokio::net::UnixStream::connect(&**path).await?;
            Ok(Box::new(UnixIo::new(stream)))
        }
        #[cfg(target_os = "linux")]
        Address::UnixAbstract(name) => {
            let stream = tokio::net::UnixStream::connect(format!("\0{name}")).await?;
            Ok(Box::new(UnixIo::new(stream)))
        }
        #[cfg_attr(target_os = "linux", expect(unreachable_patterns, reason = "all are there"))]
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system has no unix sockets of that kind",
        )),
    }
}

/// Time for an address to answer before the next one is tried beside it.
const NEXT_AFTER: Duration = Duration::from_millis(250);

impl fmt::Debug for dyn Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
