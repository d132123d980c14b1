//! From addresses to byte streams.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferrpc_core::channel::ChannelConfig;
use tokio::net::TcpStream;

use super::builder::Config;
use super::error::{ConnectError, Failure};
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

    /// Secures a byte stream to this address; also where TLS says why it ended the connection.
    async fn secure(&self, io: Box<dyn Io>, address: &str) -> Result<Secured, Refusal> {
        let secured = self.credentials.secure(io, &self.server_name).await;
        match &secured {
            // Without TLS.
            Ok((_, None)) => {}
            Ok(_) => tracing::debug!(target: trace::TLS, address, "handshake done"),
            Err(refusal) => {
                tracing::debug!(target: trace::TLS, address, %refusal, "handshake failed")
            }
        }
        secured
    }
}

/// A byte stream that is ready for HTTP/2, and where TLS says why it ended the connection.
pub(super) type Secured = (Box<dyn Io>, Option<Arc<Fault>>);

/// Where one try of a channel to connect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Address(Address),
    /// What a proxy is asked for.
    ByProxy(String),
    /// Wherever the channel's own connector leads.
    Connector,
}

/// The places that a channel tries, in order.
pub(super) async fn places(target: &Target, config: &Config) -> Result<Vec<Place>, ConnectError> {
    match Place::configured(config) {
        Some(places) => Ok(places),
        None => Ok(resolver::resolve(target).await?.into_iter().map(Place::Address).collect()),
    }
}

/// What a channel's machine is told.
pub(crate) fn machine_config(target: &Target, config: &Config) -> ChannelConfig {
    let changes = Place::configured(config).is_none() && resolver::may_change(target);
    ChannelConfig {
        balancing: config.balancing.clone(),
        backoff: config.backoff,
        connect_timeout: config.connect_timeout,
        keepalive: config.transport.http2.keepalive.interval,
        resolution_interval: changes.then_some(config.resolution_interval),
        seed: seed(),
    }
}

/// Randomness for backoff jitter and the like: unlike from process to process and each time.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

impl Place {
    /// The places that the channel's configuration names. None: its target is to be resolved.
    pub(crate) fn configured(config: &Config) -> Option<Vec<Self>> {
        match &config.route {
            Some(route) => Some(route.destinations().iter().cloned().map(Self::ByProxy).collect()),
            None if config.connector.is_some() => Some(vec![Self::Connector]),
            None => None,
        }
    }

    /// Its name, for messages.
    pub(crate) fn name(&self, target: &Target, config: &Config) -> String {
        match (self, &config.route) {
            (Self::Address(address), _) => address.to_string(),
            (Self::ByProxy(destination), Some(route)) => {
                format!("{destination} by way of {}", route.address())
            }
            (Self::ByProxy(_), None) | (Self::Connector, _) => target.to_string(),
        }
    }

    /// A byte stream to it; `connected` is called before what secures that.
    pub(super) async fn connect(
        &self,
        target: &Target,
        config: &Config,
        connected: impl FnOnce() + Send,
    ) -> Result<Secured, Failure> {
        let io: Box<dyn Io> = match (self, &config.route, &config.connector) {
            (Self::Address(address), _, _) => {
                connect_address(address).await.map_err(|error| Failure::dial(&error))?
            }
            (Self::ByProxy(destination), Some(route), _) => {
                let stream = route.connect(destination).await.map_err(Failure::proxy)?;
                Box::new(TcpIo::new(stream))
            }
            (Self::Connector, _, Some(connector)) => {
                let connecting = async { connector.connect(target).await };
                Caught(Box::pin(connecting)).await.map_err(|error| Failure::dial(&error))?
            }
            (Self::ByProxy(_), None, _) | (Self::Connector, _, None) => {
                unreachable!("places are made of the same configuration")
            }
        };
        connected();
        let secured = config.security.secure(io, &self.name(target, config)).await;
        secured.map_err(Failure::tls)
    }
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

impl fmt::Debug for dyn Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
