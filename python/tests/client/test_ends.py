"""What is left of a call when it is over: why it failed, its copies, its threads."""

import copy
import pickle
import queue
import threading
import time

import grpc
import pytest

LIMIT = 20


def failing(call, *arguments, **keywords):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **keywords)
    return caught.value


def broken():
    yield b"1"
    raise ValueError("row 7")


UPLOADS = {
    "collect": lambda methods, requests: methods.collect(requests),
    "with_call": lambda methods, requests: methods.collect.with_call(requests),
    "future": lambda methods, requests: methods.collect.future(requests).result(),
    "chat": lambda methods, requests: list(methods.chat(requests)),
}


@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_an_iterator_of_requests_that_raises(methods, upload, on_ferrpc):
    error = failing(upload, methods, broken())
    assert error.code() is grpc.StatusCode.UNKNOWN
    assert error.details() == "Exception iterating requests!"
    if on_ferrpc:
        assert isinstance(error.__cause__, ValueError) and str(error.__cause__) == "row 7"


@pytest.mark.ferrpc_only("grpcio says nothing of the cause")
@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_a_serialiser_of_a_stream_that_raises(connect, upload):
    def serializer(request):
        raise ValueError(request)

    error = failing(upload, connect(serializer=serializer), iter(["row 8"]))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "Exception serializing request!"
    assert isinstance(error.__cause__, ValueError) and str(error.__cause__) == "row 8"


@pytest.mark.ferrpc_only("grpcio waits for the deadline")
def test_an_upload_that_is_broken_off_by_an_exit(methods):
    def requests():
        yield b"1"
        raise SystemExit

    error = failing(methods.collect, requests(), timeout=LIMIT)
    assert error.code() is grpc.StatusCode.UNKNOWN
    assert isinstance(error.__cause__, SystemExit)


@pytest.mark.ferrpc_only("grpcio says nothing of the cause")
def test_a_call_that_ended_before_has_no_cause(methods):
    """What its iterator raises afterwards is not why."""
    begun, over, raised = (threading.Event() for _ in range(3))

    def requests():
        begun.set()
        over.wait(LIMIT)
        raised.set()
        raise ValueError
        yield

    call = methods.collect.future(requests())
    assert begun.wait(LIMIT)
    call.cancel()
    over.set()
    assert raised.wait(LIMIT)
    assert call.code() is grpc.StatusCode.CANCELLED
    time.sleep(0.05)
    assert call.__cause__ is None


# -- copies ---------------------------------------------------------------------------------------

COPIES = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "oldest pickle": lambda error: pickle.loads(pickle.dumps(error, protocol=2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def errors(methods):
    metadata = [("x-initial", "one"), ("x-trailing", "two"), ("x-fail", "nothing here")]
    yield failing(methods.echo, b"", metadata=metadata)
    yield failing(methods.echo.with_call, b"", metadata=metadata)
    yield failing(lambda: methods.echo.future(b"", metadata=metadata).result())
    yield methods.echo.future(b"", metadata=metadata).exception()
    yield failing(methods.collect, iter([b""]), metadata=metadata)
    yield methods.collect.future(iter([b""]), metadata=metadata).exception()
    yield failing(lambda: list(methods.stream(b"1", metadata=metadata)))
    yield failing(lambda: list(methods.chat(iter([b""]), metadata=metadata)))


@pytest.mark.ferrpc_only("grpcio's cannot be copied")
@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_copies_of_errors(methods, make):
    for error in errors(methods):
        error.note = ["mine"]
        again = make(error)
        assert type(again) is type(error) or type(again).__name__ == type(error).__name__
        assert isinstance(again, grpc.RpcError) and isinstance(again, grpc.Call)
        assert again.code() is grpc.StatusCode.NOT_FOUND
        assert again.details() == "nothing here"
        assert again.debug_error_string() == error.debug_error_string()
        assert again.initial_metadata() == error.initial_metadata() != ()
        assert again.trailing_metadata() == error.trailing_metadata() != ()
        assert again.trailing_metadata()[0].key == "trailing"
        assert str(again) == str(error) and repr(again) == repr(error)
        assert again.done() and not again.cancelled() and not again.running()
        assert again.exception() is again and not again.cancel()
        assert again.note == ["mine"]
        with pytest.raises(grpc.RpcError) as caught:
            again.result()
        assert caught.value is again
        called = []
        again.add_done_callback(called.append)
        assert called == [again]
        # And a copy of it.
        assert make(again).details() == "nothing here"


@pytest.mark.ferrpc_only("grpcio's cannot be copied")
def test_copies_of_errors_that_were_made_here(methods):
    cancelled = methods.stream(b"5", metadata=[("x-pause", "1")])
    next(cancelled)
    cancelled.cancel()
    failing(lambda: list(cancelled))
    again = pickle.loads(pickle.dumps(cancelled))
    assert again.code() is grpc.StatusCode.CANCELLED and again.cancelled()
    late = failing(methods.echo, b"", timeout=0.01, metadata=[("x-sleep", "0.5")])
    assert pickle.loads(pickle.dumps(late)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    _, call = methods.echo.with_call(b"fine")
    again = pickle.loads(pickle.dumps(call))
    assert again.result() == b"fine" and again.code() is grpc.StatusCode.OK


@pytest.mark.ferrpc_only("grpcio's cannot be copied")
def test_copies_of_errors_of_a_subclass(methods):
    class Mine(type(failing(methods.echo, b"", metadata=[("x-fail", "")]))):
        def __init__(self, one, two):
            super().__init__(one._end)
            self.two = two

    error = Mine(failing(methods.echo, b"", metadata=[("x-fail", "details")]), 2)
    again = copy.deepcopy(error)
    assert type(again) is Mine and again.two == 2 and again.details() == "details"


def test_a_call_that_runs_cannot_be_copied(methods):
    call = methods.echo.future(b"", metadata=[("x-sleep", "0.2")])
    for make in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            make(call)
    assert call.result() == b""


# -- threads --------------------------------------------------------------------------------------


def senders():
    return [thread for thread in threading.enumerate() if thread.name == "grpc-requests"]


def until(check):
    for _ in range(200):
        if check():
            return True
        time.sleep(0.05)
    return check()


@pytest.mark.ferrpc_only("grpcio's threads stay")
@pytest.mark.parametrize("kind", [queue.SimpleQueue, queue.Queue, queue.LifoQueue])
def test_a_thread_that_waits_on_a_queue_ends_with_its_call(methods, kind):
    queues = [kind() for _ in range(20)]
    calls = [methods.chat(iter(each.get, None)) for each in queues]
    for call, each in zip(calls, queues, strict=True):
        each.put(b"a")
        assert next(call) == b"a"
    assert len(senders()) >= 20
    for call in calls:
        call.cancel()
    assert until(lambda: not senders())
    # What comes later is left for others.
    queues[0].put(b"later")
    assert queues[0].get(timeout=LIMIT) == b"later"


def test_requests_from_a_queue(methods):
    for kind in (queue.SimpleQueue, queue.Queue):
        requests = kind()
        call = methods.chat(iter(requests.get, None))
        for number in range(50):
            requests.put(b"%d" % number)
            assert next(call) == b"%d" % number
        requests.put(None)
        assert list(call) == [] and call.code() is grpc.StatusCode.OK
        requests.put(b"after the end")
        assert requests.get(timeout=LIMIT) == b"after the end"


def test_requests_from_queues_of_the_programs_own(methods):
    """Their `get` has no timeout."""

    class Mine(queue.Queue):
        def get(self):
            return super().get()

    requests = Mine()
    for request in (b"a", b"b", None):
        requests.put(request)
    assert methods.collect(iter(requests.get, None), timeout=LIMIT) == b"a,b"


def test_an_iterator_at_its_end(methods):
    requests = iter(queue.SimpleQueue().get, None)
    ended = iter(lambda: None, None)
    assert list(ended) == []
    assert methods.collect(ended) == b""
    del requests
