"""Asyncio servers and their loops."""

import asyncio
import gc
import os
import threading
import weakref

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, Service, make, run, serving

Code = grpc.StatusCode


async def _hello(request, context):
    return request


async def _hello_later(request, context):
    await asyncio.sleep(0)
    return request


def test_several_loops_in_several_threads():
    answers = []

    def one(number):
        async def name(request, context):
            await asyncio.sleep(0)
            return b"%d" % number

        async def main():
            async with serving({"/s/UU": name}) as ends:
                for _ in range(20):
                    answers.append((number, await ends.uu("/s/UU")))

        run(main)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted((n, b"%d" % n) for n in range(4) for _ in range(20))


@pytest.mark.ferrpc_only("grpcio's callers wait for their deadline")
def test_a_call_that_outlives_its_loop_ends():
    """The loop is closed with calls under way: their callers hear of it, and nothing is said."""
    began = threading.Event()
    said = []

    async def waits(request, context):
        began.set()
        await asyncio.sleep(LIMIT)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: said.append(context))

    async def start():
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", waits)})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = loop.run_until_complete(start())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/s/UU").future(b"", timeout=LIMIT)
        loop.run_until_complete(loop.run_in_executor(None, began.wait, LIMIT))
        tasks = asyncio.all_tasks(loop)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        assert call.code() is Code.UNAVAILABLE
    for task in tasks:
        # What they are still in is nobody's any more.
        task._log_destroy_pending = False
    del tasks, task
    gc.collect()
    # That it was stopped with its loop is no reason for another to fail.
    another = asyncio.new_event_loop()
    another.run_until_complete(asyncio.sleep(0))
    another.close()
    assert not said
    del server


@pytest.mark.ferrpc_only("grpcio keeps its loops")
def test_a_closed_loop_is_not_kept():
    async def main():
        async with serving({"/s/UU": _hello, "/s/UUl": _hello_later}) as ends:
            assert await ends.uu("/s/UU") == b"q"
            assert await ends.uu("/s/UUl") == b"q"

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    known = weakref.ref(loop)
    descriptors = len(os.listdir("/proc/self/fd"))
    del loop
    gc.collect()
    assert known() is None
    assert len(os.listdir("/proc/self/fd")) <= descriptors


class _WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that cannot wait for descriptors of others, as on Windows."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError


def test_a_loop_that_has_no_readers():
    async def main():
        async with serving({"/s/UU": _hello, "/s/US": _stream}) as ends:
            for _ in range(20):
                assert await ends.uu("/s/UU") == b"q"
            assert len(await ends.us("/s/US")) == 1000

    async def _stream(request, context):
        for _ in range(1000):
            yield b"1"

    loop = _WithoutReaders()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), LIMIT))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_uvloop():
    uvloop = pytest.importorskip("uvloop")

    async def main():
        async with serving({"/s/UU": _hello, "/s/UUl": _hello_later}) as ends:
            assert await ends.uu("/s/UU") == b"q"
            assert await ends.uu("/s/UUl") == b"q"

    uvloop.run(asyncio.wait_for(main(), LIMIT))
