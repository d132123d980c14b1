"""Dapr's client, with threads and with asyncio, on a sidecar that is made from its own stubs."""

import asyncio
import http.server
import threading

import grpc
from dapr.aio.clients import DaprClient as AioDaprClient
from dapr.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._state import StateItem
from dapr.conf import settings
from dapr.proto import api_service_v1, api_v1
from google.protobuf import empty_pb2
from workload import attempt, say, serving, until


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


class _Sidecar(api_service_v1.DaprServicer):
    def __init__(self):
        self.state, self.published = {}, []

    def SaveState(self, request, context):
        for one in request.states:
            self.state[one.key] = one.value
        return empty_pb2.Empty()

    def GetState(self, request, context):
        if request.store_name != "store":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no store {request.store_name}")
        return api_v1.GetStateResponse(data=self.state.get(request.key, b""), etag="1")

    def GetBulkState(self, request, context):
        items = [api_v1.BulkStateItem(key=key, data=self.state[key]) for key in request.keys]
        return api_v1.GetBulkStateResponse(items=items)

    def DeleteState(self, request, context):
        self.state.pop(request.key, None)
        return empty_pb2.Empty()

    def PublishEvent(self, request, context):
        self.published.append((request.topic, request.data))
        return empty_pb2.Empty()

    def GetSecret(self, request, context):
        return api_v1.GetSecretResponse(data={request.key: "secret"})

    def InvokeBinding(self, request, context):
        return api_v1.InvokeBindingResponse(data=request.data[::-1], metadata={"m": "1"})

    def SubscribeTopicEventsAlpha1(self, requests, context):
        first = next(requests)
        topic = first.initial_request.topic
        yield api_v1.SubscribeTopicEventsResponseAlpha1(initial_response={})
        for number in range(3):
            event = {"id": str(number), "topic": topic, "data": b"%d" % number}
            yield api_v1.SubscribeTopicEventsResponseAlpha1(event_message=event)
            self.published.append(("answered", next(requests).event_processed.id))

    def SetMetadata(self, request, context):
        return empty_pb2.Empty()

    def GetMetadata(self, request, context):
        return api_v1.GetMetadataResponse(id="workload", extended_metadata={"a": "b"})


def _threads(sidecar):
    with DaprClient() as client:
        say("save", client.save_state("store", "a", "1") is not None)
        client.save_bulk_state("store", [StateItem(f"k{number}", "v") for number in range(20)])
        say("get", client.get_state("store", "a").data)
        say("bulk", len(client.get_bulk_state("store", [f"k{n}" for n in range(20)]).items))
        client.delete_state("store", "a")
        say("deleted", client.get_state("store", "a").data)
        attempt("no store", lambda: client.get_state("none", "a"))
        client.publish_event("pubsub", "topic", b"event")
        say("published", sidecar.published)
        say("secret", client.get_secret("vault", "key").secret)
        say("binding", client.invoke_binding("binding", "reverse", b"abc").data)
        say("metadata", client.get_metadata().application_id)
        subscription = client.subscribe("pubsub", "topic")
        for _ in range(3):
            message = subscription.next_message()
            say("message", message.id(), message.topic())
            subscription.respond_success(message)
        # The answer to the last one may still be on its way.
        until(lambda: len(sidecar.published) == 4)
        subscription.close()
    say("answered", sidecar.published[1:])


async def _loop():
    async with AioDaprClient() as client:
        await client.save_state("store", "b", "2")
        states = await asyncio.gather(*(client.get_state("store", "b") for _ in range(30)))
        say("aio", {state.data for state in states})
        try:
            await client.get_state("none", "b")
        except DaprGrpcError as error:
            say("aio no store", error.code(), error.details())


def main():
    health = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Health)
    threading.Thread(target=health.serve_forever, daemon=True).start()
    settings.DAPR_HTTP_ENDPOINT = f"http://127.0.0.1:{health.server_port}"
    sidecar = _Sidecar()

    def add(server):
        api_service_v1.add_DaprServicer_to_server(sidecar, server)

    with serving(add=[add]) as address:
        settings.DAPR_GRPC_ENDPOINT = address
        _threads(sidecar)
        asyncio.run(_loop())


main()
