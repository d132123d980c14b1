"""Calls of every kind between a server and a client of asyncio on uvloop's loop."""

import asyncio

import grpc
import uvloop
from workload import PATIENCE, say


async def _unary(request, context):
    return request


async def _download(request, context):
    for number in range(int(request)):
        yield b"%d" % number


async def _upload(requests, context):
    return b"%d" % sum([len(request) async for request in requests])


async def _both(requests, context):
    async for request in requests:
        yield request


async def _slow(request, context):
    try:
        await asyncio.sleep(PATIENCE)
    finally:
        _cancelled.append(request)


_cancelled = []


class _Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            "/u.U/Unary": grpc.unary_unary_rpc_method_handler(_unary),
            "/u.U/Download": grpc.unary_stream_rpc_method_handler(_download),
            "/u.U/Upload": grpc.stream_unary_rpc_method_handler(_upload),
            "/u.U/Both": grpc.stream_stream_rpc_method_handler(_both),
            "/u.U/Slow": grpc.unary_unary_rpc_method_handler(_slow),
        }.get(details.method)


async def main():
    say("loop", type(asyncio.get_running_loop()).__module__)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        unary = channel.unary_unary("/u.U/Unary")
        say("unary", await unary(b"a"))
        many = await asyncio.gather(*(unary(b"%d" % number) for number in range(200)))
        say("200 at once", many == [b"%d" % number for number in range(200)])
        download = channel.unary_stream("/u.U/Download")
        say("download", len([one async for one in download(b"1000")]))
        upload = channel.stream_unary("/u.U/Upload")
        say("upload", await upload(_numbers(1000)))
        both = channel.stream_stream("/u.U/Both")()
        for number in range(3):
            await both.write(b"%d" % number)
            say("both", number, await both.read())
        await both.done_writing()
        say("both ends", await both.read() is grpc.aio.EOF, await both.code())
        call = channel.unary_unary("/u.U/Slow")(b"one")
        await asyncio.sleep(0.2)
        call.cancel()
        try:
            await call
        except asyncio.CancelledError:
            say("cancelled", call.cancelled(), await call.code())
        try:
            await channel.unary_unary("/u.U/Slow")(b"two", timeout=0.2)
        except grpc.aio.AioRpcError as error:
            say("deadline", error.code(), error.details())
    for _ in range(500):
        if len(_cancelled) == 2:
            break
        await asyncio.sleep(0.01)
    say("handlers ended", sorted(_cancelled))
    await server.stop(1)


async def _numbers(count):
    for number in range(count):
        yield b"%d" % number


uvloop.run(main())
