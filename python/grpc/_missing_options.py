"""Options of grpcio that would change what a program sees, and do nothing here so far: whoever uses
one is told, once. docs/options.md has all others."""

import sys
import warnings

#: Each with the value that asks for nothing, or with None.
OF_CHANNELS = {
    "grpc.address_http_proxy": None,
    "grpc.dscp": None,
    "grpc.experimental.enable_hedging": 0,
    "grpc.happy_eyeballs_connection_attempt_delay_ms": None,
    "grpc.http2_scheme": None,
    "grpc.per_message_compression": 1,
    "grpc.per_message_decompression": 1,
}

OF_SERVERS = {
    "grpc.default_compression_level": 0,
    "grpc.dscp": None,
    "grpc.expand_wildcard_addrs": 0,
    "grpc.per_message_compression": 1,
    "grpc.per_message_decompression": 1,
    "grpc.server.max_pending_requests": None,
    "grpc.server.max_pending_requests_hard_limit": None,
    "grpc.server_max_unrequested_time_in_server": None,
    "grpc.surface_user_agent": 1,
}

_said = set()


def warn(missing, name, value):
    """Says, once, that `name` does nothing, if it is one of `missing` or a name that is none."""
    if name in missing:
        value = value.decode() if isinstance(value, bytes) else value
        idle = missing[name]
        if idle is not None and value == idle:
            return
        text = f"the option {name} has no effect yet (docs/options.md)"
    elif name.startswith("ferrpc."):
        text = f"there is no option {name} (docs/options.md)"
    else:
        return
    _say(name, text)


def warn_of_field(option, field):
    """Says, once, that a field within the value of an option does nothing."""
    _say((option, field), f"{field} in the option {option} has no effect yet (docs/options.md)")


def _say(what, text):
    if what not in _said:
        _said.add(what)
        warnings.warn(text, RuntimeWarning, stacklevel=_depth())


def _depth():
    """How far above the caller the program's own line is."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("grpc"):
        depth, frame = depth + 1, frame.f_back
    return depth
