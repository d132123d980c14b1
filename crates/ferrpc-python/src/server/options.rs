//! Channel arguments of a server, as far as they mean something to this engine.

use std::time::Duration;

use ferrpc::Encoding;
use ferrpc::server::ServerBuilder;
use ferrpc_core::http2::{Keepalive, Limits, PingPolicy, Window};

use crate::client::encodings;
use crate::metadata_limits::MetadataLimits;

/// One option: the arguments that are numbers.
pub(crate) struct Options {
    builder: ServerBuilder,
    keepalive: Keepalive,
    /// The other name of the keepalive's timeout.
    ping_timeout: Option<Duration>,
    pings: PingPolicy,
    metadata: MetadataLimits,
    age: Option<Duration>,
    age_grace: Option<Duration>,
    /// Calls that a connection may have open.
    streams: Option<u32>,
    /// Those that are handled, or wait for a thread, at one time.
    handlers: Option<usize>,
    /// One submission per call.
    pub(crate) submit_per_call: bool,
}

impl Options {
    pub(crate) fn new(builder: ServerBuilder) -> Self {
        Self {
            // As grpcio has it: two servers may share a port unless an option says otherwise.
            builder: builder.reuse_port(true),
            keepalive: DEFAULT_KEEPALIVE,
            ping_timeout: None,
            pings: DEFAULT_PINGS,
            metadata: MetadataLimits::default(),
            age: None,
            age_grace: None,
            streams: None,
            handlers: None,
            submit_per_call: false,
        }
    }

    /// Applies an option; those that mean nothing here change nothing.
    pub(crate) fn apply(mut self, key: &str, value: i64) -> Self {
        match key {
            "grpc.keepalive_time_ms" => self.keepalive.interval = finite(value),
            "grpc.keepalive_timeout_ms" => self.keepalive.timeout = milliseconds(value),
            "grpc.http2.ping_timeout_ms" => self.ping_timeout = finite(value),
            "grpc.keepalive_permit_without_calls" => {
                self.keepalive.without_streams = value != 0;
                self.pings.without_streams = value != 0;
            }
            "grpc.http2.max_pings_without_data" => {
                self.keepalive.max_pings_without_data = unsigned(value);
            }
            "grpc.http2.min_ping_interval_without_data_ms" => {
                self.pings.min_interval = milliseconds(value);
            }
            "grpc.http2.max_ping_strikes" => self.pings.max_strikes = unsigned(value),
            "grpc.max_concurrent_streams" => self.streams = Some(unsigned(value)),
            "ferrpc.max_handlers_per_connection" => self.handlers = Some(size(value)),
            "grpc.max_connection_age_ms" => self.age = finite(value),
            "grpc.max_connection_age_grace_ms" => self.age_grace = finite(value),
            "grpc.max_metadata_size" | "ferrpc.soft_header_list_size" => {
                self.metadata.set_soft(value);
            }
            "grpc.absolute_max_metadata_size" | "ferrpc.max_header_list_size" => {
                self.metadata.set_hard(value);
            }
            "ferrpc.submit_per_call" => self.submit_per_call = value != 0,
            _ => match key.strip_prefix("ferrpc.") {
                Some(own) => self.builder = limited(self.builder, own, value),
                None => self.builder = built(self.builder, key, value),
            },
        }
        self
    }

    /// Whether an option means something here.
    pub(crate) fn knows(key: &str) -> bool {
        let limit = |own| LIMITS.contains(&own) || Limits::NAMES.contains(&own);
        KNOWN.contains(&key) || key.strip_prefix("ferrpc.").is_some_and(limit)
    }

    /// The builder with all of them.
    pub(crate) fn finish(self) -> ServerBuilder {
        let mut keepalive = self.keepalive;
        if let Some(timeout) = self.ping_timeout {
            keepalive.timeout = keepalive.timeout.min(timeout);
        }
        let builder = self
            .builder
            .keepalive(keepalive)
            .ping_policy(self.pings)
            .max_metadata_size(self.metadata.hard())
            .soft_metadata_size(self.metadata.soft());
        let builder = match self.streams {
            Some(streams) => builder.max_concurrent_streams(streams),
            None => builder,
        };
        // Whoever may open a call expects it to be handled, unless an option says otherwise.
        let least = self.streams.map_or(0, |streams| streams as usize).max(HANDLERS);
        let builder = builder.max_handlers_per_connection(self.handlers.unwrap_or(least));
        match self.age {
            Some(age) => builder.max_connection_age(age, self.age_grace),
            None => builder,
        }
    }
}

fn built(builder: ServerBuilder, key: &str, value: i64) -> ServerBuilder {
    match key {
        "grpc.max_receive_message_length" => builder.max_receive_message(size(value)),
        "grpc.max_send_message_length" => builder.max_send_message(size(value)),
        "grpc.so_reuseport" => builder.reuse_port(value != 0),
        "grpc.max_allowed_incoming_connections" => {
            builder.max_connections(size(value)).refuse_connections(true)
        }
        "grpc.http2.max_frame_size" => {
            builder.max_frame_size(unsigned(value).clamp(1 << 14, (1 << 24) - 1))
        }
        "grpc.server_handshake_timeout_ms" => builder.handshake_timeout(milliseconds(value)),
        "grpc.default_compression_algorithm" => builder.compression(encoding(value)),
        "grpc.compression_enabled_algorithms_bitset" => {
            builder.accept_encodings(encodings(value)).send_encodings(encodings(value))
        }
        "grpc.max_connection_idle_ms" => match finite(value) {
            Some(idle) => builder.max_connection_idle(idle),
            None => builder,
        },
        _ => builder,
    }
}

/// Sets a limit of ours, "ferrpc." taken off its name: see docs/limits.md.
fn limited(mut builder: ServerBuilder, name: &str, value: i64) -> ServerBuilder {
    match name {
        "max_connections" => builder.max_connections(size(value)),
        "max_handlers" => builder.max_handlers(size(value)),
        "max_handshakes" => builder.max_handshakes(size(value)),
        "max_held_messages" => builder.max_held_messages(size(value)),
        "max_memory" => builder.max_memory(size(value)),
        "max_window" => builder.window(Window::Auto { max: unsigned(value) }),
        "refuse_connections" => builder.refuse_connections(value != 0),
        "overload_pushback_ms" => builder.overload_pushback(milliseconds(value)),
        "window" => builder.window(Window::Fixed(unsigned(value))),
        _ => {
            builder.limits_mut().set(name, u64::try_from(value).unwrap_or(u64::MAX));
            builder
        }
    }
}

/// Those of [`limited`] that are not the engine's [`Limits`].
const LIMITS: [&str; 10] = [
    "max_connections",
    "max_handlers",
    "max_handlers_per_connection",
    "max_handshakes",
    "max_held_messages",
    "max_memory",
    "max_window",
    "overload_pushback_ms",
    "refuse_connections",
    "window",
];

/// The algorithm of `grpc.Compression`.
pub(crate) const fn encoding(algorithm: i64) -> Encoding {
    match algorithm {
        1 => Encoding::Deflate,
        2 => Encoding::Gzip,
        _ => Encoding::Identity,
    }
}

/// A number of bytes or things; -1 is no limit.
fn size(value: i64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn unsigned(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

fn milliseconds(value: i64) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

/// A time that comes: INT_MAX milliseconds and more stand for never.
fn finite(value: i64) -> Option<Duration> {
    (value < i64::from(i32::MAX)).then(|| milliseconds(value))
}

/// What acts.
const KNOWN: [&str; 22] = [
    "ferrpc.submit_per_call",
    "grpc.absolute_max_metadata_size",
    "grpc.compression_enabled_algorithms_bitset",
    "grpc.default_compression_algorithm",
    "grpc.http2.max_frame_size",
    "grpc.http2.max_ping_strikes",
    "grpc.http2.max_pings_without_data",
    "grpc.http2.min_ping_interval_without_data_ms",
    "grpc.http2.ping_timeout_ms",
    "grpc.keepalive_permit_without_calls",
    "grpc.keepalive_time_ms",
    "grpc.keepalive_timeout_ms",
    "grpc.max_allowed_incoming_connections",
    "grpc.max_concurrent_streams",
    "grpc.max_connection_age_grace_ms",
    "grpc.max_connection_age_ms",
    "grpc.max_connection_idle_ms",
    "grpc.max_metadata_size",
    "grpc.max_receive_message_length",
    "grpc.max_send_message_length",
    "grpc.server_handshake_timeout_ms",
    "grpc.so_reuseport",
];

/// Calls that are handled, or wait for a thread, for one connection; as in Rust's servers.
const HANDLERS: usize = 1000;

/// What gRPC's servers do by default (gRFC A8).
const DEFAULT_KEEPALIVE: Keepalive = Keepalive {
    interval: Some(Duration::from_secs(2 * 60 * 60)),
    timeout: Duration::from_secs(20),
    without_streams: true,
    max_pings_without_data: 0,
};

const DEFAULT_PINGS: PingPolicy = PingPolicy {
    min_interval: Duration::from_secs(5 * 60),
    without_streams: false,
    max_strikes: 2,
};
