"""The beta API: programs and generated code from before `grpc.server` and `grpc.Channel`."""

import importlib
import sys
import threading

import grpc
import pytest
from grpc.beta import implementations, interfaces, utilities
from grpc.framework.common import cardinality
from grpc.framework.foundation import future, logging_pool
from grpc.framework.interfaces.face import face
from grpc.framework.interfaces.face import utilities as face_utilities

LIMIT = 30

CARDINALITIES = {
    "Unary": cardinality.Cardinality.UNARY_UNARY,
    "Out": cardinality.Cardinality.UNARY_STREAM,
    "In": cardinality.Cardinality.STREAM_UNARY,
    "Both": cardinality.Cardinality.STREAM_STREAM,
    "Event": cardinality.Cardinality.UNARY_UNARY,
    "Events": cardinality.Cardinality.STREAM_STREAM,
    "Missing": cardinality.Cardinality.UNARY_UNARY,
}


class Service:
    """A server with a method of each kind, and what its handlers saw."""

    def __init__(self):
        self.metadata = None
        self.peer = None
        self.go_on = threading.Event()
        self.server = implementations.server(
            {
                ("g.S", "Unary"): face_utilities.unary_unary_inline(self.unary),
                ("g.S", "Out"): face_utilities.unary_stream_inline(self.out),
                ("g.S", "In"): face_utilities.stream_unary_inline(lambda it, _: b"".join(it)),
                ("g.S", "Both"): face_utilities.stream_stream_inline(lambda it, _: it),
                ("g.S", "Event"): face_utilities.unary_unary_event(self.event),
                ("g.S", "Events"): face_utilities.stream_stream_event(self.events),
            },
            options=implementations.server_options(thread_pool_size=4),
        )
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.channel = implementations.insecure_channel("127.0.0.1", port)
        self.stub = implementations.dynamic_stub(self.channel, "g.S", CARDINALITIES)

    def unary(self, request, context):
        self.metadata = context.invocation_metadata()
        self.peer = context.protocol_context().peer()
        context.initial_metadata((("first", "1"),))
        if request == b"refused":
            context.code(interfaces.StatusCode.NOT_FOUND)
            context.details("nope")
        if request == b"raise":
            raise ValueError("boom")
        if request == b"wait":
            self.go_on.wait(LIMIT)
        if request == b"last":
            context.terminal_metadata((("last", "2"),))
        return request + b"!"

    def out(self, request, context):
        yield request
        yield request
        if request == b"raise":
            raise ValueError("boom")

    def event(self, request, responses, context):
        threading.Thread(target=responses.consume_and_terminate, args=(request + b"!",)).start()

    def events(self, responses, context):
        return responses


@pytest.fixture
def service():
    service = Service()
    yield service
    service.go_on.set()
    service.server.stop(None)


def test_the_four_kinds(service):
    with service.stub as stub:
        assert stub.Unary(b"a", LIMIT) == b"a!"
        assert list(stub.Out(b"b", LIMIT)) == [b"b", b"b"]
        assert stub.In(iter([b"c", b"d"]), LIMIT) == b"cd"
        assert list(stub.Both(iter([b"e", b"f"]), LIMIT)) == [b"e", b"f"]
    assert service.peer.startswith("ipv4:127.0.0.1:")


def test_with_call(service):
    response, call = service.stub.Unary(b"a", LIMIT, with_call=True)
    assert response == b"a!"
    assert isinstance(call, face.Call) and isinstance(call, future.Future)
    assert (call.code(), call.details()) == (interfaces.StatusCode.OK, "")
    assert (b"first", b"1") in call.initial_metadata()
    assert isinstance(call.protocol_context(), interfaces.GRPCInvocationContext)
    response, call = service.stub.In(iter([b"c"]), LIMIT, with_call=True)
    assert (response, call.is_active()) == (b"c", False)


def test_futures(service):
    call = service.stub.Unary.future(b"a", LIMIT)
    done = threading.Event()
    call.add_done_callback(lambda ended: done.set() if ended is call else None)
    assert call.result() == b"a!" and call.done() and call.exception() is None
    assert done.wait(LIMIT)
    assert service.stub.In.future(iter([b"c"]), LIMIT).result(LIMIT) == b"c"


def test_a_future_that_is_cancelled(service):
    call = service.stub.Unary.future(b"wait", LIMIT)
    aborted = []
    heard = threading.Event()

    def abortion(how):
        aborted.append(how)
        heard.set()

    assert call.add_abortion_callback(abortion) is None
    assert call.running() and call.is_active() and 0 < call.time_remaining() <= LIMIT
    with pytest.raises(future.TimeoutError):
        call.result(timeout=0.01)
    assert call.cancel() and call.cancelled()
    with pytest.raises(future.CancelledError):
        call.result()
    with pytest.raises(future.CancelledError):
        call.exception()
    assert heard.wait(LIMIT)
    assert aborted[0].kind is face.Abortion.Kind.CANCELLED
    assert aborted[0].code is interfaces.StatusCode.CANCELLED


@pytest.mark.parametrize(
    ("request_", "kind", "code", "details"),
    [
        (b"refused", face.AbortionError, "NOT_FOUND", "nope"),
        (b"raise", face.RemoteError, "UNKNOWN", "Exception calling application: boom"),
    ],
)
def test_errors(service, request_, kind, code, details):
    with pytest.raises(face.AbortionError) as raised:
        service.stub.Unary(request_, LIMIT)
    error = raised.value
    assert type(error) is kind
    assert (error.code.name, error.details) == (code, details)
    assert ("first", "1") in error.initial_metadata
    call = service.stub.Unary.future(request_, LIMIT)
    with pytest.raises(kind):
        call.result()
    assert type(call.exception()) is kind and call.traceback() is not None


def test_errors_of_streams(service):
    with pytest.raises(face.RemoteError, match="Exception iterating responses: boom"):
        list(service.stub.Out(b"raise", LIMIT))


def test_missing_methods(service):
    with pytest.raises(face.LocalError, match="Method not found!"):
        service.stub.Missing(b"", LIMIT)
    with pytest.raises(AttributeError, match='has no attribute "Unheard"'):
        _ = service.stub.Unheard


def test_deadlines(service):
    with pytest.raises(face.ExpirationError, match="DEADLINE_EXCEEDED"):
        service.stub.Unary(b"wait", 0.05)


def test_generic_stubs(service):
    stub = implementations.generic_stub(service.channel)
    assert stub.blocking_unary_unary("g.S", "Unary", b"a", LIMIT) == b"a!"
    assert stub.future_unary_unary("g.S", "Unary", b"a", LIMIT).result() == b"a!"
    assert list(stub.inline_unary_stream("g.S", "Out", b"b", LIMIT)) == [b"b", b"b"]
    assert stub.blocking_stream_unary("g.S", "In", iter([b"c"]), LIMIT) == b"c"
    assert stub.future_stream_unary("g.S", "In", iter([b"c"]), LIMIT).result() == b"c"
    assert list(stub.inline_stream_stream("g.S", "Both", iter([b"d"]), LIMIT)) == [b"d"]
    assert stub.unary_unary("g.S", "Unary")(b"e", LIMIT) == b"e!"
    with pytest.raises(NotImplementedError):
        stub.event_unary_unary("g.S", "Unary", b"a", None, None, LIMIT)


def test_options_of_stubs(service):
    options = implementations.stub_options(
        request_serializers={("g.S", "Unary"): str.encode},
        response_deserializers={("g.S", "Unary"): bytes.decode},
        metadata_transformer=lambda metadata: (*(metadata or ()), ("added", "x")),
    )
    stub = implementations.dynamic_stub(service.channel, "g.S", CARDINALITIES, options=options)
    given = interfaces.grpc_call_options(disable_compression=True)
    assert stub.Unary("text", LIMIT, metadata=(("k", "v"),), protocol_options=given) == "text!"
    # Keys are bytes in this API.
    assert {(b"k", b"v"), (b"added", b"x")} <= set(service.metadata)


def test_options_of_servers():
    server = implementations.server(
        {("s", "M"): face_utilities.unary_unary_inline(lambda number, _: number + 1)},
        options=implementations.server_options(
            request_deserializers={("s", "M"): int},
            response_serializers={("s", "M"): lambda number: str(number).encode()},
            thread_pool=logging_pool.pool(2),
        ),
    )
    port = server.add_insecure_port("127.0.0.1:0")
    with server:
        stub = implementations.generic_stub(implementations.insecure_channel("127.0.0.1", port))
        assert stub.blocking_unary_unary("s", "M", b"41", LIMIT) == b"42"
    assert isinstance(server, interfaces.Server)


def test_a_channel_that_becomes_ready(service):
    ready = utilities.channel_ready_future(service.channel)
    assert isinstance(ready, future.Future)
    assert ready.result(LIMIT) is None and ready.done()
    assert interfaces.ChannelConnectivity.FATAL_FAILURE is grpc.ChannelConnectivity.SHUTDOWN
    never = utilities.channel_ready_future(implementations.insecure_channel("127.0.0.1", 1))
    with pytest.raises(future.TimeoutError):
        never.result(timeout=0.01)
    assert never.cancel() and never.cancelled()
    with pytest.raises(future.CancelledError):
        never.result()


@pytest.mark.ferrpc_only("grpcio raises AttributeError in the handler")
def test_terminal_metadata(service):
    response, call = service.stub.Unary(b"last", LIMIT, with_call=True)
    assert (response, call.terminal_metadata()) == (b"last!", ((b"last", b"2"),))


@pytest.mark.ferrpc_only("grpcio returns None, and never calls it")
def test_an_abortion_that_is_known(service):
    call = service.stub.Unary.future(b"refused", LIMIT)
    assert call.code() is interfaces.StatusCode.NOT_FOUND
    assert call.add_abortion_callback(print).details == "nope"


@pytest.mark.ferrpc_only("grpcio hands handlers of events a function that is no consumer")
def test_handlers_of_events(service):
    assert service.stub.Event(b"a", LIMIT) == b"a!"
    assert list(service.stub.Events(iter([b"b", b"c"]), LIMIT)) == [b"b", b"c"]


@pytest.mark.ferrpc_only("grpcio never asks it")
def test_an_implementation_of_all_methods():
    class All(face.MultiMethodImplementation):
        def service(self, group, method, response_consumer, context):
            if method != "Echo":
                raise face.NoSuchMethodError(group, method)
            return response_consumer

    server = implementations.server(
        {}, options=implementations.server_options(multi_method_implementation=All())
    )
    port = server.add_insecure_port("127.0.0.1:0")
    with server:
        stub = implementations.generic_stub(implementations.insecure_channel("127.0.0.1", port))
        assert list(stub.inline_stream_stream("s", "Echo", iter([b"a"]), LIMIT)) == [b"a"]
        with pytest.raises(face.LocalError):
            stub.blocking_unary_unary("s", "Other", b"", LIMIT)


def test_generated_code(repository, run, tmp_path, monkeypatch):
    """The stubs that `grpc_1_0` has the compiler put beside the messages."""
    done = run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{repository}/testdata/protos"]
        + [f"--python_out={tmp_path}", f"--grpc_python_out=grpc_1_0:{tmp_path}"]
        + ["test_service.proto"]
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("test_service_pb2", "test_service_pb2_grpc"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("test_service_pb2")

    class Servicer(module.BetaTestServiceServicer):
        def method(self, request, context):
            return module.Result(result1=request.request1, result2="two")

    server = module.beta_create_TestService_server(Servicer())
    port = server.add_insecure_port("127.0.0.1:0")
    with server:
        channel = implementations.insecure_channel("127.0.0.1", port)
        stub = module.beta_create_TestService_stub(channel)
        result = stub.method(module.Request(request1="one"), LIMIT)
        assert (result.result1, result.result2) == ("one", "two")
