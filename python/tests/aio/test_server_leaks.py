"""What stays of an asyncio server's calls: nothing."""

import asyncio
import gc
import logging
import sys

import grpc
import pytest

from .serving import LIMIT, eventually, serving

Code = grpc.StatusCode


async def _hello(request, context):
    return request


async def _hello_later(request, context):
    await asyncio.sleep(0)
    return request


async def _stream(request, context):
    for _ in range(3):
        yield request


async def _join(requests, context):
    return b"".join([request async for request in requests])


async def _each(requests, context):
    async for request in requests:
        await context.write(request)


async def _aborts(request, context):
    await context.abort(Code.NOT_FOUND, "gone")


async def _raises(request, context):
    raise ValueError("boom")


def _plain(request, context):
    return request


@pytest.mark.ferrpc_only("grpcio's objects come and go as they like")
@pytest.mark.parametrize(
    ("path", "behavior", "count"),
    [
        ("/s/UU", _hello, 20_000),
        ("/s/UU", _hello_later, 10_000),
        ("/s/UU", _aborts, 5_000),
        ("/s/UU", _raises, 2_000),
        ("/s/UU", _plain, 3_000),
        ("/s/US", _stream, 5_000),
        ("/s/SU", _join, 2_000),
        ("/s/SS", _each, 2_000),
    ],
)
def test_no_object_stays_of_a_call(path, behavior, count):
    logging.getLogger("grpc._cython.cygrpc").disabled = True

    def calls(channel, count):
        for _ in range(count):
            try:
                if path == "/s/UU":
                    channel.unary_unary(path)(b"q", timeout=LIMIT)
                elif path == "/s/US":
                    list(channel.unary_stream(path)(b"q", timeout=LIMIT))
                elif path == "/s/SU":
                    channel.stream_unary(path)(iter([b"q"] * 3), timeout=LIMIT)
                else:
                    list(channel.stream_stream(path)(iter([b"q"] * 3), timeout=LIMIT))
            except grpc.RpcError:
                pass

    async def settled(most=None):
        """The count of objects, once no more of them go; or once they are few enough."""
        seen = sys.maxsize
        for _ in range(200):
            gc.collect()
            now = len(gc.get_objects())
            if now >= seen and (most is None or now <= most):
                break
            seen = now
            await asyncio.sleep(0.01)
        return now, len(asyncio.all_tasks())

    async def main():
        async with serving({path: behavior}) as ends:
            await asyncio.to_thread(calls, ends.channel, 200)
            objects, tasks = await settled()
            await asyncio.to_thread(calls, ends.channel, count)
            after, tasks_after = await settled(objects + 100)
            # One object a call would be thousands.
            assert after - objects <= 100
            assert tasks_after <= tasks + 1

    try:
        asyncio.run(asyncio.wait_for(main(), 4 * LIMIT))
    finally:
        logging.getLogger("grpc._cython.cygrpc").disabled = False


@pytest.mark.ferrpc_only("grpcio's objects come and go as they like")
def test_no_object_stays_of_a_cancelled_call():
    waiting = set()

    async def waits(request, context):
        waiting.add(request)
        try:
            await asyncio.sleep(LIMIT)
        finally:
            waiting.discard(request)

    async def calls(ends, count):
        for number in range(count):
            request = b"%d" % number
            call = ends.channel.unary_unary("/s/UU").future(request, timeout=LIMIT)
            await eventually(lambda request=request: request in waiting)
            call.cancel()
            await eventually(lambda: not waiting)

    async def main():
        async with serving({"/s/UU": waits}) as ends:
            await calls(ends, 20)
            gc.collect()
            before = len(gc.get_objects())
            await calls(ends, 500)
            await eventually(lambda: gc.collect() >= 0 and len(gc.get_objects()) <= before + 100)

    asyncio.run(asyncio.wait_for(main(), 2 * LIMIT))
