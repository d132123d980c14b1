//! From addresses to byte streams.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use super::error::{ConnectError, Failure};
use super::proxy::Route;
use crate::credentials::ChannelCredentials;
use crate::resolver::{self, Address, Target};
#[cfg(unix)]
use crate::socket::{Patience, Socket};
#[cfg(unix)]
use crate::streams::Fault;
#[cfg(unix)]
use crate::streams::UnixIo;
use crate::streams::{Io, Refusal, Secured, TcpIo};
use crate::trace;

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

/// How a channel makes its byte streams.
#[derive(Clone, Debug)]
pub struct Dialer {
    /// In place of all below.
    pub connector: Option<Arc<dyn Connector>>,
    /// The proxy that leads to the server.
    pub route: Option<Route>,
    /// What follows when there is a byte stream.
    pub security: Security,
}

/// How a channel's byte streams are secured, for tasks that outlive a borrow of its configuration.
#[derive(Clone, Debug)]
pub struct Security {
    /// What both ends prove.
    pub credentials: ChannelCredentials,
    /// The name that the server must prove to have.
    pub server_name: Arc<str>,
    /// Ended with a channel of threads.
    #[cfg(all(unix, feature = "_rustls"))]
    giving_up: crate::tls::Limit,
}

impl Security {
    /// With credentials, to the server of this name.
    pub fn new(credentials: ChannelCredentials, server_name: impl Into<Arc<str>>) -> Self {
        Self {
            credentials,
            server_name: server_name.into(),
            #[cfg(all(unix, feature = "_rustls"))]
            giving_up: crate::tls::Limit::default(),
        }
    }

    /// Secures a byte stream to this address; also where TLS says why it ended the connection.
    async fn secure(&self, io: Box<dyn Io>, address: &str) -> Result<Secured, Refusal> {
        let secured = self.credentials.secure(io, &self.server_name).await;
        match &secured {
            Ok(Secured { fault: None, .. }) => {}
            Ok(_) => tracing::debug!(target: trace::TLS, address, "handshake done"),
            Err(refusal) => {
                tracing::debug!(target: trace::TLS, address, %refusal, "handshake failed")
            }
        }
        secured
    }

    /// The same for a socket of threads that block. `None`: there was no more patience.
    #[cfg(unix)]
    pub fn secure_blocking(
        &self,
        socket: Socket,
        address: &str,
        patience: &Patience<'_>,
    ) -> Result<Option<SecuredSocket>, Refusal> {
        #[cfg(feature = "_rustls")]
        if let Some(session) = self.credentials.session(&socket.peer(), &self.server_name)? {
            let fault = session.fault();
            let socket = socket.secure(session, patience, &self.giving_up);
            match &socket {
                Ok(_) => tracing::debug!(target: trace::TLS, address, "handshake done"),
                Err(refusal) => {
                    tracing::debug!(target: trace::TLS, address, %refusal, "handshake failed")
                }
            }
            return Ok(socket?.map(|socket| (socket, Some(fault))));
        }
        #[cfg(not(feature = "_rustls"))]
        {
            // Only TLS tells of its handshake, and takes time.
            let _ = (address, patience);
            self.credentials.check_peer(&socket.peer())?;
        }
        Ok(Some((socket, None)))
    }

    /// The channel of threads is closed: no handshake waits for a signer any longer.
    #[cfg(unix)]
    pub fn give_up(&self) {
        #[cfg(feature = "_rustls")]
        self.giving_up.end();
    }
}

/// A socket that is ready for HTTP/2, and where TLS says why it ended the connection.
#[cfg(unix)]
pub type SecuredSocket = (Socket, Option<Arc<Fault>>);

/// Where one try of a channel to connect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address of the target.
    Address(Address),
    /// What a proxy is asked for.
    ByProxy(String),
    /// Wherever the channel's own connector leads.
    Connector,
}

/// The places that a channel tries, in order.
pub async fn places(target: &Target, dialer: &Dialer) -> Result<Vec<Place>, ConnectError> {
    match Place::configured(dialer) {
        Some(places) => Ok(places),
        None => Ok(resolver::resolve(target).await?.into_iter().map(Place::Address).collect()),
    }
}

/// Whether the places that a channel tries may change: a name is looked up for them.
pub fn may_change(target: &Target, dialer: &Dialer) -> bool {
    Place::configured(dialer).is_none() && resolver::may_change(target)
}

impl Place {
    /// The places that the channel's configuration names. None: its target is to be resolved.
    pub fn configured(dialer: &Dialer) -> Option<Vec<Self>> {
        match &dialer.route {
            Some(route) => Some(route.destinations().iter().cloned().map(Self::ByProxy).collect()),
            None if dialer.connector.is_some() => Some(vec![Self::Connector]),
            None => None,
        }
    }

    /// Its name, for messages.
    pub fn name(&self, target: &Target, dialer: &Dialer) -> String {
        match (self, &dialer.route) {
            (Self::Address(address), _) => address.to_string(),
            (Self::ByProxy(destination), Some(route)) => {
                format!("{destination} by way of {}", route.address())
            }
            (Self::ByProxy(_), None) | (Self::Connector, _) => target.to_string(),
        }
    }

    /// A byte stream to it; `connected` is called before what secures that.
    pub async fn connect(
        &self,
        target: &Target,
        dialer: &Dialer,
        connected: impl FnOnce() + Send,
    ) -> Result<Secured, Failure> {
        let io: Box<dyn Io> = match (self, &dialer.route, &dialer.connector) {
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
        let secured = dialer.security.secure(io, &self.name(target, dialer)).await;
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
