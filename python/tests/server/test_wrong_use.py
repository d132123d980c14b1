"""Handlers and interceptors that do what they must not: their callers get an answer, and the server
goes on."""

from concurrent import futures

import grpc
import pytest

Code = grpc.StatusCode
LIMIT = 30


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raising(error):
    def handler(request, context):
        raise error

    return handler


def trailing(metadata):
    def handler(request, context):
        context.set_trailing_metadata(metadata)
        return request

    return handler


def initial(metadata):
    def handler(request, context):
        context.send_initial_metadata(metadata)
        return request

    return handler


def bad_details(request, context):
    context.set_details(5)
    return request


def bad_code(request, context):
    context.set_code("x")
    context.set_details("d")
    return request


def bad_abort(request, context):
    context.abort(Code.NOT_FOUND, 5)


def abort_without_code(request, context):
    context.abort(None, "x")


def stream_that_raises(request, context):
    yield b"1"
    raise Unprintable()


HANDLERS = {
    "Unprintable": raising(Unprintable()),
    "StopIteration": raising(StopIteration()),
    "NoArguments": lambda: b"",
    "None": None,
    "Number": 5,
    "BadTrailing": trailing((("BAD KEY", "v"),)),
    "BadInitial": initial((("BAD KEY", "v"),)),
    "InitialNumber": initial(5),
    "BadDetails": bad_details,
    "BadCode": bad_code,
    "BadAbort": bad_abort,
    "AbortWithoutCode": abort_without_code,
    # grpcio answers none of these.
    "BaseException": raising(BaseException("base")),
    "KeyboardInterrupt": raising(KeyboardInterrupt()),
    "SystemExit": raising(SystemExit(3)),
    "Text": lambda request, context: "text",
    "TrailingNumber": trailing(5),
    "TrailingOfNumbers": trailing((("k", 5),)),
}


class Junk(grpc.ServerInterceptor):
    def intercept_service(self, continuation, handler_call_details):
        if handler_call_details.method.endswith("Junk"):
            return 5
        return continuation(handler_call_details)


@pytest.fixture
def channel():
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(behavior) for name, behavior in HANDLERS.items()
    }
    handlers["Fine"] = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    handlers["Stream"] = grpc.unary_stream_rpc_method_handler(stream_that_raises)
    handlers["NoStream"] = grpc.unary_stream_rpc_method_handler(lambda request, _: 5)
    server = grpc.server(futures.ThreadPoolExecutor(2), interceptors=[Junk()])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(None)


def ends(channel, name, code, details):
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/s/{name}")(b"x", timeout=LIMIT)
    error = raised.value
    assert error.code() is code
    assert details in error.details()
    # The server goes on.
    assert channel.unary_unary("/s/Fine")(b"y", timeout=LIMIT) == b"y"


@pytest.mark.parametrize(
    ("name", "code", "details"),
    [
        ("Unprintable", Code.UNKNOWN, "Calling application raised unprintable Exception!"),
        ("StopIteration", Code.UNKNOWN, "Exception calling application: "),
        ("NoArguments", Code.UNKNOWN, "takes 0 positional arguments but 2 were given"),
        ("None", Code.UNKNOWN, "'NoneType' object is not callable"),
        ("Number", Code.UNKNOWN, "'int' object is not callable"),
        ("BadTrailing", Code.INTERNAL, "Invalid metadata"),
        ("BadInitial", Code.INTERNAL, "Invalid metadata"),
        ("InitialNumber", Code.UNKNOWN, "Exception calling application: "),
        ("BadDetails", Code.UNKNOWN, "Exception calling application: "),
        ("BadCode", Code.UNKNOWN, "d"),
        ("BadAbort", Code.NOT_FOUND, "Exception calling application: "),
        ("AbortWithoutCode", Code.UNKNOWN, "x"),
    ],
)
def test_handlers(channel, name, code, details):
    ends(channel, name, code, details)


@pytest.mark.ferrpc_only("grpcio gives no answer, and loses the thread or the whole server")
@pytest.mark.parametrize(
    ("name", "code", "details"),
    [
        ("BaseException", Code.UNKNOWN, "Exception calling application"),
        ("KeyboardInterrupt", Code.UNKNOWN, "Exception calling application"),
        ("SystemExit", Code.UNKNOWN, "Exception calling application"),
        ("Text", Code.INTERNAL, "Failed to serialize response!"),
        ("TrailingNumber", Code.INTERNAL, "Invalid metadata"),
        ("TrailingOfNumbers", Code.INTERNAL, "Invalid metadata"),
        ("Junk", Code.UNKNOWN, "Error in service handler!"),
    ],
)
def test_handlers_that_grpcio_does_not_survive(channel, name, code, details):
    ends(channel, name, code, details)


def test_a_stream_that_is_none(channel):
    with pytest.raises(grpc.RpcError, match="'int' object is not an iterator"):
        list(channel.unary_stream("/s/NoStream")(b"", timeout=LIMIT))


async def coroutine(request, context):
    return request


@pytest.mark.ferrpc_only("grpcio does not say why")
def test_a_coroutine_function_is_for_the_other_server(serve):
    ends = serve({"/s/UU": coroutine})
    assert ends.fails("/s/UU") == (
        Code.INTERNAL,
        ("Failed to serialize response! "
         "The handler is a coroutine function: grpc.aio.server() serves these."),
    )


@pytest.mark.ferrpc_only("grpcio refuses every call")
def test_fewer_calls_than_none():
    with pytest.raises(ValueError, match="maximum_concurrent_rpcs is how many calls may run"):
        grpc.server(futures.ThreadPoolExecutor(1), maximum_concurrent_rpcs=-1)


@pytest.mark.parametrize("name", [5, ("a",), 1.5], ids=repr)
def test_names_of_options_that_are_no_text(name):
    with pytest.raises(TypeError, match="Expected str, not"):
        grpc.server(futures.ThreadPoolExecutor(1), options=[(name, 1)])


@pytest.mark.ferrpc_only("grpcio gives no answer")
def test_a_stream_whose_exception_has_no_text(channel):
    stream = channel.unary_stream("/s/Stream")(b"", timeout=LIMIT)
    assert next(stream) == b"1"
    with pytest.raises(grpc.RpcError, match="Iterating responses raised unprintable Exception!"):
        next(stream)
