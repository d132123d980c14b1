"""What the calls of one connection do to each other: nothing. Paused streams, and calls that are
given up by the hundred."""

import asyncio
import threading
import time
from concurrent import futures

import grpc
import pytest
from grpc import aio

#: The seconds after which a test has failed rather than waits on.
LIMIT = 30

ROW = b"r" * 60_000
ROWS = 20

#: Channels with equal arguments may share a connection.
OWN = ("grpc.use_local_subchannel_pool", 1)


class _Service(grpc.GenericRpcHandler):
    def __init__(self, handlers):
        self._handlers = handlers

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method)


def _count(requests):
    return b"%d" % sum(1 for _ in requests)


@pytest.fixture
def target():
    """A server with threads enough, and the event that its paused handlers wait for."""
    go = threading.Event()

    def rows(request, context):
        yield from [ROW] * ROWS

    def count(requests, context):
        return _count(requests)

    def count_later(requests, context):
        go.wait(LIMIT)
        return _count(requests)

    handlers = {
        "/t/Rows": grpc.unary_stream_rpc_method_handler(rows),
        "/t/Count": grpc.stream_unary_rpc_method_handler(count),
        "/t/CountLater": grpc.stream_unary_rpc_method_handler(count_later),
        "/t/Echo": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
    }
    with futures.ThreadPoolExecutor(80) as pool:
        server = grpc.server(pool, handlers=[_Service(handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}", go
        go.set()
        server.stop(None)


def test_responses_that_are_read_in_turn(target):
    with grpc.insecure_channel(target[0], options=[OWN]) as channel:
        calls = [channel.unary_stream("/t/Rows")(b"", timeout=LIMIT) for _ in range(40)]
        for call in calls:
            assert next(call) == ROW
        # Beside 40 that stand still.
        assert channel.unary_unary("/t/Echo")(b"hello", timeout=LIMIT) == b"hello"
        for call in calls:
            assert list(call) == [ROW] * (ROWS - 1)


def test_an_upload_beside_uploads_that_are_not_read(target):
    address, go = target
    with grpc.insecure_channel(address, options=[OWN]) as channel:
        later = channel.stream_unary("/t/CountLater")
        paused = [later.future(iter([ROW] * ROWS), timeout=LIMIT) for _ in range(30)]
        time.sleep(0.5)
        count = channel.stream_unary("/t/Count")
        assert count(iter([ROW] * ROWS), timeout=LIMIT) == b"%d" % ROWS
        go.set()
        assert [call.result() for call in paused] == [b"%d" % ROWS] * 30


def test_asyncio_both_ways(target):
    address, go = target

    async def main():
        async with aio.insecure_channel(address, options=[OWN]) as channel:
            later = channel.stream_unary("/t/CountLater")
            uploads = [later(iter([ROW] * ROWS), timeout=LIMIT) for _ in range(20)]
            downloads = [channel.unary_stream("/t/Rows")(b"", timeout=LIMIT) for _ in range(30)]
            for call in downloads:
                assert await call.read() == ROW
            count = channel.stream_unary("/t/Count")
            assert await count(iter([ROW] * ROWS), timeout=LIMIT) == b"%d" % ROWS
            for call in downloads:
                assert [await call.read() for _ in range(ROWS - 1)] == [ROW] * (ROWS - 1)
            go.set()
            assert await asyncio.gather(*uploads) == [b"%d" % ROWS] * 20

    asyncio.run(main())


@pytest.fixture
def aio_rows():
    """Runs a coroutine of a channel beside a server of grpc.aio."""

    async def run(work):
        async def rows(request, context):
            for _ in range(ROWS):
                yield ROW

        async def slow(request, context):
            await asyncio.sleep(0.5)
            return request

        async def ticks(request, context):
            while True:
                yield b"tick"
                await asyncio.sleep(0.01)

        handlers = {
            "/t/Rows": grpc.unary_stream_rpc_method_handler(rows),
            "/t/Slow": grpc.unary_unary_rpc_method_handler(slow),
            "/t/Ticks": grpc.unary_stream_rpc_method_handler(ticks),
        }
        server = aio.server()
        server.add_generic_rpc_handlers((_Service(handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}", options=[OWN]) as channel:
            await work(channel)
        await server.stop(None)

    return lambda work: asyncio.run(asyncio.wait_for(run(work), LIMIT))


def test_an_asyncio_server_with_streams_that_are_read_in_turn(aio_rows):
    async def work(channel):
        calls = [channel.unary_stream("/t/Rows")(b"") for _ in range(40)]
        for call in calls:
            assert await call.read() == ROW
        for call in calls:
            assert [await call.read() for _ in range(ROWS - 1)] == [ROW] * (ROWS - 1)

    aio_rows(work)


@pytest.mark.parametrize("how", ["cancelled", "timed out", "waited for"])
def test_hundreds_of_calls_that_are_given_up(aio_rows, how, on_ferrpc):
    """Together, while they are young, ten times: a stream beside them goes on. (On a busy machine
    grpcio is not always up to ten.)"""
    rounds = 10 if on_ferrpc else 2

    async def given_up(channel):
        slow = channel.unary_unary("/t/Slow")
        calls = [slow(b"", timeout=0.02 if how == "timed out" else None) for _ in range(600)]
        if how == "cancelled":
            await asyncio.sleep(0.005)
            for call in calls:
                call.cancel()
        elif how == "waited for":
            waits = [asyncio.wait_for(call, 0.02) for call in calls]
            ends = await asyncio.gather(*waits, return_exceptions=True)
            assert {type(end) for end in ends} <= {asyncio.TimeoutError, aio.AioRpcError}, ends
        codes = {await call.code() for call in calls}
        over = {grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}
        assert codes <= over, codes

    async def work(channel):
        ticks = channel.unary_stream("/t/Ticks")(b"")
        for _ in range(rounds):
            await given_up(channel)
            assert await ticks.read() == b"tick"
        ticks.cancel()

    aio_rows(work)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.ferrpc_only("the limits of its engine")
def test_limits_are_options():
    def ask(*options):
        echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        with futures.ThreadPoolExecutor(2) as pool:
            server = grpc.server(pool, handlers=[_Service({"/t/Echo": echo})], options=options)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=[OWN]) as channel:
                call = channel.unary_unary("/t/Echo").future
                code = call(b"", metadata=[("some", "x" * 2000)], timeout=LIMIT).code()
            server.stop(None)
        return code

    many = ("ferrpc.starts", "ferrpc.early_resets_per_second", "ferrpc.stream_stall_ms")
    more = ("ferrpc.max_handlers", "ferrpc.max_held_messages", "ferrpc.max_window")
    assert ask(*((name, 1 << 20) for name in many + more)) is grpc.StatusCode.OK
    small = ("ferrpc.max_header_list_size", 1000)
    assert ask(small) is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.warns(RuntimeWarning, match="no option ferrpc.start"):
        assert ask(("ferrpc.start", 1)) is grpc.StatusCode.OK


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.ferrpc_only("the limits of its engine")
def test_limits_of_channels_are_options_too(target):
    options = [("ferrpc.max_window", 1 << 20), ("ferrpc.send_buffer_per_stream", 1)]
    options += [("ferrpc.max_held_messages", -1), ("ferrpc.write_stall_ms", 1000)]
    with grpc.insecure_channel(target[0], options=options) as channel:
        assert list(channel.unary_stream("/t/Rows")(b"", timeout=LIMIT)) == [ROW] * ROWS
    with pytest.warns(RuntimeWarning, match="no option ferrpc.max_windows"):
        grpc.insecure_channel(target[0], options=[("ferrpc.max_windows", 1)]).close()
    # Too little for any answer.
    small = [("ferrpc.max_header_list_size", 60)]
    with grpc.insecure_channel(target[0], options=small) as channel:
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/t/Echo")(b"", timeout=LIMIT)


def test_a_caller_that_ends_its_half_when_it_has_the_answer(target):
    """A handler of one request needs nothing but that."""
    answered = threading.Event()

    def requests():
        yield b"hello"
        answered.wait(LIMIT)

    with grpc.insecure_channel(target[0], options=[OWN]) as channel:
        call = channel.stream_unary("/t/Echo").future(requests(), timeout=LIMIT)
        assert call.result(LIMIT) == b"hello"
        answered.set()
        rows = channel.stream_stream("/t/Rows")(requests(), timeout=LIMIT)
        assert list(rows) == [ROW] * ROWS
