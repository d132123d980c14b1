"""Channels: their states, their end, signals and forks."""

import functools
import os
import subprocess
import sys
import textwrap
import threading

import grpc
import pytest


def test_ready(connect):
    channel = connect().channel
    grpc.channel_ready_future(channel).result(timeout=30)
    states, ready = [], threading.Event()

    def callback(state):
        states.append(state)
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    channel.subscribe(callback)
    assert ready.wait(timeout=30)
    channel.unsubscribe(callback)


def test_not_ready():
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        seen = threading.Event()

        def callback(state):
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                seen.set()

        channel.subscribe(callback, try_to_connect=True)
        assert seen.wait(timeout=30)
        with pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(channel).result(timeout=0.2)


@pytest.mark.ferrpc_only("grpcio's thread for it ends with a traceback")
def test_a_subscriber_that_raises(connect):
    channel, told = connect().channel, threading.Event()
    channel.subscribe(lambda state: 1 / 0, try_to_connect=True)
    channel.subscribe(lambda state: told.set())
    assert told.wait(timeout=30)


def test_close(connect):
    methods = connect()
    running = methods.echo.future(b"", metadata=[("x-sleep", "5")])
    reading = methods.stream(b"100", metadata=[("x-pause", "0.2")])
    assert next(reading) == b"0"
    methods.channel.close()
    assert running.code() is grpc.StatusCode.CANCELLED
    assert "Channel closed!" in running.details()
    with pytest.raises(grpc.RpcError):
        for _ in reading:
            pass
    assert reading.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(ValueError, match="Cannot invoke RPC on closed channel!"):
        methods.echo(b"")
    with pytest.raises(ValueError, match="Cannot invoke RPC: Channel closed!"):
        methods.echo.future(b"")
    with pytest.raises(ValueError):
        methods.stream(b"1")
    with pytest.raises(ValueError):
        methods.chat(iter(()))
    methods.channel.close()


def test_stubs_outlive_their_channel(target):
    with_channel = grpc.insecure_channel(target)
    echo = with_channel.unary_unary("/test.Client/Echo")
    del with_channel
    assert echo(b"x") == b"x"
    future = grpc.insecure_channel(target).unary_unary("/test.Client/Echo").future(b"y")
    assert future.result(timeout=30) == b"y"


def run(script, target, timeout=60, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), target],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


CALL = """
    import os, signal, sys, threading, time, grpc
    channel = grpc.insecure_channel(sys.argv[1])
    echo = channel.unary_unary("/test.Client/Echo")
    slow = [("x-sleep", "20")]
"""


@pytest.mark.parametrize(
    "wait",
    [
        "echo(b'', metadata=slow)",
        "echo.future(b'', metadata=slow).result()",
        "echo.future(b'', metadata=slow).code()",
        "next(channel.unary_stream('/test.Client/Stream')(b'1', metadata=slow))",
        "channel.stream_unary('/test.Client/Collect')(iter([]), metadata=slow)",
        "grpc.insecure_channel('127.0.0.1:1').unary_unary('/a/b')(b'', wait_for_ready=True)",
    ],
)
def test_ctrl_c_ends_a_wait(target, wait):
    script = f"""{CALL}
    echo(b"")
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    try:
        {wait}
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - began < 10)
    """
    assert run(script, target).stdout == "interrupted True\n"


def test_signal_handlers_run_during_a_call(target):
    script = f"""{CALL}
    signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
    print(echo(b"x", metadata=[("x-sleep", "1")]))
    """
    assert run(script, target).stdout == "handled\nb'x'\n"


def test_the_interpreter_ends_with_calls_in_flight(target):
    script = f"""{CALL}
    calls = [echo.future(b"", metadata=slow) for _ in range(3)]
    calls[0].add_done_callback(lambda _: None)
    def requests():
        yield b""
        time.sleep(60)
    calls.append(channel.stream_stream("/test.Client/Chat")(requests()))
    threading.Thread(target=lambda: echo(b"", metadata=slow), daemon=True).start()
    time.sleep(0.2)
    print("end")
    """
    ended = run(script, target, timeout=15)
    assert (ended.returncode, ended.stdout) == (0, "end\n"), ended.stderr


@pytest.mark.ferrpc_only(
    'in grpcio the call now and then ends with "Wrong file descriptor generation"'
)
def test_a_child_makes_its_own_connection(target):
    script = f"""{CALL}
    print(echo(b"parent"), flush=True)
    pid = os.fork()
    if pid == 0:
        print(echo(b"child"), echo.future(b"again").result(), flush=True)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print(echo(b"parent"))
    """
    ended = run(script, target, GRPC_ENABLE_FORK_SUPPORT="1")
    lines = ["b'parent'", "b'child' b'again'", "b'parent'"]
    assert ended.stdout.splitlines() == lines, ended.stderr


@pytest.mark.ferrpc_only("grpcio's fork waits for the calls that run")
def test_calls_that_run_are_the_parents(target):
    script = f"""{CALL}
    ended = threading.Event()
    running = echo.future(b"late", metadata=[("x-sleep", "1")])
    running.add_done_callback(lambda _: ended.set())
    pid = os.fork()
    if pid == 0:
        print(running.code(), running.details(), flush=True)
        again = echo.future(b"again")
        again.add_done_callback(lambda future: print(future.result(), flush=True))
        again.result()
        time.sleep(0.5)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    print(running.result(), ended.wait(10))
    """
    ended = run(script, target)
    assert ended.stdout.splitlines() == [
        "StatusCode.CANCELLED Call cancelled in fork child",
        "b'again'",
        "b'late' True",
    ], ended.stderr


@pytest.mark.ferrpc_only("grpcio starts threads at import")
def test_no_thread_before_the_first_call(target):
    script = """
    import os, grpc
    print(len(os.listdir("/proc/self/task")))
    """
    assert run(script, target).stdout == "1\n"




@pytest.mark.parametrize(
    "kind", ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
)
def test_wrappers_take_nothing_over_from_multicallables(target, kind):
    class Wrapper:
        _target = _channel = _method = "the wrapper's"

        def __call__(self):
            return self._target, self._channel, self._method

    with grpc.insecure_channel(target) as channel:
        wrapper = functools.wraps(getattr(channel, kind)("/s/m"))(Wrapper())
        assert wrapper() == ("the wrapper's",) * 3
