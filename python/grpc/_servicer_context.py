"""What a handler knows and says of its call: its context, and the state behind it.

They say that they are from `grpc._server`, where monitoring packages look for them.
"""

import collections
import contextlib
import itertools
import logging
import os
import threading
import time

import grpc
from grpc import _common, _completions, _ferrpc

_LOGGER = logging.getLogger("grpc._server")

_OPEN = "open"
_CLOSED = "closed"
_CANCELLED = "cancelled"

_INTERNAL = grpc.StatusCode.INTERNAL.value[0]
_CANCELLED_CODE = grpc.StatusCode.CANCELLED.value[0]

# What a call without a deadline has left, roughly: the seconds that fit into 64 bits.
_NO_DEADLINE = float(2**63 - 1)

# The property of a connection that says what secures it.
_LOCAL = "transport_security_type"


def _identity_key(properties):
    """The property of an auth context that has the identities of the caller; None without any."""
    for key in ("x509_subject_alternative_name", "x509_common_name"):
        if key in properties:
            return key
    # A caller on the same machine is known by that alone.
    return _LOCAL if properties[_LOCAL] == [b"local"] else None


class _HandlerCallDetails(
    collections.namedtuple("_HandlerCallDetails", ("method", "invocation_metadata")),
    grpc.HandlerCallDetails,
):
    """What handlers are looked up by."""

    __module__ = "grpc._server"


class _RPCState:
    """What a handler has said about its call so far.

    Attributes are read by packages that observe servers: `client` is "open", "cancelled" or
    "closed", `code` what `set_code` was given, `details` bytes.
    """

    __module__ = "grpc._server"

    # Of the class: most handlers change none of them, and a state is made for each call.
    _condition = None
    aborted = False
    callbacks = ()
    # Among the calls that are watched.
    number = None
    code = None
    compression_algorithm = None
    details = None
    disable_next_compression = False
    # Whether callers learn nothing of what the handler raises.
    hides_exceptions = False
    initial_metadata_allowed = True
    request = None
    rpc_errors = ()
    trailing_metadata = None

    def __init__(self, call):
        self._call = call

    @property
    def client(self):
        if self._call.is_cancelled():
            return _CANCELLED
        return _CLOSED if self._call.is_replied() else _OPEN

    @property
    def statused(self):
        return self._call.is_replied()

    @property
    def condition(self):
        if self._condition is None:
            self._condition = threading.Condition()
        return self._condition


def _raise_rpc_error(state):
    """Raises what tells a handler that its call is over; it is not taken for the handler's own."""
    rpc_error = grpc.RpcError()
    state.rpc_errors = (*state.rpc_errors, rpc_error)
    raise rpc_error


def _is_rpc_error(state, exception):
    return any(known is exception for known in state.rpc_errors)


class _Context(grpc.ServicerContext):
    """What a handler knows and may do about its call."""

    __module__ = "grpc._server"

    def __init__(self, rpc_event, state, request_deserializer):
        self._rpc_event = rpc_event
        self._state = state
        self._request_deserializer = request_deserializer

    def is_active(self):
        return self._rpc_event.is_active()

    def time_remaining(self):
        remaining = self._rpc_event.time_remaining()
        return _NO_DEADLINE - time.time() if remaining is None else remaining

    def cancel(self):
        self._rpc_event.finish(_CANCELLED_CODE, "Cancelled on the server side", None)

    def add_callback(self, callback):
        state = self._state
        with _watched.lock:
            if state.callbacks is None or not self._rpc_event.is_active():
                return False
            first = not state.callbacks
            state.callbacks = (*state.callbacks, callback)
        return not first or self._watch()

    def _watch(self):
        state = self._state
        if _watched.add(self._rpc_event, state):
            return True
        with _watched.lock:
            state.callbacks = None
        return False

    def disable_next_message_compression(self):
        self._state.disable_next_compression = True

    def invocation_metadata(self):
        return self._rpc_event.invocation_metadata

    def peer(self):
        return self._rpc_event.peer

    def peer_identities(self):
        key = self.peer_identity_key()
        return None if key is None else self.auth_context().get(key)

    def peer_identity_key(self):
        return _identity_key(self._rpc_event.auth_context())

    def auth_context(self):
        return self._rpc_event.auth_context()

    def set_compression(self, compression):
        self._state.compression_algorithm = compression

    def send_initial_metadata(self, initial_metadata):
        state = self._state
        if not self._rpc_event.is_active():
            _raise_rpc_error(state)
        if not state.initial_metadata_allowed:
            raise ValueError("Initial metadata no longer allowed!")
        try:
            _send_initial_metadata(self._rpc_event, state, initial_metadata)
        except _ferrpc.InvalidMetadata:
            _LOGGER.exception("The initial metadata cannot be sent")
            self._rpc_event.finish(_INTERNAL, "Invalid metadata", None)

    def set_trailing_metadata(self, trailing_metadata):
        if hasattr(trailing_metadata, "__next__"):
            trailing_metadata = tuple(trailing_metadata)
        self._state.trailing_metadata = trailing_metadata

    def trailing_metadata(self):
        return self._state.trailing_metadata

    def abort(self, code, details):
        if code == grpc.StatusCode.OK:
            _LOGGER.error("abort() called with StatusCode.OK; returning UNKNOWN")
            code = grpc.StatusCode.UNKNOWN
            details = ""
        state = self._state
        state.code = code
        state.details = _common.encode(details)
        state.aborted = True
        raise Exception()

    def abort_with_status(self, status):
        self._state.trailing_metadata = status.trailing_metadata
        self.abort(status.code, status.details)

    def set_code(self, code):
        self._state.code = code

    def code(self):
        return self._state.code

    def set_details(self, details):
        self._state.details = _common.encode(details)

    def details(self):
        return self._state.details

    def _finalize_state(self):
        pass


@contextlib.contextmanager
def create_servicer_context(rpc_event, state, request_deserializer):
    """What `grpc._create_servicer_context` is: a context for as long as the block runs."""
    context = _Context(rpc_event, state, request_deserializer)
    try:
        yield context
    finally:
        context._finalize_state()


def _send_initial_metadata(call, state, metadata):
    call.send_initial_metadata(metadata, _algorithm(state))
    state.initial_metadata_allowed = False


def _algorithm(state):
    compression = state.compression_algorithm
    return None if compression is None else int(compression)


class _Watched:
    """Calls whose callbacks have to run when they are cancelled, by number."""

    def __init__(self):
        self._numbers = itertools.count(1)
        self._states = {}
        self.forked()

    def forked(self):
        """In the child of a fork: calls are the parent's, and a thread may have had the lock."""
        #: Guards the lists of callbacks, which few calls have. Nothing is called under it.
        self.lock = threading.Lock()
        self._states.clear()

    def add(self, call, state):
        """Whether `state`'s callbacks will run: not if the call is over."""
        number = state.number = next(self._numbers)
        self._states[number] = state
        if call.watch(number):
            return True
        self.discard(state)
        return False

    def ended(self, number, lane):
        """The serving thread heard that a call is over; it has no time for callbacks."""
        state = self._states.pop(number, None)
        if state is None:
            return
        try:
            _completions.soon(lambda: _run_callbacks(state), lane)
        except RuntimeError:
            # No more threads: they stop the server for a while, but run.
            _run_callbacks(state)

    def discard(self, state):
        self._states.pop(state.number, None)


_watched = _Watched()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watched.forked)


def _run_callbacks(state):
    with _watched.lock:
        callbacks, state.callbacks = state.callbacks, None
    for callback in callbacks or ():
        try:
            callback()
        except Exception:
            _LOGGER.exception("Exception calling callback!")
