"""Calls that go through interceptors. They say that they are from `grpc.aio._interceptor`.

A task runs the interceptors, the first outermost; what it brings is the call that all else is asked
of: one of the engine's, one that an interceptor made, or what stands for a plain response.
"""

import asyncio
import functools
import time

from grpc._cython.cygrpc import EOF, UsageError
from grpc._enums import StatusCode
from grpc.aio import _base_call
from grpc.aio._calling import (
    API_STYLE_ERROR,
    LOCAL_CANCELLATION_DETAILS,
    RPC_ALREADY_FINISHED_DETAILS,
    RPC_HALF_CLOSED_DETAILS,
    call_back,
)
from grpc.aio._errors import AioRpcError
from grpc.aio._interceptor_api import ClientCallDetails
from grpc.aio._metadata import Metadata

_HERE = "grpc.aio._interceptor"


class InterceptedCall:
    """What the four kinds share."""

    __module__ = _HERE

    #: The method of the interceptors.
    _intercept = ""

    def __init__(
        self,
        maker,
        interceptors,
        request,
        timeout,
        metadata,
        credentials,
        wait_for_ready,
        compression,
    ):
        self._maker = maker
        self._compression = compression
        self._interceptors = tuple(interceptors)
        self._last_call = None
        self._deadline = None if timeout is None else time.time() + timeout
        self._pending_callbacks = []
        details = ClientCallDetails(
            maker._method,
            timeout,
            metadata if isinstance(metadata, Metadata) else Metadata.from_tuple(metadata),
            credentials,
            wait_for_ready,
        )
        loop = maker._python_channel._driven().loop
        self._task = loop.create_task(self._run(0, details, self._requests(request)))
        self._task.add_done_callback(self._made)

    def _requests(self, request):
        return request

    async def _run(self, at, details, request):
        """What the interceptors from this one on make of it: a call."""
        if at == len(self._interceptors):
            call = await self._maker._start_with(details, request, self._compression)
            self._last_call = call
            return call
        intercept = getattr(self._interceptors[at], self._intercept)
        continuation = functools.partial(self._run, at + 1)
        return self._call_of(await intercept(continuation, details, request))

    def _call_of(self, returned):
        return returned

    def _made(self, task):
        callbacks, self._pending_callbacks = self._pending_callbacks, ()
        for callback in callbacks:
            self._add(task, callback)

    def _add(self, task, callback):
        call = None if task.cancelled() or task.exception() is not None else task.result()
        if call is None or call.done():
            call_back(callback, self)
        else:
            call.add_done_callback(lambda _: callback(self))

    def _known(self):
        """The call, if there is one by now."""
        task = self._task
        if not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    def __del__(self):
        task = getattr(self, "_task", None)
        if task is not None and not task.done() and not task.get_loop().is_closed():
            task.cancel()

    def add_done_callback(self, callback):
        if self._task.done():
            self._add(self._task, callback)
        else:
            self._pending_callbacks.append(callback)

    def cancel(self):
        if not self._task.done():
            return self._task.cancel()
        call = self._known()
        return False if call is None else call.cancel()

    def cancelled(self):
        if not self._task.done():
            return False
        if self._task.cancelled():
            return True
        error = self._task.exception()
        if error is not None:
            return isinstance(error, AioRpcError) and error.code() is StatusCode.CANCELLED
        return self._task.result().cancelled()

    def done(self):
        if not self._task.done():
            return False
        call = self._known()
        return True if call is None else call.done()

    def time_remaining(self):
        return None if self._deadline is None else max(self._deadline - time.time(), 0)

    async def _ask(self, question, cancelled):
        """What the call says; what an error of the interceptors says; or `cancelled`."""
        try:
            call = await asyncio.shield(self._task)
        except AioRpcError as error:
            return getattr(error, question)()
        except asyncio.CancelledError:
            if not self._task.cancelled():
                raise
            return cancelled
        return await getattr(call, question)()

    async def initial_metadata(self):
        return await self._ask("initial_metadata", None)

    async def trailing_metadata(self):
        return await self._ask("trailing_metadata", None)

    async def code(self):
        return await self._ask("code", StatusCode.CANCELLED)

    async def details(self):
        return await self._ask("details", LOCAL_CANCELLATION_DETAILS)

    async def debug_error_string(self):
        return await self._ask("debug_error_string", "")

    async def wait_for_connection(self):
        call = await self._task
        await call.wait_for_connection()


class _InterceptedUnaryResponseMixin:
    __module__ = _HERE

    def __await__(self):
        call = yield from self._task.__await__()
        return (yield from call.__await__())


class _InterceptedStreamResponseMixin:
    __module__ = _HERE

    # Both styles of reading have this one.
    _responses = None

    async def _iterate(self):
        call = await self._task
        async for response in call:
            yield response

    def __aiter__(self):
        if self._responses is None:
            self._responses = self._iterate()
        return self._responses

    async def read(self):
        try:
            return await self.__aiter__().__anext__()
        except StopAsyncIteration:
            return EOF


class _InterceptedStreamRequestMixin:
    __module__ = _HERE

    _queue = None
    _half_closed = False

    def _requests(self, request_iterator):
        if request_iterator is not None:
            return request_iterator
        self._queue = asyncio.Queue(maxsize=1)
        return _written(self._queue)

    def __del__(self):
        super().__del__()
        if self._queue is None or self._half_closed:
            return
        # Nobody can say any more which request is the last.
        call = self._known()
        if call is not None and not call.done():
            try:
                self._task.get_loop().call_soon_threadsafe(call.cancel)
            except RuntimeError:
                # The loop is closed, and the call over.
                pass

    async def write(self, request):
        call = await self._writable()
        if self._half_closed:
            raise asyncio.InvalidStateError(RPC_HALF_CLOSED_DETAILS)
        await self._put(request, call)
        if call.done():
            raise asyncio.InvalidStateError(RPC_ALREADY_FINISHED_DETAILS)

    async def done_writing(self):
        call = await self._to_write_to()
        if not (call.done() or self._half_closed):
            self._half_closed = True
            await self._put(_written, call)

    async def _writable(self):
        try:
            call = await self._to_write_to()
        except AioRpcError:
            raise asyncio.InvalidStateError(RPC_ALREADY_FINISHED_DETAILS) from None
        if call.done():
            raise asyncio.InvalidStateError(RPC_ALREADY_FINISHED_DETAILS)
        return call

    async def _to_write_to(self):
        if self._queue is None:
            raise UsageError(API_STYLE_ERROR)
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if not self._task.cancelled():
                raise
            raise asyncio.InvalidStateError(RPC_ALREADY_FINISHED_DETAILS) from None

    async def _put(self, request, call):
        """Hands a request to the iterator, unless the call ends first."""
        try:
            self._queue.put_nowait(request)
            return
        except asyncio.QueueFull:
            pass
        ways = [
            asyncio.ensure_future(self._queue.put(request)),
            asyncio.ensure_future(call.code()),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()


async def _written(queue):
    """What is written to a call, for its interceptors. The function itself stands for the end."""
    while (request := await queue.get()) is not _written:
        yield request


class InterceptedUnaryUnaryCall(
    _InterceptedUnaryResponseMixin, InterceptedCall, _base_call.UnaryUnaryCall
):
    """A call with one request and one response."""

    __module__ = _HERE

    _intercept = "intercept_unary_unary"

    def _call_of(self, returned):
        if isinstance(returned, _base_call.UnaryUnaryCall):
            return returned
        return UnaryUnaryCallResponse(returned)


class InterceptedUnaryStreamCall(
    _InterceptedStreamResponseMixin, InterceptedCall, _base_call.UnaryStreamCall
):
    """A call with one request and a stream of responses."""

    __module__ = _HERE

    _intercept = "intercept_unary_stream"

    def _call_of(self, returned):
        if isinstance(returned, _base_call.UnaryStreamCall):
            return returned
        return UnaryStreamCallResponseIterator(self._last_call, returned)


class InterceptedStreamUnaryCall(
    _InterceptedUnaryResponseMixin,
    _InterceptedStreamRequestMixin,
    InterceptedCall,
    _base_call.StreamUnaryCall,
):
    """A call with a stream of requests and one response."""

    __module__ = _HERE

    _intercept = "intercept_stream_unary"

    def _call_of(self, returned):
        if isinstance(returned, _base_call.StreamUnaryCall):
            return returned
        return UnaryUnaryCallResponse(returned)


class InterceptedStreamStreamCall(
    _InterceptedStreamResponseMixin,
    _InterceptedStreamRequestMixin,
    InterceptedCall,
    _base_call.StreamStreamCall,
):
    """A call with a stream each way."""

    __module__ = _HERE

    _intercept = "intercept_stream_stream"

    def _call_of(self, returned):
        if isinstance(returned, _base_call.StreamStreamCall):
            return returned
        return StreamStreamCallResponseIterator(self._last_call, returned)


class UnaryUnaryCallResponse(_base_call.UnaryUnaryCall):
    """A call that is over, with a response that an interceptor has made."""

    __module__ = _HERE

    def __init__(self, response):
        self._response = response

    def cancel(self):
        return False

    def cancelled(self):
        return False

    def done(self):
        return True

    def add_done_callback(self, callback):
        callback(self)

    def time_remaining(self):
        return None

    async def initial_metadata(self):
        return None

    async def trailing_metadata(self):
        return None

    async def code(self):
        return StatusCode.OK

    async def details(self):
        return ""

    async def debug_error_string(self):
        return None

    async def wait_for_connection(self):
        pass

    def __await__(self):
        return self._response
        yield


class _StreamCallResponseIterator:
    """The responses of an interceptor, and the call that it has made for the rest."""

    __module__ = _HERE

    def __init__(self, call, response_iterator):
        self._response_iterator = response_iterator
        self._call = UnaryUnaryCallResponse(None) if call is None else call

    def cancel(self):
        return self._call.cancel()

    def cancelled(self):
        return self._call.cancelled()

    def done(self):
        return self._call.done()

    def add_done_callback(self, callback):
        self._call.add_done_callback(callback)

    def time_remaining(self):
        return self._call.time_remaining()

    async def initial_metadata(self):
        return await self._call.initial_metadata()

    async def trailing_metadata(self):
        return await self._call.trailing_metadata()

    async def code(self):
        return await self._call.code()

    async def details(self):
        return await self._call.details()

    async def debug_error_string(self):
        return await self._call.debug_error_string()

    async def wait_for_connection(self):
        await self._call.wait_for_connection()

    def __aiter__(self):
        return self._response_iterator.__aiter__()

    async def read(self):
        try:
            return await self._response_iterator.__anext__()
        except StopAsyncIteration:
            return EOF


class UnaryStreamCallResponseIterator(_StreamCallResponseIterator, _base_call.UnaryStreamCall):
    """Responses of an interceptor to one request."""

    __module__ = _HERE


class StreamStreamCallResponseIterator(_StreamCallResponseIterator, _base_call.StreamStreamCall):
    """Responses of an interceptor to a stream of requests."""

    __module__ = _HERE

    async def write(self, request):
        await self._call.write(request)

    async def done_writing(self):
        await self._call.done_writing()
