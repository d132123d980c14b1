"""Calls with streams: iterators of requests and of responses."""

import threading

import grpc
import pytest

#: The seconds after which a test has failed rather than waits on.
LIMIT = 20


def test_a_stream_of_responses(methods):
    metadata = (("x-initial", "one"), ("x-trailing", "two"))
    call = methods.stream(b"1000", metadata=metadata)
    assert type(call).__name__ == "_MultiThreadedRendezvous"
    assert isinstance(call, grpc.Call) and isinstance(call, grpc.Future)
    assert call.initial_metadata()[0] == ("initial", "one")
    assert list(call) == [b"%d" % number for number in range(1000)]
    assert call.code() is grpc.StatusCode.OK and call.details() == ""
    assert call.trailing_metadata()[0] == ("trailing", "two")
    assert list(call) == [] and not call.is_active()
    assert list(methods.stream(b"0")) == []


def test_a_stream_that_fails_raises_itself(methods):
    call = methods.stream(b"10", metadata=[("x-fail-after", "3")])
    got = []
    with pytest.raises(grpc.RpcError) as caught:
        for message in call:
            got.append(message)
    assert got == [b"0", b"1", b"2"]
    assert caught.value is call
    assert (call.code(), call.details()) == (grpc.StatusCode.ABORTED, "enough")
    with pytest.raises(grpc.RpcError):
        next(call)
    assert call.exception() is call


def test_a_deadline_while_reading(methods):
    call = methods.stream(b"100", timeout=0.5, metadata=[("x-pause", "0.1")])
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "Deadline Exceeded" in call.details()


def test_cancelling_while_reading(methods):
    call = methods.stream(b"100", metadata=[("x-pause", "0.2")])
    assert next(call) == b"0"
    assert call.is_active()
    threading.Timer(0.3, call.cancel).start()
    with pytest.raises(grpc.RpcError) as caught:
        for _ in call:
            pass
    assert caught.value is call
    assert call.code() is grpc.StatusCode.CANCELLED
    assert call.details() == "Locally cancelled by application!"
    assert not call.cancel() and call.cancelled()
    with pytest.raises(grpc.FutureCancelledError):
        call.result()


def test_the_end_is_told_to_callbacks(methods):
    ended = threading.Event()
    call = methods.stream(b"3", metadata=[("x-sleep", "0.2")])
    assert call.add_callback(ended.set) is True
    assert list(call) == [b"0", b"1", b"2"]
    assert ended.wait(timeout=30)
    assert call.add_callback(ended.set) is False


def test_a_stream_of_requests(methods):
    requests = [b"%d" % number for number in range(300)]
    assert methods.collect(iter(requests)) == b",".join(requests)
    response, call = methods.collect.with_call(iter([b"a"]), metadata=[("x-trailing", "two")])
    assert (response, call.code()) == (b"a", grpc.StatusCode.OK)
    assert call.trailing_metadata()[0] == ("trailing", "two")
    assert methods.collect.future(iter([b"a", b"b"])).result() == b"a,b"
    assert methods.collect(iter([])) == b""


def test_a_stream_of_requests_that_fails(methods):
    with pytest.raises(grpc.RpcError) as caught:
        methods.collect(iter([b""]), metadata=[("x-fail", "no")])
    assert type(caught.value).__name__ == "_InactiveRpcError"
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "no")


def test_an_iterator_that_raises(methods):
    def broken():
        yield b"1"
        raise ValueError("broken")

    with pytest.raises(grpc.RpcError) as caught:
        methods.collect(broken())
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert caught.value.details() == "Exception iterating requests!"
    with pytest.raises(grpc.RpcError) as caught:
        list(methods.chat(broken()))
    assert caught.value.details() == "Exception iterating requests!"
    with pytest.raises(grpc.RpcError) as caught:
        methods.collect([b"a list is no iterator"])
    assert caught.value.code() is grpc.StatusCode.UNKNOWN


def test_a_request_that_cannot_be_serialized(connect):
    def serializer(number):
        return b"%d" % (1 // number)

    with pytest.raises(grpc.RpcError) as caught:
        connect(serializer=serializer).collect(iter([1, 0]))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == "Exception serializing request!"


def test_a_conversation(methods):
    answers = iter(())
    asked = threading.Semaphore(1)

    def requests():
        for number in range(20):
            assert asked.acquire(timeout=30)
            yield b"%d" % number

    answers = methods.chat(requests())
    for number in range(20):
        assert next(answers) == b"%d" % number
        asked.release()
    assert list(answers) == []
    assert answers.code() is grpc.StatusCode.OK


def test_large_messages_both_ways(methods):
    messages = [bytes([number]) * 300_000 for number in range(30)]
    assert list(methods.chat(iter(messages))) == messages


def test_requests_are_taken_no_faster_than_they_are_sent(methods):
    taken = []

    def requests():
        for number in range(200):
            taken.append(number)
            yield bytes(1_000_000)

    call = methods.collect.future(requests(), metadata=[("x-sleep", "0.5")], timeout=30)
    with pytest.raises(grpc.FutureTimeoutError):
        call.result(timeout=0.3)
    assert len(taken) < 100
    call.cancel()


def test_a_call_nobody_holds_is_cancelled(methods):
    seen = threading.Event()

    def requests():
        try:
            while True:
                yield b""
        finally:
            seen.set()

    call = methods.chat(requests())
    assert next(call) == b""
    del call
    # Its iterator is let go of, once there is nobody to send to.
    assert seen.wait(timeout=30)
    assert methods.echo(b"x") == b"x"


def test_single_threaded_streams(connect):
    from grpc import experimental

    option = experimental.ChannelOptions.SingleThreadedUnaryStream
    call = connect(options=[(option, 1)]).stream(b"3", metadata=[("x-trailing", "two")])
    assert type(call).__name__ == "_SingleThreadedRendezvous"
    for name in ("code", "details", "trailing_metadata", "result", "exception", "traceback"):
        with pytest.raises(experimental.UsageError):
            getattr(call, name)()
    with pytest.raises(experimental.UsageError, match="Cannot get code until RPC is completed."):
        call.code()
    assert list(call) == [b"0", b"1", b"2"]
    assert call.code() is grpc.StatusCode.OK
    assert call.trailing_metadata()[0] == ("trailing", "two")


class TestUnread:
    """The server is through, and responses remain to be read: to their reader the call runs."""

    @pytest.fixture
    def over(self, methods):
        """Makes a call of three responses, which are all there."""

        def over(**metadata):
            call = methods.stream(b"3", timeout=LIMIT, metadata=tuple(metadata.items()))
            call.initial_metadata()
            # Behind it on the same connection: what is before it has come.
            methods.echo(b"", timeout=LIMIT)
            methods.echo(b"", timeout=LIMIT)
            return call

        return over

    def test_it_runs(self, over):
        call = over()
        assert not call.done() and call.running() and call.is_active()
        assert repr(call) == "<_MultiThreadedRendezvous object>"
        assert list(call) == [b"0", b"1", b"2"]
        assert call.done() and not call.running() and not call.is_active()

    def test_it_may_be_cancelled(self, over):
        call = over()
        assert next(call) == b"0"
        assert call.cancel() and call.cancelled()
        assert call.code() is grpc.StatusCode.CANCELLED
        assert call.details() == "Locally cancelled by application!"
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        assert raised.value is call
        assert not call.cancel()

    def test_callbacks_wait_for_the_last(self, over):
        called = threading.Event()
        call = over()
        call.add_done_callback(lambda _: called.set())
        assert [next(call), next(call)] == [b"0", b"1"]
        assert not called.is_set()
        assert next(call) == b"2"
        # Nobody has to read the end.
        assert called.wait(LIMIT)

    def test_callbacks_of_a_cancelled_one(self, over):
        called = threading.Event()
        call = over()
        assert call.add_callback(called.set)
        assert call.cancel()
        assert called.wait(LIMIT)
