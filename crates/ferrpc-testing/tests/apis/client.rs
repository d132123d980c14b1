//! What a scenario wants of a client, whatever API it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::{
    BackoffConfig, Channel, ChannelBuilder, ConnectivityState, Keepalive, LoadBalancing,
};
use ferrpc::credentials::{
    CallContext, CallCredentials, CallMetadata, ChannelCredentials, ClientTls, Roots,
};
use ferrpc::{Code, Metadata, Method, Request, Status, codec};
use ferrpc_testing::apis::{Call, Host, Kind, Settings, Transport, certificates};

use crate::{tasks, threads};

/// An API that there is a client of.
#[derive(Clone, Copy)]
pub(crate) struct Api {
    pub(crate) name: &'static str,
    /// Whether a call can be cancelled from outside, whatever its kind.
    pub(crate) cancels: bool,
    /// Whether a stream of requests may stand still without keeping the call from its end.
    pub(crate) sends_apart: bool,
    /// Whether it takes streams that the program made.
    pub(crate) has_connectors: bool,
    /// Whether a watcher is told of each state, however short it is.
    pub(crate) tells_all: bool,
    pub(crate) make: fn(&Host, &Settings, Transport) -> Box<dyn Client>,
}

pub(crate) const APIS: &[Api] = &[
    Api {
        name: "async",
        cancels: true,
        sends_apart: true,
        has_connectors: true,
        tells_all: false,
        make: tasks::make,
    },
    Api {
        name: "blocking",
        cancels: false,
        sends_apart: false,
        has_connectors: false,
        tells_all: true,
        make: threads::make,
    },
];

/// A channel. Dropped, it closes its connection once its calls are over.
pub(crate) trait Client {
    /// Begins a call.
    fn call(&self, kind: Kind, call: &Call) -> Box<dyn Running>;
    fn state(&self) -> ConnectivityState;
    /// Asks for a connection, and does not wait for it.
    fn connect(&self);
    fn close(&self);
    /// Begins to note states, and returns those noted so far.
    fn watch(&mut self);
    fn watched(&self) -> Vec<String>;
    /// How often the credentials of calls were asked.
    fn asked(&self) -> usize;
}

/// A call that runs by itself.
pub(crate) trait Running {
    fn cancel(&mut self);
    /// Waits for its end.
    fn end(self: Box<Self>) -> Ended;
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Code,
    /// None: the program dropped the call, and so was told nothing.
    pub(crate) details: Option<String>,
    pub(crate) read: Read,
}

/// Responses that were read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Read {
    pub(crate) const fn count(&mut self, message: &Bytes) {
        self.messages += 1;
        self.bytes += message.len();
    }
}

impl Ended {
    pub(crate) fn new(result: Result<(), Status>, read: Read) -> Self {
        match result {
            Ok(()) => Self { code: Code::Ok, details: Some(String::new()), read },
            Err(status) => {
                Self { code: status.code(), details: Some(status.message().to_owned()), read }
            }
        }
    }

    pub(crate) const fn dropped(read: Read) -> Self {
        Self { code: Code::Cancelled, details: None, read }
    }
}

type Raw = Method<Bytes, Bytes>;

pub(crate) const UNARY: Raw = Method::unary("/t.T/Unary", codec::raw(), codec::raw());
pub(crate) const SERVER: Raw = Method::server_streaming("/t.T/Server", codec::raw(), codec::raw());
pub(crate) const CLIENT: Raw = Method::client_streaming("/t.T/Client", codec::raw(), codec::raw());
pub(crate) const BOTH: Raw = Method::bidirectional("/t.T/Both", codec::raw(), codec::raw());

pub(crate) fn builder(host: &Host, settings: &Settings, transport: Transport) -> ChannelBuilder {
    let initial = Duration::from_secs_f64(settings.backoff.unwrap_or(0.01));
    let backoff = BackoffConfig { initial, jitter: 0.0, ..BackoffConfig::default() };
    let mut builder = Channel::builder(host.target()).backoff(backoff);
    if let Some(bytes) = settings.max_receive {
        builder = builder.max_receive_message(bytes);
    }
    if let Some(bytes) = settings.max_send {
        builder = builder.max_send_message(bytes);
    }
    if settings.balancing.as_deref() == Some("round_robin") {
        builder = builder.load_balancing(LoadBalancing::RoundRobin);
    }
    if let Some(seconds) = settings.keepalive {
        let time = Duration::from_secs_f64(seconds);
        let keepalive = Keepalive { interval: Some(time), timeout: time, ..Keepalive::default() };
        builder = builder.keepalive(keepalive);
    }
    if let Some(json) = &settings.service_config {
        builder = builder.service_config(json).expect("a service config");
    }
    if let Some(act) = settings.retries {
        builder = builder.retries(act);
    }
    if let Some(bytes) = settings.retry_buffer {
        builder = builder.retry_buffer(bytes);
    }
    if transport == Transport::Tls {
        let roots = Roots::from_pem(&certificates().root).expect("a certificate");
        let tls = ClientTls::builder().roots(roots).build().expect("roots");
        builder = builder.credentials(ChannelCredentials::tls(tls));
    }
    builder
}

/// The request of a call that has one.
pub(crate) fn message(call: &Call) -> Bytes {
    vec![1; call.sizes()[0].0].into()
}

/// The requests of a call that streams them.
pub(crate) fn messages(call: &Call) -> impl Iterator<Item = Bytes> + Send + 'static + use<> {
    let repeat = |(size, count)| std::iter::repeat_n(Bytes::from(vec![1; size]), count);
    call.sizes().into_iter().flat_map(repeat)
}

/// Credentials of a call that count how often they are asked, and add nothing.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<AtomicUsize>);

impl Asked {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl CallCredentials for Asked {
    fn metadata(&self, _: &CallContext) -> CallMetadata {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(Metadata::new()) })
    }
}

pub(crate) fn request<T>(message: T, call: &Call, asked: &Asked) -> Request<T> {
    let mut request = Request::new(message);
    if call.credentials {
        request.set_credentials(asked.clone());
    }
    if let Some(timeout) = call.timeout {
        request.set_timeout(Duration::from_secs_f64(timeout));
    }
    if call.wait {
        request.set_wait_for_ready(true);
    }
    request
}
