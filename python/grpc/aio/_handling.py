"""How a server of `grpc.aio` handles a call: lookup, behavior, end.

Everything of a call happens in one coroutine, `handle`, which a task of the call's own runs.
"""

import asyncio
import inspect
import logging

from grpc import _common
from grpc._cython import cygrpc
from grpc._enums import StatusCode
from grpc.aio import _threads
from grpc.aio._context import UNKNOWN, _Requests

_LOGGER = logging.getLogger("grpc._cython.cygrpc")

_CANCELLED = StatusCode.CANCELLED.value[0]
_RESOURCE_EXHAUSTED = StatusCode.RESOURCE_EXHAUSTED.value[0]
_UNIMPLEMENTED = StatusCode.UNIMPLEMENTED.value[0]


class Plan:
    """A handler, as far as it is known before its call."""

    __slots__ = (
        "behavior",
        "deserialize",
        "handler",
        "kind",
        "request_streaming",
        "response_streaming",
        "serialize",
    )

    def __init__(self, handler):
        self.handler = handler
        self.deserialize = handler.request_deserializer
        self.serialize = handler.response_serializer
        self.request_streaming = bool(handler.request_streaming)
        self.response_streaming = bool(handler.response_streaming)
        if self.response_streaming:
            behavior = handler.stream_stream if self.request_streaming else handler.unary_stream
        else:
            behavior = handler.stream_unary if self.request_streaming else handler.unary_unary
        self.behavior = behavior
        self.kind = _kind(behavior)


async def handle(serving, call, context):
    """Handles a call, from its beginning to its end."""
    serving.active += 1
    try:
        # Interceptors want to see even a call whose handler is known.
        plan = None if serving.interceptors else serving.plans.get(call.path)
        if plan is None:
            plan = await serving.find(call)
            if plan is None:
                call.finish(_UNIMPLEMENTED, "Method not found!", None)
                return
        if serving.limit is not None and serving.active > serving.limit:
            call.finish(_RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", None)
            return
        context._plan = plan
        if plan.request_streaming:
            request = _Requests(context)
        else:
            request = await context._receive()
            if request is None:
                details = f'"{call.path}" requires exactly one request message.'
                call.finish(_UNIMPLEMENTED, details, None)
                return
            if plan.deserialize is not None:
                request = plan.deserialize(request)
        if plan.kind is _COROUTINE:
            response = await plan.behavior(request, context)
            if context._aborted:
                _suppressed(call)
            elif plan.response_streaming:
                context._complete()
            else:
                context._reply(response)
        elif plan.kind is _PLAIN:
            await serving.in_thread(_threads.run, context, plan, request)
        elif plan.response_streaming:
            await _send_all(context, plan.behavior(request, context))
        else:
            raise TypeError("object async_generator can't be used in 'await' expression")
    except asyncio.CancelledError:
        if call.is_active():
            # The handler was cancelled, not the call: its caller would wait for ever.
            context._fail(_CANCELLED, "The handler was cancelled")
        if call.is_replied():
            raise
        # What tells the handler of the call's end has no other to tell.
    except cygrpc.AbortError as error:
        if not context._aborted:
            _failed(serving, call, context, error)
    except Exception as error:
        _failed(serving, call, context, error)
    except BaseException as error:
        # It goes on, and ends the loop. GeneratorExit: the loop was closed under the handler.
        if call.is_active():
            context._fail(UNKNOWN, _described(serving, error))
        raise
    finally:
        context._ended()
        serving.handler_ended()


async def _send_all(context, responses):
    try:
        async for response in responses:
            if not context._send(context._serialized(response)):
                await context._room()
    except BaseException:
        # It may have failed outside of it: then nobody else ends it.
        await responses.aclose()
        raise
    if context._aborted:
        _suppressed(context._call)
    else:
        context._complete()


def _suppressed(call):
    _LOGGER.error("Abort error unexpectedly suppressed: [%s]", _common.shown(call.path))


def _failed(serving, call, context, error):
    method = _common.shown(call.path)
    if call.is_cancelled():
        # Nobody is told any more; a thread learns in this way that its call is over.
        _LOGGER.debug("Servicer method [%s] after its call's end: %r", method, error)
        return
    _LOGGER.exception(
        "Unexpected [%s] raised by servicer method [%s]", type(error).__name__, method
    )
    context._fail(UNKNOWN, _described(serving, error))


def _described(serving, error):
    """An error as its caller is told of it."""
    if serving.hides_exceptions:
        return "Unexpected exception in the servicer method"
    try:
        return f"Unexpected {type(error)}: {error}"
    except Exception:
        # Its own text cannot be made. The caller is answered nevertheless.
        return f"Unexpected {type(error)}"


_COROUTINE = "coroutine"
_GENERATOR = "generator"
_PLAIN = "plain"


def _kind(behavior):
    if inspect.isasyncgenfunction(behavior):
        return _GENERATOR
    if inspect.iscoroutinefunction(behavior):
        return _COROUTINE
    if inspect.isfunction(behavior) or inspect.ismethod(behavior):
        return _PLAIN
    # An object that is called.
    called = getattr(behavior, "__call__", None)  # noqa: B004 (it is looked at, not called)
    if inspect.isasyncgenfunction(called):
        return _GENERATOR
    return _COROUTINE if inspect.iscoroutinefunction(called) else _PLAIN
