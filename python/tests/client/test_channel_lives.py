"""What becomes of a channel that nobody holds, and of its calls."""

import gc
import socket
import threading
import weakref
from concurrent import futures

import grpc
import pytest

LIMIT = 30

# SETTINGS, empty, and its acknowledgement: enough for a client to be ready.
SETTINGS = b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"


class Gate:
    """A service whose calls wait to be let through; knows when one began and when one was over."""

    def __init__(self):
        self.began, self.through, self.over = (threading.Event() for _ in range(3))

    def wait(self, request, context):
        context.add_callback(self.over.set)
        self.began.set()
        self.through.wait(LIMIT)
        return request

    def stream(self, request, context):
        yield b"first"
        self.through.wait(LIMIT)
        yield b"second"


@pytest.fixture
def gate():
    gate = Gate()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handlers = {
        "Wait": grpc.unary_unary_rpc_method_handler(gate.wait),
        "Stream": grpc.unary_stream_rpc_method_handler(gate.stream),
    }
    handler = grpc.method_handlers_generic_handler("test.Gate", handlers)
    server.add_generic_rpc_handlers((handler,))
    gate.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield gate
    gate.through.set()
    server.stop(None)


def test_a_future_outlives_its_channel(gate):
    channel = grpc.insecure_channel(gate.target)
    gone = weakref.ref(channel)
    future = channel.unary_unary("/test.Gate/Wait").future(b"x", timeout=LIMIT)
    assert gate.began.wait(LIMIT)
    del channel
    gc.collect()
    assert gone() is None
    assert not future.done()
    gate.through.set()
    assert future.result(timeout=LIMIT) == b"x"


def test_a_stream_outlives_its_channel(gate):
    channel = grpc.insecure_channel(gate.target)
    responses = channel.unary_stream("/test.Gate/Stream")(b"", timeout=LIMIT)
    assert next(responses) == b"first"
    del channel
    gc.collect()
    gate.through.set()
    assert list(responses) == [b"second"]
    assert responses.code() is grpc.StatusCode.OK


def test_a_multicallable_keeps_its_channel(gate):
    wait = grpc.insecure_channel(gate.target).unary_unary("/test.Gate/Wait")
    gc.collect()
    gate.through.set()
    assert wait(b"x", timeout=LIMIT) == b"x"


def test_a_call_that_nobody_holds_is_cancelled(gate):
    channel = grpc.insecure_channel(gate.target)
    future = channel.unary_unary("/test.Gate/Wait").future(b"x", timeout=LIMIT)
    assert gate.began.wait(LIMIT)
    del future, channel
    gc.collect()
    assert gate.over.wait(LIMIT)


class Subscriber:
    def __init__(self):
        self.ready = threading.Event()

    def __call__(self, state):
        if state is grpc.ChannelConnectivity.READY:
            self.ready.set()


@pytest.mark.parametrize("subscribed", (True, False))
def test_an_idle_channel_hangs_up(subscribed):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        channel = grpc.insecure_channel(f"127.0.0.1:{listener.getsockname()[1]}")
        subscriber = Subscriber()
        channel.subscribe(subscriber, try_to_connect=True)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(SETTINGS)
            assert subscriber.ready.wait(LIMIT)
            if not subscribed:
                channel.unsubscribe(subscriber)
            gone, unheard = weakref.ref(channel), threading.Event()
            weakref.finalize(subscriber, unheard.set)
            del channel, subscriber
            gc.collect()
            assert gone() is None
            connection.settimeout(LIMIT)
            while connection.recv(4096):
                pass
            assert unheard.wait(LIMIT)
