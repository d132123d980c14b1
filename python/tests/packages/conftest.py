from concurrent import futures

import grpc
import pytest
from google.protobuf import wrappers_pb2

LIMIT = 30

Text = wrappers_pb2.StringValue


def _refuse(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, f"no {request.value}")


def _spell(request, context):
    return (Text(value=letter) for letter in request.value)


def _handler(make, behavior):
    return make(behavior, Text.FromString, Text.SerializeToString)


HANDLERS = {
    "Echo": _handler(grpc.unary_unary_rpc_method_handler, lambda request, _: request),
    "Refuse": _handler(grpc.unary_unary_rpc_method_handler, _refuse),
    "Spell": _handler(grpc.unary_stream_rpc_method_handler, _spell),
}


class Stub:
    """The methods of the service `test.S` on a channel."""

    def __init__(self, channel):
        codec = (Text.SerializeToString, Text.FromString)
        self.echo = channel.unary_unary("/test.S/Echo", *codec)
        self.refuse = channel.unary_unary("/test.S/Refuse", *codec)
        self.spell = channel.unary_stream("/test.S/Spell", *codec)


@pytest.fixture
def serve():
    """Serves `test.S`, and what `add` adds, with interceptors; returns a channel."""
    ends = []

    def serve(*interceptors, add=lambda server: None):
        server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=interceptors)
        handler = grpc.method_handlers_generic_handler("test.S", HANDLERS)
        server.add_generic_rpc_handlers((handler,))
        add(server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        serve.target = f"127.0.0.1:{port}"
        channel = grpc.insecure_channel(serve.target)
        ends.extend((lambda: server.stop(None), channel.close))
        return channel

    yield serve
    while ends:
        ends.pop()()
