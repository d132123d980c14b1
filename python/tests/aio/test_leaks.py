"""A hundred thousand calls of each kind leave nothing behind: client and server in one loop.

Ten thousand in every run of the tests, all of them with `cargo xtask test --soak`.
"""

import asyncio
import collections
import gc
import os

import grpc
import grpc.aio
import pytest

from .serving import Service, make

CALLS = int(os.environ.get("FERRPC_SOAK_CALLS", "10000"))

#: Of a kind, before anything is counted: caches are full then, and the heap has its size.
WARMING = 3000

AT_A_TIME = 50

#: In KiB: what an allocator takes more or less. It is ten bytes for each of a hundred thousand
#: calls, less than the smallest thing that could stay.
ALLOWANCE = 1024


async def _echo(request, context):
    return request


async def _echo_later(request, context):
    await asyncio.sleep(0)
    return request


async def _three(request, context):
    for _ in range(3):
        yield request


async def _join(requests, context):
    return b"".join([request async for request in requests])


async def _each(requests, context):
    async for request in requests:
        await context.write(request)


BEHAVIORS = {
    "/s/UU": _echo,
    "/s/UUlater": _echo_later,
    "/s/US": _three,
    "/s/SU": _join,
    "/s/SS": _each,
}


async def _unary(channel):
    assert await channel.unary_unary("/s/UU")(b"q") == b"q"


async def _unary_that_waits(channel):
    assert await channel.unary_unary("/s/UUlater")(b"q") == b"q"


async def _server_streaming(channel):
    assert [answer async for answer in channel.unary_stream("/s/US")(b"q")] == [b"q"] * 3


async def _client_streaming(channel):
    call = channel.stream_unary("/s/SU")()
    for _ in range(3):
        await call.write(b"q")
    await call.done_writing()
    assert await call == b"qqq"


async def _both_ways(channel):
    call = channel.stream_stream("/s/SS")()
    for _ in range(2):
        await call.write(b"q")
        assert await call.read() == b"q"
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def _cancelled(channel):
    call = channel.stream_stream("/s/SS")()
    await call.write(b"q")
    assert await call.read() == b"q"
    assert call.cancel()


KINDS = [
    _unary,
    _unary_that_waits,
    _server_streaming,
    _client_streaming,
    _both_ways,
    _cancelled,
]


def _is_ours(one):
    if isinstance(one, asyncio.Future):
        return True
    # Some classes have a property of that name.
    module = type(one).__module__
    return isinstance(module, str) and module.partition(".")[0] == "grpc"


class Count:
    """What there is."""

    def __init__(self):
        gc.collect()
        every = gc.get_objects()
        self.every = len(every)
        ours = [type(one).__qualname__ for one in every if _is_ours(one)]
        del every
        self.ours = collections.Counter(ours)
        self.tasks = len(asyncio.all_tasks())
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
        self.resident = int(line.split()[1])


async def _settled(before=None):
    """What there is once what ends has ended: the server's half of a call ends behind the
    client's."""
    most = before
    for _ in range(200):
        now = Count()
        if most is not None and now.ours <= most.ours and now.tasks <= most.tasks:
            break
        # The first time there is nothing to compare with but what was there a moment ago.
        most = before or now
        await asyncio.sleep(0.01)
    return now


async def _many(one, channel, count):
    async def some():
        for _ in range(count // AT_A_TIME):
            await one(channel)

    await asyncio.gather(*[some() for _ in range(AT_A_TIME)])


# The longest, with a hundred thousand calls, takes half a minute.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("one", KINDS)
def test_nothing_stays_of_calls(one, on_ferrpc):
    # For grpcio, which takes its time, enough to see that it can be kept.
    warming, count = (WARMING, CALLS) if on_ferrpc else (500, 500)

    async def main():
        service = Service({path: make(path, behavior) for path, behavior in BEHAVIORS.items()})
        server = grpc.aio.server(handlers=[service])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await _many(one, channel, warming)
            before = await _settled()
            await _many(one, channel, count)
            after = await _settled(before)
        await server.stop(None)
        return before, after

    before, after = asyncio.run(main())
    print(f"{count} calls: {after.resident - before.resident:+} KiB of {before.resident}")
    assert after.tasks <= before.tasks
    assert not after.ours - before.ours
    # Caches of the interpreter, of which each call has no part.
    assert after.every - before.every < 100
    assert after.resident - before.resident < ALLOWANCE
