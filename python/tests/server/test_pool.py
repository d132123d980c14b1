"""Where handlers run: the user's executor."""

import threading
import time
from concurrent import futures

import grpc
import pytest

from .conftest import LIMIT, Service

Code = grpc.StatusCode


def test_no_more_handlers_than_workers(serve):
    lock, running, most = threading.Lock(), 0, 0

    def behavior(request, context):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return b""

    with futures.ThreadPoolExecutor(3) as pool:
        ends = serve({"/s/UU": behavior}, pool=pool)
        calls = [ends.uu_future("/s/UU") for _ in range(30)]
        assert [call.result() for call in calls] == [b""] * 30
    assert most == 3


def test_handlers_that_wait_for_each_other(serve):
    barrier = threading.Barrier(4)

    def behavior(request, context):
        barrier.wait(LIMIT)
        return b""

    ends = serve({"/s/UU": behavior})
    calls = [ends.uu_future("/s/UU") for _ in range(4)]
    assert [call.result() for call in calls] == [b""] * 4


def test_a_slow_handler_holds_up_no_answer(serve):
    go = threading.Event()

    def behavior(request, context):
        if request == b"slow":
            assert go.wait(LIMIT)
        return request

    ends = serve({"/s/UU": behavior})
    slow = ends.uu_future("/s/UU", b"slow")
    quick = [ends.uu_future("/s/UU", b"quick") for _ in range(50)]
    slow_too = ends.uu_future("/s/UU", b"slow")
    more = [ends.uu_future("/s/UU", b"quick") for _ in range(50)]
    assert [call.result() for call in quick + more] == [b"quick"] * 100
    go.set()
    assert slow.result() == slow_too.result() == b"slow"


def test_other_work_of_the_executor_has_its_turn(serve):
    stop = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        ends = serve({"/s/UU": lambda request, context: b""}, pool=pool)

        def load():
            while not stop.is_set():
                for call in [ends.uu_future("/s/UU") for _ in range(20)]:
                    call.result()

        loads = [threading.Thread(target=load) for _ in range(2)]
        for thread in loads:
            thread.start()
        try:
            for _ in range(5):
                assert pool.submit(lambda: "done").result(LIMIT) == "done"
        finally:
            stop.set()
            for thread in loads:
                thread.join()


def test_any_object_with_submit(serve):
    class Threads:
        def __init__(self):
            self.submitted = 0

        def submit(self, function, *arguments, **more):
            self.submitted += 1
            threading.Thread(target=function, args=arguments, kwargs=more, daemon=True).start()

    pool = Threads()
    ends = serve({"/s/UU": lambda request, context: request}, pool=pool)
    assert [ends.uu("/s/UU", str(i).encode()) for i in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert pool.submitted == 5


class Counting(futures.ThreadPoolExecutor):
    """Sets something up for each piece of work, as executors of Django's do with connections."""

    def __init__(self):
        super().__init__(2)
        self.begun = []

    def submit(self, function, *arguments, **more):
        def work():
            self.begun.append(threading.get_ident())
            return function(*arguments, **more)

        return super().submit(work)


def test_an_executor_sees_each_call(serve):
    with Counting() as pool:
        ends = serve({"/s/UU": lambda request, context: request}, pool=pool)
        for request in (b"0", b"1", b"2"):
            assert ends.uu("/s/UU", request) == request
        assert len(pool.begun) == 3
    with futures.ThreadPoolExecutor(2) as pool:
        submitted, submit = [], pool.submit
        pool.submit = lambda *work: submitted.append(work) or submit(*work)
        ends = serve({"/s/UU": lambda request, context: request}, pool=pool)
        for request in (b"0", b"1", b"2"):
            assert ends.uu("/s/UU", request) == request
        assert len(submitted) == 3


def test_an_executor_of_one_method_sees_each_call(serve):
    with Counting() as own:

        def behavior(request, context):
            return request

        behavior.experimental_thread_pool = own
        methods = {"UU": grpc.unary_unary_rpc_method_handler(behavior)}
        more = [grpc.method_handlers_generic_handler("t", methods)]
        with futures.ThreadPoolExecutor(1) as pool:
            server = grpc.server(pool, handlers=more)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                for request in (b"0", b"1", b"2"):
                    assert channel.unary_unary("/t/UU")(request, timeout=LIMIT) == request
            server.stop(None)
        assert len(own.begun) == 3


def test_no_worker_is_held_while_nothing_happens(serve):
    with futures.ThreadPoolExecutor(1) as pool:
        ends = serve({"/s/UU": lambda request, context: b""}, pool=pool)
        assert ends.uu("/s/UU") == b""
        assert pool.submit(lambda: 1).result(LIMIT) == 1


def test_maximum_concurrent_rpcs(serve):
    go, entered = threading.Event(), threading.Semaphore(0)

    def behavior(request, context):
        entered.release()
        assert go.wait(LIMIT)
        return b""

    with futures.ThreadPoolExecutor(2) as pool:
        ends = serve({"/s/UU": behavior}, pool=pool, maximum_concurrent_rpcs=2)
        calls = [ends.uu_future("/s/UU") for _ in range(2)]
        for _ in calls:
            assert entered.acquire(timeout=LIMIT)
        # At once, although all workers are busy.
        assert ends.fails("/s/UU") == (Code.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
        go.set()
        assert [call.result() for call in calls] == [b"", b""]
        end = time.monotonic() + LIMIT
        while True:
            try:
                assert ends.uu("/s/UU") == b""
                break
            except grpc.RpcError:
                # The places are given back soon after the replies.
                assert time.monotonic() < end


def test_a_pool_of_the_handlers_own(serve):
    go, entered = threading.Event(), threading.Event()

    def blocks(request, context):
        entered.set()
        assert go.wait(LIMIT)
        return b"late"

    def own(request, context):
        return threading.current_thread().name.encode()

    with futures.ThreadPoolExecutor(1) as pool, futures.ThreadPoolExecutor(1, "own") as other:
        own.experimental_thread_pool = other
        unary = grpc.unary_unary_rpc_method_handler
        known = grpc.method_handlers_generic_handler("k", {"UU": unary(own), "UU2": unary(blocks)})
        server = grpc.server(pool, handlers=[known])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            late = channel.unary_unary("/k/UU2").future(b"", timeout=LIMIT)
            assert entered.wait(LIMIT)
            # The server's own pool is busy; this one is not.
            assert channel.unary_unary("/k/UU")(b"", timeout=LIMIT).startswith(b"own")
            go.set()
            assert late.result() == b"late"
        server.stop(None)


def test_a_behavior_that_sends_from_elsewhere(serve):
    ended = threading.Event()

    def watch(request, context, send_response_callback):
        context.add_callback(ended.set)

        def send():
            for number in range(3):
                send_response_callback(str(number).encode())
            send_response_callback(None)

        threading.Thread(target=send).start()

    watch.experimental_non_blocking = True
    ends = serve({"/s/US": watch})
    assert list(ends.us("/s/US")) == [b"0", b"1", b"2"]
    assert ended.wait(LIMIT)


def test_a_call_that_died_while_it_waited_is_not_handled(serve):
    go, entered, handled = threading.Event(), threading.Event(), []

    def behavior(request, context):
        handled.append(request)
        entered.set()
        assert go.wait(LIMIT)
        return b""

    with futures.ThreadPoolExecutor(1) as pool:
        ends = serve({"/s/UU": behavior}, pool=pool)
        first = ends.uu_future("/s/UU", b"first")
        assert entered.wait(LIMIT)
        dead = ends.uu_future("/s/UU", b"dead", timeout=0.2)
        assert dead.code() is Code.DEADLINE_EXCEEDED
        time.sleep(0.2)
        go.set()
        assert first.result() == b""
        assert ends.uu("/s/UU", b"last") == b""
    assert b"last" in handled


@pytest.mark.ferrpc_only("grpcio may leave such calls unanswered")
def test_an_executor_that_was_shut_down():
    pool = futures.ThreadPoolExecutor(1)
    server = grpc.server(pool, handlers=[Service({})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pool.shutdown()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/s/UU")(b"", timeout=LIMIT)
        assert caught.value.code() is Code.UNAVAILABLE
    server.stop(None)


@pytest.mark.ferrpc_only("an option of its own")
def test_one_submission_per_call(serve):
    class Counting(futures.ThreadPoolExecutor):
        submitted = 0

        def submit(self, function, *arguments, **more):
            self.submitted += 1
            return super().submit(function, *arguments, **more)

    with Counting(4) as pool:
        options = [("ferrpc.submit_per_call", 1)]
        ends = serve({"/s/UU": lambda request, context: request}, pool=pool, options=options)
        calls = [ends.uu_future("/s/UU", str(i).encode()) for i in range(20)]
        assert [call.result() for call in calls] == [str(i).encode() for i in range(20)]
        assert pool.submitted == 20
