"""What is received of a call: one response, or a stream of them."""

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator

from grpc._cython.cygrpc import EOF, UsageError
from grpc.aio._calling import API_STYLE_ERROR, INTERNAL, OK, Call, End
from grpc.aio._typing import RequestType, ResponseType

# A reader that always finds something lets others have their turn after so many messages.
_TURN = 64


class UnaryResponse(Call[RequestType, ResponseType]):
    """A call that can be awaited."""

    _message = None
    _response = None

    def _hear_of_end(self):
        self._finish(self._ended())

    def _ended(self):
        taken = self._engine.take()
        if type(taken) is bytes:
            self._message = taken
            return OK
        if taken is None:
            # Cannot be: it was said that it has ended.
            return End(INTERNAL, "the end of the call is not known")
        if taken.code == 0:
            # There may be none: whoever waits gets None then, as in grpcio.
            self._message = taken.message
        return taken

    def _known_initial(self):
        known = self._engine if self._end is None else self._end
        return known.initial_metadata()

    def __await__(self):
        while self._end is None:
            try:
                yield from self._receiving()
            except asyncio.CancelledError:
                self.cancel()
                raise
        if self._end.code != 0:
            if self._cancelled:
                raise asyncio.CancelledError() from self._cause
            raise self._error(self._end)
        if self._message is not None:
            message, self._message = self._message, None
            deserializer = self._deserializer
            self._response = message if deserializer is None else self._deserialized(message)
        return self._response


class StreamResponse(Call[RequestType, ResponseType]):
    """A call with a stream of responses.

    To its reader it runs until it was read: its end arrives, and is told of behind the last
    response. Until then it may be cancelled.

        running --> arrived --> ended
           |  the engine says so  | nothing is left to read, or its deadline has passed
    """

    # How the engine says that it ended, while responses remain to be read.
    _arrived = None
    # Ends it at its deadline, if nobody reads the rest.
    _timer = None
    _iterates = None
    _read_up = False
    _iterated_up = False
    _turn = 0

    def _hear_of_end(self):
        self._arrived = self._engine.end()
        if self._engine.is_drained():
            self._settle()
            return
        self._driver.held.pop(self._tag, None)
        # Some wait for the end alone, and what is written now goes nowhere.
        self._wake(self._receivers)
        self._wake(self._senders)
        self._end_at_deadline()

    def _known_end(self):
        return self._arrived if self._end is None else self._end

    def _settle(self):
        if self._end is None:
            self._finish(self._arrived)

    def _finish(self, end):
        if self._timer is not None:
            self._timer.cancel()
        super()._finish(end)

    def _end_at_deadline(self):
        """Callbacks are called then at the latest, although responses are left."""
        if self._callbacks and self._deadline is not None and self._timer is None:
            late = weakref.WeakMethod(self._settle)
            delay = max(self._deadline - time.time(), 0)
            self._timer = self._driver.loop.call_later(delay, _call_if_alive, late)

    def done(self):
        if self._end is not None:
            return True
        return self._arrived is not None and self.time_remaining() == 0

    def add_done_callback(self, callback):
        super().add_done_callback(callback)
        if self._arrived is not None and self._end is None:
            self._end_at_deadline()

    def _cut(self, code, details):
        return self._engine.cancel_unread(code, details)

    def _use(self, iterates):
        if self._iterates is None:
            self._iterates = iterates
            self._is_read = True
            if self._consumer is None:
                self._driver.held.pop(self._tag, None)
        elif self._iterates is not iterates:
            raise UsageError(API_STYLE_ERROR)

    def __aiter__(self):
        self._use(True)
        return _Responses(self)

    async def read(self):
        if self._iterates and (self._cancelled or self._read_up):
            # Nothing is left to read; how it ended may be asked in either style.
            await self._raise_for_status()
            return EOF
        self._use(False)
        message = await self._read()
        if message is EOF:
            await self._raise_for_status()
        return message

    async def _read(self):
        """The next response, or EOF: then it is known how the call ended."""
        if self._cancelled:
            raise asyncio.CancelledError() from self._cause
        engine = self._engine
        while True:
            message = engine.next()
            if type(message) is bytes:
                if self._arrived is not None and engine.is_drained():
                    # Behind whoever has this response.
                    self._driver.loop.call_soon(self._settle)
                self._turn += 1
                if self._turn == _TURN:
                    self._turn = 0
                    await asyncio.sleep(0)
                deserializer = self._deserializer
                return message if deserializer is None else self._deserialized(message)
            if message is not None:
                if self._end is None:
                    self._finish(message)
                self._read_up = True
                return EOF
            self._turn = 0
            try:
                await self._receiving()
            except asyncio.CancelledError:
                self.cancel()
                raise
            if self._cancelled:
                raise asyncio.CancelledError() from self._cause


def _call_if_alive(method):
    call = method()
    if call is not None:
        call()


class _Responses(AsyncGenerator):
    """The responses of a call, one after the other. No generator, which would be a cycle with the
    call; but as one it raises what ended it once, and is exhausted then."""

    __slots__ = ("_call",)

    def __init__(self, call):
        self._call = call

    async def __anext__(self):
        call = self._call
        if call._iterated_up:
            raise StopAsyncIteration
        try:
            message = await call._read()
            if message is EOF:
                await call._raise_for_status()
                raise StopAsyncIteration
        except BaseException:
            call._iterated_up = True
            raise
        return message

    async def asend(self, value):
        return await self.__anext__()

    async def athrow(self, *error):
        self._call._iterated_up = True
        return await super().athrow(*error)

    async def aclose(self):
        self._call._iterated_up = True
