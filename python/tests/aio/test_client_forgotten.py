"""Calls that nobody holds: they go on to their ends, if they have all that they need for that."""

import asyncio
import contextlib
import gc
import warnings
import weakref
from concurrent import futures

import grpc
import grpc.aio
import pytest

from .serving import eventually, run, serving
from .test_client_ends import PASSING


class Seen:
    """What a server saw of its calls."""

    def __init__(self):
        self.requests = []
        self.ends = []

    async def one(self, request, context):
        await self._go_through(request)
        return b""

    async def several(self, request, context):
        for _ in range(3):
            yield b""
        await self._go_through(request)

    async def _go_through(self, request):
        try:
            if isinstance(request, bytes):
                self.requests.append(request)
            else:
                async for message in request:
                    self.requests.append(message)
            await asyncio.sleep(0.1)
        except BaseException:
            self.ends.append("cancelled")
            raise
        self.ends.append("ended")

    def behaviors(self):
        return {"/s/UU": self.one, "/s/US": self.several, "/s/SU": self.one, "/s/SS": self.several}


@pytest.fixture(params=["plain", "intercepted"])
def arguments(request):
    """What a channel is made with."""
    return {} if request.param == "plain" else {"interceptors": PASSING}


async def _forget():
    # Of a task or a cycle nothing is left either.
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)


async def _requests():
    for message in (b"1", b"2", b"3"):
        yield message
        # For something that only the generator holds.
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.02)
        gc.collect()


def _unary_unary(channel):
    channel.unary_unary("/s/UU")(b"1")


def _unary_stream(channel):
    channel.unary_stream("/s/US")(b"1")


def _stream_unary(channel):
    channel.stream_unary("/s/SU")(_requests())


def _stream_stream(channel):
    channel.stream_stream("/s/SS")(_requests())


def _listed(channel):
    channel.stream_unary("/s/SU")([b"1", b"2", b"3"])


@pytest.mark.parametrize(
    "begin", [_unary_unary, _unary_stream, _stream_unary, _stream_stream, _listed]
)
def test_a_call_goes_on_without_its_caller(begin, arguments):
    seen = Seen()

    async def main():
        async with serving(seen.behaviors()) as ends:
            target = f"127.0.0.1:{ends.port}"
            async with grpc.aio.insecure_channel(target, **arguments) as channel:
                begin(channel)
                await _forget()
                await eventually(lambda: seen.ends)
                assert seen.ends == ["ended"]
                assert seen.requests in ([b"1"], [b"1", b"2", b"3"])

    run(main)


def test_what_was_written_goes_on_once_that_is_all(arguments):
    seen = Seen()

    async def main():
        async with serving(seen.behaviors()) as ends:
            target = f"127.0.0.1:{ends.port}"
            async with grpc.aio.insecure_channel(target, **arguments) as channel:
                for make in (channel.stream_unary("/s/SU"), channel.stream_stream("/s/SS")):
                    call = make()
                    await call.write(b"1")
                    await call.done_writing()
                    del call
                    await _forget()
                await eventually(lambda: len(seen.ends) == 2)
                assert seen.ends == ["ended", "ended"] and seen.requests == [b"1", b"1"]

    run(main)


def test_an_iterator_that_waits_for_itself_goes_on(arguments, capfd):
    seen = Seen()
    waiting = []

    async def requests():
        yield b"1"
        never = asyncio.Event()
        waiting.append(True)
        await never.wait()

    async def main():
        async with serving(seen.behaviors()) as ends:
            target = f"127.0.0.1:{ends.port}"
            async with grpc.aio.insecure_channel(target, **arguments) as channel:
                for read in (False, True):
                    call = channel.stream_stream("/s/SS")(requests())
                    if read:
                        await call.read()
                    del call
                await eventually(lambda: len(waiting) == 2)
                await _forget()
                await asyncio.sleep(0.1)
                await _forget()
                assert not seen.ends

    run(main)
    assert "Task was destroyed" not in capfd.readouterr().err


@pytest.mark.ferrpc_only("grpcio's calls go on for ever")
@pytest.mark.parametrize("kind", ["read", "iterated", "written"])
def test_a_call_that_cannot_come_to_its_end_is_cancelled(kind, arguments):
    seen = Seen()

    async def endless(request, context):
        try:
            while True:
                yield b""
                await asyncio.sleep(0.01)
        except BaseException:
            seen.ends.append("cancelled")
            raise

    async def main():
        behaviors = {**seen.behaviors(), "/s/USe": endless}
        async with serving(behaviors) as ends:
            target = f"127.0.0.1:{ends.port}"
            async with grpc.aio.insecure_channel(target, **arguments) as channel:
                if kind == "written":
                    # Nobody can say any more that this was all.
                    call = channel.stream_unary("/s/SU")()
                    await call.write(b"1")
                    await eventually(lambda: seen.requests)
                else:
                    call = channel.unary_stream("/s/USe")(b"")
                    if kind == "read":
                        await call.read()
                    else:
                        async for _ in call:
                            break
                del call
                await _forget()
                await eventually(lambda: seen.ends)
                assert seen.ends == ["cancelled"]

    run(main)


def test_a_channel_keeps_no_loop_that_does_not_run():
    """Dropped behind a loop that has stopped, and that nobody closes."""
    loops = []
    with serving_apart() as target:
        for _ in range(5):
            loop = asyncio.new_event_loop()
            loops.append(weakref.ref(loop))
            channel = loop.run_until_complete(_used_channel(target))
            del channel, loop
        with warnings.catch_warnings():
            # That they are not closed.
            warnings.simplefilter("ignore", ResourceWarning)
            for _ in range(3):
                gc.collect()
    # grpcio remembers the last.
    assert sum(loop() is not None for loop in loops) <= 1


@pytest.mark.ferrpc_only("grpcio's channel is of the loop of its making, and keeps it")
def test_a_closed_channel_keeps_no_loop():
    """The program keeps the channel, and neither loop is closed."""
    with serving_apart() as target:
        loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
        channel = loop.run_until_complete(_used_channel(target))
        call = channel.unary_unary("/t/echo")
        assert other.run_until_complete(_answer(call)) == b"a"
        other.run_until_complete(channel.close())
        loops = [weakref.ref(loop), weakref.ref(other)]
        del loop, other
        with warnings.catch_warnings():
            # That they are not closed.
            warnings.simplefilter("ignore", ResourceWarning)
            for _ in range(3):
                gc.collect()
        assert [loop() for loop in loops] == [None, None]
        assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def _answer(call):
    return await call(b"a", timeout=10)


async def _used_channel(target):
    channel = grpc.aio.insecure_channel(target)
    assert await channel.unary_unary("/t/echo")(b"a", timeout=10) == b"a"
    return channel


@contextlib.contextmanager
def serving_apart():
    """The address of a server in threads of its own."""
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    handlers = grpc.method_handlers_generic_handler("t", {"echo": handler})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
