"""Serves example.TestService: callers written in different languages each get their own answer.

    python test_service_server.py --listen 127.0.0.1:50051

Plain grpcio code: it runs unchanged on grpcio and on ferrpc. It needs test_service_pb2.py and
test_service_pb2_grpc.py beside it or on PYTHONPATH.
"""

import argparse
import signal
import threading
from concurrent import futures

import grpc
import test_service_pb2
import test_service_pb2_grpc

# The languages that callers are written in.
CALLERS = ("java", "py", "rust", "go", "node")

# Longer than any call here takes, shorter than anybody waits for a program to end (seconds).
GRACE = 5


class TestService(test_service_pb2_grpc.TestServiceServicer):
    """Answers each caller in its own way, and those it does not know alike."""

    def method(self, request, context):
        caller = request.request1.removesuffix("-request1")
        if request.request1.endswith("-request1") and caller in CALLERS:
            both = f"res1-{caller}-client->py-server"
            return test_service_pb2.Result(result1=both, result2=both)
        return test_service_pb2.Result(result1="f1", result2="fn1")


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
    port = server.add_insecure_port(address)
    server.start()
    if not address.startswith("unix:"):
        address = f"{address.rpartition(':')[0]}:{port}"
    print(f"listening on {address}", flush=True)

    over = threading.Event()
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda *_: over.set())
    over.wait()
    # Calls that are being handled may end; new ones are refused.
    server.stop(GRACE).wait()


if __name__ == "__main__":
    main()
