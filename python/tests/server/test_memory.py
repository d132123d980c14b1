"""The memory of requests that wait for threads, and what it is bounded by."""

import contextlib
import queue
import threading
from concurrent import futures

import grpc
import pytest

from .conftest import LIMIT

Code = grpc.StatusCode

LARGE = b"\0" * 200_000


def gated():
    """A handler that waits until the event is set, and that event."""
    go = threading.Event()

    def behavior(request, context):
        assert go.wait(LIMIT)
        return len(request).to_bytes(4, "big")

    return behavior, go


def test_requests_that_wait_for_a_thread_are_all_answered(serve):
    behavior, go = gated()
    with futures.ThreadPoolExecutor(1) as pool:
        ends = serve({"/s/UU": behavior}, pool=pool)
        calls = [ends.uu_future("/s/UU", LARGE) for _ in range(100)]
        go.set()
        assert {call.result() for call in calls} == {len(LARGE).to_bytes(4, "big")}


@pytest.mark.ferrpc_only("grpcio has no such limit")
def test_who_fills_the_memory_gives_way_and_others_do_not_notice():
    behavior, go = gated()

    def own(request, context):
        return request

    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(futures.ThreadPoolExecutor(1))
        own.experimental_thread_pool = stack.enter_context(futures.ThreadPoolExecutor(1))
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {"UU": unary(behavior), "Own": unary(own)}
        known = grpc.method_handlers_generic_handler("k", handlers)
        options = [("ferrpc.max_memory", 8 << 20)]
        server = grpc.server(pool, handlers=[known], options=options)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        stack.callback(go.set)

        def channel():
            return stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))

        honest = channel().unary_unary("/k/Own")
        assert honest(b"q", timeout=LIMIT) == b"q"
        callers = [channel().unary_unary("/k/UU") for _ in range(10)]
        done = queue.SimpleQueue()
        calls = [one.future(LARGE, timeout=2 * LIMIT) for _ in range(50) for one in callers]
        for call in calls:
            call.add_done_callback(done.put)
        assert done.get(timeout=LIMIT).code() is Code.RESOURCE_EXHAUSTED
        assert [honest(b"q", timeout=LIMIT) for _ in range(50)] == [b"q"] * 50
        go.set()
        ended = {call.code() for call in calls}
        assert ended <= {Code.OK, Code.RESOURCE_EXHAUSTED} and Code.OK in ended
        assert callers[0](LARGE, timeout=LIMIT) == len(LARGE).to_bytes(4, "big")


@pytest.mark.ferrpc_only("the options are its own")
def test_calls_above_the_limit_of_handlers_wait_and_then_fail(serve):
    behavior, go = gated()
    with futures.ThreadPoolExecutor(1) as pool:
        options = [("ferrpc.max_handlers", 1), ("ferrpc.overload_pushback_ms", 700)]
        ends = serve({"/s/UU": behavior}, pool=pool, options=options)
        # One is handled, four wait.
        calls = [ends.uu_future("/s/UU") for _ in range(10)]
        done = queue.SimpleQueue()
        for call in calls:
            call.add_done_callback(done.put)
        for _ in range(5):
            refused = done.get(timeout=LIMIT)
            assert refused.code() is Code.RESOURCE_EXHAUSTED
            (pause,) = (
                value
                for key, value in refused.trailing_metadata()
                if key == "grpc-retry-pushback-ms"
            )
            assert 700 <= int(pause) <= 1400
        go.set()
        assert [call.code() for call in calls].count(Code.OK) == 5
