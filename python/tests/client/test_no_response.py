"""Servers that end a call with OK and send no response where there has to be one: their callers get
None."""

import grpc
import pytest

OK = grpc.StatusCode.OK
METADATA = (("x-initial", "one"), ("x-trailing", "two"))


def never(message):
    raise AssertionError(f"there is nothing to deserialise, and this was: {message!r}")


@pytest.fixture
def unary(methods):
    """The method with a stream of responses as one that has a single one: `b"0"` asks for none."""
    return methods.channel.unary_unary("/test.Client/Stream", response_deserializer=never)


@pytest.fixture
def upload(methods):
    return methods.channel.stream_unary("/test.Client/Chat", response_deserializer=never)


def check(call):
    assert (call.code(), call.details()) == (OK, "")
    assert call.initial_metadata() == (("initial", "one"), ("initial-bin", b"\x00\xff"))
    assert call.trailing_metadata() == (("trailing", "two"), ("trailing-bin", b"\x00\xff"))
    assert call.result() is None and call.exception() is None
    assert call.done() and not call.cancelled()


def test_blocking(unary, upload):
    assert unary(b"0", timeout=20) is None
    assert upload(iter(()), timeout=20) is None


def test_with_call(unary, upload):
    for method, request in ((unary, b"0"), (upload, iter(()))):
        response, call = method.with_call(request, timeout=20, metadata=METADATA)
        assert response is None
        check(call)


def test_futures(unary, upload):
    for method, request in ((unary, b"0"), (upload, iter(()))):
        call = method.future(request, timeout=20, metadata=METADATA)
        called = []
        call.add_done_callback(called.append)
        assert call.result(timeout=20) is None
        assert called == [call]
        check(call)


def test_one_response_of_a_stream_is_a_response(methods):
    assert methods.channel.unary_unary("/test.Client/Stream")(b"1", timeout=20) == b"0"


def test_a_failure_without_a_response(unary):
    with pytest.raises(grpc.RpcError) as caught:
        unary(b"0", timeout=20, metadata=[("x-fail", "no")])
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "no")


def test_interceptors(methods):
    seen = []

    class Interceptor(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            call = continuation(details, request)
            seen.append((call.result(), call.code(), call.exception()))
            return call

    channel = grpc.intercept_channel(methods.channel, Interceptor())
    method = channel.unary_unary("/test.Client/Stream", response_deserializer=never)
    assert method(b"0", timeout=20) is None
    assert method.with_call(b"0", timeout=20)[0] is None
    assert method.future(b"0", timeout=20).result() is None
    assert seen == [(None, OK, None)] * 3
