"""What the options of a channel mean to the engine."""

import logging
import sys

from grpc._grpcio_metadata import __version__
from grpc.experimental import ChannelOptions

_LOGGER = logging.getLogger("grpc")

#: Options with a number that act: their names in the engine.
_ENGINE = {
    "grpc.max_receive_message_length": "max_receive",
    "grpc.max_send_message_length": "max_send",
    "grpc.max_metadata_size": "soft_metadata",
    "grpc.absolute_max_metadata_size": "hard_metadata",
    "grpc.default_compression_algorithm": "compression",
    "grpc.initial_reconnect_backoff_ms": "initial_backoff",
    "grpc.min_reconnect_backoff_ms": "min_connect",
    "grpc.max_reconnect_backoff_ms": "max_backoff",
    "grpc.keepalive_time_ms": "keepalive_time",
    "grpc.keepalive_timeout_ms": "keepalive_timeout",
    "grpc.keepalive_permit_without_calls": "keepalive_without_calls",
    "grpc.http2.max_pings_without_data": "max_pings_without_data",
    "grpc.client_idle_timeout_ms": "idle_timeout",
    "ferrpc.spin_us": "spin_us",
}

#: Options whose absence changes what a program sees: said once, when they are used.
_MISSED = frozenset(
    (
        "grpc.enable_retries",
        "grpc.lb_policy_name",
        "grpc.per_rpc_retry_buffer_size",
        "grpc.service_config",
    )
)

_said = set()


class Options:
    """The options of one channel, read. `engine` is what the engine is given, `user_agent` the
    header of that name, `single_threaded` whether streams of responses use no other thread. For secure
    channels: `server_name` is what a server must prove to be (None: as the target says),
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
            elif name == "grpc.primary_user_agent":
                primary = _text(value)
            elif name == "grpc.secondary_user_agent":
                secondary = _text(value)
            elif name.startswith("ferrpc."):
                self._limit(name, int(value))
            elif name in _MISSED and name not in _said:
                _said.add(name)
                _LOGGER.warning("The channel option %s has no effect yet", name)
        if compression is not None:
            self.engine["compression"] = int(compression)
        if not self._uses_proxy:
            self.engine["proxy"] = None
        elif self._proxy:
            self.engine["proxy"] = self._proxy
        self.user_agent = _user_agent(primary, secondary)

    def _limit(self, name, value):
        """A limit of the engine's: docs/limits.md."""
        from grpc import _ferrpc

        if _ferrpc.ClientChannel.has_limit(name.removeprefix("ferrpc.")):
            self.engine[name] = value
        elif name not in _said:
            _said.add(name)
            _LOGGER.warning("The channel option %s has no effect", name)

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
