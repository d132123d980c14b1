"""What threads of the program's own see of a call, and what a thread's calls see of each other."""

import contextvars
import threading
from concurrent import futures

import grpc
import pytest

from .conftest import LIMIT, Ends, Service, make

VARIABLE = contextvars.ContextVar("variable", default="unset")


def read_on_a_thread(requests, context, outcomes, told):
    """Reads until the end, on a thread that outlives its handler."""

    def read():
        try:
            outcomes.append(list(requests))
        except BaseException as error:
            outcomes.append(error)
        try:
            outcomes.append(next(requests))
        except BaseException as error:
            outcomes.append(error)
        told.set()

    threading.Thread(target=read, daemon=True).start()


@pytest.mark.parametrize("ending", ["returns", "aborts", "is cancelled"])
def test_requests_that_are_read_after_the_end(serve, ending):
    outcomes, told, reads = [], threading.Event(), threading.Event()

    def behavior(requests, context):
        next(requests)
        read_on_a_thread(requests, context, outcomes, told)
        reads.set()
        if ending == "aborts":
            context.abort(grpc.StatusCode.ABORTED, "enough")
        elif ending == "is cancelled":
            told.wait(LIMIT)
        return b"over"

    ends = serve({"/s/SU": behavior})
    held = threading.Event()

    def requests():
        yield b"1"
        held.wait(LIMIT)

    call = ends.channel.stream_unary("/s/SU").future(requests(), timeout=LIMIT)
    assert reads.wait(LIMIT)
    if ending == "is cancelled":
        call.cancel()
        assert told.wait(LIMIT)
        assert isinstance(outcomes[0], grpc.RpcError)
    else:
        assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.ABORTED)
        assert told.wait(LIMIT)
        assert outcomes[0] == []
        assert isinstance(outcomes[1], StopIteration)
    held.set()


def what_three_calls_saw(serve, **arguments):
    """Each sets the variable after it has looked; they have one thread."""

    def behavior(request, context):
        seen = VARIABLE.get()
        VARIABLE.set("set by a call")
        return seen.encode()

    with futures.ThreadPoolExecutor(1) as pool:
        ends = serve({"/s/UU": behavior}, pool=pool, **arguments)
        seen = [ends.uu("/s/UU") for _ in range(3)]
        ends.server.stop(None)
    return seen


def test_variables_of_a_call_are_its_own(serve):
    assert what_three_calls_saw(serve) == [b"unset"] * 3


@pytest.mark.ferrpc_only("grpcio's calls see nothing of their thread")
def test_variables_of_a_thread_are_seen_by_its_calls(serve):
    pool = futures.ThreadPoolExecutor(1, initializer=VARIABLE.set, initargs=("of the thread",))
    ends = serve({"/s/UU": lambda request, context: VARIABLE.get().encode()}, pool=pool)
    assert [ends.uu("/s/UU") for _ in range(3)] == [b"of the thread"] * 3
    pool.shutdown(wait=False)


@pytest.mark.ferrpc_only("an option of ferrpc's")
def test_variables_that_are_kept(serve):
    seen = what_three_calls_saw(serve, options=[("ferrpc.keep_context", 1)])
    assert seen == [b"unset", b"set by a call", b"set by a call"]


def test_iterators_of_requests_see_the_variables_of_their_caller(serve):
    ends = serve({"/s/SU": lambda requests, context: b",".join(requests)})
    VARIABLE.set("the caller's")

    def requests():
        yield VARIABLE.get().encode()

    assert ends.channel.stream_unary("/s/SU")(requests(), timeout=LIMIT) == b"the caller's"


@pytest.mark.parametrize("secured", [False, True])
def test_peers_of_unix_sockets(tmp_path, secured, on_ferrpc):
    address = f"unix:{tmp_path}/socket"
    path = "/s/UU"
    handler = make(path, lambda request, context: context.peer().encode())
    with futures.ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[Service({path: handler})])
        if secured:
            local = grpc.LocalConnectionType.UDS
            server.add_secure_port(address, grpc.local_server_credentials(local))
            channel = grpc.secure_channel(address, grpc.local_channel_credentials(local))
        else:
            server.add_insecure_port(address)
            channel = grpc.insecure_channel(address)
        server.start()
        peer = Ends(channel, server, 1).uu(path).decode()
        # grpcio says no more than that it is one.
        assert peer == (address if on_ferrpc else "unix:")
        channel.close()
        server.stop(None)


@pytest.mark.ferrpc_only("it stops grpcio's server")
def test_a_callback_that_waits_does_not_stop_the_server(serve):
    began, told, held = threading.Event(), threading.Event(), threading.Event()

    def wait(request, context):
        context.add_callback(lambda: (told.set(), held.wait(LIMIT)))
        began.set()
        while context.is_active() and not held.wait(0.01):
            pass
        return b""

    ends = serve({"/s/UUWait": wait, "/s/UU": lambda request, context: request})
    try:
        call = ends.uu_future("/s/UUWait")
        assert began.wait(LIMIT)
        call.cancel()
        assert told.wait(LIMIT)
        assert [ends.uu("/s/UU", b"a") for _ in range(20)] == [b"a"] * 20
    finally:
        held.set()


def test_callbacks_of_cancelled_calls(serve):
    """Each runs once, also where one of them raises."""
    began, told = threading.Semaphore(0), threading.Semaphore(0)
    count = 3

    def broken():
        raise ValueError("broken")

    def wait(request, context):
        context.add_callback(broken)
        context.add_callback(told.release)
        began.release()
        while context.is_active():
            threading.Event().wait(0.01)
        return b""

    ends = serve({"/s/UU": wait})
    calls = [ends.uu_future("/s/UU") for _ in range(count)]
    for _ in calls:
        assert began.acquire(timeout=LIMIT)
    for call in calls:
        call.cancel()
    for _ in calls:
        assert told.acquire(timeout=LIMIT)
    assert not told.acquire(timeout=0.1)
