"""How the server handles a call: its handler, its responses, its end.

The engine's `Call` (`grpc._ferrpc.Call`) is what grpcio's users know as `rpc_event`. A call is
handled on one thread from beginning to end:

    lookup, through the interceptors -> request -> behavior -> response(s) -> status

What handlers are given is in `grpc._servicer_context`, servers themselves are in `grpc._serving`.
The names with an underscore that monitoring packages replace or read (`_unary_response_in_pool`,
`_abort`, `_Context._state` ...) are looked up late, and here.
"""

import logging
import types

import grpc
from grpc import _common, _ferrpc
from grpc._servicer_context import (
    _CANCELLED,
    _CLOSED,
    _OPEN,
    _algorithm,
    _Context,
    _HandlerCallDetails,
    _identity_key,
    _is_rpc_error,
    _raise_rpc_error,
    _RPCState,
    _run_callbacks,
    _send_initial_metadata,
    _watched,
)

__all__ = (
    "_CANCELLED",
    "_CLOSED",
    "_OPEN",
    "_Context",
    "_HandlerCallDetails",
    "_RPCState",
    "_identity_key",
    "create_server",
)

_LOGGER = logging.getLogger(__name__)

# What makes a context, unless a tool has put its own in its place.
_CREATE = grpc._create_servicer_context

_OK = grpc.StatusCode.OK.value[0]
_UNKNOWN = grpc.StatusCode.UNKNOWN.value[0]
_INTERNAL = grpc.StatusCode.INTERNAL.value[0]
_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED.value[0]

_CALLING = "Exception calling application: "
_ITERATING = "Exception iterating responses: "
_UNPRINTABLE = {_CALLING: "Calling application", _ITERATING: "Iterating responses"}

# -- ends -----------------------------------------------------------------------------------------


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
            if not self._call.is_replied():
                _raise_rpc_error(self._state)
            # Read elsewhere, when its handler has answered: there is nothing more to come.
            serialized = None
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
    create = grpc._create_servicer_context
    try:
        if create is _CREATE:
            context = _Context(rpc_event, state, request_deserializer)
            return behavior(argument, context, *callback), True
        with create(rpc_event, state, request_deserializer) as context:
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
        if state.hides_exceptions:
            details = prefix.rstrip(": ")
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
    # A serialiser may know what None is.
    serialized = _common.serialize(response, response_serializer)
    if not isinstance(serialized, bytes):
        details = b"Failed to serialize response!"
        if isinstance(response, types.CoroutineType):
            response.close()
            details += b" The handler is a coroutine function: grpc.aio.server() serves these."
        _abort(state, rpc_event, _INTERNAL, details)
        return None
    return serialized


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


def _handle_call(find_handler, call, hides_exceptions=False):
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
    if hides_exceptions:
        state.hides_exceptions = True
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


def __getattr__(name):
    if name == "_Server":
        from grpc import _serving

        return _serving._Server
    raise AttributeError(f"module 'grpc._server' has no attribute {name!r}")
