"""Handlers that nobody's factory made, and paths that are no service's."""

import asyncio
from concurrent import futures

import grpc
import pytest

LIMIT = 20

UNARY = grpc.unary_unary_rpc_method_handler


class Duck:
    """What a handler has, and no more."""

    def __init__(self, kind, behavior, **changes):
        self.request_streaming = kind.startswith("stream")
        self.response_streaming = kind.endswith("stream")
        self.request_deserializer = self.response_serializer = None
        setattr(self, kind, behavior)
        self.__dict__.update(changes)


class Derived(grpc.RpcMethodHandler):
    """A subclass of the interface, with flags that are neither True nor False."""

    request_streaming = response_streaming = None
    request_deserializer = response_serializer = None

    def unary_unary(self, request, context):
        return request


class AsyncDerived(Derived):
    async def unary_unary(self, request, context):
        return request


def behaviors(api):
    """A behavior for each kind."""
    if api == "sync":
        return {
            "unary_unary": lambda request, context: request,
            "unary_stream": lambda request, context: iter([request, request]),
            "stream_unary": lambda requests, context: b"".join(requests),
            "stream_stream": lambda requests, context: requests,
        }

    async def unary_unary(request, context):
        return request

    async def unary_stream(request, context):
        yield request
        yield request

    async def stream_unary(requests, context):
        return b"".join([request async for request in requests])

    async def stream_stream(requests, context):
        async for request in requests:
            yield request

    return {
        "unary_unary": unary_unary,
        "unary_stream": unary_stream,
        "stream_unary": stream_unary,
        "stream_stream": stream_stream,
    }


class Generic:
    """Not even a `grpc.GenericRpcHandler`."""

    def __init__(self, handlers):
        self._handlers = handlers

    def service(self, details):
        return self._handlers.get(details.method.rpartition("/")[2])


def interceptor(api, handlers):
    """Answers with these handlers, whatever the server has."""
    found = Generic(handlers).service

    class Sync(grpc.ServerInterceptor):
        def intercept_service(self, continuation, details):
            return found(details)

    class Async(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            return found(details)

    return Sync() if api == "sync" else Async()


def served(api, way, handlers, client):
    """What `client` returns, a function of a channel, with these handlers by their methods'
    names."""
    arguments = {}
    if way == "dictionary":
        arguments["handlers"] = [grpc.method_handlers_generic_handler("s", handlers)]
    elif way == "generic":
        arguments["handlers"] = [Generic(handlers)]
    elif way == "interceptor":
        arguments["interceptors"] = [interceptor(api, handlers)]

    def add(server):
        if way == "registered":
            server.add_registered_method_handlers("s", handlers)
        return server.add_insecure_port("127.0.0.1:0")

    def ask(port):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            return client(channel)

    async def run():
        server = grpc.aio.server(**arguments)
        port = add(server)
        await server.start()
        try:
            return await asyncio.to_thread(ask, port)
        finally:
            await server.stop(0)

    if api == "aio":
        return asyncio.run(run())
    with futures.ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, **arguments)
        port = add(server)
        server.start()
        try:
            return ask(port)
        finally:
            server.stop(None)


@pytest.fixture(params=["sync", "aio"])
def api(request):
    return request.param


@pytest.fixture(params=["dictionary", "generic", "interceptor", "registered"])
def way(request):
    return request.param


def test_objects_that_are_like_handlers(api, way):
    handlers = {kind: Duck(kind, behavior) for kind, behavior in behaviors(api).items()}
    handlers["derived"] = Derived() if api == "sync" else AsyncDerived()
    echo = behaviors(api)["stream_stream"]
    handlers["truthy"] = Duck("stream_stream", echo, request_streaming=1, response_streaming="yes")
    handlers["replaced"] = UNARY(None)._replace(unary_unary=behaviors(api)["unary_unary"])

    def client(channel):
        return [
            channel.unary_unary("/s/unary_unary")(b"a", timeout=LIMIT),
            list(channel.unary_stream("/s/unary_stream")(b"b", timeout=LIMIT)),
            channel.stream_unary("/s/stream_unary")(iter([b"c", b"d"]), timeout=LIMIT),
            list(channel.stream_stream("/s/stream_stream")(iter([b"e"]), timeout=LIMIT)),
            channel.unary_unary("/s/derived")(b"f", timeout=LIMIT),
            list(channel.stream_stream("/s/truthy")(iter([b"g"]), timeout=LIMIT)),
            channel.unary_unary("/s/replaced")(b"h", timeout=LIMIT),
        ]

    answers = [b"a", [b"b", b"b"], b"cd", [b"e"], b"f", [b"g"], b"h"]
    assert served(api, way, handlers, client) == answers


def ends(channel, method):
    """How a call ends, and the next one on the same server."""
    outcomes = []
    for name in (method, "good"):
        try:
            outcomes.append(channel.unary_unary(f"/s/{name}")(b"x", timeout=LIMIT))
        except grpc.RpcError as error:
            outcomes.append(error.code())
    return outcomes


def test_no_handler(api, way):
    handlers = {"none": None, "good": UNARY(behaviors(api)["unary_unary"])}
    outcome = served(api, way, handlers, lambda channel: ends(channel, "none"))
    assert outcome == [grpc.StatusCode.UNIMPLEMENTED, b"x"]


@pytest.mark.ferrpc_only("some of these end grpcio's server")
@pytest.mark.parametrize(
    "odd",
    [
        object(),
        "text",
        (False, False, None, None, None, None, None, None),
        Duck("stream_stream", None, request_streaming=False, response_streaming=False),
        Duck("unary_unary", None),
    ],
    ids=["object", "text", "tuple", "lacks", "none"],
)
def test_what_is_no_handler_is_told_to_its_callers(api, way, odd):
    handlers = {"odd": odd, "good": UNARY(behaviors(api)["unary_unary"])}
    outcome = served(api, way, handlers, lambda channel: ends(channel, "odd"))
    assert outcome == [grpc.StatusCode.UNKNOWN, b"x"]


def test_a_pool_of_its_own_is_an_executor():
    def behavior(request, context):
        return request

    behavior.experimental_thread_pool = "no executor"
    handlers = {"m": UNARY(behavior)}

    def client(channel):
        return channel.unary_unary("/s/m")(b"x", timeout=LIMIT)

    assert served("sync", "dictionary", handlers, client) == b"x"


PATHS = ["/a.B/C", "/C", "//C", "C", "/a.B/50%", "/a/b/", "/", "*", "/a b", "/a?b#c", "/é", "/a\tb"]


class Path(grpc.GenericRpcHandler):
    """Answers with the path that was called."""

    def __init__(self, api):
        self._api = api

    def service(self, details):
        path = details.method.encode()

        async def answer(request, context):
            return path

        return UNARY((lambda request, context: path) if self._api == "sync" else answer)


def test_generic_handlers_see_any_path(api):
    def sync(channel):
        return [channel.unary_unary(path)(b"", timeout=LIMIT).decode() for path in PATHS]

    def asynchronous(port):
        async def run():
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return [
                    (await channel.unary_unary(path)(b"", timeout=LIMIT)).decode() for path in PATHS
                ]

        return asyncio.run(run())

    async def run():
        server = grpc.aio.server(handlers=[Path(api)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                seen = await asyncio.to_thread(sync, channel)
            return seen, await asyncio.to_thread(asynchronous, port)
        finally:
            await server.stop(0)

    if api == "aio":
        assert asyncio.run(run()) == (PATHS, PATHS)
        return
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Path(api)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert sync(channel) == PATHS
    assert asynchronous(port) == PATHS
    server.stop(None)


def test_odd_paths_of_unknown_methods(api, way):
    handlers = {"good": UNARY(behaviors(api)["unary_unary"])}

    def client(channel):
        codes = []
        for path in ("C", "//", "/s/", "/s//x", "s/%67ood"):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(path)(b"", timeout=LIMIT)
            codes.append(error.value.code())
        return set(codes)

    assert served(api, way, handlers, client) == {grpc.StatusCode.UNIMPLEMENTED}


def test_a_server_that_nobody_holds_answers_for_a_moment():
    def port_of_a_server():
        server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[Path("sync")])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return port

    with grpc.insecure_channel(f"127.0.0.1:{port_of_a_server()}") as channel:
        assert channel.unary_unary("/s/m")(b"", timeout=LIMIT) == b"/s/m"
