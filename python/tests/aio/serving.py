"""An asyncio server with handlers of the test's own, and calls to it from threads."""

import asyncio
import contextlib

import grpc
import grpc.aio

#: The seconds after which a test has failed rather than waits on.
LIMIT = 20


class Service(grpc.GenericRpcHandler):
    """Handlers by path."""

    def __init__(self, handlers):
        self._handlers = handlers

    def service(self, handler_call_details):
        return self._handlers.get(handler_call_details.method)


def make(path, behavior, **arguments):
    """A handler; how many messages go each way, the first two letters of the method's name say."""
    if isinstance(behavior, grpc.RpcMethodHandler):
        return behavior
    kinds = {
        "UU": grpc.unary_unary_rpc_method_handler,
        "US": grpc.unary_stream_rpc_method_handler,
        "SU": grpc.stream_unary_rpc_method_handler,
        "SS": grpc.stream_stream_rpc_method_handler,
    }
    return kinds[path.rpartition("/")[2][:2]](behavior, **arguments)


def run(main):
    """Runs a coroutine function to its end, in a loop of its own."""
    return asyncio.run(asyncio.wait_for(main(), LIMIT))


@contextlib.asynccontextmanager
async def serving(behaviors, channel_options=None, **arguments):
    """A server with these behaviors by path, and a channel of the synchronous API to it."""
    service = Service({path: make(path, behavior) for path, behavior in behaviors.items()})
    handlers = [service, *arguments.pop("handlers", ())]
    server = grpc.aio.server(handlers=handlers, **arguments)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=channel_options)
    try:
        yield Ends(server, channel, port)
    finally:
        channel.close()
        await server.stop(None)


class Ends:
    """Both ends. What calls is a coroutine; the call itself is another thread's."""

    def __init__(self, server, channel, port):
        self.server = server
        self.channel = channel
        self.port = port

    async def uu(self, path, request=b"q", **arguments):
        arguments.setdefault("timeout", LIMIT)
        return await asyncio.to_thread(self.channel.unary_unary(path), request, **arguments)

    async def uu_call(self, path, request=b"q", **arguments):
        with_call = self.channel.unary_unary(path).with_call
        return await asyncio.to_thread(with_call, request, timeout=LIMIT, **arguments)

    async def us(self, path, request=b"q", **arguments):
        call = self.channel.unary_stream(path)
        return await asyncio.to_thread(lambda: list(call(request, timeout=LIMIT, **arguments)))

    async def su(self, path, requests):
        call = self.channel.stream_unary(path)
        return await asyncio.to_thread(call, iter(requests), timeout=LIMIT)

    async def ss(self, path, requests):
        call = self.channel.stream_stream(path)
        return await asyncio.to_thread(lambda: list(call(iter(requests), timeout=LIMIT)))

    async def fails(self, path, request=b"q", **arguments):
        """The code and the details that a call fails with."""
        kind = path.rpartition("/")[2][:2].lower()
        try:
            result = await getattr(self, kind)(path, request, **arguments)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError(f"{path} returned {result!r}")


async def eventually(condition):
    """Waits until it holds."""
    while not condition():
        await asyncio.sleep(0.005)
