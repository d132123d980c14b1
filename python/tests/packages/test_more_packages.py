"""Packages made for grpcio that import grpc.aio too, used with the synchronous API."""

import sys

import grpc
import pytest

from .conftest import LIMIT, Stub, Text


def test_google_api_core(serve):
    from google.api_core import exceptions, gapic_v1, grpc_helpers

    channel = serve()
    codec = (Text.SerializeToString, Text.FromString)
    echo = gapic_v1.method.wrap_method(
        channel.unary_unary("/test.S/Echo", *codec), default_timeout=LIMIT
    )
    assert echo(Text(value="a")).value == "a"
    refuse = grpc_helpers.wrap_errors(channel.unary_unary("/test.S/Refuse", *codec))
    with pytest.raises(exceptions.NotFound, match="no b") as raised:
        refuse(Text(value="b"), timeout=LIMIT)
    assert raised.value.grpc_status_code is grpc.StatusCode.NOT_FOUND
    spell = grpc_helpers.wrap_errors(channel.unary_stream("/test.S/Spell", *codec))
    letters = spell(Text(value="abc"), timeout=LIMIT)
    assert [letter.value for letter in letters] == ["a", "b", "c"]
    assert letters.code() is grpc.StatusCode.OK


def test_opentelemetry(serve):
    from opentelemetry.instrumentation import grpc as instrumentation
    from opentelemetry.sdk.trace import TracerProvider, export
    from opentelemetry.sdk.trace.export import in_memory_span_exporter

    spans = in_memory_span_exporter.InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(spans))
    channel = serve(instrumentation.server_interceptor(provider))
    client = instrumentation.client_interceptor(provider)
    stub = Stub(instrumentation.intercept_channel(channel, client))
    stub.echo(Text(value="a"), timeout=LIMIT)
    assert len(list(stub.spell(Text(value="ab"), timeout=LIMIT))) == 2
    with pytest.raises(grpc.RpcError):
        stub.refuse(Text(value="b"), timeout=LIMIT)
    seen = {(span.name, span.kind.name) for span in spans.get_finished_spans()}
    methods = ("Echo", "Spell", "Refuse")
    assert {(f"/test.S/{name}", "CLIENT") for name in methods} <= seen
    # A server's spans may end behind its answer.
    assert ("/test.S/Echo", "SERVER") in seen


def test_grpc_interceptor(serve):
    import grpc_interceptor
    from grpc_interceptor import exceptions

    class Refusing(grpc_interceptor.ServerInterceptor):
        def intercept(self, method, request_or_iterator, context, method_name):
            if getattr(request_or_iterator, "value", None) == "bad":
                raise exceptions.FailedPrecondition("bad")
            return method(request_or_iterator, context)

    methods = []

    class Noting(grpc_interceptor.ClientInterceptor):
        def intercept(self, method, request_or_iterator, call_details):
            methods.append(call_details.method)
            return method(request_or_iterator, call_details)

    channel = serve(grpc_interceptor.ExceptionToStatusInterceptor(), Refusing())
    stub = Stub(grpc.intercept_channel(channel, Noting()))
    assert stub.echo(Text(value="a"), timeout=LIMIT).value == "a"
    with pytest.raises(grpc.RpcError) as raised:
        stub.echo(Text(value="bad"), timeout=LIMIT)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert methods == ["/test.S/Echo"] * 2


def test_reflection(serve):
    from google.protobuf import descriptor_pool
    from grpc_health.v1 import health, health_pb2_grpc
    from grpc_reflection.v1alpha import proto_reflection_descriptor_database, reflection

    def add(server):
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        names = ("grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)

    found = proto_reflection_descriptor_database.ProtoReflectionDescriptorDatabase(serve(add=add))
    assert set(found.get_services()) == {"grpc.health.v1.Health", reflection.SERVICE_NAME}
    pool = descriptor_pool.DescriptorPool(found)
    service = pool.FindServiceByName("grpc.health.v1.Health")
    assert {"Check", "Watch"} <= {method.name for method in service.methods}


def test_status(serve):
    from google.rpc import status_pb2
    from grpc_status import rpc_status

    rich = status_pb2.Status(code=5, message="nö")
    rich.details.add().Pack(Text(value="detail"))

    def refuse(request, context):
        context.abort_with_status(rpc_status.to_status(rich))

    def add(server):
        handlers = {"Rich": grpc.unary_unary_rpc_method_handler(refuse)}
        server.add_registered_method_handlers("test.R", handlers)

    with pytest.raises(grpc.RpcError) as raised:
        serve(add=add).unary_unary("/test.R/Rich")(b"", timeout=LIMIT)
    assert rpc_status.from_call(raised.value) == rich


SENTRY = """
import sys
import grpc, sentry_sdk
from sentry_sdk.integrations.grpc import GRPCIntegration
sentry_sdk.init(
    dsn="http://key@127.0.0.1:1/1", integrations=[GRPCIntegration()], traces_sample_rate=1.0,
    transport=lambda envelope: None,
)
channel = grpc.insecure_channel(sys.argv[1])
with sentry_sdk.start_transaction(name="outer") as outer:
    channel.unary_unary("/test.S/Echo")(b"", timeout=25)
    len(list(channel.unary_stream("/test.S/Spell")(b"", timeout=25)))
    try:
        channel.unary_unary("/test.S/Refuse")(b"", timeout=25)
    except grpc.RpcError as error:
        print(error.code().name)
    spans = [span for span in outer._span_recorder.spans if span.op == "grpc.client"]
    print(sorted(span.description for span in spans))
"""


def test_sentry(serve, run):
    serve()
    done = run([sys.executable, "-c", SENTRY, serve.target])
    assert done.stdout.splitlines() == [
        "NOT_FOUND",
        ("['unary stream call to /test.S/Spell', 'unary unary call to /test.S/Echo',"
         " 'unary unary call to /test.S/Refuse']"),
    ], done.stderr
