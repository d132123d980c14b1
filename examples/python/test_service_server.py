"""Serves `example.TestService`: callers written in different languages each get the answer that is
meant for them. Plain grpcio code; runs on grpcio and on ferrpc.

    python test_service_server.py --listen 127.0.0.1:50051
"""

import argparse
import signal
import sys
import threading
from concurrent import futures

import grpc
import test_service_pb2
import test_service_pb2_grpc

CALLERS = ("java", "py", "rust", "go", "node")


class TestService(test_service_pb2_grpc.TestServiceServicer):
    def method(self, request, context):
        caller = request.request1.removesuffix("-request1")
        if caller == request.request1 or caller not in CALLERS:
            return test_service_pb2.Result(result1="f1", result2="fn1")
        both = f"res1-{caller}-client->py-server"
        return test_service_pb2.Result(result1=both, result2=both)


def main():
    parser = argparse.ArgumentParser(description="Serves example.TestService.")
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:50051",
        help="HOST:PORT (port 0: any free one) or unix:PATH",
    )
    address = parser.parse_args().listen

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    test_service_pb2_grpc.add_TestServiceServicer_to_server(TestService(), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        sys.exit(str(error))
    server.start()
    shown = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    print(f"listening on {shown}", flush=True)

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    # Calls that are being handled may end; new ones are refused.
    server.stop(grace=5).wait()


if __name__ == "__main__":
    main()
