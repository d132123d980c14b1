"""A server with handlers of the test's own, and a channel to it."""

import contextlib
from concurrent import futures

import grpc
import pytest

#: The seconds after which a test has failed rather than waits on.
LIMIT = 20


class Service(grpc.GenericRpcHandler):
    """Handlers by path."""

    def __init__(self, handlers):
        self._handlers = handlers

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method)


@pytest.fixture
def serve():
    """serve(behaviors, **arguments of grpc.server) starts a server and returns its `Ends`.

    `behaviors` are functions by path; how many messages go each way, the first two letters of the
    method's name say: UU, US, SU or SS.
    """
    with contextlib.ExitStack() as stack:

        def serve(behaviors, /, pool=None, **arguments):
            pool = pool or stack.enter_context(futures.ThreadPoolExecutor(4))
            channel_options = arguments.pop("channel_options", None)
            extra = arguments.pop("handlers", ())
            service = Service({path: make(path, behavior) for path, behavior in behaviors.items()})
            server = grpc.server(pool, handlers=[service, *extra], **arguments)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=channel_options)

            def close():
                channel.close()
                server.stop(None)

            stack.callback(close)
            return Ends(channel, server, port)

        yield serve


class Ends:
    """Both ends: the server, and what a client does."""

    def __init__(self, channel, server, port):
        self.channel = channel
        self.server = server
        self.port = port

    def uu(self, path, request=b"q", **arguments):
        return self.channel.unary_unary(path)(request, timeout=LIMIT, **arguments)

    def uu_call(self, path, request=b"q", **arguments):
        return self.channel.unary_unary(path).with_call(request, timeout=LIMIT, **arguments)

    def uu_future(self, path, request=b"q", **arguments):
        arguments.setdefault("timeout", LIMIT)
        return self.channel.unary_unary(path).future(request, **arguments)

    def us(self, path, request=b"q", **arguments):
        arguments.setdefault("timeout", LIMIT)
        return self.channel.unary_stream(path)(request, **arguments)

    def su(self, path, requests, **arguments):
        return self.channel.stream_unary(path)(iter(requests), timeout=LIMIT, **arguments)

    def ss(self, path, requests, **arguments):
        return self.channel.stream_stream(path)(iter(requests), timeout=LIMIT, **arguments)

    def fails(self, path, kind="uu", request=b"q"):
        """The code and the details that the call fails with."""
        with pytest.raises(grpc.RpcError) as caught:
            result = getattr(self, kind)(path, request)
            if kind in ("us", "ss"):
                list(result)
        return caught.value.code(), caught.value.details()


def make(path, behavior):
    """A handler for bytes as they are, or what the test made itself."""
    if isinstance(behavior, grpc.RpcMethodHandler):
        return behavior
    kinds = {
        "UU": grpc.unary_unary_rpc_method_handler,
        "US": grpc.unary_stream_rpc_method_handler,
        "SU": grpc.stream_unary_rpc_method_handler,
        "SS": grpc.stream_stream_rpc_method_handler,
    }
    return kinds[path.rpartition("/")[2][:2]](behavior)
