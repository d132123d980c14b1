"""Arguments of wrong types and values: an exception or an ended call, never a hang."""

from concurrent import futures

import grpc
import pytest

Code = grpc.StatusCode
LIMIT = 30


def refuse(request):
    raise SystemExit(1)


@pytest.fixture(scope="module")
def channel():
    seen = []

    def echo(request, context):
        seen.append(context.invocation_metadata())
        return request

    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Both": grpc.stream_stream_rpc_method_handler(lambda requests, _: requests),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.seen = seen
        yield channel
    server.stop(None)


@pytest.fixture
def echo(channel):
    return channel.unary_unary("/s/Echo")


@pytest.mark.parametrize("request_", ["text", 5, bytearray(b"x"), memoryview(b"x")], ids=repr)
def test_requests_that_are_no_bytes(channel, echo, request_):
    with pytest.raises(TypeError):
        echo(request_, timeout=LIMIT)
    with pytest.raises(TypeError):
        echo.future(request_, timeout=LIMIT)
    with pytest.raises(TypeError):
        channel.unary_stream("/s/Echo")(request_, timeout=LIMIT)


@pytest.mark.parametrize(
    ("metadata", "kind", "text"),
    [
        (5, TypeError, "'int' object is not iterable"),
        ("ab", ValueError, "need more than 1 value to unpack"),
        ((("a", "b", "c"),), ValueError, "too many values to unpack"),
        (((5, "b"),), TypeError, "Expected str, not <class 'int'>"),
        ((("a", 5),), TypeError, "Expected str, not <class 'int'>"),
        ((("a-bin", None),), TypeError, "expected bytes, got <class 'NoneType'>"),
        ((("", "b"),), grpc.RpcError, "Invalid metadata"),
        (((None, "b"),), grpc.RpcError, "Invalid metadata"),
        (((":path", "b"),), grpc.RpcError, "Invalid metadata"),
        (((":own", "b"),), grpc.RpcError, "Invalid metadata"),
        (((b"\xff", "b"),), grpc.RpcError, "Invalid metadata"),
        ((("a", "b\0c"),), grpc.RpcError, "Invalid metadata"),
    ],
)
def test_metadata_that_is_refused(echo, metadata, kind, text):
    with pytest.raises(kind, match=text):
        echo(b"", timeout=LIMIT, metadata=metadata)


@pytest.mark.parametrize(
    ("metadata", "seen"),
    [
        ((("a", None),), ("a", "")),
        (((b"a", "b"),), ("a", "b")),
        (((b"a-bin", b"\0"),), ("a-bin", b"\0")),
        ((pair for pair in [("a", "b")]), ("a", "b")),
        ([["a", "b"]], ("a", "b")),
    ],
)
def test_metadata_that_is_taken(channel, echo, metadata, seen):
    assert echo(b"", timeout=LIMIT, metadata=metadata) == b""
    assert seen in channel.seen[-1]


@pytest.mark.parametrize("requests", [None, 5, [b"x"]], ids=repr)
def test_requests_that_are_no_iterator(channel, requests):
    with pytest.raises(grpc.RpcError, match="Exception iterating requests!"):
        list(channel.stream_stream("/s/Both")(requests, timeout=LIMIT))


@pytest.mark.ferrpc_only("grpcio waits for the deadline")
def test_a_stream_of_what_is_no_bytes(channel):
    with pytest.raises(grpc.RpcError, match="Exception serializing request!"):
        list(channel.stream_stream("/s/Both")(iter(["text"]), timeout=LIMIT))


@pytest.mark.parametrize("method", [None, 5], ids=repr)
def test_methods_that_are_no_text(channel, method):
    with pytest.raises(AttributeError):
        channel.unary_unary(method)


@pytest.mark.parametrize("method", ["Echo", "/s/a b", "/s/ü"], ids=repr)
def test_methods_that_nobody_has(channel, method):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(method)(b"", timeout=LIMIT)
    assert raised.value.code() is Code.UNIMPLEMENTED


def test_serialisers_that_are_none(channel):
    with pytest.raises(grpc.RpcError, match="Exception serializing request!"):
        channel.unary_unary("/s/Echo", 5)(b"", timeout=LIMIT)
    with pytest.raises(grpc.RpcError, match="Exception deserializing response!"):
        channel.unary_unary("/s/Echo", None, 5)(b"", timeout=LIMIT)
    with pytest.raises(TypeError):
        channel.unary_unary("/s/Echo", lambda request: 5)(b"", timeout=LIMIT)
    for codec in ((refuse, None), (None, refuse)):
        with pytest.raises(SystemExit):
            channel.unary_unary("/s/Echo", *codec)(b"", timeout=LIMIT)


@pytest.mark.ferrpc_only("in grpcio it is in the log only, which nobody sees who has not asked")
def test_what_a_serialiser_raised_is_the_cause(channel):
    def fail(message):
        raise ValueError("no such message")

    both = channel.unary_unary("/s/Echo", fail)
    stream = channel.unary_stream("/s/Echo", fail)
    reading = channel.unary_unary("/s/Echo", None, fail)
    for call in (both, both.with_call, both.future, stream, reading, reading.with_call):
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=LIMIT)
        assert repr(raised.value.__cause__) == "ValueError('no such message')"
    streaming = channel.stream_stream("/s/Both", None, fail)
    for call in (reading.future(b"", timeout=LIMIT), streaming(iter([b""]), timeout=LIMIT)):
        for ask in (lambda call=call: next(call), call.result):
            with pytest.raises(grpc.RpcError) as raised:
                ask()
            assert repr(raised.value.__cause__) == "ValueError('no such message')"
    # It is said of this call alone.
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/s/Nobody")(b"", timeout=LIMIT)
    assert raised.value.__cause__ is None


def test_timeouts_that_are_no_numbers(echo):
    with pytest.raises(TypeError):
        echo(b"", timeout="2")
    with pytest.raises(grpc.RpcError) as raised:
        echo(b"", timeout=float("-inf"))
    assert raised.value.code() is Code.DEADLINE_EXCEEDED


@pytest.mark.ferrpc_only("in grpcio these have passed already")
@pytest.mark.parametrize("timeout", [float("inf"), 1e30])
def test_timeouts_without_end(echo, timeout):
    assert echo(b"x", timeout=timeout) == b"x"


@pytest.mark.parametrize("credentials", [5, "token", b"", [], object()], ids=str)
def test_credentials_that_are_none(channel, echo, credentials):
    arguments = {"timeout": LIMIT, "credentials": credentials}
    for call in (echo, echo.with_call, echo.future, channel.unary_stream("/s/Echo")):
        with pytest.raises(AttributeError):
            call(b"", **arguments)
    with pytest.raises(AttributeError):
        channel.stream_stream("/s/Both")(iter(()), **arguments)


@pytest.mark.parametrize("wait", [1, 0, "yes", "", (), 0.5], ids=repr)
def test_whether_to_wait_is_any_truth_value(channel, echo, wait):
    assert echo(b"x", timeout=LIMIT, wait_for_ready=wait) == b"x"
    both = channel.stream_stream("/s/Both")
    assert list(both(iter([b"y"]), timeout=LIMIT, wait_for_ready=wait)) == [b"y"]


@pytest.mark.parametrize("number", [-1, 3, 5000])
@pytest.mark.ferrpc_only("grpcio raises KeyError")
def test_compressions_that_are_none(echo, number):
    with pytest.raises(ValueError, match=f"{number} is no grpc.Compression"):
        echo(b"", timeout=LIMIT, compression=number)


@pytest.mark.parametrize("target", [None, 5], ids=repr)
def test_targets_that_are_no_text(target):
    with pytest.raises(AttributeError):
        grpc.insecure_channel(target)


@pytest.mark.parametrize("target", ["::::", "unix:", "ipv4:", "bogus://x", "h:abc", "a b:1"])
def test_targets_that_lead_nowhere(target):
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/s/Echo")(b"", timeout=LIMIT)
    assert raised.value.code() is Code.UNAVAILABLE


@pytest.mark.parametrize(
    ("options", "kind"),
    [(5, TypeError), ("ab", ValueError), ([5], TypeError), ([("a",)], ValueError)],
)
def test_options_that_are_none(options, kind):
    with pytest.raises(kind):
        grpc.insecure_channel("127.0.0.1:1", options=options)


@pytest.mark.parametrize("name", [5, ("a",), 1.5], ids=repr)
def test_names_of_options_that_are_no_text(name):
    with pytest.raises(TypeError, match="Expected str, not"):
        grpc.insecure_channel("127.0.0.1:1", options=[(name, 1)])


def test_an_empty_authority_is_none(channel):
    target = channel.unary_unary("/s/Echo")._target.decode()
    options = [("grpc.default_authority", "")]
    with grpc.insecure_channel(target, options=options) as other:
        assert other.unary_unary("/s/Echo")(b"x", timeout=LIMIT) == b"x"


def test_what_is_said_of_a_call_without_an_error(channel, echo):
    assert echo.with_call(b"", timeout=LIMIT)[1].debug_error_string() == ""
    call = channel.stream_stream("/s/Both")(iter([b"x"]), timeout=LIMIT)
    assert list(call) == [b"x"] and call.debug_error_string() == ""
