"""The memory of requests that wait for threads, and what it is bounded by."""

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
def test_who_fills_the_memory_gives_way_and_others_do_not_notice(serve):
    behavior, go = gated()

    def own(request, context):
        return request

    with futures.ThreadPoolExecutor(1) as pool, futures.ThreadPoolExecutor(1) as other:
        own.experimental_thread_pool = other
        unary = grpc.unary_unary_rpc_method_handler
        known = grpc.method_handlers_generic_handler("k", {"Own": unary(own)})
        options = [("ferrpc.max_memory", 8 << 20)]
        ends = serve({"/s/UU": behavior}, pool=pool, handlers=[known], options=options)
        assert ends.uu("/k/Own") == b"q"
        channels = [grpc.insecure_channel(f"127.0.0.1:{ends.port}") for _ in range(10)]
        done = queue.SimpleQueue()
        try:
            calls = [
                channel.unary_unary("/s/UU").future(LARGE, timeout=2 * LIMIT)
                for _ in range(50)
                for channel in channels
            ]
            for call in calls:
                call.add_done_callback(done.put)
            first = done.get(timeout=LIMIT)
            assert first.code() is Code.RESOURCE_EXHAUSTED
            assert [ends.uu("/k/Own") for _ in range(50)] == [b"q"] * 50
            go.set()
            ended = {call.code() for call in calls}
            assert ended <= {Code.OK, Code.RESOURCE_EXHAUSTED} and Code.OK in ended
        finally:
            for channel in channels:
                channel.close()
        assert ends.uu("/s/UU", LARGE) == len(LARGE).to_bytes(4, "big")


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
