"""grpcio, and pygrpc-native in its place, as servers of the bench."""

import argparse
import asyncio
import signal
import sys
from concurrent import futures

from answers import SERVER_OPTIONS, answer, replies, simple
from stubs import empty_pb2, example_pb2_grpc, grpc, messages_pb2, test_pb2_grpc


class Example(example_pb2_grpc.TestServiceServicer):
    def method(self, request, context):
        return answer(request)


class Test(test_pb2_grpc.TestServiceServicer):
    def EmptyCall(self, request, context):
        return empty_pb2.Empty()

    def UnaryCall(self, request, context):
        return simple(request)

    def StreamingInputCall(self, requests, context):
        total = sum(len(request.payload.body) for request in requests)
        return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=total)

    def StreamingOutputCall(self, request, context):
        return replies(request)

    def FullDuplexCall(self, requests, context):
        # A caller may wait for it before it sends anything.
        context.send_initial_metadata(())
        for request in requests:
            yield from replies(request)


class AioExample(example_pb2_grpc.TestServiceServicer):
    async def method(self, request, context):
        return answer(request)


class AioTest(test_pb2_grpc.TestServiceServicer):
    async def EmptyCall(self, request, context):
        return empty_pb2.Empty()

    async def UnaryCall(self, request, context):
        return simple(request)

    async def StreamingInputCall(self, requests, context):
        total = 0
        async for request in requests:
            total += len(request.payload.body)
        return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=total)

    async def StreamingOutputCall(self, request, context):
        for reply in replies(request):
            yield reply

    async def FullDuplexCall(self, requests, context):
        await context.send_initial_metadata(())
        async for request in requests:
            for reply in replies(request):
                yield reply


def serve(make, address):
    server = make(futures.ThreadPoolExecutor(max_workers=THREADS), options=SERVER_OPTIONS)
    example_pb2_grpc.add_TestServiceServicer_to_server(Example(), server)
    test_pb2_grpc.add_TestServiceServicer_to_server(Test(), server)
    port = listen(server, address)
    server.start()
    announce(address, port)
    server.wait_for_termination()


async def serve_aio(make, address):
    server = make(options=SERVER_OPTIONS)
    example_pb2_grpc.add_TestServiceServicer_to_server(AioExample(), server)
    test_pb2_grpc.add_TestServiceServicer_to_server(AioTest(), server)
    port = listen(server, address)
    await server.start()
    announce(address, port)
    await server.wait_for_termination()


def listen(server, address):
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        sys.exit(f"server: cannot listen on {address}: {error}")


def announce(address, port):
    print(f"listening on {address.rpartition(':')[0]}:{port}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="server")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--aio", action="store_true", help="asyncio in place of threads")
    parser.add_argument("--uvloop", action="store_true", help="with --aio: on uvloop")
    parser.add_argument("--native", action="store_true", help="pygrpc-native in grpcio's place")
    arguments = parser.parse_args()
    # Killed by a signal at once, whatever the library would do first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)

    library = grpc
    if arguments.native:
        import pygrpc_native
        import pygrpc_native.aio

        library = pygrpc_native
    if not arguments.aio:
        serve(library.server, arguments.listen)
    elif arguments.uvloop:
        import uvloop

        uvloop.run(serve_aio(library.aio.server, arguments.listen))
    else:
        asyncio.run(serve_aio(library.aio.server, arguments.listen))


THREADS = 4

if __name__ == "__main__":
    main()
