"""The client on grpcio's synchronous stubs."""

import os
import signal
import sys

import harness
import lifetime
import tls
from cases import CASES, Peer
from common import OPTIONS
from stubs import example_pb2, example_pb2_grpc, grpc


def run_case(channel, name):
    try:
        CASES[name](Peer(channel))
    except Exception as error:
        print(f"FAIL {name}: {harness.reason_of(error)}", flush=True)
        return False
    print(f"ok {name}", flush=True)
    return True


def ask(channel, caller):
    stub = example_pb2_grpc.TestServiceStub(channel)
    request = example_pb2.Request(request1=f"{caller}-request1", request2=f"{caller}-request2")
    try:
        result = stub.method(request, timeout=harness.LIMIT_SECONDS)
    except grpc.RpcError as error:
        print(f"client: {harness.reason_of(error)}", file=sys.stderr)
        return False
    print(result.result1)
    print(result.result2)
    return True


def main():
    address, names, caller, flags = harness.arguments("client", CASES)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with tls.channel(grpc, address, flags, OPTIONS + lifetime.options(flags)) as channel:
        if flags.hold is not None:
            done = lifetime.hold(channel, flags)
        elif caller is not None:
            done = ask(channel, caller)
        else:
            done = all([run_case(channel, name) for name in names])  # noqa: C419 (each runs)
    sys.stdout.flush()
    # grpcio's threads may still hold a request stream; the verdict does not wait for them.
    os._exit(0 if done else 1)


if __name__ == "__main__":
    main()
