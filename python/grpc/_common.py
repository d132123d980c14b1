"""What both sides need: names, codes, and the calls of serialisers."""

import logging

from grpc._enums import ChannelConnectivity, StatusCode

_LOGGER = logging.getLogger(__name__)

_SERIALIZING = "Exception serializing message!"
_DESERIALIZING = "Exception deserializing message!"


class Unusable(Exception):
    """A message that cannot be (de)serialised. Its cause is what was raised; none, if None was
    returned."""


#: From the number on the wire.
STATUS_CODE_BY_NUMBER = {code.value[0]: code for code in StatusCode}

#: From the number the engine uses.
CONNECTIVITY_BY_NUMBER = {state.value[0]: state for state in ChannelConnectivity}

# Their names in grpcio, where other packages look for them.
CYGRPC_STATUS_CODE_TO_STATUS_CODE = STATUS_CODE_BY_NUMBER
CYGRPC_CONNECTIVITY_STATE_TO_CHANNEL_CONNECTIVITY = CONNECTIVITY_BY_NUMBER
STATUS_CODE_TO_CYGRPC_STATUS_CODE = {code: number for number, code in STATUS_CODE_BY_NUMBER.items()}

#: Seconds. Whoever waits on the main thread lets signal handlers run as often.
MAXIMUM_WAIT_TIMEOUT = 0.1

_ERROR_MESSAGE_PORT_BINDING_FAILED = (
    "Failed to bind to address %s; set GRPC_VERBOSITY=debug environment variable to see "
    "detailed error message."
)


def encode(s):
    """Bytes as they are, a str as UTF-8."""
    return s if isinstance(s, bytes) else s.encode("utf8")


def decode(b):
    """Bytes as UTF-8, with replacements where they are not; all else as it is."""
    return b.decode("utf-8", "replace") if isinstance(b, bytes) else b


def not_serialized():
    """Logs what a serialiser has raised just now."""
    _LOGGER.exception(_SERIALIZING)


def not_deserialized():
    """Logs what a deserialiser has raised just now."""
    _LOGGER.exception(_DESERIALIZING)


def serialize(message, serializer):
    """The message's bytes; the message itself without a serialiser. What the serialiser raises is
    logged, and None returned."""
    if serializer is None:
        return message
    try:
        return serializer(message)
    except Exception:
        not_serialized()
        return None


def deserialize(serialized_message, deserializer):
    """The message in these bytes; the bytes without a deserialiser. What the deserialiser raises is
    logged, and None returned."""
    if deserializer is None:
        return serialized_message
    try:
        return deserializer(serialized_message)
    except Exception:
        not_deserialized()
        return None


def read(serialized_message, deserializer):
    """As `deserialize`, with a deserialiser. Raises `Unusable`."""
    try:
        message = deserializer(serialized_message)
    except Exception as error:
        not_deserialized()
        raise Unusable from error
    if message is None:
        raise Unusable
    return message


def written(message, serializer):
    """As `serialize`. Raises `Unusable`."""
    if serializer is not None:
        try:
            message = serializer(message)
        except Exception as error:
            not_serialized()
            raise Unusable from error
    if message is None:
        raise Unusable
    return message


def shown(text):
    """A peer's text for a line of a log: what is not printable is escaped."""
    return text if text.isprintable() else repr(text)[1:-1]


def fully_qualified_method(group, method):
    """The path of a method, `/package.Service/Method`."""
    return f"/{group}/{method}"


def validate_port_binding_result(address, port):
    """The port, unless it is 0: then RuntimeError with the words that grpcio has."""
    if port == 0:
        raise RuntimeError(_ERROR_MESSAGE_PORT_BINDING_FAILED % address)
    return port


def wait(wait_fn, wait_complete_fn, timeout=None, spin_cb=None):
    """Waits until `wait_complete_fn()` holds or `timeout` seconds have passed, in slices of
    `wait_fn(timeout=seconds)` short enough for signal handlers. True when the time was up."""
    if timeout is None:
        until = None
    else:
        import time

        until = time.monotonic() + timeout
    while not wait_complete_fn():
        if until is None:
            left = MAXIMUM_WAIT_TIMEOUT
        else:
            left = min(until - time.monotonic(), MAXIMUM_WAIT_TIMEOUT)
            if left <= 0:
                return not wait_complete_fn()
        wait_fn(timeout=left)
        if spin_cb is not None:
            spin_cb()
    return False
