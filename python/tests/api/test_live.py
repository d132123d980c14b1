"""What this package adds above channels and servers, on live ones: interceptors, calls without a
stub, credentials of calls."""

import threading
from concurrent import futures

import grpc
import grpc.experimental
import pytest


class Handlers(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        kind = handler_call_details.method.rpartition("/")[2]
        if kind == "unary_unary":
            return grpc.unary_unary_rpc_method_handler(self.one)
        if kind == "unary_stream":
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: iter([request] * 3)
            )
        if kind == "stream_unary":
            return grpc.stream_unary_rpc_method_handler(
                lambda requests, context: b"".join(requests)
            )
        if kind == "stream_stream":
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: requests)
        if kind == "failing":
            return grpc.unary_unary_rpc_method_handler(self.failing)
        return None

    @staticmethod
    def one(request, context):
        context.send_initial_metadata((("initial", "1"),))
        sent = dict(context.invocation_metadata())
        context.set_trailing_metadata((("trailing", sent.get("sent", "nothing")),))
        return request * 2

    @staticmethod
    def failing(request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "not here")


@pytest.fixture(scope="module")
def target():
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture
def channel(target):
    with grpc.insecure_channel(target) as channel:
        yield channel


class Passing(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self):
        self.returned = []

    def intercept_unary_unary(self, continuation, client_call_details, request):
        details = client_call_details._replace(metadata=(("sent", "by the interceptor"),))
        self.returned.append(continuation(details, request))
        return self.returned[-1]

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


def test_intercepted_calls(channel):
    interceptor = Passing()
    intercepted = grpc.intercept_channel(channel, interceptor)
    assert intercepted.unary_unary("/s/unary_unary")(b"a") == b"aa"
    response, call = intercepted.unary_unary("/s/unary_unary").with_call(b"a")
    assert (response, call.code(), call.details()) == (b"aa", grpc.StatusCode.OK, "")
    assert dict(call.initial_metadata()) == {"initial": "1"}
    assert dict(call.trailing_metadata()) == {"trailing": "by the interceptor"}
    assert intercepted.unary_unary("/s/unary_unary").future(b"a").result(20) == b"aa"
    assert list(intercepted.unary_stream("/s/unary_stream")(b"a")) == [b"a"] * 3
    assert intercepted.stream_unary("/s/stream_unary")(iter([b"a", b"b"])) == b"ab"
    streams = intercepted.stream_stream("/s/stream_stream")
    assert list(streams(iter([b"a", b"b"]))) == [b"a", b"b"]
    for returned in interceptor.returned:
        assert isinstance(returned, grpc.Call) and isinstance(returned, grpc.Future)


def test_intercepted_calls_that_fail(channel):
    interceptor = Passing()
    failing = grpc.intercept_channel(channel, interceptor).unary_unary("/s/failing")
    for ask in (failing, failing.with_call, lambda request: failing.future(request).result()):
        with pytest.raises(grpc.RpcError) as raised:
            ask(b"a")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        assert raised.value.details() == "not here"
        assert interceptor.returned[-1].code() is grpc.StatusCode.NOT_FOUND
    assert isinstance(interceptor.returned[0], grpc.RpcError)


def test_a_channel_becomes_ready(target):
    with grpc.insecure_channel(target) as channel:
        future = grpc.channel_ready_future(channel)
        assert future.result(timeout=20) is None and future.done()


def test_a_channel_does_not_become_ready():
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        future = grpc.channel_ready_future(channel)
        with pytest.raises(grpc.FutureTimeoutError):
            future.result(timeout=0.3)
        assert future.cancel() is True


@pytest.mark.filterwarnings("ignore::grpc.experimental.ExperimentalApiWarning")
def test_calls_without_a_stub(target):
    call = grpc.experimental
    arguments = {"insecure": True, "timeout": 20}
    assert call.unary_unary(b"a", target, "/s/unary_unary", **arguments) == b"aa"
    assert list(call.unary_stream(b"a", target, "/s/unary_stream", **arguments)) == [b"a"] * 3
    assert call.stream_unary(iter([b"a", b"b"]), target, "/s/stream_unary", **arguments) == b"ab"
    responses = call.stream_stream(iter([b"a", b"b"]), target, "/s/stream_stream", **arguments)
    assert list(responses) == [b"a", b"b"]
    with pytest.raises(grpc.RpcError) as raised:
        call.unary_unary(b"a", target, "/s/failing", **arguments)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.filterwarnings("ignore::grpc.experimental.ExperimentalApiWarning")
def test_channels_of_calls_without_a_stub_are_kept(target):
    from grpc._simple_stubs import ChannelCache

    arguments = {"insecure": True, "timeout": 20}
    grpc.experimental.unary_unary(b"a", target, "/s/unary_unary", **arguments)
    before = ChannelCache.get()._test_only_channel_count()
    for _ in range(3):
        grpc.experimental.unary_unary(b"a", target, "/s/unary_unary", **arguments)
    assert ChannelCache.get()._test_only_channel_count() == before
    options = (("grpc.channel_id", 1),)
    grpc.experimental.unary_unary(b"a", target, "/s/unary_unary", options=options, **arguments)
    assert ChannelCache.get()._test_only_channel_count() == before + 1


@pytest.mark.filterwarnings("ignore::grpc.experimental.ExperimentalApiWarning")
def test_a_call_is_insecure_or_has_credentials(target):
    with pytest.raises(ValueError, match="mutually exclusive"):
        grpc.experimental.unary_unary(
            b"a",
            target,
            "/s/unary_unary",
            insecure=True,
            channel_credentials=grpc.ssl_channel_credentials(),
        )


def test_credentials_of_calls_need_a_secure_channel(channel):
    asked = threading.Event()
    credentials = grpc.metadata_call_credentials(lambda context, callback: asked.set())
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/s/unary_unary")(b"a", credentials=credentials)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert raised.value.details() == (
        "Established channel does not have a sufficient security level to transfer call credential."
    )
    assert not asked.is_set()


def test_a_channel_with_credentials_that_secure_nothing(target):
    credentials = grpc.experimental.insecure_channel_credentials()
    with grpc.secure_channel(target, credentials) as channel:
        assert channel.unary_unary("/s/unary_unary")(b"a", timeout=20) == b"aa"
