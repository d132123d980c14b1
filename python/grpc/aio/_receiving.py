"""What is received of a call: one response, or a stream of them."""

import asyncio

from grpc._cython.cygrpc import EOF, UsageError
from grpc.aio._calling import API_STYLE_ERROR, INTERNAL, OK, Call, End
from grpc.aio._typing import RequestType, ResponseType

# A reader that always finds something lets others have their turn after so many messages.
_TURN = 64


class UnaryResponse(Call[RequestType, ResponseType]):
    """A call that can be awaited."""

    _message = None
    _response = None

    def _ended(self):
        taken = self._engine.take()
        if type(taken) is bytes:
            self._message = taken
            return OK
        if taken is None:
            # Cannot be: it was said that it has ended.
            return End(INTERNAL, "the end of the call is not known")
        if taken.code == 0:
            self._message = taken.message
            if self._message is None:
                return End(INTERNAL, "the server ended the call with OK and sent no response")
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


class StreamResponse(Call[RequestType, ResponseType]):
    """A call with a stream of responses."""

    _iterates = None
    _read_up = False
    _turn = 0

    def _use(self, iterates):
        if self._iterates is None:
            self._iterates = iterates
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
