"""The packages that gRPC publishes beside grpcio, with threads and with asyncio."""

import asyncio

import grpc
import grpc_testing
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status
from workload import PATIENCE, attempt, say, serving

_SERVING = health_pb2.HealthCheckResponse.ServingStatus
_NAMES = (health.SERVICE_NAME, reflection.SERVICE_NAME)


def _status():
    detail = any_pb2.Any()
    detail.Pack(duration_pb2.Duration(seconds=7))
    return status_pb2.Status(code=code_pb2.ABORTED, message="come again", details=[detail])


class _Rich(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/r.R/Abort":
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: context.abort_with_status(rpc_status.to_status(_status()))
            )
        return None


def threads():
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)

    def add(server):
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        reflection.enable_server_reflection(_NAMES, server)

    with serving(_Rich(), add=[add]) as address, grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()
        say("health", _SERVING.Name(stub.Check(request).status))
        unknown = health_pb2.HealthCheckRequest(service="x")
        attempt("health of another", lambda: stub.Check(unknown))
        watch = stub.Watch(request)
        say("watch", _SERVING.Name(next(watch).status))
        servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        say("watch", _SERVING.Name(next(watch).status))
        servicer.enter_graceful_shutdown()
        watch.cancel()
        database = ProtoReflectionDescriptorDatabase(channel)
        say("reflection", sorted(database.get_services()))
        say("file", database.FindFileContainingSymbol("grpc.health.v1.Health").name)
        attempt("no such symbol", lambda: database.FindFileContainingSymbol("a.B"), KeyError)
        try:
            channel.unary_unary("/r.R/Abort")(b"")
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            say("status", error.code(), error.details(), status == _status())
    say("reflection's requests", reflection_pb2.ServerReflectionRequest.DESCRIPTOR.full_name)


async def loop():
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection(_NAMES, server)
    server.add_generic_rpc_handlers((_Rich(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="x"))
        say("aio watch", _SERVING.Name((await watch.read()).status))
        await servicer.set("x", health_pb2.HealthCheckResponse.SERVING)
        say("aio watch", _SERVING.Name((await watch.read()).status))
        watch.cancel()
        try:
            await channel.unary_unary("/r.R/Abort")(b"")
        except grpc.aio.AioRpcError as error:
            say("aio status", error.code(), await _status_of(error))
    await server.stop(1)


async def _status_of(error):
    return rpc_status.from_call(error) == _status()


def testing():
    descriptor = health_pb2.DESCRIPTOR.services_by_name["Health"]
    time = grpc_testing.strict_fake_time(0)
    server = grpc_testing.server_from_dictionary({descriptor: health.HealthServicer()}, time)
    method = descriptor.methods_by_name["Check"]
    call = server.invoke_unary_unary(method, (), health_pb2.HealthCheckRequest(), PATIENCE)
    response, trailing, code, details = call.termination()
    say("testing", _SERVING.Name(response.status), trailing, code, repr(details))
    channel = grpc_testing.channel([descriptor], time)
    future = health_pb2_grpc.HealthStub(channel).Check.future(health_pb2.HealthCheckRequest())
    _, _, answer = channel.take_unary_unary(method)
    answer.send_initial_metadata(())
    served = health_pb2.HealthCheckResponse(status=1)
    answer.terminate(served, (), grpc.StatusCode.OK, "")
    say("testing channel", _SERVING.Name(future.result().status))


threads()
asyncio.run(loop())
testing()
