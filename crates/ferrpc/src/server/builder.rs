//! The description of a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrpc_core::http2::{self, Keepalive, Limits, PingPolicy, Window};
use ferrpc_core::transport::{CallLimits, Config};
use ferrpc_net::listen::{Acceptor, BindError, Door, Listeners, SocketOptions};

use super::ResponseStream;
use super::external::ExternalQueue;
use super::handle::Server;
use super::http::{Fallback, HttpRequest, HttpResponse, not_found};
use super::interceptor::Interceptor;
use super::machine;
use super::memory::CONNECTION;
use super::observer::Observer;
use super::routes::{Router, Routes, Unknown, unknown_handler};
use super::settings::Settings;
use super::shared::{NoPlaceLeft, Parts, Shared};
use crate::credentials::ServerCredentials;
use crate::observers::Observers;
use crate::transport::buffers::KeptBuffers;
use crate::{Encoding, EncodingSet, Request, Response, Status, Streaming};

/// Describes a server: its services, its limits, how it treats connections.
#[must_use = "a builder does nothing until it is bound or built"]
pub struct ServerBuilder {
    routes: Vec<Routes>,
    unknown: Option<Unknown>,
    fallback: Option<Fallback>,
    interceptors: Vec<Arc<dyn Interceptor>>,
    observer: Option<Arc<dyn Observer>>,
    door: Door,
    max_handshakes: Option<usize>,
    http2: http2::Config,
    accept: EncodingSet,
    sends: EncodingSet,
    compression: Encoding,
    limits: CallLimits,
    max_age: Option<Duration>,
    max_age_grace: Option<Duration>,
    max_idle: Option<Duration>,
    max_held_messages: usize,
    any_path: bool,
    max_memory: Option<usize>,
    max_connections: Option<usize>,
    refuse_connections: bool,
    max_handlers: usize,
    max_handlers_per_connection: usize,
    overload_pushback: Duration,
    options: SocketOptions,
}

impl Server {
    /// Begins to describe a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }
}

impl ServerBuilder {
    fn new() -> Self {
        Self {
            routes: Vec::new(),
            unknown: None,
            fallback: None,
            interceptors: Vec::new(),
            observer: None,
            door: Door::Open,
            max_handshakes: None,
            http2: http2::Config { keepalive: DEFAULT_KEEPALIVE, ..http2::Config::default() },
            accept: EncodingSet::ALL,
            sends: EncodingSet::ALL,
            compression: Encoding::Identity,
            limits: CallLimits { max_receive: 4 << 20, max_send: usize::MAX },
            max_age: None,
            max_age_grace: None,
            max_idle: None,
            max_held_messages: 64 << 20,
            any_path: false,
            max_memory: None,
            max_connections: None,
            refuse_connections: false,
            max_handlers: usize::MAX,
            max_handlers_per_connection: 1000,
            overload_pushback: Duration::from_secs(1),
            options: SocketOptions { nodelay: true, reuse_port: false, backlog: 1024 },
        }
    }

    // -- what it serves ---------------------------------------------------------------------------

    /// Adds a service: a generated server, or [`Routes`]. A method that is added twice belongs to
    /// the one added last.
    pub fn add_service(mut self, service: impl Into<Routes>) -> Self {
        self.routes.push(service.into());
        self
    }

    /// Handles calls of methods that no service has, as bytes; without it they end with
    /// UNIMPLEMENTED. [`Request::path`] says which method; what the method's cardinality is only
    /// the caller knows, so that requests and responses are streams. For proxies.
    pub fn unknown_method<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Request<Streaming<Bytes>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<ResponseStream<Bytes>>, Status>> + Send + 'static,
    {
        self.unknown = Some(Unknown::Handler(unknown_handler(handler)));
        self
    }

    /// The same, by threads of your own: calls of methods that no service has go into `queue`,
    /// with streams both ways.
    pub fn unknown_external(mut self, queue: Arc<ExternalQueue>) -> Self {
        self.unknown = Some(Unknown::External(queue));
        self
    }

    /// Whether calls of any path are looked up and given to the handler of unknown methods, "Method"
    /// and "/a//b" say; what is no UTF-8 in them is replaced (U+FFFD). By default a path is
    /// "/service/method", with nothing that two readers could take for different things, and all
    /// others end with UNIMPLEMENTED.
    pub const fn any_path(mut self, any: bool) -> Self {
        self.any_path = any;
        self
    }

    /// Answers plain HTTP requests; without it they get 404 and a sentence. It is called by the
    /// task that owns the connection: it must not block.
    pub fn fallback(
        mut self,
        answer: impl Fn(&HttpRequest<'_>) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.fallback = Some(Arc::new(answer));
        self
    }

    /// Adds an interceptor; the one added first is the outermost. Calls of
    /// [`external`](Routes::external) methods do not pass it.
    pub fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptors.push(interceptor);
        self
    }

    /// Sees calls and connections come and go.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    // -- messages ---------------------------------------------------------------------------------

    /// The largest request message, in bytes, before and after decompression. By default 4 MiB.
    pub const fn max_receive_message(mut self, bytes: usize) -> Self {
        self.limits.max_receive = bytes;
        self
    }

    /// The largest response message, in bytes, as it travels. By default there is no limit.
    pub const fn max_send_message(mut self, bytes: usize) -> Self {
        self.limits.max_send = bytes;
        self
    }

    /// How responses are compressed where the caller takes it. By default not at all.
    pub const fn compression(mut self, encoding: Encoding) -> Self {
        self.compression = encoding;
        self
    }

    /// The compressions that requests may have. By default all.
    pub const fn accept_encodings(mut self, encodings: EncodingSet) -> Self {
        self.accept = encodings;
        self
    }

    /// The compressions that responses may have, whatever handlers ask for. By default all.
    pub const fn send_encodings(mut self, encodings: EncodingSet) -> Self {
        self.sends = encodings;
        self
    }

    // -- limits -----------------------------------------------------------------------------------

    /// Bytes that all connections together may hold because of their peers: messages both ways,
    /// header lists, calls, and 32 KiB for each connection; not what handlers make of them. When
    /// three quarters are taken, connections that hold more than their share get no new calls
    /// (RESOURCE_EXHAUSTED) and little credit; at the limit the one that holds most loses the calls
    /// that hold most of it, and connections without calls may end. By default half of what the
    /// process may use, by control groups, resource limits and the size of the machine; where the
    /// system does not say, 2 GiB. `usize::MAX`: no limit.
    pub const fn max_memory(mut self, bytes: usize) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Connections that are open at one time; for each address, one more is accepted and waits
    /// until another ends, and the rest wait in the system's queue. By default as many as the
    /// process may have files open, but for an eighth of them, and as
    /// [`max_memory`](Self::max_memory) has room for; connections above that are let in while
    /// others end, those that have had no call for longest.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = Some(connections);
        self
    }

    /// Whether connections above [`max_connections`](Self::max_connections) are closed rather than
    /// left to wait, or let in for idle ones.
    pub const fn refuse_connections(mut self, refuse: bool) -> Self {
        self.refuse_connections = refuse;
        self
    }

    /// Calls that a caller may have open at one time on a connection, and begin at once
    /// ([`Limits::starts`]). By default 1000.
    pub const fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.http2.limits.max_concurrent_streams = streams;
        if self.http2.limits.starts.burst < streams {
            self.http2.limits.starts.burst = streams;
        }
        self
    }

    /// Handlers that run at one time for one connection. Calls beyond it wait, four times as many
    /// at most; still more end with RESOURCE_EXHAUSTED, the newest first. By default 1000.
    pub const fn max_handlers_per_connection(mut self, handlers: usize) -> Self {
        self.max_handlers_per_connection = handlers;
        self
    }

    /// The same for all connections together. By default there is no limit.
    pub const fn max_handlers(mut self, handlers: usize) -> Self {
        self.max_handlers = handlers;
        self
    }

    /// When clients that retry should come back with calls that were too many: said in the trailing
    /// metadata `grpc-retry-pushback-ms` (gRFC A6), as this time or up to twice as much, so that
    /// they do not all come back together. By default one second.
    pub const fn overload_pushback(mut self, pause: Duration) -> Self {
        self.overload_pushback = pause;
        self
    }

    /// The size of a request's metadata, in bytes with 32 added for each entry, that is advertised and
    /// never exceeded in memory. A request with more ends its call with RESOURCE_EXHAUSTED. By
    /// default 16 KiB.
    pub const fn max_metadata_size(mut self, bytes: u32) -> Self {
        self.http2.limits.max_header_list_size = bytes;
        self
    }

    /// The size from which on a request's metadata may be refused with RESOURCE_EXHAUSTED, though it
    /// is within [`max_metadata_size`](Self::max_metadata_size): the larger it is, the more often.
    /// `None`, the default: it is not.
    pub const fn soft_metadata_size(mut self, bytes: Option<u32>) -> Self {
        self.http2.limits.soft_header_list_size = bytes;
        self
    }

    /// All limits on what a peer may do; replaces what was set by
    /// [`max_concurrent_streams`](Self::max_concurrent_streams),
    /// [`max_metadata_size`](Self::max_metadata_size),
    /// [`soft_metadata_size`](Self::soft_metadata_size),
    /// [`handshake_timeout`](Self::handshake_timeout) and [`ping_policy`](Self::ping_policy).
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.http2.limits = limits;
        self
    }

    /// The same, to change some of them.
    pub const fn limits_mut(&mut self) -> &mut Limits {
        &mut self.http2.limits
    }

    /// Bytes of requests that wait for their handlers, on one connection. Beyond it messages larger
    /// than a call's window arrive one at a time, those that a handler waits for first. By default
    /// 64 MiB; never more than a quarter of [`max_memory`](Self::max_memory).
    pub const fn max_held_messages(mut self, bytes: usize) -> Self {
        self.max_held_messages = bytes;
        self
    }

    /// Time for a caller to introduce itself, TLS and HTTP/2 each. By default 10 seconds.
    pub const fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.http2.limits.handshake_timeout = timeout;
        self
    }

    // -- connections ------------------------------------------------------------------------------

    /// Flow control of requests: bytes in flight on a call.
    pub const fn window(mut self, window: Window) -> Self {
        self.http2.window = window;
        self
    }

    /// The largest frame taken, in bytes: 16,384 (the default) to 16,777,215.
    pub const fn max_frame_size(mut self, bytes: u32) -> Self {
        self.http2.max_frame_size = bytes;
        self
    }

    /// Pings that find out whether callers are still there. By default after two hours of silence,
    /// with 20 seconds to answer, whether or not there are calls (gRFC A8).
    pub const fn keepalive(mut self, keepalive: Keepalive) -> Self {
        self.http2.keepalive = keepalive;
        self
    }

    /// How often callers may ping.
    pub const fn ping_policy(mut self, policy: PingPolicy) -> Self {
        self.http2.limits.pings = policy;
        self
    }

    /// Ends connections gracefully once they are so old (give or take a tenth), so that callers
    /// spread anew. Their calls have `grace` to end; `None`: as long as they take.
    pub const fn max_connection_age(mut self, age: Duration, grace: Option<Duration>) -> Self {
        self.max_age = Some(age);
        self.max_age_grace = grace;
        self
    }

    /// Ends connections that had no call for so long.
    pub const fn max_connection_idle(mut self, idle: Duration) -> Self {
        self.max_idle = Some(idle);
        self
    }

    /// Whether small output is sent at once (TCP_NODELAY). On by default.
    pub const fn tcp_nodelay(mut self, nodelay: bool) -> Self {
        self.options.nodelay = nodelay;
        self
    }

    /// Whether several processes may listen on the same port (SO_REUSEPORT). Off by default.
    pub const fn reuse_port(mut self, reuse: bool) -> Self {
        self.options.reuse_port = reuse;
        self
    }

    /// Connections that the system queues until they are accepted. By default 1024.
    pub const fn backlog(mut self, connections: i32) -> Self {
        self.options.backlog = connections;
        self
    }

    /// How connections are protected, on all addresses for which nothing else is said
    /// ([`Server::bind_with`]). By default not at all.
    pub fn credentials(mut self, credentials: ServerCredentials) -> Self {
        self.door = Door::Credentials(credentials);
        self
    }

    /// Performs a handshake of yours on each connection first, in place of
    /// [`credentials`](Self::credentials).
    pub fn acceptor(mut self, acceptor: Arc<dyn Acceptor>) -> Self {
        self.door = Door::Acceptor(acceptor);
        self
    }

    /// TLS handshakes at one time. When there are more, the one that has waited longest for its
    /// caller to begin is dropped; if all have begun, new connections wait. By default 1000, and at
    /// most half of the connections.
    pub const fn max_handshakes(mut self, handshakes: usize) -> Self {
        self.max_handshakes = Some(handshakes);
        self
    }

    /// Listens on an address before there is a server: callers wait until
    /// [`Server::serve_listeners`]. The socket options set so far hold.
    ///
    /// # Errors
    /// As [`Server::bind`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn listen(&self, address: &str) -> Result<Listeners, BindError> {
        Listeners::open(address, self.options).await
    }

    // -- and go -----------------------------------------------------------------------------------

    /// The server, listening on `address`; see [`Server::bind`], which adds more.
    ///
    /// # Errors
    /// If it cannot listen there.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn bind(self, address: &str) -> Result<Server, BindError> {
        let server = self.build();
        server.bind(address).await?;
        Ok(server)
    }

    /// The server, which does not listen anywhere yet.
    pub fn build(self) -> Server {
        let defaults =
            Settings { limits: self.limits, compression: self.compression, sends: self.sends };
        let interceptors = self.interceptors.into();
        let max_memory = self.max_memory.unwrap_or_else(default_memory);
        let max_connections = self.max_connections.unwrap_or_else(|| most_connections(max_memory));
        let max_handshakes = (max_connections / 2).clamp(1, MAX_HANDSHAKES);
        let no_place = match self.max_connections {
            _ if self.refuse_connections => NoPlaceLeft::Refuse,
            Some(_) => NoPlaceLeft::Wait,
            None => NoPlaceLeft::EndIdle,
        };
        let handshake_timeout = self.http2.limits.handshake_timeout;
        let shared = Shared::new(Parts {
            router: Router::new(self.routes, self.unknown, &interceptors, defaults),
            fallback: self.fallback.unwrap_or_else(not_found),
            observers: Observers::new(self.observer),
            max_handlers: self.max_handlers.max(1),
            max_handlers_per_connection: self.max_handlers_per_connection.max(1),
            overload_pushback: self.overload_pushback,
            max_memory,
            max_connections,
            no_place,
            config: Config {
                http2: self.http2,
                accept: self.accept,
                max_age: self.max_age,
                max_age_grace: self.max_age_grace,
                max_idle: self.max_idle,
                // Messages wait before calls are refused, however little memory there is.
                max_held_messages: self.max_held_messages.min((max_memory / 4).max(1 << 20)),
                message_runs: true,
                any_path: self.any_path,
                buffers: &KeptBuffers,
                seed: 0,
            },
            door: self.door,
            max_handshakes: self.max_handshakes.unwrap_or(max_handshakes),
            handshake_timeout,
        });
        Server::new(shared, self.options)
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("routes", &self.routes)
            .field("http2", &self.http2)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Half of what the process may use: the rest is for what handlers make of it.
fn default_memory() -> usize {
    machine::memory().map_or(UNKNOWN_MEMORY, |bytes| (bytes / 2).max(LEAST_MEMORY))
}

/// The connections that there are descriptors and memory for.
fn most_connections(memory: usize) -> usize {
    let descriptors = machine::descriptors().map_or(usize::MAX, |all| all - all / 8);
    descriptors.min(memory / (2 * CONNECTION)).max(FEWEST_CONNECTIONS)
}

/// For connections, where the system does not say how much there is.
const UNKNOWN_MEMORY: usize = 2 << 30;

/// A server that may hold nothing would refuse all calls; control groups may say zero.
const LEAST_MEMORY: usize = 8 << 20;

/// However little there is.
const FEWEST_CONNECTIONS: usize = 16;

/// Half-open handshakes cost some 20 KiB each.
const MAX_HANDSHAKES: usize = 1000;

/// What gRPC's servers do by default (gRFC A8).
const DEFAULT_KEEPALIVE: Keepalive = Keepalive {
    interval: Some(Duration::from_secs(2 * 60 * 60)),
    timeout: Duration::from_secs(20),
    without_streams: true,
    max_pings_without_data: 0,
};
