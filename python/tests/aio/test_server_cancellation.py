"""Calls of an asyncio server that are cut short."""

import asyncio
import gc
import threading
import time

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, eventually, run, serving

Code = grpc.StatusCode


class Stage:
    """Handlers that note how far they came."""

    def __init__(self):
        self.heard = []
        self.began = asyncio.Event()

    async def waits(self, request, context):
        context.add_done_callback(lambda context: self.heard.append("over"))
        self.began.set()
        try:
            await asyncio.sleep(LIMIT)
        except asyncio.CancelledError:
            self.heard.append("cancelled")
            raise
        return b""

    async def streams(self, request, context):
        try:
            while True:
                yield b"1"
                self.began.set()
                await asyncio.sleep(0.001)
        finally:
            self.heard.append("cancelled")
            self.heard.append("over")

    async def swallows(self, request, context):
        try:
            await self.waits(request, context)
        except asyncio.CancelledError:
            pass
        try:
            await context.send_initial_metadata(())
        except grpc.aio.BaseError:
            self.heard.append("no metadata")
        return b"late"

    async def floods(self, request, context):
        self.began.set()
        try:
            while True:
                await context.write(b"1" * 100000)
        except asyncio.CancelledError:
            self.heard += ["cancelled", "over"]
            raise


CANCELLED = [
    ("/s/UU", "waits", ["cancelled", "over"]),
    ("/s/UU", "swallows", ["cancelled", "no metadata", "over"]),
    ("/s/US", "streams", ["cancelled", "over"]),
]


@pytest.mark.parametrize(("path", "name", "expected"), CANCELLED)
@pytest.mark.parametrize("how", ["cancel", "deadline", "stop"])
def test_a_handler_is_cancelled_with_its_call(how, path, name, expected, on_ferrpc):
    if not on_ferrpc and (how, name) == ("stop", "streams"):
        pytest.skip("ferrpc_only: grpcio's caller hears nothing before its deadline")

    async def main():
        stage = Stage()
        async with serving({path: getattr(stage, name)}) as ends:
            timeout = 0.3 if how == "deadline" else LIMIT
            if path == "/s/UU":
                call = ends.channel.unary_unary(path).future(b"", timeout=timeout)
            else:
                call = ends.channel.unary_stream(path)(b"", timeout=timeout)
            await stage.began.wait()
            if how == "cancel":
                call.cancel()
            elif how == "stop":
                await asyncio.wait_for(ends.server.stop(0), LIMIT / 2)
            await eventually(lambda: stage.heard == expected)
            codes = {
                "cancel": Code.CANCELLED,
                "deadline": Code.DEADLINE_EXCEEDED,
                "stop": Code.UNAVAILABLE,
            }
            assert await asyncio.to_thread(call.code) is codes[how]

    run(main)


@pytest.mark.ferrpc_only("grpcio does not cancel a handler whose messages are not sent")
def test_a_handler_that_waits_for_room_is_cancelled():
    async def main():
        stage = Stage()
        async with serving({"/s/US": stage.floods}) as ends:
            call = ends.channel.unary_stream("/s/US")(b"", timeout=LIMIT)
            await asyncio.to_thread(next, call)
            call.cancel()
            await eventually(lambda: stage.heard == ["cancelled", "over"])

    run(main)


@pytest.mark.ferrpc_only("to grpcio's handlers a cancelled stream looks like a complete one")
def test_a_cancelled_stream_of_requests_has_no_end():
    heard = []

    async def handler(requests, context):
        try:
            async for request in requests:
                heard.append(request)
            heard.append("complete")
        finally:
            heard.append("over")

    async def main():
        async with serving({"/s/SU": handler}) as ends:
            open_end = threading.Event()

            def requests():
                yield b"1"
                open_end.wait(LIMIT)

            call = ends.channel.stream_unary("/s/SU").future(requests(), timeout=LIMIT)
            await eventually(lambda: heard == [b"1"])
            call.cancel()
            await eventually(lambda: len(heard) > 1)
            assert heard == [b"1", "over"]
            open_end.set()

    run(main)


@pytest.mark.parametrize("how", ["read", "iterate", "write"])
def test_a_handler_that_finds_its_call_over_is_cancelled(how, caplog):
    """The call was cancelled while the loop was blocked: the handler gets there first."""
    heard = []
    over = threading.Event()

    async def handler(requests, context):
        iterator = requests.__aiter__()
        assert await iterator.__anext__() == b"1"
        context_began.set()
        assert over.wait(LIMIT)
        try:
            if how == "read":
                await context.read()
            elif how == "iterate":
                await iterator.__anext__()
            else:
                await context.write(b"1")
        except BaseException as error:
            heard.append(type(error))
            raise
        finally:
            heard.append("over")

    context_began = threading.Event()

    def cancels(port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            open_end = threading.Event()

            def requests():
                yield b"1"
                open_end.wait(LIMIT)

            call = channel.stream_stream("/s/SS")(requests(), timeout=LIMIT)
            assert context_began.wait(LIMIT)
            call.cancel()
            # Nobody says when the server has received that. Were it later, the handler would wait,
            # and be cancelled all the same.
            time.sleep(0.3)
            over.set()
            open_end.set()

    async def main():
        async with serving({"/s/SS": handler}) as ends:
            await asyncio.to_thread(cancels, ends.port)
            await eventually(lambda: "over" in heard)
        assert heard == [asyncio.CancelledError, "over"]
        assert not caplog.records

    run(main)


@pytest.mark.ferrpc_only("grpcio says False in a handler that is being cancelled")
def test_a_cancelled_context_says_so():
    heard = []

    async def handler(request, context):
        heard.append(context.cancelled())
        try:
            await asyncio.sleep(LIMIT)
        finally:
            heard.append((context.cancelled(), context.done()))

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            call = ends.channel.unary_unary("/s/UU").future(b"", timeout=LIMIT)
            await eventually(lambda: heard)
            call.cancel()
            await eventually(lambda: heard == [False, (True, True)])

    run(main)


@pytest.mark.ferrpc_only("in grpcio the function goes on to its end")
def test_a_plain_function_learns_that_its_call_is_over():
    heard = []

    def handler(request, context):
        try:
            for _ in range(100_000):
                yield b"1" * 1000
                time.sleep(0.0001)
        finally:
            heard.append("closed")

    async def main():
        async with serving({"/s/US": handler}) as ends:
            call = ends.channel.unary_stream("/s/US")(b"", timeout=LIMIT)
            await asyncio.to_thread(next, call)
            call.cancel()
            await eventually(lambda: gc.collect() is not None and heard == ["closed"])

    run(main)


@pytest.mark.parametrize("path", ["/s/UU", "/s/US"])
@pytest.mark.parametrize("waits_first", [False, True])
@pytest.mark.parametrize("leaves", [False, True])
def test_a_handler_that_has_ended_its_call_is_not_cancelled(path, waits_first, leaves):
    seen = []

    async def clean_up():
        try:
            await asyncio.sleep(0.2)
            seen.append("cleaned up")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def one(request, context):
        if waits_first:
            await asyncio.sleep(0.01)
        try:
            await context.abort(Code.NOT_FOUND, "gone")
        finally:
            await clean_up()

    async def several(request, context):
        if waits_first:
            await asyncio.sleep(0.01)
        try:
            yield b""
            await context.abort(Code.NOT_FOUND, "gone")
        finally:
            await clean_up()

    async def main():
        async with serving({"/s/UU": one, "/s/US": several}) as ends:
            assert await ends.fails(path) == (Code.NOT_FOUND, "gone")
            if leaves:
                ends.channel.close()
            await eventually(lambda: seen)
            assert seen == ["cleaned up"]

    run(main)
