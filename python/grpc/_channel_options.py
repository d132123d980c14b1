"""What the options of a channel mean to the engine."""

import sys

from grpc import _missing_options
from grpc._grpcio_metadata import __version__
from grpc.experimental import ChannelOptions

#: Options with a number that act: their names in the engine.
_ENGINE = {
    "grpc.max_receive_message_length": "max_receive",
    "grpc.max_send_message_length": "max_send",
    "grpc.max_metadata_size": "soft_metadata",
    "grpc.absolute_max_metadata_size": "hard_metadata",
    "grpc.compression_enabled_algorithms_bitset": "encodings",
    "grpc.default_compression_algorithm": "compression",
    "grpc.initial_reconnect_backoff_ms": "initial_backoff",
    "grpc.min_reconnect_backoff_ms": "min_connect",
    "grpc.max_reconnect_backoff_ms": "max_backoff",
    "grpc.keepalive_time_ms": "keepalive_time",
    "grpc.keepalive_timeout_ms": "keepalive_timeout",
    "grpc.keepalive_permit_without_calls": "keepalive_without_calls",
    "grpc.http2.max_frame_size": "max_frame",
    "grpc.http2.max_pings_without_data": "max_pings_without_data",
    "grpc.http2.ping_timeout_ms": "ping_timeout",
    "grpc.per_rpc_retry_buffer_size": "retry_buffer",
    "grpc.client_idle_timeout_ms": "idle_timeout",
    "grpc.dns_min_time_between_resolutions_ms": "resolution_interval",
    "ferrpc.spin_us": "spin_us",
}

#: Those that are read here.
_READ = frozenset(
    (
        ChannelOptions.SingleThreadedUnaryStream,
        "grpc.default_authority",
        "grpc.enable_http_proxy",
        "grpc.enable_retries",
        "grpc.http_proxy",
        "grpc.lb_policy_name",
        "grpc.primary_user_agent",
        "grpc.secondary_user_agent",
        "grpc.service_config",
        "grpc.ssl_session_cache",
        "grpc.ssl_target_name_override",
    )
)

#: Policies that calls are spread by. Any other name asks for the first, as it does in grpcio.
_POLICIES = frozenset(("pick_first", "round_robin"))

#: All that act.
ACTING = _READ.union(_ENGINE)


class Options:
    """The options of one channel, read. `engine` is what the engine is given, `user_agent` the
    header of that name, `single_threaded` whether streams of responses use no other thread. For
    secure channels: `server_name` is what a server must prove to be (None: as the target says),
    `session_cache` where its TLS sessions are kept (None: with the channel)."""

    def __init__(self, options, compression):
        self.engine = {}
        self.single_threaded = False
        self.server_name = None
        self.session_cache = None
        self._proxy = None
        self._uses_proxy = True
        primary = secondary = None
        for name, value in options:
            name = name.decode() if isinstance(name, bytes) else name
            if not isinstance(name, str):
                raise TypeError(f"Expected str, not {type(name)}")
            if name == ChannelOptions.SingleThreadedUnaryStream:
                self.single_threaded = bool(value)
                continue
            if name == "grpc.ssl_session_cache":
                # Its number means something to grpcio's core only.
                self.session_cache = getattr(value, "_cache", None)
                continue
            value = _checked(value)
            if name in _ENGINE:
                self.engine[_ENGINE[name]] = int(value)
            elif name == "grpc.default_authority":
                if value != "" and value != b"":
                    self.engine["authority"] = _text(value)
            elif name == "grpc.ssl_target_name_override":
                self.server_name = _text(value)
            elif name == "grpc.http_proxy":
                self._proxy = _text(value)
            elif name == "grpc.enable_http_proxy":
                self._uses_proxy = bool(value)
            elif name == "grpc.enable_retries":
                self.engine["retries"] = bool(value)
            elif name == "grpc.service_config":
                self._configure(value)
            elif name == "grpc.lb_policy_name" and _text(value) in _POLICIES:
                self.engine["round_robin"] = _text(value) == "round_robin"
            elif name == "grpc.primary_user_agent":
                primary = _text(value)
            elif name == "grpc.secondary_user_agent":
                secondary = _text(value)
            elif name.startswith("ferrpc.") and self._limit(name, value):
                pass
            else:
                _missing_options.warn(_missing_options.OF_CHANNELS, name, value)
        if compression is not None:
            self.engine["compression"] = int(compression)
        if not self._uses_proxy:
            self.engine["proxy"] = None
        elif self._proxy:
            self.engine["proxy"] = self._proxy
        self.user_agent = _user_agent(primary, secondary)

    def _limit(self, name, value):
        """Whether it is a limit of the engine's (docs/limits.md), which it has then."""
        from grpc import _ferrpc

        if not _ferrpc.ClientChannel.has_limit(name.removeprefix("ferrpc.")):
            return False
        self.engine[name] = int(value)
        return True

    def _configure(self, config):
        """Reads a service config. With one that is wrong calls end with INVALID_ARGUMENT; fields
        that have no effect are said."""
        from grpc import _ferrpc

        # A number, or no text at all, is none to grpcio.
        if isinstance(config, int):
            return
        config = _text(config)
        for field in _ferrpc.ClientChannel.without_effect(config):
            _missing_options.warn_of_field("grpc.service_config", field)
        self.engine["service_config"] = config

    def secure(self, secured):
        """Adds what a channel is secured by, a `grpc._credentials.Secured` or None."""
        if secured is None or not secured.is_secure:
            return
        self.engine["credentials"] = secured.engine(self.session_cache)
        if self.server_name is not None:
            self.engine["server_name"] = self.server_name


def _checked(value):
    """The value, if it is of a kind that options have."""
    if isinstance(value, (int, str, bytes)):
        return value
    if hasattr(value, "__int__"):
        return int(value)
    raise TypeError(f"Expected int, bytes, or behavior, got {type(value)}")


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _user_agent(primary, secondary):
    from grpc import _ferrpc

    own = f"grpc-python/{__version__} ferrpc/{_ferrpc.__version__} ({sys.platform}; tokio)"
    return " ".join(part for part in (primary, own, secondary) if part)
