"""How the server handles a call: its context, its handler, its end.

The engine's `Call` (`grpc._ferrpc.Call`) is what grpcio's users know as `rpc_event`. A call is
handled on one thread from beginning to end:

    lookup, through the interceptors -> request -> behavior -> response(s) -> status

Servers themselves are in `grpc._serving`. The names with an underscore that monitoring packages
replace or read (`_unary_response_in_pool`, `_abort`, `_Context._state` ...) are looked up late.
"""

import collections
import logging
import threading
import time

import grpc
from grpc import _common
from grpc import _ferrpc

_LOGGER = logging.getLogger(__name__)

_OPEN = "open"
_CLOSED = "closed"
_CANCELLED = "cancelled"

_OK = grpc.StatusCode.OK.value[0]
_UNKNOWN = grpc.StatusCode.UNKNOWN.value[0]
_INTERNAL = grpc.StatusCode.INTERNAL.value[0]
_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED.value[0]
_CANCELLED_CODE = grpc.StatusCode.CANCELLED.value[0]

_CALLING = "Exception calling application: "
_ITERATING = "Exception iterating responses: "
_UNPRINTABLE = {_CALLING: "Calling application", _ITERATING: "Iterating responses"}

# What a call without a deadline has left, roughly: the seconds that fit into 64 bits.
_NO_DEADLINE = float(2**63 - 1)

# The property of a connection that says what secures it.
_LOCAL = "transport_security_type"

# Guards the lists of callbacks, which few calls have.
_CALLBACKS = threading.Lock()


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


class _RPCState:
    """What a handler has said about its call so far.

    Attributes are read by packages that observe servers: `client` is "open", "cancelled" or
    "closed", `code` what `set_code` was given, `details` bytes.
    """

    # Of the class: most handlers change none of them, and a state is made for each call.
    _condition = None
    aborted = False
    callbacks = ()
    code = None
    compression_algorithm = None
    details = None
    disable_next_compression = False
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


def _completion_code(state):
    """The number of the status that a handler which returned has asked for."""
    if state.code is None:
        return _OK
    return _number(state.code)


def _abortion_code(state, code):
    """The number of the status of a call that failed: the handler's, or else `code`."""
    if state.code is None:
        return code
    return _number(state.code)


def _number(code):
    return code.value[0] if isinstance(code, grpc.StatusCode) else _UNKNOWN


def _details(state):
    return "" if state.details is None else _common.decode(state.details)


def _abort(state, call, code, details):
    """Ends a call that failed; what the handler set before wins over `code` and `details`."""
    if state.details is not None:
        details = state.details
    _finish(state, call, _abortion_code(state, code), _common.decode(details))


def _finish(state, call, code, details):
    try:
        call.finish(code, details, state.trailing_metadata)
    except (TypeError, ValueError):
        _LOGGER.exception("The trailing metadata cannot be sent")
        call.finish(_INTERNAL, "Invalid metadata", None)


class _Context(grpc.ServicerContext):
    """What a handler knows and may do about its call."""

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
        with _CALLBACKS:
            if state.callbacks is None or not self._rpc_event.is_active():
                return False
            first = not state.callbacks
            state.callbacks = (*state.callbacks, callback)
        return not first or self._watch()

    def _watch(self):
        state = self._state
        if _watched.add(self._rpc_event, state):
            return True
        with _CALLBACKS:
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


class _Watched:
    """Calls whose callbacks have to run when they are cancelled, by number."""

    def __init__(self):
        self._lock = threading.Lock()
        self._next = 0
        self._states = {}

    def add(self, call, state):
        """Whether `state`'s callbacks will run: not if the call is over."""
        with self._lock:
            self._next += 1
            number = self._next
            self._states[number] = state
        if call.watch(number):
            return True
        self._states.pop(number, None)
        return False

    def ended(self, number):
        """The serving thread heard that a call is over."""
        state = self._states.pop(number, None)
        if state is not None:
            _run_callbacks(state)

    def discard(self, state):
        with self._lock:
            for number, known in list(self._states.items()):
                if known is state:
                    del self._states[number]


_watched = _Watched()


def _run_callbacks(state):
    with _CALLBACKS:
        callbacks, state.callbacks = state.callbacks, None
    for callback in callbacks or ():
        try:
            callback()
        except Exception:
            _LOGGER.exception("Exception calling callback!")


# -- requests -------------------------------------------------------------------------------------


class _RequestIterator:
    """The requests of a stream, for the handler."""

    def __init__(self, rpc_event, state, request_deserializer):
        self._call = rpc_event
        self._state = state
        self._request_deserializer = request_deserializer

    def __iter__(self):
        return self

    def __next__(self):
        try:
            serialized = self._call.receive()
        except _ferrpc.CallOver:
            _raise_rpc_error(self._state)
        if serialized is None:
            raise StopIteration
        request = _common.deserialize(serialized, self._request_deserializer)
        if request is None:
            _abort(self._state, self._call, _INTERNAL, b"Exception deserializing request!")
            _raise_rpc_error(self._state)
        return request

    next = __next__


def _unary_request(rpc_event, state, request_deserializer):
    """A function that returns the one request; None if there is none, with the call ended."""

    def unary_request():
        try:
            serialized = rpc_event.receive()
        except _ferrpc.CallOver:
            return None
        if serialized is None:
            details = f'"{rpc_event.path}" requires exactly one request message.'
            _abort(state, rpc_event, _UNIMPLEMENTED, _common.encode(details))
            return None
        request = _common.deserialize(serialized, request_deserializer)
        if request is None:
            _abort(state, rpc_event, _INTERNAL, b"Exception deserializing request!")
        return request

    return unary_request


def _stream_request(rpc_event, state, request_deserializer):
    """A function that returns the iterator over the requests."""
    return lambda: _RequestIterator(rpc_event, state, request_deserializer)


# -- behaviors and their responses ----------------------------------------------------------------


def _call_behavior(rpc_event, state, behavior, argument, request_deserializer, *callback):
    """Calls the user's function; returns what it returned and whether to go on."""
    context = _Context(rpc_event, state, request_deserializer)
    try:
        return behavior(argument, context, *callback), True
    except Exception as exception:
        _behavior_failed(state, rpc_event, _CALLING, exception)
        return None, False


def _behavior_failed(state, call, prefix, exception):
    if state.aborted:
        _abort(state, call, _UNKNOWN, b"RPC Aborted")
    elif not _is_rpc_error(state, exception):
        try:
            details = f"{prefix}{exception}"
        except Exception:
            # Its own __str__ fails.
            details = f"{_UNPRINTABLE[prefix]} raised unprintable Exception!"
        _LOGGER.exception(details)
        _abort(state, call, _UNKNOWN, _common.encode(details))
    elif not call.is_cancelled():
        _abort(state, call, _UNKNOWN, b"")


def _take_response_from_response_iterator(rpc_event, state, response_iterator):
    """The next response, None after the last one, and whether to go on."""
    try:
        return next(response_iterator), True
    except StopIteration:
        return None, True
    except Exception as exception:
        _behavior_failed(state, rpc_event, _ITERATING, exception)
        return None, False


def _serialize_response(rpc_event, state, response, response_serializer):
    """The response's bytes; None if that fails, with the call ended."""
    serialized = None
    if response is not None:
        serialized = _common.serialize(response, response_serializer)
    if not isinstance(serialized, bytes):
        _abort(state, rpc_event, _INTERNAL, b"Failed to serialize response!")
        return None
    return serialized


def _send_initial_metadata(call, state, metadata):
    call.send_initial_metadata(metadata, _algorithm(state))
    state.initial_metadata_allowed = False


def _algorithm(state):
    compression = state.compression_algorithm
    return None if compression is None else int(compression)


def _send_response(rpc_event, state, serialized_response):
    """Sends one response of a stream; whether the call goes on."""
    if state.initial_metadata_allowed:
        _send_initial_metadata(rpc_event, state, None)
    compress = not state.disable_next_compression
    state.disable_next_compression = False
    return rpc_event.send(serialized_response, compress)


def _status(rpc_event, state, serialized_response):
    """Ends a call whose handler has returned."""
    code = _completion_code(state)
    if code == _OK and serialized_response is not None:
        compression = 0 if state.disable_next_compression else _algorithm(state)
        try:
            rpc_event.reply(serialized_response, compression, state.trailing_metadata)
        except (TypeError, ValueError):
            _LOGGER.exception("The trailing metadata cannot be sent")
            rpc_event.finish(_INTERNAL, "Invalid metadata", None)
        return
    _finish(state, rpc_event, code, "" if code == _OK else _details(state))


def _unary_response_in_pool(
    rpc_event, state, behavior, argument_thunk, request_deserializer, response_serializer
):
    """Handles a call that has one response."""
    argument = argument_thunk()
    if argument is None:
        return
    response, proceed = _call_behavior(rpc_event, state, behavior, argument, request_deserializer)
    if not proceed:
        return
    serialized = _serialize_response(rpc_event, state, response, response_serializer)
    if serialized is not None:
        _status(rpc_event, state, serialized)


def _stream_response_in_pool(
    rpc_event, state, behavior, argument_thunk, request_deserializer, response_serializer
):
    """Handles a call that has a stream of responses."""

    def send_response(response):
        if response is None:
            _status(rpc_event, state, None)
            return False
        serialized = _serialize_response(rpc_event, state, response, response_serializer)
        return serialized is not None and _send_response(rpc_event, state, serialized)

    argument = argument_thunk()
    if argument is None:
        return
    if getattr(behavior, "experimental_non_blocking", False):
        # It returns soon, and sends from threads of its own.
        def send_and_clean_up(response):
            if not send_response(response) and state.callbacks:
                _ended(state)

        _call_behavior(
            rpc_event, state, behavior, argument, request_deserializer, send_and_clean_up
        )
        return
    responses, proceed = _call_behavior(rpc_event, state, behavior, argument, request_deserializer)
    while proceed:
        response, proceed = _take_response_from_response_iterator(rpc_event, state, responses)
        proceed = proceed and send_response(response)


# -- a call, from end to end ----------------------------------------------------------------------


def _ended(state):
    _watched.discard(state)
    _run_callbacks(state)


def _handle_call(find_handler, call):
    """Handles one call; to be run in a context of the call's own."""
    try:
        handler = find_handler(call)
    except Exception as exception:
        _LOGGER.exception("Exception servicing handler: %s", exception)
        call.finish(_UNKNOWN, "Error in service handler!", None)
        return
    if handler is None:
        call.finish(_UNIMPLEMENTED, "Method not found!", None)
        return
    state = _RPCState(call)
    try:
        if handler.request_streaming:
            thunk = _stream_request(call, state, handler.request_deserializer)
            behavior = (
                handler.stream_stream if handler.response_streaming else handler.stream_unary
            )
        else:
            thunk = _unary_request(call, state, handler.request_deserializer)
            behavior = handler.unary_stream if handler.response_streaming else handler.unary_unary
        handle = (
            _stream_response_in_pool if handler.response_streaming else _unary_response_in_pool
        )
    except AttributeError as exception:
        _LOGGER.exception("What an interceptor returned is no handler: %s", exception)
        call.finish(_UNKNOWN, "Error in service handler!", None)
        return
    try:
        handle(
            call,
            state,
            behavior,
            thunk,
            handler.request_deserializer,
            handler.response_serializer,
        )
    except BaseException as exception:
        # Nothing that a handler raises leaves its caller without an answer.
        _LOGGER.exception("Exception handling a call: %s", exception)
        _abort(state, call, _UNKNOWN, b"Exception calling application")
        if not isinstance(exception, Exception):
            raise
    finally:
        # A behavior that does not block may have returned long before its call ends.
        if state.callbacks and not call.is_active():
            _ended(state)


def _validate_generic_rpc_handlers(generic_rpc_handlers):
    """Raises AttributeError unless each of the handlers has a method `service`."""
    for generic_rpc_handler in generic_rpc_handlers:
        if getattr(generic_rpc_handler, "service", None) is None:
            raise AttributeError(
                f'"{generic_rpc_handler}" is no grpc.GenericRpcHandler: it does not have '
                '"service" method!'
            )


def create_server(
    thread_pool,
    generic_rpc_handlers,
    interceptors,
    options,
    maximum_concurrent_rpcs,
    compression,
    xds,
):
    """A new `grpc.Server`; the arguments are those of `grpc.server`."""
    from grpc import _serving

    return _serving._Server(
        thread_pool,
        generic_rpc_handlers,
        interceptors,
        options,
        maximum_concurrent_rpcs,
        compression,
        xds,
    )
