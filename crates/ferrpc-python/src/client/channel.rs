//! A channel as Python holds it.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferrpc::client::{BackoffConfig, ChannelBuilder, ConnectivityState, LoadBalancing, Proxy};
use ferrpc::resolver::Target;
use ferrpc::{Cardinality, Code, Encoding, EncodingSet};
use ferrpc_blocking::{self as blocking, RawMethod, RawOptions, RawUnary};
use ferrpc_core::http2::{Keepalive, Limits, Window};
use ferrpc_core::service_config::ServiceConfig;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::call::Call;
use super::ended::Ended;
use crate::completions::completions;
use crate::contract::{self, connectivity};
use crate::credentials::{ChannelCredentials, Shared};
use crate::fork::Owned;
use crate::metadata::{self, Refused};
use crate::metadata_limits::MetadataLimits;
use crate::waiting;

/// A method of a service: its path, and whether requests and responses are streams.
#[pyclass(frozen, name = "ClientMethod", module = "grpc._ferrpc")]
pub(crate) struct Method(RawMethod);

#[pymethods]
impl Method {
    #[new]
    fn new(path: &str, streams_requests: bool, streams_responses: bool) -> Self {
        let cardinality = match (streams_requests, streams_responses) {
            (false, false) => Cardinality::Unary,
            (true, false) => Cardinality::ClientStreaming,
            (false, true) => Cardinality::ServerStreaming,
            (true, true) => Cardinality::Bidirectional,
        };
        Self(RawMethod::new(path, cardinality))
    }
}

/// A channel of an event loop's. In grpcio it has another class, whose `target` is an attribute.
#[pyclass(frozen, extends = Channel, name = "AioChannel", module = "grpc._ferrpc")]
pub(crate) struct AioChannel;

#[pymethods]
impl AioChannel {
    #[new]
    fn new(
        target: String,
        user_agent: String,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let channel = Channel::new(target, user_agent, options)?;
        Ok(PyClassInitializer::from(channel).add_subclass(Self))
    }

    /// The target as it was given.
    #[getter]
    fn target<'py>(slf: &Bound<'py, Self>) -> Bound<'py, PyBytes> {
        PyBytes::new(slf.py(), slf.as_super().get().settings.target.as_bytes())
    }
}

/// A channel. It is made anew in the child of a fork, when it is used there.
#[pyclass(frozen, subclass, name = "ClientChannel", module = "grpc._ferrpc")]
pub(crate) struct Channel {
    settings: Settings,
    /// Locked by threads that are attached, for a moment: at a fork it is free.
    state: Mutex<State>,
}

struct State {
    channel: Arc<Owned<Result<blocking::Channel, String>>>,
    closed: bool,
}

/// What it is made from.
#[derive(Clone)]
struct Settings {
    target: String,
    user_agent: String,
    authority: Option<String>,
    max_receive: usize,
    max_send: usize,
    metadata: MetadataLimits,
    limits: Limits,
    max_held: Option<usize>,
    window: Window,
    compression: Encoding,
    /// The encodings that are used, in both directions.
    encodings: EncodingSet,
    spin: Duration,
    backoff: BackoffConfig,
    credentials: Option<Arc<Shared>>,
    server_name: Option<String>,
    keepalive: Keepalive,
    /// The other name of the keepalive's timeout.
    ping_timeout: Option<Duration>,
    proxy: Proxy,
    idle: Option<Duration>,
    max_frame: Option<u32>,
    retry_buffer: Option<usize>,
    service_config: Option<String>,
    /// Calls take all addresses in turn, unless the service config says how.
    round_robin: bool,
    /// From one look-up of the name to the next at least.
    resolution_interval: Option<Duration>,
    retries: bool,
    /// Why its calls end at once, in grpcio's words.
    refused: Option<String>,
}

#[pymethods]
impl Channel {
    /// `options` has what the channel's options came to, by the names below; sizes are bytes
    /// (negative: without limit), times milliseconds.
    #[new]
    fn new(target: String, user_agent: String, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut settings = Settings {
            target,
            user_agent,
            authority: None,
            max_receive: DEFAULT_MAX_RECEIVE,
            max_send: usize::MAX,
            metadata: MetadataLimits::default(),
            limits: Limits::default(),
            max_held: None,
            window: Window::default(),
            compression: Encoding::Identity,
            encodings: EncodingSet::ALL,
            spin: DEFAULT_SPIN,
            backoff: BackoffConfig::default(),
            credentials: None,
            server_name: None,
            keepalive: Keepalive::default(),
            ping_timeout: None,
            proxy: Proxy::from_environment().pass_over_others(),
            idle: Some(DEFAULT_IDLE),
            max_frame: None,
            retry_buffer: None,
            service_config: None,
            round_robin: false,
            resolution_interval: None,
            retries: true,
            refused: None,
        };
        for (name, value) in options {
            settings.set(name.extract()?, &value)?;
        }
        let channel = Arc::new(Owned::new(settings.build()));
        Ok(Self { settings, state: Mutex::new(State { channel, closed: false }) })
    }

    /// Whether "ferrpc." and this is an option of channels.
    #[staticmethod]
    fn has_limit(name: &str) -> bool {
        LIMITS.contains(&name) || Limits::NAMES.contains(&name)
    }

    /// The fields of a service config that have no effect; none where it is not one.
    #[staticmethod]
    fn without_effect(service_config: &str) -> Vec<String> {
        let config = ServiceConfig::parse(service_config).unwrap_or_default();
        config.ignored().to_vec()
    }

    /// A unary call, waited for: the response's bytes if all went well (and `whole` is false),
    /// else how it ended.
    #[pyo3(signature = (method, request, timeout, metadata, wait_for_ready, compression, whole))]
    #[expect(clippy::too_many_arguments, reason = "one crossing")]
    fn unary(
        &self,
        py: Python<'_>,
        method: &Method,
        request: &[u8],
        timeout: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
        wait_for_ready: Option<&Bound<'_, PyAny>>,
        compression: Option<i64>,
        whole: bool,
    ) -> PyResult<Py<PyAny>> {
        let message = Some(Bytes::copy_from_slice(request));
        let options = self.options(timeout, metadata, wait_for_ready, compression, message)?;
        let (options, channel) = match (options, self.channel()) {
            (Ok(options), Ok(channel)) => (options, channel),
            (Err(ended), _) | (_, Err(ended)) => return Ok(Py::new(py, ended)?.into_any()),
        };
        let (mut options, mut running) = (Some(options), None);
        let unary = waiting::wait(py, None, |limit| {
            if let Some(call) = &mut running {
                return RawUnary::wait(call, limit).map(Ok);
            }
            match channel.raw_unary(&method.0, options.take()?, limit) {
                Ok(Ok(unary)) => Some(Ok(unary)),
                Ok(Err(call)) => {
                    running = Some(call);
                    None
                }
                Err(status) => Some(Err(status)),
            }
        })?;
        let unary = match unary.expect("a wait without limit brings the end") {
            Ok(unary) => unary,
            Err(status) => {
                let ended = Ended::local(status.code(), status.message());
                return Ok(Py::new(py, ended)?.into_any());
            }
        };
        match unary.message {
            Some(message) if !whole && unary.outcome.status().is_ok() => {
                Ok(PyBytes::new(py, &message).into_any().unbind())
            }
            message => {
                let unary = blocking::Unary { message, ..unary };
                Ok(Py::new(py, Ended::of_unary(py, unary))?.into_any())
            }
        }
    }

    /// Begins a call; `request` is None where requests are a stream, `watched` has it get on
    /// without a thread that waits. How it ended, if it could not even begin.
    #[pyo3(signature = (method, request, timeout, metadata, wait_for_ready, compression, watched))]
    #[expect(clippy::too_many_arguments, reason = "one crossing")]
    fn start(
        &self,
        py: Python<'_>,
        method: &Method,
        request: Option<&[u8]>,
        timeout: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
        wait_for_ready: Option<&Bound<'_, PyAny>>,
        compression: Option<i64>,
        watched: bool,
    ) -> PyResult<Py<PyAny>> {
        let message = request.map(Bytes::copy_from_slice);
        let options = self.options(timeout, metadata, wait_for_ready, compression, message)?;
        let (mut options, channel) = match (options, self.channel()) {
            (Ok(options), Ok(channel)) => (options, channel),
            (Err(ended), _) | (_, Err(ended)) => return Ok(Py::new(py, ended)?.into_any()),
        };
        options.watched = watched;
        match channel.start_raw(&method.0, options) {
            Ok(call) => Ok(Py::new(py, Call::new(call, channel))?.into_any()),
            Err(status) => {
                let ended = Ended::local(status.code(), status.message());
                Ok(Py::new(py, ended)?.into_any())
            }
        }
    }

    /// The authority of its calls; empty where the target is none.
    #[getter]
    fn authority(&self) -> String {
        let settings = &self.settings;
        let named = settings.authority.as_ref().or(settings.server_name.as_ref());
        named.cloned().unwrap_or_else(|| {
            let target: Result<Target, _> = settings.target.parse();
            target.map_or_else(|_| String::new(), |target| target.authority())
        })
    }

    /// The target as a URI, for tools that name the peer of a call: `dns:///host:port`.
    fn target(&self) -> Cow<'_, [u8]> {
        let target = self.settings.target.as_str();
        let scheme = target.split_once(':').map_or("", |(scheme, _)| scheme);
        if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Cow::Borrowed(target.as_bytes());
        }
        Cow::Owned(format!("dns:///{target}").into_bytes())
    }

    /// The number of the connectivity state; begins to connect if asked to.
    #[pyo3(name = "check_connectivity_state")]
    fn state(&self, connect: bool) -> u32 {
        self.connectivity(connect)
    }

    /// The completions have this tag with each state from now on, the present one first. Returns
    /// what `unwatch` takes.
    fn watch(&self, tag: u64, connect: bool) -> u64 {
        let completions = completions();
        match self.channel() {
            Ok(channel) => {
                channel.watch(move |state| completions.push(tag, connectivity(state)), connect)
            }
            Err(_) => {
                completions.push(tag, connectivity(ConnectivityState::TransientFailure));
                0
            }
        }
    }

    fn unwatch(&self, watcher: u64) {
        if let Ok(channel) = self.channel() {
            channel.unwatch(watcher);
        }
    }

    /// Ends it and its calls.
    fn close(&self, py: Python<'_>) {
        let channel = self.channel();
        self.lock().closed = true;
        if let Ok(channel) = channel {
            py.detach(|| channel.close());
        }
    }
}

impl Method {
    pub(crate) const fn raw(&self) -> &RawMethod {
        &self.0
    }
}

impl Channel {
    /// A call's arguments; an end if they cannot be sent.
    pub(crate) fn options(
        &self,
        timeout: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
        wait_for_ready: Option<&Bound<'_, PyAny>>,
        compression: Option<i64>,
        message: Option<Bytes>,
    ) -> PyResult<Result<RawOptions, Ended>> {
        let metadata = match metadata::from_python(metadata) {
            Ok(metadata) => metadata,
            Err(Refused::Raise(error)) => return Err(error),
            Err(Refused::Invalid(what)) => return Ok(Err(Ended::invalid_metadata(&what))),
        };
        let compression = compression.map(encoding).transpose()?;
        Ok(Ok(RawOptions {
            credentials: None,
            metadata,
            timeout: timeout.map(waiting::duration).transpose()?.flatten(),
            wait_for_ready: wait_for_ready.map(PyAnyMethods::is_truthy).transpose()?,
            compression: compression.map(|wanted| self.settings.encodings.or_identity(wanted)),
            message,
            watched: false,
        }))
    }

    pub(crate) fn connectivity(&self, connect: bool) -> u32 {
        if self.lock().closed {
            return connectivity(ConnectivityState::Shutdown);
        }
        match self.channel() {
            Ok(channel) if connect => connectivity(channel.try_to_connect()),
            Ok(channel) => connectivity(channel.state()),
            Err(_) => connectivity(ConnectivityState::TransientFailure),
        }
    }

    /// The engine's channel of this process, unless it is closed.
    pub(crate) fn channel(&self) -> Result<blocking::Channel, Ended> {
        let mut state = self.lock();
        if state.closed {
            return Err(Ended::local(Code::Cancelled, "Channel closed!"));
        }
        if let Some(why) = &self.settings.refused {
            return Err(Ended::local(Code::InvalidArgument, why.as_str()));
        }
        if state.channel.get().is_none() {
            state.channel = Arc::new(Owned::new(self.settings.build()));
        }
        match state.channel.get() {
            Some(Ok(channel)) => Ok(channel.clone()),
            Some(Err(text)) => Err(Ended::local(Code::Unavailable, text.as_str())),
            None => Err(Ended::local(Code::Cancelled, "Call cancelled in fork child")),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let size =
            || value.extract::<i64>().map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let time = || value.extract::<i64>().map(|ms| Duration::from_millis(ms.unsigned_abs()));
        match name {
            "authority" => self.authority = Some(value.extract()?),
            "server_name" => self.server_name = Some(value.extract()?),
            "credentials" => {
                let credentials = value.cast::<ChannelCredentials>()?;
                self.credentials = Some(credentials.get().shared());
            }
            "proxy" => {
                self.proxy = match value.extract::<Option<String>>()? {
                    Some(url) => Proxy::http(url).but_for_exceptions(),
                    None => Proxy::none(),
                };
            }
            "keepalive_time" => self.keepalive.interval = finite(value)?,
            "keepalive_timeout" => {
                self.keepalive.timeout = finite(value)?.unwrap_or(Duration::MAX);
            }
            "ping_timeout" => self.ping_timeout = finite(value)?,
            "keepalive_without_calls" => self.keepalive.without_streams = value.is_truthy()?,
            "max_pings_without_data" => {
                let pings = value.extract::<i64>()?.max(0);
                self.keepalive.max_pings_without_data = u32::try_from(pings).unwrap_or(u32::MAX);
            }
            "idle_timeout" => self.idle = finite(value)?,
            "max_receive" => self.max_receive = size()?,
            "max_send" => self.max_send = size()?,
            "soft_metadata" => self.metadata.set_soft(value.extract()?),
            "hard_metadata" => self.metadata.set_hard(value.extract()?),
            "max_frame" => {
                let bytes = value.extract::<i64>()?.clamp(1 << 14, (1 << 24) - 1);
                self.max_frame = u32::try_from(bytes).ok();
            }
            "retry_buffer" => self.retry_buffer = Some(size()?),
            "retries" => self.retries = value.is_truthy()?,
            "round_robin" => self.round_robin = value.is_truthy()?,
            "resolution_interval" => self.resolution_interval = Some(time()?),
            "service_config" => {
                let json: String = value.extract()?;
                match ServiceConfig::parse(&json) {
                    Ok(_) => self.service_config = Some(json),
                    Err(why) => {
                        let text = format!("Failed to create channel to '{}':{why}", self.target);
                        self.refused = Some(text);
                    }
                }
            }
            "compression" => self.compression = encoding(value.extract()?)?,
            "encodings" => self.encodings = contract::encodings(value.extract()?),
            "spin_us" => {
                let spin: i64 = value.extract()?;
                self.spin = Duration::from_micros(u64::try_from(spin).unwrap_or(0).min(MOST_SPIN));
            }
            "initial_backoff" => self.backoff.initial = time()?,
            "min_connect" => self.backoff.min_connect_timeout = time()?,
            "max_backoff" => self.backoff.max = time()?,
            other => {
                let known = match other.strip_prefix("ferrpc.") {
                    Some(limit) => self.set_limit(limit, value.extract()?),
                    None => false,
                };
                if !known {
                    return Err(PyValueError::new_err(format!("no option {other}")));
                }
            }
        }
        Ok(())
    }

    /// Sets a limit of ours, "ferrpc." taken off its name: see docs/limits.md.
    fn set_limit(&mut self, name: &str, value: i64) -> bool {
        let most = u64::try_from(value).unwrap_or(u64::MAX);
        let count = u32::try_from(most).unwrap_or(u32::MAX);
        match name {
            "max_held_messages" => {
                self.max_held = Some(usize::try_from(most).unwrap_or(usize::MAX))
            }
            // Two names for one thing.
            "soft_header_list_size" => self.metadata.set_soft(value),
            "max_header_list_size" => self.metadata.set_hard(value),
            "max_window" => self.window = Window::Auto { max: count },
            "window" => self.window = Window::Fixed(count),
            _ => return self.limits.set(name, most),
        }
        true
    }

    fn build(&self) -> Result<blocking::Channel, String> {
        let mut keepalive = self.keepalive;
        if let Some(timeout) = self.ping_timeout {
            keepalive.timeout = keepalive.timeout.min(timeout);
        }
        let mut builder: ChannelBuilder = blocking::Channel::builder(&self.target)
            .whole_user_agent(&self.user_agent)
            .max_receive_message(self.max_receive)
            .max_send_message(self.max_send)
            // Before those that set one of them.
            .limits(self.limits.clone())
            .max_metadata_size(self.metadata.hard())
            .soft_metadata_size(self.metadata.soft())
            .compression(self.encodings.or_identity(self.compression))
            .accept_compressed(self.encodings)
            .backoff(self.backoff)
            .keepalive(keepalive)
            .proxy(self.proxy.clone())
            .window(self.window)
            .retries(self.retries)
            .spin(self.spin);
        if let Some(bytes) = self.max_held {
            builder = builder.max_held_messages(bytes);
        }
        if let Some(credentials) = &self.credentials {
            builder = builder.credentials(credentials.engine()?);
        }
        if let Some(name) = &self.server_name {
            builder = builder.server_name(name);
        }
        if let Some(idle) = self.idle {
            builder = builder.idle_timeout(idle);
        }
        if let Some(authority) = &self.authority {
            builder = builder.authority(authority);
        }
        if let Some(observer) = crate::trace::of_client() {
            builder = builder.observer(observer);
        }
        if let Some(bytes) = self.max_frame {
            builder = builder.max_frame_size(bytes);
        }
        if let Some(bytes) = self.retry_buffer {
            builder = builder.retry_buffer(bytes);
        }
        if self.round_robin {
            builder = builder.load_balancing(LoadBalancing::RoundRobin);
        }
        if let Some(interval) = self.resolution_interval {
            builder = builder.resolution_interval(interval);
        }
        if let Some(json) = &self.service_config {
            builder = builder.service_config(json).map_err(|error| error.to_string())?;
        }
        blocking::Channel::new(builder).map_err(|error| error.to_string())
    }
}

/// Milliseconds; INT_MAX and more stand for never.
fn finite(value: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    let milliseconds: i64 = value.extract()?;
    let time = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    Ok((milliseconds < i64::from(i32::MAX)).then_some(time))
}

fn encoding(number: i64) -> PyResult<Encoding> {
    contract::encoding(number)
        .ok_or_else(|| PyValueError::new_err(format!("{number} is no grpc.Compression")))
}

/// Schemes of targets, this engine's and those of grpcio.
const SCHEMES: &[&str] = &[
    "dns",
    "ipv4",
    "ipv6",
    "unix",
    "unix-abstract",
    "xds",
    "google-c2p",
    "http",
    "https",
    "inproc",
];

/// Those of [`Settings::set_limit`] that are not the engine's [`Limits`].
const LIMITS: [&str; 3] = ["max_held_messages", "max_window", "window"];

/// gRPC's default in all languages.
const DEFAULT_MAX_RECEIVE: usize = 4 << 20;

/// As in grpcio: a connection without calls for half an hour is given up.
const DEFAULT_IDLE: Duration = Duration::from_secs(30 * 60);

/// Longer than a server on the same machine takes for a small call, with its core awake. Sequential
/// calls were 2.1 times as many with it (docs/decisions/performance.md); 100 us
/// brought nothing over 50.
const DEFAULT_SPIN: Duration = Duration::from_micros(50);

/// Microseconds: longer than a core takes to wake from its deepest sleep.
const MOST_SPIN: u64 = 1000;
