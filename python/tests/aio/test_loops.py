"""Loops that are blocked, that end, that cannot wait for descriptors: what becomes of calls."""

import asyncio
import gc
import threading
import time
from concurrent import futures

import grpc
import grpc.aio
import pytest

from .calling import LIMIT, Methods, run
from .serving import Service, make, serving

HUNDREDS = 500


def blocking_until(condition):
    """Keeps the loop from running until it holds."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


class Threads:
    """A server with threads, which counts what it has answered."""

    def __init__(self):
        self.answered = 0
        self._lock = threading.Lock()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), handlers=[Service({"/s/UU": make("UU", self._echo)})]
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def _echo(self, request, context):
        context.add_callback(self._count)
        return request

    def _count(self):
        with self._lock:
            self.answered += 1

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(0).wait()


def listening(loop):
    """What the loop's handler of exceptions is told."""
    said = []
    loop.set_exception_handler(lambda loop, context: said.append(context))
    return said


def test_hundreds_of_answers_for_a_blocked_loop():
    async def main():
        said = listening(asyncio.get_running_loop())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            echo = channel.unary_unary("/s/UU")
            assert await echo(b"x") == b"x"
            calls = [echo(b"%d" % number) for number in range(HUNDREDS)]
            # They are sent.
            for _ in range(3):
                await asyncio.sleep(0)
            blocking_until(lambda: server.answered == HUNDREDS + 1)
            assert await asyncio.gather(*calls) == [b"%d" % number for number in range(HUNDREDS)]
        return said

    with Threads() as server:
        assert run(main) == []


def test_hundreds_of_calls_for_a_blocked_loop():
    async def echo(request, context):
        return request

    async def main():
        said = listening(asyncio.get_running_loop())
        async with serving({"/s/UU": echo}) as ends:
            assert await ends.uu("/s/UU") == b"q"
            sent = []

            def calls(number):
                # A connection each: each of them wakes the loop.
                with grpc.insecure_channel(
                    f"127.0.0.1:{ends.port}", options=[("grpc.use_local_subchannel_pool", 1)]
                ) as channel:
                    grpc.channel_ready_future(channel).result(LIMIT)
                    call = channel.unary_unary("/s/UU")
                    these = [call.future(b"", timeout=LIMIT) for _ in range(HUNDREDS // 5)]
                    sent.append(number)
                    return [one.result() for one in these]

            threads = [asyncio.ensure_future(asyncio.to_thread(calls, n)) for n in range(5)]
            await asyncio.sleep(0)
            blocking_until(lambda: len(sent) == 5)
            assert await asyncio.gather(*threads) == [[b""] * (HUNDREDS // 5)] * 5
        return said

    assert run(main) == []


def test_a_blocked_loop_does_not_hold_up_others(target):
    """One loop, with a server and a channel of its own, stands still; calls of another do not."""
    blocked = threading.Event()
    release = threading.Event()

    async def echo(request, context):
        return request

    async def stands_still():
        async with serving({"/s/UU": echo}) as ends:
            async with grpc.aio.insecure_channel(target) as channel:
                assert await Methods(channel).echo(b"x") == b"x"
                call = Methods(channel).echo(b"late")
                assert await ends.uu("/s/UU") == b"q"
                blocked.set()
                assert release.wait(LIMIT)
                assert await call == b"late"
                assert await ends.uu("/s/UU") == b"q"

    async def goes_on(methods):
        assert await asyncio.to_thread(blocked.wait, LIMIT)
        for number in range(50):
            assert await methods.echo(b"%d" % number) == b"%d" % number
        assert [message async for message in methods.stream(b"2")] == [b"0", b"1"]
        async with serving({"/s/UU": echo}) as ends:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{ends.port}") as channel:
                assert await channel.unary_unary("/s/UU")(b"q") == b"q"
            assert await ends.uu("/s/UU") == b"q"
        assert not release.is_set()

    with futures.ThreadPoolExecutor(1) as pool:
        still = pool.submit(run, stands_still)
        try:
            run(goes_on, target)
        finally:
            release.set()
        still.result(LIMIT)


@pytest.mark.ferrpc_only("grpcio raises 'Event loop is closed' from its inside, or hangs")
def test_calls_that_outlive_their_loop(target):
    """They are over, and say so without a loop; others of other loops are not touched."""
    said = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        methods = Methods(grpc.aio.insecure_channel(target))
        assert await methods.echo(b"x") == b"x"
        slow = (("x-sleep", "1"),)
        stream = methods.stream(b"1000", metadata=(("x-pause", "0.05"),))
        assert await stream.read() == b"0"
        chat = methods.chat()
        await chat.write(b"1")
        calls = [methods.echo(b"x", metadata=slow), methods.collect(metadata=slow), stream, chat]
        return methods, calls

    loop = asyncio.new_event_loop()
    methods, calls = loop.run_until_complete(asyncio.wait_for(main(), LIMIT))
    assert not any(call.done() for call in calls)
    loop.close()
    assert all(call.done() for call in calls)
    assert not any(call.cancel() for call in calls)
    assert all(call.cancelled() for call in calls)
    calls.clear()
    del methods
    gc.collect()
    assert said == []
    run(lambda methods: methods.echo(b"x"), target)


class _WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that cannot wait for descriptors of others, as on Windows."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError

    def add_writer(self, fd, callback, *args):
        raise NotImplementedError


def test_a_client_in_a_loop_without_readers(target):
    async def main():
        async with grpc.aio.insecure_channel(target) as channel:
            methods = Methods(channel)
            for number in range(20):
                assert await methods.echo(b"%d" % number) == b"%d" % number
            several = [methods.echo(b"%d" % number) for number in range(100)]
            assert await asyncio.gather(*several) == [b"%d" % number for number in range(100)]
            assert [message async for message in methods.stream(b"100")][-1] == b"99"
            assert await methods.collect([b"1", b"2"]) == b"1,2"
            chat = methods.chat()
            for number in range(20):
                await chat.write(b"%d" % number)
                assert await chat.read() == b"%d" % number
            await chat.done_writing()
            assert await chat.read() is grpc.aio.EOF
            late = methods.echo(b"x", metadata=(("x-sleep", "1"),))
            task = asyncio.ensure_future(late.code())
            await asyncio.sleep(0)
            assert late.cancel()
            assert await task is grpc.StatusCode.CANCELLED
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await methods.echo(b"x", timeout=0.1, metadata=(("x-sleep", "1"),))
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    loop = _WithoutReaders()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), LIMIT))
    finally:
        loop.close()
