"""Serialisers that know what None is: those of pickle and JSON do."""

import pickle
from concurrent import futures

import grpc
import pytest

from .conftest import LIMIT

UNARY, STREAM = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler


@pytest.fixture
def channel():
    """To a server whose messages are pickled."""

    def upload(requests, context):
        return list(requests)[-1]

    codec = {"request_deserializer": pickle.loads, "response_serializer": pickle.dumps}
    handlers = {
        "Nothing": UNARY(lambda request, context: None, **codec),
        "Echo": UNARY(lambda request, context: request, **codec),
        "Two": STREAM(lambda request, context: iter([request, 1]), **codec),
        "Upload": grpc.stream_unary_rpc_method_handler(upload, **codec),
        "Plain": UNARY(lambda request, context: None),
        "Refused": UNARY(lambda request, context: None, response_serializer=lambda message: None),
    }
    with futures.ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        handler = grpc.method_handlers_generic_handler("s", handlers)
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
        server.stop(None)


def unary(channel, method, deserializer=bytes):
    return channel.unary_unary(f"/s/{method}", pickle.dumps, deserializer)


def test_a_handler_that_returns_none(channel):
    assert unary(channel, "Nothing")(7, timeout=LIMIT) == pickle.dumps(None)


def test_without_a_serialiser_there_is_no_response(channel):
    for method in ("Plain", "Refused"):
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, method)(7, timeout=LIMIT)
        code, details = caught.value.code(), caught.value.details()
        assert (code, details) == (grpc.StatusCode.INTERNAL, "Failed to serialize response!")


@pytest.mark.parametrize("value", [0, "", [], b"", False, 7])
def test_values_that_are_false(channel, value):
    assert unary(channel, "Echo", pickle.loads)(value, timeout=LIMIT) == value
    two = channel.unary_stream("/s/Two", pickle.dumps, pickle.loads)
    assert list(two(value, timeout=LIMIT)) == [value, 1]
    upload = channel.stream_unary("/s/Upload", pickle.dumps, pickle.loads)
    assert upload(iter([1, value]), timeout=LIMIT) == value


def test_none_that_was_received_is_none_that_was_not_read(channel):
    """To the synchronous API a deserialiser that returns None has failed, on both sides."""
    for method, text in (("Nothing", "response"), ("Echo", "request")):
        with pytest.raises(grpc.RpcError) as caught:
            unary(channel, method, pickle.loads)(7 if text == "response" else None, timeout=LIMIT)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert caught.value.details() == f"Exception deserializing {text}!"
