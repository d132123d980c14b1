"""Serves `example.TestService` in an event loop; see `test_service_server.py`, its twin with
threads. Plain grpcio code; runs on grpcio and on ferrpc.

    python test_service_server_aio.py --listen 127.0.0.1:50051
"""

import argparse
import asyncio
import signal
import sys

import grpc.aio
import test_service_pb2
import test_service_pb2_grpc

CALLERS = ("java", "py", "rust", "go", "node")


class TestService(test_service_pb2_grpc.TestServiceServicer):
    async def method(self, request, context):
        caller = request.request1.removesuffix("-request1")
        if caller == request.request1 or caller not in CALLERS:
            return test_service_pb2.Result(result1="f1", result2="fn1")
        both = f"res1-{caller}-client->py-server"
        return test_service_pb2.Result(result1=both, result2=both)


async def serve(address):
    server = grpc.aio.server()
    test_service_pb2_grpc.add_TestServiceServicer_to_server(TestService(), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        sys.exit(str(error))
    await server.start()
    shown = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    print(f"listening on {shown}", flush=True)

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    # Calls that are being handled may end; new ones are refused.
    await server.stop(grace=5)


def main():
    parser = argparse.ArgumentParser(description="Serves example.TestService in an event loop.")
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:50051",
        help="HOST:PORT (port 0: any free one) or unix:PATH",
    )
    asyncio.run(serve(parser.parse_args().listen))


if __name__ == "__main__":
    main()
