"""The server on grpc.aio."""

import argparse
import asyncio
import signal
import sys
import threading

import tls
from common import SERVER_OPTIONS, answer, echoed, payload, split_address, wanted_code
from stubs import (
    empty_pb2,
    example_pb2_grpc,
    grpc,
    messages_pb2,
    test_pb2_grpc,
)


class Example(example_pb2_grpc.TestServiceServicer):
    async def method(self, request, context):
        return answer(request)


class Test(test_pb2_grpc.TestServiceServicer):
    async def EmptyCall(self, request, context):
        return empty_pb2.Empty()

    async def UnaryCall(self, request, context):
        initial, trailing = echoed(context.invocation_metadata())
        await context.send_initial_metadata(initial)
        context.set_trailing_metadata(trailing)
        await end_if_asked(request, context)
        if not request.response_compressed.value:
            context.disable_next_message_compression()
        return messages_pb2.SimpleResponse(payload=payload(request.response_size))

    CacheableUnaryCall = UnaryCall

    async def StreamingInputCall(self, requests, context):
        total = 0
        async for request in requests:
            total += len(request.payload.body)
        return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=total)

    async def StreamingOutputCall(self, request, context):
        async for response in responses(request, context):
            yield response
        await end_if_asked(request, context)

    async def FullDuplexCall(self, requests, context):
        initial, trailing = echoed(context.invocation_metadata())
        await context.send_initial_metadata(initial)
        context.set_trailing_metadata(trailing)
        async for request in requests:
            async for response in responses(request, context):
                yield response
            await end_if_asked(request, context)

    async def HalfDuplexCall(self, requests, context):
        for request in [request async for request in requests]:
            async for response in responses(request, context):
                yield response

    async def UnimplementedCall(self, request, context):
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not implemented!")


async def responses(request, context):
    for parameters in request.response_parameters:
        if parameters.interval_us > 0:
            await asyncio.sleep(parameters.interval_us / 1e6)
        if not parameters.compressed.value:
            context.disable_next_message_compression()
        yield messages_pb2.StreamingOutputCallResponse(payload=payload(parameters.size))


async def end_if_asked(request, context):
    if request.response_status.code:
        await context.abort(
            wanted_code(request.response_status), request.response_status.message
        )


async def serve(address, host, flags):
    server = grpc.aio.server(options=SERVER_OPTIONS)
    test_pb2_grpc.add_TestServiceServicer_to_server(Test(), server)
    example_pb2_grpc.add_TestServiceServicer_to_server(Example(), server)
    try:
        port = tls.server_port(server, address, flags)
    except RuntimeError as error:
        sys.exit(f"server: cannot listen on {address}: {error}")
    await server.start()
    print(f"listening on {host}:{port}", flush=True)
    ended = asyncio.Event()
    if sys.stdin is not None:
        loop = asyncio.get_running_loop()

        def watch():
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(ended.set)

        # A thread, because an event loop cannot watch a file or /dev/null.
        threading.Thread(target=watch, daemon=True).start()
    await ended.wait()
    await server.stop(None)


def main():
    parser = argparse.ArgumentParser(prog="server --aio")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    tls.add_flags(parser)
    flags = parser.parse_args()
    address = flags.listen
    try:
        host, _ = split_address(address)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(address, host, flags))


if __name__ == "__main__":
    main()
