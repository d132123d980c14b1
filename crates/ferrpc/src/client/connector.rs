//! From addresses to byte streams.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::builder::Config;
use super::error::{ConnectError, explain};
use super::proxy::Route;
use crate::credentials::ChannelCredentials;
use crate::resolver::{self, Address, Target};
use crate::trace;
use crate::transport::Io;
use crate::transport::refusal::{Fault, Refusal};
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

/// A byte stream that is ready for HTTP/2.
pub(super) struct Connected {
    pub(super) io: Box<dyn Io>,
    /// The name of what it leads to, for messages.
    pub(super) address: String,
    /// Where TLS says why it ended the connection.
    pub(super) fault: Option<Arc<Fault>>,
}

/// How a channel's byte streams are secured, for tasks that outlive a borrow of its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Security {
    pub(crate) credentials: ChannelCredentials,
    /// The name that the server must prove to have.
    pub(crate) server_name: Arc<str>,
    /// Ended with a channel of threads.
    #[cfg(all(unix, feature = "_rustls"))]
    pub(crate) giving_up: crate::transport::tls::Limit,
}

impl Security {
    pub(super) fn new(credentials: ChannelCredentials, server_name: impl Into<Arc<str>>) -> Self {
        Self {
            credentials,
            server_name: server_name.into(),
            #[cfg(all(unix, feature = "_rustls"))]
            giving_up: crate::transport::tls::Limit::default(),
        }
    }

    async fn secure(&self, io: Box<dyn Io>, address: &str) -> Result<Connected, Refusal> {
        let secured = self.credentials.secure(io, &self.server_name).await;
        match &secured {
            // Without TLS.
            Ok((_, None)) => {}
            Ok(_) => tracing::debug!(target: trace::TLS, address, "handshake done"),
            Err(refusal) => {
                tracing::debug!(target: trace::TLS, address, %refusal, "handshake failed")
            }
        }
        let (io, fault) = secured?;
        Ok(Connected { io, address: address.to_owned(), fault })
    }
}

/// A byte stream to the target, made by the channel's connector or by sockets of our own.
pub(super) async fn connect(target: &Target, config: &Config) -> Result<Connected, ConnectError> {
    if let Some(route) = &config.route {
        return by_proxy(target, route, &config.security).await;
    }
    let Some(connector) = config.connector.as_deref() else {
        let addresses = resolver::resolve(target).await?;
        return connect_first(target, addresses, &config.security).await;
    };
    let connecting = async { connector.connect(target).await };
    let address = target.to_string();
    let connected = match Caught(Box::pin(connecting)).await {
        Ok(io) => config.security.secure(io, &address).await,
        Err(error) => Err(explain(&error)),
    };
    connected.map_err(|refusal| ConnectError::refused(target, &[(address, refusal)]))
}

/// A byte stream to the target by way of a proxy; the destinations are tried in order.
async fn by_proxy(
    target: &Target,
    route: &Route,
    security: &Security,
) -> Result<Connected, ConnectError> {
    let mut refusals = Vec::new();
    for destination in route.destinations() {
        let place = format!("{destination} by way of {}", route.address());
        let connected = match route.connect(destination).await {
            Ok(stream) => security.secure(Box::new(TcpIo::new(stream)), &place).await,
            Err(refusal) => Err(refusal),
        };
        match connected {
            Ok(connected) => return Ok(connected),
            Err(refusal) => refusals.push((place, refusal)),
        }
    }
    Err(ConnectError::refused(target, &refusals))
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
    security: &Security,
) -> Result<Connected, ConnectError> {
    let mut attempts = JoinSet::new();
    let mut errors = Vec::new();
    let mut addresses = addresses.into_iter().peekable();
    loop {
        if let Some(address) = addresses.next() {
            let security = security.clone();
            attempts.spawn(async move {
                let address_text = address.to_string();
                let result = match connect_address(&address).await {
                    Ok(io) => security.secure(io, &address_text).await,
                    Err(error) => Err(explain(&error)),
                };
                result.map_err(|refusal| (address_text, refusal))
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
            Some(Ok(Ok(connected))) => return Ok(connected),
            Some(Ok(Err(refused))) => errors.push(refused),
            // A task ends without a result only when the runtime shuts down.
            Some(Err(_)) => {}
            None => return Err(ConnectError::refused(target, &errors)),
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
