"""Unary calls: blocking, with their call, and as futures."""

import threading

import grpc
import pytest


def failing(call, *arguments, **keywords):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **keywords)
    return caught.value


def test_a_response(methods):
    assert methods.echo(b"hello") == b"hello"
    assert methods.echo(b"") == b""


def test_a_large_message(connect):
    methods = connect(options=[("grpc.max_receive_message_length", -1)])
    message = bytes(range(256)) * 12_000
    assert methods.echo(message) == message


def test_with_call(methods):
    metadata = (("x-initial", "one"), ("x-trailing", "two"), ("x-details", "unseen"))
    response, call = methods.echo.with_call(b"hello", metadata=metadata)
    assert response == b"hello"
    assert isinstance(call, grpc.Call)
    assert type(call).__name__ == "_MultiThreadedRendezvous"
    assert call.code() is grpc.StatusCode.OK
    assert call.details() == ""
    assert call.initial_metadata() == (("initial", "one"), ("initial-bin", b"\x00\xff"))
    assert call.trailing_metadata() == (("trailing", "two"), ("trailing-bin", b"\x00\xff"))
    assert call.trailing_metadata()[0].key == "trailing"
    assert call.trailing_metadata()[1].value == b"\x00\xff"
    assert not call.is_active()
    assert repr(call) == (
        '<_MultiThreadedRendezvous of RPC that terminated with:\n'
        '\tstatus = StatusCode.OK\n\tdetails = ""\n>'
    )


def test_a_failure_is_error_call_and_future(methods):
    metadata = [("x-trailing", "two"), ("x-fail", "no such thing")]
    error = failing(methods.echo, b"", metadata=metadata)
    assert type(error).__name__ == "_InactiveRpcError"
    assert type(error).__module__ == "grpc._channel"
    assert isinstance(error, grpc.Call) and isinstance(error, grpc.Future)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "no such thing"
    assert error.trailing_metadata() == (("trailing", "two"), ("trailing-bin", b"\x00\xff"))
    assert error.debug_error_string() == "NOT_FOUND:no such thing"
    assert error.done() and not error.running() and not error.cancelled() and not error.cancel()
    assert error.exception() is error
    assert failing(error.result) is error
    assert error.traceback() is not None
    called = []
    error.add_done_callback(called.append)
    assert called == [error]
    for method in (error.is_active, error.time_remaining, lambda: error.add_callback(print)):
        with pytest.raises(NotImplementedError):
            method()
    text = (
        "<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.NOT_FOUND\n"
        '\tdetails = "no such thing"\n\tdebug_error_string = "NOT_FOUND:no such thing"\n>'
    )
    assert (repr(error), str(error)) == (text, text)


def test_an_unknown_method(methods):
    error = failing(methods.channel.unary_unary("/test.Client/Missing"), b"")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error.details() == "Method not found!"


@pytest.mark.parametrize("timeout", [0.2, -1])
def test_deadlines(methods, timeout):
    error = failing(methods.echo, b"", timeout=timeout, metadata=[("x-sleep", "2")])
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "Deadline Exceeded"


def test_nobody_there():
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        call = channel.unary_unary("/a/b")
        error = failing(call, b"")
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert error.details() == (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: "
            "Failed to connect to remote host: Connection refused"
        )
        error = failing(call, b"", wait_for_ready=True, timeout=0.3)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        future = call.future(b"", wait_for_ready=True, timeout=0.3)
        assert future.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        future = call.future(b"", wait_for_ready=True)
        assert future.cancel()
        assert future.code() is grpc.StatusCode.CANCELLED


@pytest.mark.parametrize("key, value", [("Upper", "1"), ("a b", "1"), ("a", "x\n"), ("a", "ä")])
def test_illegal_metadata(methods, key, value):
    error = failing(methods.echo, b"", metadata=[(key, value)])
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details().startswith("Invalid metadata")
    assert methods.echo(b"still") == b"still"


def test_metadata_of_wrong_types(methods):
    with pytest.raises(TypeError):
        methods.echo(b"", metadata=[("key", 1)])
    with pytest.raises(TypeError, match='Binary metadata key="k-bin" expected bytes'):
        methods.echo(b"", metadata=[("k-bin", "text")])
    with pytest.raises(ValueError):
        methods.echo(b"", metadata={"key": "value"})
    _, call = methods.echo.with_call(b"", metadata=[("seen", b"bytes"), ("x-tell", "seen")])
    assert call.trailing_metadata() == (("told", "bytes"),)


def test_a_serializer_that_fails(connect):
    def fail(_):
        raise ValueError("no")

    methods = connect(serializer=fail)
    for call in (methods.echo, methods.echo.with_call, methods.echo.future, methods.stream):
        error = failing(call, b"")
        assert error.code() is grpc.StatusCode.INTERNAL
        assert error.details() == "Exception serializing request!"
    with pytest.raises(grpc.RpcError, match="Exception serializing request!"):
        connect().echo(None)
    with pytest.raises(TypeError):
        connect().echo("text")


def test_a_deserializer_that_fails(connect):
    def fail(_):
        raise ValueError("no")

    for deserializer in (fail, lambda _: None):
        methods = connect(deserializer=deserializer)
        future = methods.echo.future(b"")
        for error in (failing(methods.echo, b""), failing(future.result), future):
            assert error.code() is grpc.StatusCode.INTERNAL
            assert error.details() == "Exception deserializing response!"
        error = failing(next, methods.stream(b"1"))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert error.details() == "Exception deserializing response!"


def test_messages_that_are_too_large(connect):
    methods = connect(options=[("grpc.max_receive_message_length", 1000)])
    error = failing(methods.echo, bytes(5000))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "CLIENT: Received message larger than max (5000 vs. 1000)" in error.details()
    methods = connect(options=[("grpc.max_send_message_length", 1000)])
    error = failing(methods.echo, bytes(5000))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "CLIENT: Sent message larger than max (5000 vs. 1000)" in error.details()
    assert methods.echo(bytes(1000)) == bytes(1000)


def test_call_credentials_need_a_secure_channel(methods):
    credentials = grpc.access_token_call_credentials("secret")
    error = failing(methods.echo, b"", credentials=credentials)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error.details() == (
        "Established channel does not have a sufficient security level to transfer call "
        "credential."
    )
    assert methods.echo.future(b"", credentials=credentials).code() is error.code()


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compression(connect, compression):
    metadata = [("x-tell", "grpc-encoding")]
    for methods, argument in ((connect(compression=compression), None), (connect(), compression)):
        response = methods.echo(bytes(10_000), compression=argument, metadata=metadata)
        assert response == bytes(10_000)


def test_the_user_agent(connect):
    options = [("grpc.primary_user_agent", "first"), ("grpc.secondary_user_agent", "last")]
    metadata = [("x-tell", "user-agent")]
    _, call = connect(options=options).echo.with_call(b"", metadata=metadata)
    agent = dict(call.trailing_metadata())["told"]
    assert agent.startswith("first grpc-python/") and agent.endswith(" last")


def test_options_of_wrong_types(target):
    with pytest.raises(TypeError, match="Expected int, bytes, or behavior"):
        grpc.insecure_channel(target, options=[("grpc.max_send_message_length", None)])
    with pytest.raises(AttributeError):
        grpc.insecure_channel(None)


# -- futures ---------------------------------------------------------------------------------------


def test_a_future(methods):
    future = methods.echo.future(b"hello", timeout=60)
    assert isinstance(future, grpc.Future) and isinstance(future, grpc.RpcError)
    assert 0 < future.time_remaining() <= 60
    assert future.result() == b"hello"
    assert future.result(timeout=0) == b"hello"
    assert future.exception() is None and future.traceback() is None
    assert future.done() and not future.running() and not future.cancelled()
    assert future.code() is grpc.StatusCode.OK
    assert not future.cancel()
    assert methods.echo.future(b"").time_remaining() is None


def test_a_future_that_fails(methods):
    future = methods.echo.future(b"", metadata=[("x-fail", "no")])
    assert future.exception() is future
    assert failing(future.result) is future
    assert future.traceback() is not None
    assert (future.code(), future.details()) == (grpc.StatusCode.NOT_FOUND, "no")
    assert future.debug_error_string() == "NOT_FOUND:no"


def test_a_future_that_takes_longer(methods):
    future = methods.echo.future(b"", metadata=[("x-sleep", "1")])
    assert future.running() and not future.done() and future.is_active()
    assert repr(future) == "<_MultiThreadedRendezvous object>"
    for wait in (future.result, future.exception, future.traceback):
        with pytest.raises(grpc.FutureTimeoutError):
            wait(timeout=0.05)
    assert future.result(timeout=30) == b""


def test_cancelling_a_future(methods):
    future = methods.echo.future(b"", metadata=[("x-sleep", "5")])
    assert (future.cancel(), future.cancel()) == (True, False)
    assert future.cancelled() and future.done() and not future.running()
    for wait in (future.result, future.exception, future.traceback):
        with pytest.raises(grpc.FutureCancelledError):
            wait()
    assert future.code() is grpc.StatusCode.CANCELLED
    assert future.details() == "Locally cancelled by application!"
    assert future.trailing_metadata() == ()


def test_callbacks_of_futures(methods):
    done, threads = threading.Semaphore(0), []

    def callback(future):
        threads.append(threading.current_thread())
        results.append(future.result())
        done.release()

    results = []
    futures = [methods.echo.future(b"%d" % number) for number in range(50)]
    for future in futures:
        future.add_done_callback(callback)
    for _ in futures:
        assert done.acquire(timeout=30)
    assert sorted(results) == sorted(b"%d" % number for number in range(50))
    called = []
    futures[0].add_done_callback(called.append)
    assert called == [futures[0]]
    assert futures[0].add_callback(called.clear) is False


def test_a_callback_while_another_thread_waits(methods):
    future = methods.echo.future(b"x", metadata=[("x-sleep", "1")])
    waiting = threading.Thread(target=future.result)
    waiting.start()
    called = threading.Event()
    with pytest.raises(grpc.FutureTimeoutError):
        future.result(timeout=0.1)
    future.add_done_callback(lambda _: called.set())
    # It did not wait for the end to be added.
    assert future.running() and not called.is_set()
    waiting.join(timeout=30)
    assert called.wait(timeout=30) and future.result() == b"x"


def test_a_callback_that_raises_harms_no_other(methods):
    called = threading.Event()
    future = methods.echo.future(b"", metadata=[("x-sleep", "0.2")])
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda _: called.set())
    assert called.wait(timeout=30)


def test_many_threads(methods):
    wrong = []

    def work(number):
        for at in range(50):
            message = b"%d %d" % (number, at)
            if methods.echo(message) != message or methods.echo.future(message).result() != message:
                wrong.append(message)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.ferrpc_only("grpcio says no more than that it is invalid")
@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (("X-Trace", "1"), "'-', '_' and '.': \"x-trace\", not \"X-Trace\""),
        (("a b", "1"), '\'-\', \'_\' and \'.\', which "a b" is not'),
        (("", "1"), "a key is empty"),
        ((None, "1"), "a key is None"),
        ((":path", "1"), '":path"'),
        (("x-secret", "pass\nword"), 'the value of "x-secret" is not printable ASCII'),
        (("x-name", "Gr\u00fc\u00dfe"), 'the value of "x-name"'),
        (("x-name", b"\xff"), 'the value of "x-name"'),
    ],
)
def test_metadata_that_is_invalid_is_named(methods, pair, told):
    for call in (
        lambda: methods.echo(b"", metadata=[("fine", "1"), pair]),
        lambda: methods.echo.future(b"", metadata=[pair]).result(),
        lambda: list(methods.stream(b"1", metadata=[pair])),
        lambda: methods.collect(iter([b"1"]), metadata=[pair]),
    ):
        error = failing(call)
        assert error.details().startswith("Invalid metadata: ") and told in error.details()
        # Values may be secrets.
        assert "word" not in error.details()
