"""Uploads whose sender broke off: the server sees a cancellation, never an end."""

import asyncio

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, eventually, run, serving

UPLOAD = "/test.Uploads/SU"

BROKEN_OFF = pytest.mark.ferrpc_only(
    "the requests of a cancelled call end at grpcio's asyncio servers as if they were whole"
)


class Collecting:
    """Notes how the requests of each call ended."""

    def __init__(self):
        self.began = 0
        self.ends = []

    async def collect(self, requests, _context):
        self.began += 1
        try:
            async for _ in requests:
                pass
        except BaseException:
            self.ends.append("broken off")
            raise
        self.ends.append("whole")
        return b""


async def _broken_off(sends, expected):
    """What becomes of a call whose sender does this with a channel."""
    handler = Collecting()
    async with serving({UPLOAD: handler.collect}) as ends:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ends.port}") as channel:
            await sends(channel.stream_unary(UPLOAD), handler)
            await eventually(lambda: handler.ends)
    assert handler.ends == [expected]


def _requests(handler, error):
    async def requests():
        yield b"a"
        await eventually(lambda: handler.began)
        if error is not None:
            raise error

    return requests()


def _error_of_another_call():
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty, "of another call")


@BROKEN_OFF
@pytest.mark.parametrize(
    "error", [ValueError("halfway"), _error_of_another_call()], ids=["any", "of another call"]
)
def test_iterators_that_fail(error):
    async def sends(method, handler):
        with pytest.raises(asyncio.CancelledError):
            await method(_requests(handler, error), timeout=LIMIT)

    run(lambda: _broken_off(sends, "broken off"))


def test_iterators_that_end():
    async def sends(method, handler):
        assert await method(_requests(handler, None), timeout=LIMIT) == b""

    run(lambda: _broken_off(sends, "whole"))


@BROKEN_OFF
def test_writers_that_give_up():
    async def sends(method, handler):
        call = method(timeout=LIMIT)
        await call.write(b"a")
        await eventually(lambda: handler.began)
        # Dropped without `done_writing`.

    run(lambda: _broken_off(sends, "broken off"))


@BROKEN_OFF
def test_tasks_that_are_cancelled():
    async def sends(method, handler):
        async def upload():
            call = method(timeout=LIMIT)
            await call.write(b"a")
            await call

        task = asyncio.ensure_future(upload())
        await eventually(lambda: handler.began)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(lambda: _broken_off(sends, "broken off"))


@BROKEN_OFF
def test_generators_of_threads():
    async def main():
        handler = Collecting()
        async with serving({UPLOAD: handler.collect}) as ends:

            def requests():
                yield b"a"
                raise ValueError("halfway")

            with pytest.raises(grpc.RpcError):
                await asyncio.to_thread(ends.channel.stream_unary(UPLOAD), requests())
            if handler.began:
                await eventually(lambda: handler.ends)
        assert "whole" not in handler.ends

    run(main)
