"""When callbacks run, and whom they keep waiting: of calls that end, of channels that change."""

import contextvars
import itertools
import subprocess
import sys
import textwrap
import threading
import time

import grpc
import pytest

#: The seconds after which a test has failed rather than waits on.
LIMIT = 20

#: How often something is tried that went wrong once in a while.
OFTEN = 300

#: So long a call takes that its callback is added before it is over: else that runs at once.
LATER = [("x-sleep", "0.2")]

WHO = contextvars.ContextVar("who", default="nobody")


def poll(call):
    while not call.done():
        pass


def poll_activity(call):
    while call.is_active():
        pass


@pytest.mark.parametrize(
    "wait",
    [
        lambda call: call.result(),
        lambda call: call.exception(),
        lambda call: call.traceback(),
        lambda call: call.code(),
        lambda call: call.details(),
        lambda call: call.trailing_metadata(),
        poll,
        poll_activity,
    ],
    ids=["result", "exception", "traceback", "code", "details", "trailing", "done", "is_active"],
)
def test_a_future_answers_behind_its_callbacks(methods, wait):
    late = 0
    for _ in range(OFTEN):
        ran = []
        call = methods.echo.future(b"")
        call.add_done_callback(ran.append)
        wait(call)
        late += ran != [call]
    assert late == 0


@pytest.mark.parametrize("fails", [False, True])
def test_a_stream_ends_behind_its_callbacks(methods, fails):
    metadata = [("x-fail-after", "1")] if fails else []
    late = 0
    for _ in range(OFTEN):
        ran = []
        call = methods.stream(b"3", metadata=metadata)
        call.add_done_callback(ran.append)
        try:
            assert len(list(call)) == 3
        except grpc.RpcError:
            assert fails
        late += ran != [call]
    assert late == 0


def test_an_upload_answers_behind_its_callbacks(methods):
    late = 0
    for _ in range(OFTEN):
        ran = []
        call = methods.collect.future(iter([b"a"]))
        call.add_done_callback(ran.append)
        assert call.result() == b"a"
        late += ran != [call]
    assert late == 0


def test_a_callback_may_wait_for_whoever_waits_for_its_call(methods):
    seen, over = threading.Event(), threading.Event()
    call = methods.echo.future(b"a", metadata=LATER)
    call.add_done_callback(lambda call: (seen.wait(LIMIT), over.set()))
    assert call.result(timeout=LIMIT) == b"a"
    assert call.done() and not call.is_active() and not over.is_set()
    seen.set()
    assert over.wait(LIMIT)


def test_callbacks_of_a_call_run_in_their_order(methods):
    order, over = [], threading.Event()
    call = methods.echo.future(b"", metadata=LATER)
    for number in range(10):
        call.add_done_callback(lambda _, number=number: order.append(number))
    call.add_done_callback(lambda _: over.set())
    assert over.wait(LIMIT) and order == list(range(10))


@pytest.mark.parametrize(
    "kind",
    [
        ValueError,
        pytest.param(SystemExit, marks=pytest.mark.ferrpc_only("it ends grpcio's thread")),
    ],
)
def test_a_callback_that_raises_harms_no_other(methods, kind):
    over = threading.Event()

    def broken(call):
        raise kind("broken")

    call = methods.echo.future(b"a", metadata=LATER)
    call.add_done_callback(broken)
    call.add_done_callback(lambda call: over.set())
    assert over.wait(LIMIT) and call.result() == b"a"
    again = methods.echo.future(b"b")
    ran = []
    again.add_done_callback(ran.append)
    assert again.result() == b"b" and ran == [again]


def test_a_callback_that_waits_delays_no_other_channel(connect):
    """Of calls, of connectivity, and futures of channels that are ready."""
    held, begun, told = threading.Event(), threading.Event(), threading.Event()
    slow = connect(options=[("slow", 1)])
    try:
        slow.echo.future(b"", metadata=LATER).add_done_callback(
            lambda call: (begun.set(), held.wait(LIMIT))
        )
        assert begun.wait(LIMIT)
        other = connect(options=[("other", 1)])
        grpc.channel_ready_future(other.channel).result(timeout=LIMIT / 2)
        ran = threading.Event()
        other.echo.future(b"", metadata=LATER).add_done_callback(lambda call: ran.set())
        assert ran.wait(LIMIT / 2)
        other.channel.subscribe(lambda state: told.set())
        assert told.wait(LIMIT / 2)
        assert not held.is_set()
    finally:
        held.set()


def test_a_callback_may_wait_for_one_of_another_channel(connect):
    one, two = connect(options=[("one", 1)]), connect(options=[("two", 1)])
    inner, outer = threading.Event(), threading.Event()

    def wait(call):
        two.echo.future(b"", metadata=LATER).add_done_callback(lambda call: inner.set())
        if inner.wait(LIMIT / 2):
            outer.set()

    one.echo.future(b"", metadata=LATER).add_done_callback(wait)
    assert outer.wait(LIMIT)


def test_many_channels_may_wait_in_callbacks(connect):
    """Each for all others."""
    count = 12
    meeting = threading.Barrier(count)
    met = threading.Semaphore(0)

    def wait(call):
        meeting.wait(LIMIT)
        met.release()

    for number in range(count):
        connect(options=[("number", number)]).echo.future(b"", metadata=LATER).add_done_callback(
            wait
        )
    for _ in range(count):
        assert met.acquire(timeout=LIMIT)


def test_a_callback_makes_calls(connect):
    one, two = connect(options=[("one", 1)]), connect(options=[("two", 1)])
    results, over = [], threading.Event()

    def ask(call):
        for methods in (one, two):
            results.append(methods.echo(b"unary", timeout=LIMIT))
        results.append(list(two.stream(b"2", timeout=LIMIT)))
        results.append(two.echo.future(b"future", timeout=LIMIT).result())
        over.set()

    one.echo.future(b"", metadata=LATER).add_done_callback(ask)
    assert over.wait(LIMIT)
    assert results == [b"unary", b"unary", [b"0", b"1"], b"future"]


@pytest.mark.ferrpc_only("grpcio hangs here")
def test_a_callback_waits_for_calls_of_its_own_channel(methods):
    ran, over = [], threading.Event()

    def ask(call):
        assert list(methods.stream(b"2")) == [b"0", b"1"]
        inner = methods.echo.future(b"inner")
        inner.add_done_callback(ran.append)
        assert inner.result() == b"inner"
        over.set()

    methods.echo.future(b"", metadata=LATER).add_done_callback(ask)
    assert over.wait(LIMIT)


def test_callbacks_of_a_channel_run_one_after_the_other(methods):
    """Programs keep no locks in them."""
    running, most, left = 0, 0, threading.Semaphore(0)
    pause = threading.Event()

    def count(call):
        nonlocal running, most
        running += 1
        most = max(most, running)
        pause.wait(0.02)
        running -= 1
        left.release()

    calls = [methods.echo.future(b"", metadata=LATER) for _ in range(20)]
    for call in calls:
        call.add_done_callback(count)
    for _ in calls:
        assert left.acquire(timeout=LIMIT)
    assert most == 1


def test_a_subscriber_hears_of_states_in_order(connect):
    methods = connect()
    states, ready = [], threading.Event()
    pause = threading.Event()

    def slow(state):
        pause.wait(0.05)
        states.append(state)
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    methods.channel.subscribe(slow, try_to_connect=True)
    assert ready.wait(LIMIT)
    assert states[0] is grpc.ChannelConnectivity.IDLE
    assert states[-1] is grpc.ChannelConnectivity.READY
    methods.channel.unsubscribe(slow)


def test_callbacks_see_the_context_variables_of_whoever_added_them(connect):
    seen, told = [], threading.Event()
    WHO.set("me")
    methods = connect(options=[("context", 1)])
    call = methods.echo.future(b"", metadata=LATER)
    call.add_done_callback(lambda call: (seen.append(WHO.get()), told.set()))
    assert told.wait(LIMIT)
    heard = threading.Event()
    methods.channel.subscribe(lambda state: (seen.append(WHO.get()), heard.set()))
    assert heard.wait(LIMIT)
    assert set(seen) == {"me"}


def run(script, target):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), target],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_callback_that_never_ends_does_not_keep_the_interpreter(target):
    done = run(
        """
        import sys, threading, grpc
        channel = grpc.insecure_channel(sys.argv[1])
        begun = threading.Event()
        echo = channel.unary_unary("/test.Client/Echo")
        call = echo.future(b"", metadata=[("x-sleep", "0.2")])
        call.add_done_callback(lambda call: (begun.set(), threading.Event().wait()))
        print(begun.wait(20))
        """,
        target,
    )
    assert (done.returncode, done.stdout) == (0, "True\n")


@pytest.mark.ferrpc_only("how many threads there are")
def test_threads_are_few(target):
    done = run(
        """
        import sys, threading, grpc, grpc._channel
        before = threading.active_count()
        channels = [grpc.insecure_channel(sys.argv[1], options=[("n", n)]) for n in range(5)]
        assert threading.active_count() == before
        begun, held = threading.Semaphore(0), threading.Event()
        for channel in channels:
            call = channel.unary_unary("/test.Client/Echo")
            for _ in range(20):
                call.future(b"").add_done_callback(lambda call: None)
            call.future(b"").result()
        assert threading.active_count() - before <= 3, threading.enumerate()
        # Those that wait have a thread each, and keep it no longer.
        for channel in channels:
            echo = channel.unary_unary("/test.Client/Echo")
            call = echo.future(b"", metadata=[("x-sleep", "0.2")])
            call.add_done_callback(lambda call: (begun.release(), held.wait()))
        for channel in channels:
            begun.acquire()
        assert threading.active_count() - before <= 8, threading.enumerate()
        held.set()
        for _ in range(200):
            if threading.active_count() - before <= 3:
                break
            threading.Event().wait(0.05)
        assert threading.active_count() - before <= 3, threading.enumerate()
        print("few")
        """,
        target,
    )
    assert (done.stdout, done.stderr) == ("few\n", "")


@pytest.mark.ferrpc_only("grpcio starts a thread for each channel")
def test_a_callback_that_gets_no_thread_is_not_waited_for(target):
    done = run(
        """
        import sys, threading, time, grpc
        echo = grpc.insecure_channel(sys.argv[1]).unary_unary("/test.Client/Echo")
        start = threading.Thread.start
        def fail(thread):
            raise RuntimeError("can't start new thread")
        call = echo.future(b"a", metadata=[("x-sleep", "0.2")])
        threading.Thread.start = fail
        try:
            call.add_done_callback(print)
        except RuntimeError as error:
            print(error)
        threading.Thread.start = start
        assert call.result() == b"a"
        print("waits for callbacks:", call._callbacks is not None)
        over = threading.Event()
        call = echo.future(b"b", metadata=[("x-sleep", "0.2")])
        call.add_done_callback(lambda call: over.set())
        print("called:", over.wait(20))
        """,
        target,
    )
    said = "can't start new thread\nwaits for callbacks: False\ncalled: True\n"
    assert (done.stdout, done.stderr) == (said, "")


@pytest.mark.ferrpc_only("its own code")
def test_a_thread_that_does_not_get_on_is_not_overtaken(monkeypatch):
    """Between taking what happened and running its handler, on a busy machine."""
    from grpc import _completions, _ferrpc

    take, number = _completions.take, itertools.count()

    def stumble(me):
        happened = take(me)
        if next(number) % 2 == 0:
            time.sleep(0.03)
        return happened

    monkeypatch.setattr(_completions, "take", stumble)
    lane, seen, over = _completions.Lane(), [], threading.Event()

    def handler(index):
        def handle(_):
            seen.append(index)
            if index == 19:
                over.set()

        return handle

    tags = [_completions.register(handler(index), lane) for index in range(20)]
    for tag in tags:
        _ferrpc.complete(tag)
    assert over.wait(30)
    assert seen == list(range(20))
    for tag in tags:
        _completions.forget(tag)
