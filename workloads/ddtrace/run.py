"""Datadog's tracer: spans of calls and of handlers, with threads and with asyncio."""

import asyncio

import ddtrace
from ddtrace.trace import TraceFilter, tracer

ddtrace.patch(grpc=True)

import grpc  # noqa: E402
from workload import Echo, say, say_cancelled, say_every_kind, serving, until  # noqa: E402


class _Keep(TraceFilter):
    spans = []

    def process_trace(self, trace):
        self.spans.extend(trace)
        return None


async def _loop():
    server = grpc.aio.server()

    async def unary(request, context):
        if request == b"bad":
            await context.abort(grpc.StatusCode.NOT_FOUND, "so it is")
        return request

    async def download(request, context):
        for number in range(3):
            yield b"%d" % number

    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Download": grpc.unary_stream_rpc_method_handler(download),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Aio", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        say("aio", await channel.unary_unary("/a.Aio/Unary")(b"a"))
        try:
            await channel.unary_unary("/a.Aio/Unary")(b"bad")
        except grpc.aio.AioRpcError as error:
            say("aio error", error.code(), error.details())
        say("aio stream", [one async for one in channel.unary_stream("/a.Aio/Download")(b"")])
    await server.stop(1)


def main():
    tracer.configure(trace_processors=[_Keep()])
    with serving(Echo()) as address, grpc.insecure_channel(address) as channel:
        with tracer.trace("workload"):
            say_every_kind(channel)
            say_cancelled(channel)
    asyncio.run(_loop())
    tracer.flush()
    until(lambda: any(span.name == "workload" for span in _Keep.spans))
    described = []
    for span in _Keep.spans:
        keys = ("grpc.method.name", "grpc.method.kind", "grpc.status.code", "error.type")
        tags = [str(span.get_tag(key)) for key in keys]
        # Whether the handler of a call that is given up begins is a race.
        if span.get_tag("span.kind") == "server" and ("Slow" in tags or "Both" in tags):
            continue
        # It reads the status out of a text, which on grpcio is not always there in time.
        if tags[0] == "Download" and span.get_tag("span.kind") == "client":
            tags[2] = "any"
        described.append((span.name, span.error, *tags))
    for one in sorted(described):
        say("span", *one)


main()
