"""A client that knows nothing but the server's reflection."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_requests import AsyncClient, Client
from workload import attempt, say, serving

_SERVICE = "grpc.health.v1.Health"


def _add(server):
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection([_SERVICE, reflection.SERVICE_NAME], server)


async def _loop(address):
    client = AsyncClient(address)
    say("aio check", await client.request(_SERVICE, "Check", {"service": ""}))
    watch = await client.request(_SERVICE, "Watch", {"service": ""})
    async for update in watch:
        say("aio watch", update)
        break
    try:
        await client.request(_SERVICE, "Check", {"service": "x"})
    except grpc.aio.AioRpcError as error:
        say("aio unknown", error.code())


with serving(add=[_add]) as address:
    client = Client.get_by_endpoint(address)
    say("services", sorted(client.service_names))
    say("check", client.request(_SERVICE, "Check", {"service": ""}))
    attempt("unknown", lambda: client.request(_SERVICE, "Check", {"service": "x"}))
    attempt("no method", lambda: client.request(_SERVICE, "No", {}), ValueError)
    watch = client.request(_SERVICE, "Watch", {"service": ""})
    say("watch", next(iter(watch)))
    say("methods", sorted(client.get_methods_meta(_SERVICE)))
    asyncio.run(_loop(address))
