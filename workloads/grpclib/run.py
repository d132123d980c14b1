"""An implementation of gRPC that is not grpcio's: its client on our server, and the reverse."""

import asyncio
import threading

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server
from workload import PATIENCE, attempt, say, serving


class _Service:
    """For grpclib's server."""

    async def unary(self, stream):
        request = await stream.recv_message()
        if request.value == "fail":
            raise GRPCError(Status.FAILED_PRECONDITION, "as told: grün")
        await stream.send_message(request)

    async def many(self, stream):
        request = await stream.recv_message()
        for number in range(int(request.value)):
            await stream.send_message(StringValue(value=str(number)))

    async def both(self, stream):
        async for request in stream:
            await stream.send_message(request)

    async def slow(self, stream):
        await asyncio.sleep(PATIENCE)

    def __mapping__(self):
        kinds = {
            "/g.G/Unary": (self.unary, Cardinality.UNARY_UNARY),
            "/g.G/Many": (self.many, Cardinality.UNARY_STREAM),
            "/g.G/Both": (self.both, Cardinality.STREAM_STREAM),
            "/g.G/Slow": (self.slow, Cardinality.UNARY_UNARY),
        }
        return {
            path: Handler(method, cardinality, StringValue, StringValue)
            for path, (method, cardinality) in kinds.items()
        }


def _kind(function, behaviour):
    return function(behaviour, StringValue.FromString, StringValue.SerializeToString)


class _Handlers(grpc.GenericRpcHandler):
    """For ours."""

    def service(self, details):
        return {
            "/g.G/Unary": _kind(grpc.unary_unary_rpc_method_handler, self._unary),
            "/g.G/Many": _kind(grpc.unary_stream_rpc_method_handler, self._many),
            "/g.G/Both": _kind(grpc.stream_stream_rpc_method_handler, self._both),
        }.get(details.method)

    def _unary(self, request, context):
        if request.value == "fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as told: grün")
        return request

    def _many(self, request, context):
        for number in range(int(request.value)):
            yield StringValue(value=str(number))

    def _both(self, requests, context):
        yield from requests


async def _their_client(host, port):
    channel = Channel(host, port)
    unary = UnaryUnaryMethod(channel, "/g.G/Unary", StringValue, StringValue)
    say("their unary", (await unary(StringValue(value="a"))).value)
    big = "x" * 3_000_000
    say("their 3 MB", (await unary(StringValue(value=big))).value == big)
    try:
        await unary(StringValue(value="fail"))
    except GRPCError as error:
        say("their error", error.status, error.message)
    many = UnaryStreamMethod(channel, "/g.G/Many", StringValue, StringValue)
    say("their many", len(await many(StringValue(value="5000"))))
    both = StreamStreamMethod(channel, "/g.G/Both", StringValue, StringValue)
    async with both.open(metadata={"k": "v"}) as stream:
        for number in range(3):
            await stream.send_message(StringValue(value=str(number)))
            say("their both", (await stream.recv_message()).value)
        await stream.end()
        say("their both ends", await stream.recv_message())
    missing = UnaryUnaryMethod(channel, "/g.G/Missing", StringValue, StringValue)
    try:
        await missing(StringValue())
    except GRPCError as error:
        say("their missing", error.status)
    many_at_once = await asyncio.gather(*(unary(StringValue(value=str(n))) for n in range(500)))
    say("their 500 at once", [int(one.value) for one in many_at_once] == list(range(500)))
    channel.close()


def _our_client(address):
    coders = (StringValue.SerializeToString, StringValue.FromString)
    with grpc.insecure_channel(address) as channel:
        unary = channel.unary_unary("/g.G/Unary", *coders)
        say("our unary", unary(StringValue(value="a")).value)
        big = "x" * 3_000_000
        say("our 3 MB", unary(StringValue(value=big)).value == big)
        attempt("our error", lambda: unary(StringValue(value="fail")))
        many = channel.unary_stream("/g.G/Many", *coders)
        say("our many", len(list(many(StringValue(value="5000")))))
        both = channel.stream_stream("/g.G/Both", *coders)
        requests = [StringValue(value=str(number)) for number in range(100)]
        say("our both", len(list(both(iter(requests)))))
        slow = channel.unary_unary("/g.G/Slow", *coders)
        try:
            slow(StringValue(), timeout=0.3)
        except grpc.RpcError as error:
            # Its server ends the call as well, without a text: a race.
            say("our deadline", error.code())
        attempt("our missing", lambda: channel.unary_unary("/g.G/No", *coders)(StringValue()))
        futures = [unary.future(StringValue(value=str(number))) for number in range(500)]
        answers = [int(one.result(PATIENCE).value) for one in futures]
        say("our 500 at once", answers == list(range(500)))


def _their_server():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    server = Server([_Service()])
    loop.run_until_complete(server.start("127.0.0.1", 0))
    port = server._server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    _our_client(f"127.0.0.1:{port}")
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


with serving(_Handlers()) as address:
    host, port = address.split(":")
    asyncio.run(_their_client(host, int(port)))
_their_server()
