"""Asks `example.TestService` once, with asyncio, and prints the two results. Plain grpcio code;
runs on grpcio and on ferrpc.

    python test_service_client_aio.py --connect 127.0.0.1:50051
"""

import argparse
import asyncio
import sys

import grpc
import test_service_pb2
import test_service_pb2_grpc


async def ask(target, caller):
    request = test_service_pb2.Request(request1=f"{caller}-request1", request2=f"{caller}-request2")
    async with grpc.aio.insecure_channel(target) as channel:
        stub = test_service_pb2_grpc.TestServiceStub(channel)
        try:
            result = await stub.method(request, timeout=30)
        except grpc.aio.AioRpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    print(result.result1)
    print(result.result2)
    return 0


def main():
    parser = argparse.ArgumentParser(description="Asks example.TestService once, with asyncio.")
    parser.add_argument(
        "--connect",
        metavar="TARGET",
        default="127.0.0.1:50051",
        help="the server: HOST:PORT, unix:PATH or any other gRPC target",
    )
    parser.add_argument(
        "--as",
        dest="caller",
        default="py",
        help="in whose name: the language of the caller",
    )
    arguments = parser.parse_args()
    return asyncio.run(ask(arguments.connect, arguments.caller))


if __name__ == "__main__":
    sys.exit(main())
