"""ydb reads streams by driving their calls by hand, deeper than any other package known."""

import gc
import threading

import grpc
import pytest
from grpc._cython import cygrpc

from .conftest import LIMIT, Stub, Text


@pytest.fixture
def iterate(monkeypatch):
    """ydb's iterator over a call: each `next` is a future of a response."""
    from ydb import _utilities

    # Without ydb's own handler of events, grpcio may say nothing of the end of a stream that
    # failed. None of ydb's modules calls this; it is for those who read streams so.
    monkeypatch.setattr(grpc._channel, "_event_handler", grpc._channel._event_handler)
    _utilities.interceptor.monkey_patch_event_handler()
    return lambda call: _utilities.AsyncResponseIterator(call, lambda response: response.value)


def test_responses_are_futures(serve, iterate):
    responses = iterate(Stub(serve()).spell(Text(value="abc"), timeout=LIMIT))
    assert [next(responses).result(LIMIT) for _ in range(3)] == ["a", "b", "c"]
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(responses).result(LIMIT)


def test_a_failure_is_the_call(serve, iterate):
    def fail(request, context):
        yield Text(value="a")
        context.abort(grpc.StatusCode.NOT_FOUND, "no more")

    call = _stream(serve, fail)
    responses = iterate(call)
    assert next(responses).result(LIMIT) == "a"
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as raised:
            next(responses).result(LIMIT)
        assert raised.value is call
    assert call._state.code is grpc.StatusCode.NOT_FOUND
    assert call._state.details == "no more"
    assert call._state.due == set()


def test_cancelled_while_it_waits(serve, iterate):
    over = threading.Event()

    def wait(request, context):
        yield Text(value="a")
        over.wait(LIMIT)

    call = _stream(serve, wait)
    responses = iterate(call)
    assert next(responses).result(LIMIT) == "a"
    assert call._state.code is None
    waiting = next(responses)
    assert cygrpc.OperationType.receive_message in call._state.due
    call.cancel()
    with pytest.raises(grpc.RpcError) as raised:
        waiting.result(LIMIT)
    assert raised.value is call
    assert call._state.code is grpc.StatusCode.CANCELLED
    over.set()


def test_a_response_that_cannot_be_read(serve, iterate):
    def refuse(serialized):
        raise ValueError("unreadable")

    channel = serve()
    spell = channel.unary_stream("/test.S/Spell", Text.SerializeToString, refuse)
    call = spell(Text(value="a"), timeout=LIMIT)
    with pytest.raises(grpc.RpcError) as raised:
        next(iterate(call)).result(LIMIT)
    assert raised.value is call
    assert call.code() is grpc.StatusCode.INTERNAL
    assert call.details() == "Exception deserializing response!"


def test_operations():
    operation = cygrpc.ReceiveMessageOperation(0)
    assert operation.type() == cygrpc.OperationType.receive_message
    assert operation.message() is None
    with pytest.raises(TypeError):
        cygrpc.ReceiveMessageOperation()


@pytest.mark.ferrpc_only("grpcio has all of its core's operations")
def test_other_operations_are_refused(serve):
    call = Stub(serve()).spell(Text(value="abc"), timeout=LIMIT)
    with pytest.raises(ValueError, match="ReceiveMessageOperation"):
        call._call.operate((), lambda event: True)
    assert [response.value for response in call] == ["a", "b", "c"]
    operation = cygrpc.ReceiveMessageOperation(0)
    assert not call._call.operate((operation,), lambda event: True)


@pytest.mark.ferrpc_only("grpcio's thread ends with its call")
def test_the_thread_ends_with_the_call(serve, iterate):
    call = Stub(serve()).spell(Text(value="a"), timeout=LIMIT)
    responses = iterate(call)
    before = set(threading.enumerate())
    assert next(responses).result(LIMIT) == "a"
    added = set(threading.enumerate()) - before
    (reader,) = (thread for thread in added if thread.name == "grpc-operations")
    del call, responses
    gc.collect()
    reader.join(LIMIT)
    assert not reader.is_alive()


def _stream(serve, behavior):
    """A call of a method that streams what `behavior` yields."""
    codec = (Text.FromString, Text.SerializeToString)
    handlers = {"Stream": grpc.unary_stream_rpc_method_handler(behavior, *codec)}
    handler = grpc.method_handlers_generic_handler("test.Y", handlers)
    channel = serve(add=lambda server: server.add_generic_rpc_handlers((handler,)))
    stream = channel.unary_stream("/test.Y/Stream", Text.SerializeToString, Text.FromString)
    return stream(Text(), timeout=LIMIT)
