"""Calls a server that means harm, again and again, and one that does not, whose calls must not
notice. Ends with an error when one of those is lost."""

import argparse
import sys
import threading

from stubs import empty_pb2, grpc, test_pb2_grpc

ENDED = threading.Event()


def suffer(target):
    stub = test_pb2_grpc.TestServiceStub(grpc.insecure_channel(target))
    while not ENDED.wait(0.01):
        try:
            stub.EmptyCall(empty_pb2.Empty(), timeout=5)
        except grpc.RpcError:
            pass


def main():
    parser = argparse.ArgumentParser(prog="victim")
    parser.add_argument("--hostile", required=True, metavar="HOST:PORT")
    parser.add_argument("--honest", required=True, metavar="HOST:PORT")
    flags = parser.parse_args()
    stub = test_pb2_grpc.TestServiceStub(grpc.insecure_channel(flags.honest))
    for _ in range(50):
        stub.EmptyCall(empty_pb2.Empty(), timeout=20)
    threading.Thread(target=suffer, args=[flags.hostile], daemon=True).start()
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), ENDED.set()), daemon=True).start()
    while not ENDED.wait(0.005):
        stub.EmptyCall(empty_pb2.Empty(), timeout=20)


if __name__ == "__main__":
    main()
