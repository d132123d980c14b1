"""The requests of a call that has a stream of them."""

import asyncio
import inspect

from grpc import _common
from grpc._cython.cygrpc import UsageError
from grpc.aio._calling import (
    API_STYLE_ERROR,
    INTERNAL,
    LOGGER,
    RPC_ALREADY_FINISHED_DETAILS,
    RPC_HALF_CLOSED_DETAILS,
    SERIALIZING,
    Call,
)
from grpc.aio._errors import AioRpcError
from grpc.aio._typing import RequestType, ResponseType


class StreamRequest(Call[RequestType, ResponseType]):
    """A call with a stream of requests."""

    _half_closed = False
    _writes = True
    # Whose turn it is to write; made when a message first finds no room.
    _turns = None

    def _send_all(self, request_iterator):
        """The requests come from an iterable, if there is one."""
        if request_iterator is not None:
            self._writes = False
            self._driver.held[self._tag] = self
            self._consumer = self._driver.loop.create_task(self._consume(request_iterator))
            self._consumer.add_done_callback(self._consumed)

    def _consumed(self, _):
        self._consumer = None
        if self._is_read:
            self._driver.held.pop(self._tag, None)

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
        except Exception as error:
            if isinstance(error, AioRpcError) and self._end is not None:
                # Its own: whoever waits for the call is told.
                return
            LOGGER.exception("Client request_iterator raised exception:")
            self._cause = error
            self.cancel()
        except BaseException:
            # Whatever it is: an upload that broke off must not look whole.
            self.cancel()
            raise

    async def write(self, request):
        if not self._writes:
            raise UsageError(API_STYLE_ERROR)
        if self._end is not None:
            raise asyncio.InvalidStateError(RPC_ALREADY_FINISHED_DETAILS)
        if self._half_closed:
            raise asyncio.InvalidStateError(RPC_HALF_CLOSED_DETAILS)
        if not await self._write(request):
            await self._raise_for_status()

    async def _write(self, request):
        """Sends it; False if the call is over."""
        if self._end is not None:
            return False
        serializer = self._serializer
        if serializer is not None:
            try:
                request = serializer(request)
            except Exception:
                _common.not_serialized()
                self._abort(INTERNAL, SERIALIZING)
                return False
        if request is None:
            # As in grpcio.
            request = b""
        if self._turns is None:
            sent = self._engine.send(request)
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
        while sent is None:
            await self._sending()
            sent = engine.send_again()
        return sent

    async def done_writing(self):
        if not self._writes:
            raise UsageError(API_STYLE_ERROR)
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
            if not self._is_read:
                self._driver.held[self._tag] = self
            self._engine.half_close()
