//! What a channel is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::channel::{BackoffConfig, ChannelConfig};
use ferrpc_core::http2::{Keepalive, Limits, Window};
use ferrpc_core::service_config::{LoadBalancing, ServiceConfig, ServiceConfigError};
use ferrpc_core::transport::{self, CallLimits};
use ferrpc_core::{Encoding, EncodingSet};
use ferrpc_net::connect::{self, Dialer, Security};
use ferrpc_net::seed::seed;

use super::maker::CallMaker;
use super::observer::Observer;
use super::service::Service;
use super::{Channel, ConnectError, Connector, Proxy};
use crate::credentials::ChannelCredentials;
use crate::interceptor::ClientInterceptor;
use crate::observers::Observers;
use crate::resolver::Target;
use crate::transport::buffers::KeptBuffers;

/// Makes a [`Channel`]. Made by [`Channel::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until connect or connect_lazy"]
pub struct ChannelBuilder {
    target: String,
    authority: Option<String>,
    credentials: Option<ChannelCredentials>,
    server_name: Option<String>,
    proxy: Proxy,
    user_agent: Option<String>,
    whole_user_agent: bool,
    interceptors: Vec<Interceptor>,
    service_config: ServiceConfig,
    retries: bool,
    config: Config,
}

/// What the parts of a channel need to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// How connections are made.
    pub dialer: Dialer,
    /// How long an attempt may take.
    pub connect_timeout: Option<Duration>,
    /// How long after a failed attempt the next begins.
    pub backoff: BackoffConfig,
    /// Of all connections.
    pub transport: transport::Config,
    /// Of all calls.
    pub limits: CallLimits,
    /// How calls are spread over addresses.
    pub(crate) balancing: LoadBalancing,
    /// From one look-up of the target's name to the next at least.
    pub(crate) resolution_interval: Duration,
    pub(crate) wait_for_ready: bool,
    pub(crate) compression: Encoding,
    pub(crate) max_kept: usize,
    /// Who sees the channel's calls and connections.
    pub observers: Observers<dyn Observer>,
    /// How long a blocking channel looks for answers before it sleeps.
    pub spin: Duration,
}

impl Config {
    /// What the machine of a channel to this target is told.
    pub fn machine(&self, target: &Target) -> ChannelConfig {
        let changes = connect::may_change(target, &self.dialer);
        ChannelConfig {
            balancing: self.balancing.clone(),
            backoff: self.backoff,
            connect_timeout: self.connect_timeout,
            keepalive: self.transport.http2.keepalive.interval,
            resolution_interval: changes.then_some(self.resolution_interval),
            seed: seed(),
        }
    }
}

struct Interceptor(Arc<dyn ClientInterceptor>);

impl ChannelBuilder {
    pub(super) fn new(target: String) -> Self {
        let config = Config {
            dialer: Dialer {
                connector: None,
                security: Security::new(ChannelCredentials::insecure(), ""),
                route: None,
            },
            connect_timeout: None,
            backoff: BackoffConfig::default(),
            balancing: LoadBalancing::default(),
            resolution_interval: RESOLUTION_INTERVAL,
            transport: transport::Config {
                http2: ferrpc_core::http2::Config::default(),
                accept: EncodingSet::ALL,
                max_age: None,
                max_age_grace: None,
                max_idle: None,
                max_held_messages: MAX_HELD_MESSAGES,
                message_runs: true,
                any_path: false,
                buffers: &KeptBuffers,
                seed: 0,
            },
            limits: CallLimits { max_receive: DEFAULT_MAX_RECEIVE, max_send: usize::MAX },
            wait_for_ready: false,
            compression: Encoding::Identity,
            max_kept: DEFAULT_MAX_KEPT,
            observers: Observers::new(None),
            spin: Duration::ZERO,
        };
        Self {
            target,
            authority: None,
            credentials: None,
            server_name: None,
            proxy: Proxy::from_environment(),
            user_agent: None,
            whole_user_agent: false,
            interceptors: Vec::new(),
            service_config: ServiceConfig::default(),
            retries: true,
            config,
        }
    }

    /// How connections are protected, and what calls say about who makes them. By default targets
    /// with `https:` have TLS with [the usual roots](crate::credentials::Roots::from_environment),
    /// others are insecure.
    pub fn credentials(mut self, credentials: ChannelCredentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The name that a server must prove to have by its certificate, in place of the target's
    /// host; also the `:authority` of all calls, unless that is set.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The `:authority` of all calls, in place of the target's host and port; its host is also the
    /// name that a server must prove to have.
    pub fn authority(mut self, authority: impl Into<String>) -> Self {
        self.authority = Some(authority.into());
        self
    }

    /// What stands before "ferrpc/VERSION" in the `user-agent` of all calls: the application's own
    /// name and version.
    pub fn user_agent(mut self, prefix: impl Into<String>) -> Self {
        self.user_agent = Some(prefix.into());
        self.whole_user_agent = false;
        self
    }

    /// The `user-agent` of all calls, whole: for what is built on this crate and has a name of its
    /// own.
    pub fn whole_user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = Some(text.into());
        self.whole_user_agent = true;
        self
    }

    /// Blocking channels: how long a thread that is alone with its call looks for the answer
    /// before it sleeps. It pays where answers come within that time, saves the time to wake a
    /// core, and costs that of a core while no other thread wants it; where they do not come, it
    /// is tried ever more rarely. Of a channel that an event loop drives: how long the loop is asked
    /// to look rather than sleep (`ferrpc_blocking::Pumped::look`). By default not at
    /// all.
    pub const fn spin(mut self, spin: Duration) -> Self {
        self.config.spin = spin;
        self
    }

    /// The most that one attempt to connect may take, from looking the name up to the server's
    /// first HTTP/2 frame. By default as gRPC has it: 20 s, and more when the backoff is longer.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = Some(timeout);
        self
    }

    /// How long to wait between attempts to connect. By default 1 s, growing to 120 s.
    pub const fn backoff(mut self, backoff: BackoffConfig) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// How calls are spread over the addresses of the target, where the
    /// [service config](Self::service_config) does not say. By default all go over one connection, to
    /// the first address that answers.
    ///
    /// ```
    /// use ferrpc::client::LoadBalancing;
    ///
    /// let builder = ferrpc::Channel::builder("ipv4:10.0.0.1:50051,10.0.0.2:50051")
    ///     .load_balancing(LoadBalancing::RoundRobin);
    /// ```
    pub fn load_balancing(mut self, policy: LoadBalancing) -> Self {
        self.config.balancing = policy;
        self
    }

    /// How long addresses are believed before the name is looked up again, which happens when a
    /// connection is lost or cannot be made. By default 30 s.
    pub const fn resolution_interval(mut self, interval: Duration) -> Self {
        self.config.resolution_interval = interval;
        self
    }

    /// How much the server may send ahead of what is read. By default it grows with what the
    /// network can carry, up to 16 MiB a stream.
    pub const fn window(mut self, window: Window) -> Self {
        self.config.transport.http2.window = window;
        self
    }

    /// Pings to learn whether the server is still there. By default none.
    pub const fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.config.transport.http2.keepalive = keepalive;
        self
    }

    /// How long a connection may be without calls before it is closed: the next call makes another.
    /// By default for ever.
    pub const fn idle_timeout(mut self, idle: Duration) -> Self {
        self.config.transport.max_idle = Some(idle);
        self
    }

    /// The largest response message taken, in bytes, before and after decompression; larger ones
    /// end their call with RESOURCE_EXHAUSTED. By default 4 MiB.
    pub const fn max_receive_message(mut self, bytes: usize) -> Self {
        self.config.limits.max_receive = bytes;
        self
    }

    /// The largest request message sent, in bytes, after compression. By default without limit.
    pub const fn max_send_message(mut self, bytes: usize) -> Self {
        self.config.limits.max_send = bytes;
        self
    }

    /// The size of a response's metadata, in bytes with 32 added for each entry, that is advertised and
    /// never exceeded in memory. A response with more ends its call with RESOURCE_EXHAUSTED, unless
    /// its status is a failure: then only what is too large is missing. By
    /// default 16 KiB.
    pub const fn max_metadata_size(mut self, bytes: u32) -> Self {
        self.config.transport.http2.limits.max_header_list_size = bytes;
        self
    }

    /// The size from which on a response's metadata, unless it comes with the status, may be
    /// refused with RESOURCE_EXHAUSTED, though it is within
    /// [`max_metadata_size`](Self::max_metadata_size): the larger it is, the more often. `None`,
    /// the default: it is not.
    pub const fn soft_metadata_size(mut self, bytes: Option<u32>) -> Self {
        self.config.transport.http2.limits.soft_header_list_size = bytes;
        self
    }

    /// All limits on what a server may do; replaces what was set by
    /// [`max_metadata_size`](Self::max_metadata_size) and
    /// [`soft_metadata_size`](Self::soft_metadata_size).
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.config.transport.http2.limits = limits;
        self
    }

    /// The same, to change some of them.
    pub const fn limits_mut(&mut self) -> &mut Limits {
        &mut self.config.transport.http2.limits
    }

    /// Bytes of responses that wait for their readers, on one connection. Beyond it messages larger
    /// than a call's window arrive one at a time, those that somebody waits for first. By default
    /// 64 MiB.
    pub const fn max_held_messages(mut self, bytes: usize) -> Self {
        self.config.transport.max_held_messages = bytes;
        self
    }

    /// The largest frame taken, in bytes: 16,384 (the default) to 16,777,215.
    pub const fn max_frame_size(mut self, bytes: u32) -> Self {
        self.config.transport.http2.max_frame_size = bytes;
        self
    }

    /// Whether calls that do not say themselves wait while the server cannot be reached, rather
    /// than failing with UNAVAILABLE. By default they fail.
    pub const fn wait_for_ready(mut self, wait: bool) -> Self {
        self.config.wait_for_ready = wait;
        self
    }

    /// How request messages are compressed in calls that do not say themselves. By default not at
    /// all: the server must be known to support it.
    pub const fn compression(mut self, encoding: Encoding) -> Self {
        self.config.compression = encoding;
        self
    }

    /// The encodings that servers may compress responses with. By default all that there are.
    pub const fn accept_compressed(mut self, encodings: EncodingSet) -> Self {
        self.config.transport.accept = encodings;
        self
    }

    /// What the service says about calls, as gRPC's JSON service config: deadlines, wait-for-ready,
    /// sizes of messages, and retries by method; and how calls are spread over addresses. Fails, and names the fields, if it is not one.
    /// Fields that have no effect are logged.
    ///
    /// ```
    /// # fn main() -> Result<(), ferrpc::client::ServiceConfigError> {
    /// let builder = ferrpc::Channel::builder("localhost:50051").service_config(
    ///     r#"{"methodConfig": [{
    ///         "name": [{"service": "example.Test"}],
    ///         "retryPolicy": {
    ///             "maxAttempts": 3,
    ///             "initialBackoff": "0.1s",
    ///             "maxBackoff": "1s",
    ///             "backoffMultiplier": 2,
    ///             "retryableStatusCodes": ["UNAVAILABLE"]
    ///         }
    ///     }]}"#,
    /// )?;
    /// # Ok(()) }
    /// ```
    pub fn service_config(mut self, json: &str) -> Result<Self, ServiceConfigError> {
        self.service_config = ServiceConfig::parse(json)?;
        for field in self.service_config.ignored() {
            tracing::warn!(
                target = self.target,
                field,
                "a field of the service config has no effect"
            );
        }
        Ok(self)
    }

    /// Whether the service config's retry policies act. By default they do. Calls that surely never
    /// reached a server go again either way.
    pub const fn retries(mut self, act: bool) -> Self {
        self.retries = act;
        self
    }

    /// Bytes of request messages that a call keeps until the server has begun to answer, so that
    /// it can be sent again if the server did not take it, or a retry policy asks for it. A call that
    /// has sent more is not sent again. By default 256 KiB.
    pub const fn retry_buffer(mut self, bytes: usize) -> Self {
        self.config.max_kept = bytes;
        self
    }

    /// Adds code that runs around every call; those added first see a call first.
    pub fn interceptor(mut self, interceptor: impl ClientInterceptor) -> Self {
        self.interceptors.push(Interceptor(Arc::new(interceptor)));
        self
    }

    /// Sees the channel's calls and connections come and go.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.config.observers = Observers::new(Some(observer));
        self
    }

    /// Makes the byte streams of this channel, in place of its own resolver and sockets.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.config.dialer.connector = Some(Arc::new(connector));
        self
    }

    /// Which proxy to go through. By default what [the environment](Proxy::from_environment) says.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// The channel, which connects when the first call asks for it. Fails only if the target is
    /// not one. Needs no runtime; the calls do.
    pub fn connect_lazy(self) -> Result<Channel, ConnectError> {
        let (target, maker, config) = self.finish()?;
        Ok(Channel::new(target, maker, config))
    }

    /// What channels are made of: for `ferrpc-blocking`.
    #[doc(hidden)]
    pub fn finish(self) -> Result<(Target, CallMaker, Config), ConnectError> {
        let Self {
            target,
            authority,
            credentials,
            server_name,
            proxy,
            user_agent,
            whole_user_agent,
            interceptors,
            service_config,
            retries,
            mut config,
        } = self;
        let target: Target = target.parse()?;
        let credentials = match credentials {
            Some(credentials) => credentials,
            // A connector that was not told how to secure its streams does that itself.
            None if target.wants_tls() && config.dialer.connector.is_none() => usual_tls(&target)?,
            None => ChannelCredentials::insecure(),
        };
        let tls = credentials.is_tls();
        if target.wants_tls() && !tls && config.dialer.connector.is_none() {
            return Err(ConnectError::tls(&target));
        }
        if config.dialer.connector.is_none() && !credentials.is_local() {
            config.dialer.route = proxy.route(&target)?;
        }
        let authority =
            authority.or_else(|| server_name.clone()).unwrap_or_else(|| target.authority());
        let server_name = server_name.unwrap_or_else(|| host(&authority).to_owned());
        config.dialer.security = Security::new(credentials, server_name);
        let user_agent = match user_agent {
            None => DEFAULT_USER_AGENT.to_owned(),
            Some(text) if whole_user_agent => text,
            Some(prefix) => format!("{prefix} {DEFAULT_USER_AGENT}"),
        };
        let interceptors = interceptors.into_iter().map(|Interceptor(inner)| inner).collect();
        let scheme = if tls || target.wants_tls() { "https" } else { "http" };
        let (authority, user_agent) = (authority.into(), user_agent.into());
        if let Some(policy) = &service_config.load_balancing {
            config.balancing = policy.clone();
        }
        let service = Service::new(service_config, retries);
        let maker =
            CallMaker::new(scheme, authority, user_agent, interceptors, service, config.clone());
        Ok((target, maker, config))
    }

    /// The channel, once it has a connection; or why the first attempt failed.
    pub async fn connect(self) -> Result<Channel, ConnectError> {
        let channel = self.connect_lazy()?;
        channel.connected().await?;
        Ok(channel)
    }
}

/// The TLS of a channel that was told nothing about it.
#[cfg(feature = "_rustls")]
fn usual_tls(_: &Target) -> Result<ChannelCredentials, ConnectError> {
    Ok(ChannelCredentials::tls_or_error(crate::credentials::ClientTls::builder().build()))
}

#[cfg(not(feature = "_rustls"))]
fn usual_tls(target: &Target) -> Result<ChannelCredentials, ConnectError> {
    Err(ConnectError::tls(target))
}

/// The host of an authority: "::1" of "[::1]:443".
fn host(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    match authority.split_once(':') {
        // More than one colon: an IPv6 address alone.
        Some((_, rest)) if rest.contains(':') => authority,
        Some((host, _)) => host,
        None => authority,
    }
}

impl fmt::Debug for Interceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interceptor")
    }
}

/// gRPC's default in all languages.
const DEFAULT_MAX_RECEIVE: usize = 4 << 20;

/// gRPC's default (`grpc.dns_min_time_between_resolutions_ms`).
const RESOLUTION_INTERVAL: Duration = Duration::from_secs(30);

/// The per-call buffer of gRFC A6 as gRPC's implementations have it.
const DEFAULT_MAX_KEPT: usize = 256 << 10;

/// Received messages that wait for slow readers, over all calls of a connection, before only the
/// oldest call gets more credit.
const MAX_HELD_MESSAGES: usize = 32 << 20;

const DEFAULT_USER_AGENT: &str = concat!("ferrpc/", env!("CARGO_PKG_VERSION"));
