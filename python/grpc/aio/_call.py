"""Calls as programs hold them.

A call is one of the engine's, begun when the object is made; no task stands behind it. Who waits
for something of it waits for a future of the loop's, which an event of the engine's resolves:

    LoopCall (engine) -- queue: ended, received, room --> Call._event --> futures

The loop knows calls by weak references, unless somebody waits: a call that is dropped is cancelled.
"""

import asyncio
import inspect
import logging
import time
import weakref
from typing import Generic

from grpc import _common, _ferrpc
from grpc._cython import cygrpc
from grpc._cython.cygrpc import EOF, UsageError
from grpc._enums import StatusCode
from grpc.aio import _base_call
from grpc.aio._errors import AioRpcError
from grpc.aio._metadata import Metadata
from grpc.aio._typing import RequestType, ResponseType

__all__ = (
    "AioRpcError",
    "Call",
    "StreamStreamCall",
    "StreamUnaryCall",
    "UnaryStreamCall",
    "UnaryUnaryCall",
)

_LOGGER = logging.getLogger(__name__)

_LOCAL_CANCELLATION_DETAILS = "Locally cancelled by application!"
_RPC_ALREADY_FINISHED_DETAILS = "RPC already finished."
_RPC_HALF_CLOSED_DETAILS = 'RPC is half closed after calling "done_writing".'
_API_STYLE_ERROR = "The iterator and read/write APIs may not be mixed on a single RPC."

_OK_REPRESENTATION = '<{} of RPC that terminated with:\n\tstatus = {}\n\tdetails = "{}"\n>'
_REPRESENTATION = (
    "<{} of RPC that terminated with:\n"
    '\tstatus = {}\n\tdetails = "{}"\n\tdebug_error_string = "{}"\n>'
)

_CANCELLED = StatusCode.CANCELLED.value[0]
_INTERNAL = StatusCode.INTERNAL.value[0]
_SERIALIZING = "Exception serializing request!"
_INVALID_METADATA = "Invalid metadata"
_DESERIALIZING = "Exception deserializing response!"

# The events of a call.
_ENDED = 0
_RECEIVED = 1

# A reader that always finds something lets others have their turn after so many messages.
_TURN = 64


class End:
    """How a call ended, where that was decided here rather than by the engine."""

    message = None

    def __init__(self, code, details):
        self.code = code
        self.details = details

    def initial_metadata(self):
        return ()

    def trailing_metadata(self):
        return ()


_OK = End(0, "")


class _Reference(weakref.ref):
    """Of a call, for its events."""

    __slots__ = ("driver", "tag")

    def call(self):
        return _referent(self)

    def __call__(self, what):
        call = _referent(self)
        if call is not None:
            call._event(what)


_referent = weakref.ref.__call__


def _dropped(reference):
    # The engine has cancelled it by now.
    reference.driver.calls.pop(reference.tag, None)
    reference.driver.events.forget(reference.tag)


class Call(Generic[RequestType, ResponseType]):
    """What the four kinds share."""

    # What most calls never change.
    _deadline = None
    _end = None
    _cancelled = False
    _initial = None
    _callbacks = None
    _receivers = ()
    _senders = ()
    _consumer = None
    _failure = None
    _engine = None
    _tag = 0

    def __init__(
        self, channel, request, streams, timeout, metadata, wait_for_ready, compression, maker
    ):
        driver = channel._driven()
        # A channel lives as long as its calls.
        self._channel = channel
        self._driver = driver
        self._serializer = serializer = maker._request_serializer
        self._deserializer = maker._response_deserializer
        if timeout is not None:
            self._deadline = time.time() + timeout
        if not streams[0]:
            if serializer is not None:
                request = _common.serialize(request, serializer)
            if request is None:
                self._end = End(_INTERNAL, _SERIALIZING)
                return
        else:
            request = None
        events = driver.events
        reference = _Reference(self, _dropped)
        reference.driver = driver
        tag = self._tag = reference.tag = events.register(reference)
        try:
            engine = driver.engine.start(
                maker._engine_method,
                request,
                timeout,
                metadata,
                wait_for_ready,
                compression,
                tag,
                not streams[1],
            )
        except BaseException:
            events.forget(tag)
            raise
        if type(engine) is not _ferrpc.LoopCall:
            events.forget(tag)
            self._end = engine
            if engine.details == _INVALID_METADATA:
                self._failure = cygrpc.ExecuteBatchError(_INVALID_METADATA)
            return
        self._engine = engine
        driver.calls[tag] = reference
        if not driver.scheduled:
            driver.soon()

    # -- events ------------------------------------------------------------------------------------

    def _event(self, what):
        if what == _ENDED:
            if self._end is None:
                self._finish(self._ended())
        elif what == _RECEIVED:
            self._wake(self._receivers)
        else:
            self._wake(self._senders)

    def _ended(self):
        """How it ended, as the engine knows it."""
        return self._engine.end()

    def _finish(self, end):
        self._end = end
        driver = self._driver
        driver.events.forget(self._tag)
        driver.calls.pop(self._tag, None)
        if self._receivers:
            self._wake(self._receivers)
        if self._senders:
            self._wake(self._senders)
        if self._consumer is not None:
            self._consumer.cancel()
        callbacks = self._callbacks
        if callbacks is not None:
            self._callbacks = None
            for callback in callbacks:
                _call_back(callback, self)

    def _lost(self):
        """The loop is closed: nobody will ever hear of it."""
        self._engine.cancel(_CANCELLED, "the event loop was closed")
        self._end = End(_CANCELLED, "the event loop was closed")
        self._cancelled = True

    def _wake(self, futures):
        self._driver.waited.pop(self._tag, None)
        for future in futures:
            if not future.done():
                future.set_result(None)
        if futures:
            futures.clear()

    def _receiving(self):
        """A future that is resolved when something was received, or the call ended."""
        future = self._driver.loop.create_future()
        if not self._receivers:
            self._receivers = [future]
        else:
            self._receivers.append(future)
        self._driver.waited[self._tag] = self
        return future

    def _sending(self):
        """A future that is resolved when there may be room, or the call ended."""
        future = self._driver.loop.create_future()
        if not self._senders:
            self._senders = [future]
        else:
            self._senders.append(future)
        self._driver.waited[self._tag] = self
        return future

    async def _until(self, future):
        """Waits for a future of this call, which is not kept for somebody who has given up."""
        try:
            await future
        except BaseException:
            future.cancel()
            if all(other.done() for other in (*self._receivers, *self._senders)):
                self._driver.waited.pop(self._tag, None)
            raise

    async def _until_ended(self):
        while self._end is None:
            await self._until(self._receiving())
        return self._end

    # -- what everybody can ask --------------------------------------------------------------------

    def cancel(self) -> bool:
        return self._cancel(_LOCAL_CANCELLATION_DETAILS)

    def _cancel(self, details):
        return self._abort(_CANCELLED, details, True)

    def _abort(self, code, details, cancelled=False):
        if self._end is not None or not self._engine.cancel(code, details):
            return False
        self._cancelled = cancelled
        self._finish(End(code, details))
        self._driver.soon()
        return True

    def cancelled(self) -> bool:
        return self._end is not None and self._end.code == _CANCELLED

    def done(self) -> bool:
        return self._end is not None

    def add_done_callback(self, callback) -> None:
        if self._end is not None:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def time_remaining(self):
        return None if self._deadline is None else max(self._deadline - time.time(), 0)

    async def initial_metadata(self):
        while self._initial is None:
            if self._engine is None or self._cancelled:
                return Metadata()
            known = self._known_initial()
            if known is None:
                await self._until(self._receiving())
            else:
                self._initial = Metadata.from_tuple(known)
        return self._initial

    def _known_initial(self):
        return self._engine.initial_metadata()

    async def trailing_metadata(self):
        return Metadata.from_tuple((await self._until_ended()).trailing_metadata())

    async def code(self):
        return _code(await self._until_ended())

    async def details(self):
        return (await self._until_ended()).details

    async def debug_error_string(self):
        return _debug_error_string(await self._until_ended())

    async def wait_for_connection(self):
        while self._engine is not None and self._end is None:
            started = self._engine.is_started()
            if started:
                return
            if started is not None:
                break
            await self._until(self._sending())
        await self._raise_for_status()

    async def _raise_for_status(self):
        end = await self._until_ended()
        if self._cancelled:
            raise asyncio.CancelledError()
        if end.code != 0:
            raise self._error()

    def _error(self):
        if self._failure is not None:
            return self._failure
        end = self._end
        initial = self._initial
        if initial is None:
            known = self._known_initial() if self._engine is not None else ()
            initial = Metadata.from_tuple(known)
        return AioRpcError(
            _code(end),
            initial,
            Metadata.from_tuple(end.trailing_metadata()),
            end.details,
            _debug_error_string(end),
        )

    def _repr(self):
        end = self._end
        if end is None:
            return "<_AioCall object>"
        if end.code == 0:
            return _OK_REPRESENTATION.format("_AioCall", _code(end), end.details)
        return _REPRESENTATION.format(
            "_AioCall", _code(end), end.details, _debug_error_string(end)
        )

    def __repr__(self) -> str:
        return self._repr()

    def __str__(self) -> str:
        return self._repr()

    def _deserialized(self, message):
        """The message. If it cannot be made, the call ends with INTERNAL."""
        response = _common.deserialize(message, self._deserializer)
        if response is None:
            self._abort(_INTERNAL, _DESERIALIZING)
            self._end = End(_INTERNAL, _DESERIALIZING)
            raise self._error()
        return response


def _code(end):
    return _common.STATUS_CODE_BY_NUMBER.get(end.code, StatusCode.UNKNOWN)


def _debug_error_string(end):
    return "" if end.code == 0 else f"{_code(end).name}:{end.details}"


def _call_back(callback, call):
    try:
        callback(call)
    except Exception:
        _LOGGER.exception("Exception in a callback of %r", call)


class _UnaryResponseMixin(Call[RequestType, ResponseType]):
    """A call that can be awaited."""

    _message = None
    _response = None

    def _ended(self):
        taken = self._engine.take()
        if type(taken) is bytes:
            self._message = taken
            return _OK
        if taken is None:
            # Cannot be: it was said that it has ended.
            return End(_INTERNAL, "the end of the call is not known")
        if taken.code == 0:
            self._message = taken.message
            if self._message is None:
                return End(_INTERNAL, "the server ended the call with OK and sent no response")
        return taken

    def _known_initial(self):
        return self._engine.initial_metadata() if self._end is None else self._end.initial_metadata()

    def __await__(self):
        while self._end is None:
            try:
                yield from self._receiving()
            except asyncio.CancelledError:
                self.cancel()
                raise
        if self._end.code != 0:
            if self._cancelled:
                raise asyncio.CancelledError()
            raise self._error()
        if self._message is not None:
            message, self._message = self._message, None
            deserializer = self._deserializer
            self._response = message if deserializer is None else self._deserialized(message)
        return self._response


class _StreamResponseMixin(Call[RequestType, ResponseType]):
    """A call with a stream of responses."""

    _iterates = None
    _turn = 0

    def _use(self, iterates):
        if self._iterates is None:
            self._iterates = iterates
        elif self._iterates is not iterates:
            raise UsageError(_API_STYLE_ERROR)

    def __aiter__(self):
        self._use(True)
        return _Responses(self)

    async def read(self):
        self._use(False)
        message = await self._read()
        if message is EOF:
            await self._raise_for_status()
        return message

    async def _read(self):
        """The next response, or EOF: then it is known how the call ended."""
        if self._cancelled:
            raise asyncio.CancelledError()
        engine = self._engine
        if engine is None:
            return EOF
        while True:
            message = engine.next()
            if type(message) is bytes:
                self._turn += 1
                if self._turn == _TURN:
                    self._turn = 0
                    self._driver.soon()
                    await asyncio.sleep(0)
                deserializer = self._deserializer
                return message if deserializer is None else self._deserialized(message)
            if message is not None:
                if self._end is None:
                    self._finish(message)
                return EOF
            self._turn = 0
            try:
                await self._receiving()
            except asyncio.CancelledError:
                self.cancel()
                raise
            if self._cancelled:
                raise asyncio.CancelledError()


class _Responses:
    """The responses of a call, one after the other."""

    __slots__ = ("_call",)

    def __init__(self, call):
        self._call = call

    def __aiter__(self):
        return self

    async def __anext__(self):
        call = self._call
        message = await call._read()
        if message is EOF:
            await call._raise_for_status()
            raise StopAsyncIteration
        return message


class _StreamRequestMixin(Call[RequestType, ResponseType]):
    """A call with a stream of requests."""

    _half_closed = False
    _writes = True
    # Whose turn it is to write; made when a message first finds no room.
    _turns = None

    def _send_all(self, request_iterator):
        """The requests come from an iterable, if there is one."""
        if request_iterator is not None:
            self._writes = False
            if self._end is None:
                self._consumer = self._driver.loop.create_task(self._consume(request_iterator))

    async def _consume(self, requests):
        try:
            if inspect.isasyncgen(requests) or hasattr(requests, "__aiter__"):
                async for request in requests:
                    if not await self._write(request):
                        return
            else:
                for request in requests:
                    if not await self._write(request):
                        return
            self._done_writing()
        except asyncio.CancelledError:
            self.cancel()
            raise
        except AioRpcError:
            # Whoever waits for the call is told.
            pass
        except Exception:
            _LOGGER.exception("Client request_iterator raised exception:")
            self.cancel()

    async def write(self, request):
        if not self._writes:
            raise UsageError(_API_STYLE_ERROR)
        if self._end is not None:
            raise asyncio.InvalidStateError(_RPC_ALREADY_FINISHED_DETAILS)
        if self._half_closed:
            raise asyncio.InvalidStateError(_RPC_HALF_CLOSED_DETAILS)
        if not await self._write(request):
            await self._raise_for_status()

    async def _write(self, request):
        """Sends it; False if the call is over."""
        if self._end is not None:
            return False
        serializer = self._serializer
        if serializer is not None:
            request = _common.serialize(request, serializer)
            if request is None:
                self._abort(_INTERNAL, _SERIALIZING)
                return False
        if self._turns is None:
            sent = self._engine.send(request)
            self._driver.soon()
            if sent is not None:
                return sent
            self._turns = asyncio.Lock()
            request = None
        try:
            async with self._turns:
                return await self._write_in_turn(request)
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _write_in_turn(self, message):
        """Sends a message, or, without one, that which the engine keeps: it keeps one alone."""
        if self._end is not None:
            return False
        engine = self._engine
        sent = None if message is None else engine.send(message)
        self._driver.soon()
        while sent is None:
            await self._sending()
            sent = engine.send_again()
            self._driver.soon()
        return sent

    async def done_writing(self):
        if not self._writes:
            raise UsageError(_API_STYLE_ERROR)
        if self._turns is None or self._half_closed:
            self._done_writing()
            return
        # Behind what other tasks are about to write.
        self._half_closed = True
        async with self._turns:
            self._half_close()

    def _done_writing(self):
        if not self._half_closed:
            self._half_closed = True
            self._half_close()

    def _half_close(self):
        if self._end is None:
            self._engine.half_close()
            self._driver.soon()


class UnaryUnaryCall(
    _UnaryResponseMixin[RequestType, ResponseType],
    _base_call.UnaryUnaryCall[RequestType, ResponseType],
):
    """A call with one request and one response."""


class UnaryStreamCall(
    _StreamResponseMixin[RequestType, ResponseType],
    _base_call.UnaryStreamCall[RequestType, ResponseType],
):
    """A call with one request and a stream of responses."""


class StreamUnaryCall(
    _StreamRequestMixin[RequestType, ResponseType],
    _UnaryResponseMixin[RequestType, ResponseType],
    _base_call.StreamUnaryCall[RequestType, ResponseType],
):
    """A call with a stream of requests and one response."""


class StreamStreamCall(
    _StreamRequestMixin[RequestType, ResponseType],
    _StreamResponseMixin[RequestType, ResponseType],
    _base_call.StreamStreamCall[RequestType, ResponseType],
):
    """A call with a stream each way."""
