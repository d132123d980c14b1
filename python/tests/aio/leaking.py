"""Makes calls of one kind, client and server in one loop, and prints what there is more of behind
them. A process of its own, in which nothing else comes and goes; see `test_leaks.py`.

    python leaking.py unary 3000 100000      kind, calls before anything is counted, calls
"""

import asyncio
import collections
import gc
import json
import sys

import grpc.aio
from serving import Service, make

AT_A_TIME = 50


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


KINDS = {
    "unary": _unary,
    "unary that waits": _unary_that_waits,
    "server streaming": _server_streaming,
    "client streaming": _client_streaming,
    "both ways": _both_ways,
    "cancelled": _cancelled,
}


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


async def _measure(one, warming, count):
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


def main():
    kind, warming, count = sys.argv[1:]
    before, after = asyncio.run(_measure(KINDS[kind], int(warming), int(count)))
    more = {
        "tasks": after.tasks - before.tasks,
        "ours": after.ours - before.ours,
        "objects": after.every - before.every,
        "KiB": after.resident - before.resident,
    }
    print(json.dumps(more))


if __name__ == "__main__":
    main()
