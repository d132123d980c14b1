"""What the four kinds of calls share: how they begin, what the engine tells them, how they end.

A call is one of the engine's, begun when the object is made; no task stands behind it. Who waits
for something of it waits for a future of the loop's, which an event of the engine's resolves:

    LoopCall (engine) -- queue: ended, received, room --> Call._event --> futures

The loop holds a call that somebody waits for, and one that goes on by itself: it has all its
requests or an iterator of them, and nobody has begun to read. Any other call that is dropped is
cancelled.
"""

import asyncio
import contextvars
import logging
import time
import weakref
from typing import Generic

from grpc import _common, _ferrpc
from grpc._cython import cygrpc
from grpc._ended import WITH_DEBUG, WITHOUT_DEBUG, End, code_of, debug_error_string
from grpc._enums import StatusCode
from grpc.aio._errors import AioRpcError
from grpc.aio._metadata import Metadata
from grpc.aio._typing import RequestType, ResponseType

# By the name that programs know.
LOGGER = logging.getLogger("grpc.aio._call")

LOCAL_CANCELLATION_DETAILS = "Locally cancelled by application!"
RPC_ALREADY_FINISHED_DETAILS = "RPC already finished."
RPC_HALF_CLOSED_DETAILS = 'RPC is half closed after calling "done_writing".'
API_STYLE_ERROR = "The iterator and read/write APIs may not be mixed on a single RPC."

_CANCELLED = StatusCode.CANCELLED.value[0]
INTERNAL = StatusCode.INTERNAL.value[0]
SERIALIZING = "Exception serializing request!"
_DESERIALIZING = "Exception deserializing response!"

_ENDED = _ferrpc.CallEvent.ENDED
_RECEIVED = _ferrpc.CallEvent.RECEIVED


OK = End(0, "")


class _Stillborn:
    """In the engine's place: a call that could not begin, of which it is told a turn later."""

    def __init__(self, end):
        self._end = end

    def end(self):
        return self._end

    take = next = end

    def initial_metadata(self):
        return ()

    def is_started(self):
        return False

    def is_drained(self):
        return True

    def send(self, message):
        return False

    def half_close(self):
        pass

    def cancel(self, code, details):
        return True

    cancel_unread = cancel


class _Reference(weakref.ref):
    """Of a call, for its events."""

    __slots__ = ("driver", "tag")

    def tell(self, what):
        call = self()
        if call is not None:
            call._event(what)


def _dropped(reference):
    # The engine has cancelled it by now.
    reference.driver.calls.pop(reference.tag, None)
    reference.driver.events.forget(reference.tag)


class Call(Generic[RequestType, ResponseType]):
    """A call, however many messages there are each way."""

    # Where programs look for it.
    __module__ = "grpc.aio._call"

    # What most calls never change.
    _deadline = None
    _end = None
    _cancelled = False
    _initial = None
    _callbacks = None
    _receivers = ()
    _senders = ()
    # The task of the request iterator, while it runs.
    _consumer = None
    # Whether somebody has begun to read a stream of responses.
    _is_read = False
    _failure = None
    # What its iterator of requests raised.
    _cause = None
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
        engine = None
        if streams[0]:
            request = None
        else:
            if serializer is not None:
                try:
                    request = serializer(request)
                except Exception:
                    _common.not_serialized()
                    engine = End(INTERNAL, SERIALIZING)
            if request is None:
                # As in grpcio.
                request = b""
        events = driver.events
        reference = _Reference(self, _dropped)
        reference.driver = driver
        tag = self._tag = reference.tag = events.register(reference.tell)
        if engine is None:
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
            if engine.is_invalid_metadata:
                self._failure = cygrpc.ExecuteBatchError(engine.details)
            engine = _Stillborn(engine)
            events.queue.push(tag, _ENDED)
        self._engine = engine
        driver.calls[tag] = reference
        if not streams[0]:
            driver.held[tag] = self

    # -- events ------------------------------------------------------------------------------------

    def _event(self, what):
        if what == _ENDED:
            if self._end is None:
                self._hear_of_end()
        elif what == _RECEIVED:
            self._wake(self._receivers)
        else:
            self._wake(self._senders)

    def _hear_of_end(self):
        """The engine knows how it ended."""
        raise NotImplementedError

    def _known_end(self):
        """How it ended, if that is known."""
        return self._end

    def _finish(self, end):
        self._end = end
        driver = self._driver
        driver.events.forget(self._tag)
        driver.calls.pop(self._tag, None)
        driver.held.pop(self._tag, None)
        try:
            # Before whoever waits for the end goes on.
            callbacks = self._callbacks
            if callbacks is not None:
                self._callbacks = None
                driver.may_run_inside()
                for callback, context in callbacks:
                    context.run(call_back, callback, self)
        finally:
            if self._receivers:
                self._wake(self._receivers)
            if self._senders:
                self._wake(self._senders)
            if self._consumer is not None:
                self._consumer.cancel()

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
        while (end := self._known_end()) is None:
            await self._until(self._receiving())
        return end

    async def _until_done(self):
        while self._end is None:
            await self._until(self._receiving())

    # -- what everybody can ask --------------------------------------------------------------------

    def cancel(self) -> bool:
        return self._cancel(LOCAL_CANCELLATION_DETAILS)

    def _cancel(self, details):
        return self._abort(_CANCELLED, details, True)

    def _abort(self, code, details, cancelled=False):
        if self._end is not None or not self._cut(code, details):
            return False
        self._cancelled = cancelled
        self._finish(End(code, details))
        return True

    def _cut(self, code, details):
        """Ends the engine's call; False if it was over."""
        return self._engine.cancel(code, details)

    def cancelled(self) -> bool:
        return self._end is not None and self._end.code == _CANCELLED

    def done(self) -> bool:
        return self._end is not None

    def add_done_callback(self, callback) -> None:
        if self._end is not None:
            callback(self)
            return
        # As a task's callbacks, it sees the context variables of whoever adds it.
        entry = (callback, contextvars.copy_context())
        if self._callbacks is None:
            self._callbacks = [entry]
        else:
            self._callbacks.append(entry)

    def time_remaining(self):
        return None if self._deadline is None else max(self._deadline - time.time(), 0)

    async def initial_metadata(self):
        while self._initial is None:
            if self._cancelled:
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
        return code_of(await self._until_ended())

    async def details(self):
        return (await self._until_ended()).details

    async def debug_error_string(self):
        return debug_error_string(await self._until_ended())

    async def wait_for_connection(self):
        while self._end is None:
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
            raise asyncio.CancelledError() from self._cause
        if end.code != 0:
            raise self._error(end)

    def _error(self, end):
        if self._failure is not None:
            return self._failure
        initial = self._initial
        if initial is None:
            initial = Metadata.from_tuple(self._known_initial())
        return AioRpcError(
            code_of(end),
            initial,
            Metadata.from_tuple(end.trailing_metadata()),
            end.details,
            debug_error_string(end),
        )

    def _repr(self):
        end = self._end
        if end is None:
            return "<_AioCall object>"
        if end.code == 0:
            return WITHOUT_DEBUG.format("_AioCall", code_of(end), end.details)
        debug = debug_error_string(end)
        return WITH_DEBUG.format("_AioCall", code_of(end), end.details, debug)

    def __repr__(self) -> str:
        return self._repr()

    def __str__(self) -> str:
        return self._repr()

    def _deserialized(self, message):
        """The message, which may be None. If it cannot be made, the call ends with INTERNAL."""
        try:
            return self._deserializer(message)
        except Exception:
            _common.not_deserialized()
        end = End(INTERNAL, _DESERIALIZING)
        self._cut(INTERNAL, _DESERIALIZING)
        if self._end is None:
            self._finish(end)
        self._end = end
        raise self._error(end)


def call_back(callback, call):
    try:
        callback(call)
    except Exception:
        LOGGER.exception("Exception in a callback of %s", _common.shown(repr(call)))
