"""Packages made for grpcio that use its synchronous API alone."""

import sys
import threading
from concurrent import futures

import grpc
import pytest

from .conftest import LIMIT, Stub, Text


def test_prometheus(serve):
    import prometheus_client
    from py_grpc_prometheus import prometheus_client_interceptor, prometheus_server_interceptor

    registry = prometheus_client.CollectorRegistry()
    client = prometheus_client_interceptor.PromClientInterceptor(
        enable_client_handling_time_histogram=True,
        enable_client_stream_receive_time_histogram=True,
        registry=registry,
    )
    server = prometheus_server_interceptor.PromServerInterceptor(
        enable_handling_time_histogram=True, registry=registry
    )
    stub = Stub(grpc.intercept_channel(serve(server), client))
    assert stub.echo(Text(value="a"), timeout=LIMIT).value == "a"
    assert [text.value for text in stub.spell(Text(value="ab"), timeout=LIMIT)] == ["a", "b"]
    with pytest.raises(grpc.RpcError):
        stub.refuse(Text(value="b"), timeout=LIMIT)

    def handled(side, method, code, kind="UNARY"):
        labels = {"grpc_type": kind, "grpc_service": "test.S", "grpc_method": method}
        labels["grpc_code"] = code
        return registry.get_sample_value(f"grpc_{side}_handled_total", labels)

    for side in ("client", "server"):
        assert handled(side, "Echo", "OK") == 1
        assert handled(side, "Refuse", "NOT_FOUND") == 1


def test_health(serve):
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    Request, Response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    pool = futures.ThreadPoolExecutor(1)
    servicer = health.HealthServicer(experimental_non_blocking=True, experimental_thread_pool=pool)

    def add(server):
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)

    stub = health_pb2_grpc.HealthStub(serve(add=add))
    assert stub.Check(Request(), timeout=LIMIT).status == Response.SERVING
    with pytest.raises(grpc.RpcError) as raised:
        stub.Check(Request(service="x"), timeout=LIMIT)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    watched = stub.Watch(Request(service="x"), timeout=LIMIT)
    assert next(watched).status == Response.SERVICE_UNKNOWN
    servicer.set("x", Response.SERVING)
    assert next(watched).status == Response.SERVING
    servicer.enter_graceful_shutdown()
    assert next(watched).status == Response.NOT_SERVING
    watched.cancel()
    pool.shutdown()


def test_testing():
    import grpc_testing
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    service = health_pb2.DESCRIPTOR.services_by_name["Health"]
    check = service.methods_by_name["Check"]
    channel = grpc_testing.channel([service], grpc_testing.strict_real_time())
    with futures.ThreadPoolExecutor(1) as pool:
        stub = health_pb2_grpc.HealthStub(channel)
        asked = pool.submit(stub.Check, health_pb2.HealthCheckRequest(service="x"))
        _, request, rpc = channel.take_unary_unary(check)
        assert request.service == "x"
        rpc.send_initial_metadata(())
        rpc.terminate(health_pb2.HealthCheckResponse(status=1), (), grpc.StatusCode.OK, "")
        assert asked.result(LIMIT).status == 1
    server = grpc_testing.server_from_dictionary(
        {service: health.HealthServicer()}, grpc_testing.strict_real_time()
    )
    rpc = server.invoke_unary_unary(check, (), health_pb2.HealthCheckRequest(), None)
    response, _, code, _ = rpc.termination()
    assert (response.status, code) == (1, grpc.StatusCode.OK)


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
import grpc
import grpc.experimental.gevent
grpc.experimental.gevent.init_gevent()
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
echo = channel.unary_unary("/test.S/Echo")
spell = channel.unary_stream("/test.S/Spell")
wait = channel.unary_unary("/test.S/Wait")

ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        gevent.sleep(0.001)
ticking = gevent.spawn(tick)
waits = [gevent.spawn(wait, b"w", timeout=25) for _ in range(5)]
def spelled():
    return len(list(spell(b"\\x0a\\x03abc", timeout=25)))
others = [gevent.spawn(spelled), gevent.spawn(lambda: echo.future(b"f", timeout=25).result())]
others.append(gevent.spawn(lambda: echo.with_call(b"c", timeout=25)[1].code().name))
gevent.joinall(others, timeout=25)
print([done.value for done in others])
while ticks < 20:
    gevent.sleep(0.001)
print("waiting", sum(not one.dead for one in waits), flush=True)
echo(b"\\x0a\\x02go", timeout=25)
gevent.joinall(waits, timeout=25)
print("answered", sum(one.value == b"w" for one in waits))
try:
    wait(b"late", timeout=0.05)
except grpc.RpcError as error:
    print(error.code().name)
late = gevent.spawn(wait, b"never", timeout=25)
gevent.sleep(0.02)
late.kill(timeout=5)
print("killed", late.dead)
"""


def test_gevent(run):
    """Greenlets that wait for calls leave the others running."""
    go = threading.Event()

    def echo(request, context):
        if request == b"\x0a\x02go":
            go.set()
        return request

    def wait(request, context):
        if request in (b"late", b"never"):
            stop.wait(LIMIT)
        go.wait(LIMIT)
        return request

    stop = threading.Event()
    make = grpc.unary_unary_rpc_method_handler
    handlers = {
        "Echo": make(echo),
        "Wait": make(wait),
        "Spell": grpc.unary_stream_rpc_method_handler(lambda request, _: iter([request] * 3)),
    }
    server = grpc.server(futures.ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.S", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        done = run([sys.executable, "-c", GEVENT, str(port)])
    finally:
        stop.set()
        go.set()
        server.stop(None)
    assert done.stdout.splitlines() == [
        "[3, b'f', 'OK']",
        "waiting 5",
        "answered 5",
        "DEADLINE_EXCEEDED",
        "killed True",
    ], done.stderr


GEVENT_CREDENTIALS = """
from gevent import monkey
monkey.patch_all()
import sys
import threading
from concurrent import futures
import grpc
import grpc.experimental.gevent
grpc.experimental.gevent.init_gevent()

def told(request, context):
    return dict(context.invocation_metadata())["told"].encode()

server = grpc.server(futures.ThreadPoolExecutor(4))
handlers = {
    "One": grpc.unary_unary_rpc_method_handler(told),
    "Each": grpc.stream_stream_rpc_method_handler(lambda requests, _: requests),
}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.G", handlers),))
port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
server.start()
plugin = grpc.metadata_call_credentials(lambda _, callback: callback((("told", "so"),), None))
arguments = {"credentials": plugin, "timeout": 25}
with grpc.secure_channel(f"127.0.0.1:{port}", grpc.local_channel_credentials()) as channel:
    one = channel.unary_unary("/test.G/One")
    print(one(b"", **arguments), one.future(b"", **arguments).result())
    called = threading.Event()
    one.future(b"", **arguments).add_done_callback(lambda future: called.set())
    print(called.wait(timeout=25))
    print(list(channel.stream_stream("/test.G/Each")(iter([b"a", b"b"]), **arguments)))
server.stop(0)
"""


def test_gevent_and_call_credentials(run):
    done = run([sys.executable, "-c", GEVENT_CREDENTIALS])
    lines = ["b'so' b'so'", "True", "[b'a', b'b']"]
    assert done.stdout.splitlines() == lines, done.stderr


GEVENT_SERVER = """
from gevent import monkey
monkey.patch_all()
import threading
from concurrent import futures
import gevent
import grpc
import grpc.experimental.gevent
grpc.experimental.gevent.init_gevent()

def slow(request, context):
    gevent.sleep(0.01)
    return request

def both(requests, context):
    yield from requests

handlers = {
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "Both": grpc.stream_stream_rpc_method_handler(both),
}
server = grpc.server(futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
channel = grpc.insecure_channel(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
server.start()
grpc.channel_ready_future(channel).result(timeout=25)
slow = channel.unary_unary("/s/Slow")
calls = [gevent.spawn(slow, b"x", timeout=25) for _ in range(6)]
both = channel.stream_stream("/s/Both")
calls.append(gevent.spawn(lambda: list(both(iter([b"1", b"2"]), timeout=25))))
gevent.joinall(calls, timeout=25)
print([call.value for call in calls])
ended = threading.Event()
future = slow.future(b"f", timeout=25)
future.add_done_callback(lambda _: ended.set())
print(ended.wait(25), future.result())
server.stop(None)
print("stopped")
"""


def test_gevent_on_both_sides(run):
    done = run([sys.executable, "-c", GEVENT_SERVER])
    assert done.stdout.splitlines() == [
        f"[{', '.join(6 * [repr(b'x')])}, [b'1', b'2']]",
        "True b'f'",
        "stopped",
    ], done.stderr
    assert done.returncode == 0


@pytest.mark.ferrpc_only("grpcio does not notice")
def test_gevent_too_late(run):
    program = "import grpc; grpc.insecure_channel('127.0.0.1:1'); import grpc.experimental.gevent\n"
    program += "grpc.experimental.gevent.init_gevent()"
    done = run([sys.executable, "-c", program])
    assert "RuntimeError: init_gevent() comes too late: grpc._channel is in use" in done.stderr
