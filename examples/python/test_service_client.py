"""Asks example.TestService once and prints the two results.

    python test_service_client.py --connect 127.0.0.1:50051 --as py

Plain grpcio code: it runs unchanged on grpcio and on ferrpc. It needs test_service_pb2.py and
test_service_pb2_grpc.py beside it or on PYTHONPATH. Exit status 1: the call failed.
"""

import argparse
import sys

import grpc
import test_service_pb2
import test_service_pb2_grpc

# Time for the answer (seconds).
TIMEOUT = 20


def main():
    parser = argparse.ArgumentParser(description="Asks example.TestService once.")
    parser.add_argument(
        "--connect",
        metavar="TARGET",
        default="127.0.0.1:50051",
        help="the server: HOST:PORT, unix:PATH or any other gRPC target",
    )
    parser.add_argument(
        "--as",
        dest="caller",
        metavar="CALLER",
        default="py",
        help="in whose name: the language of the caller",
    )
    arguments = parser.parse_args()

    request = test_service_pb2.Request(
        request1=f"{arguments.caller}-request1",
        request2=f"{arguments.caller}-request2",
    )
    with grpc.insecure_channel(arguments.connect) as channel:
        stub = test_service_pb2_grpc.TestServiceStub(channel)
        try:
            result = stub.method(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    print(result.result1)
    print(result.result2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
