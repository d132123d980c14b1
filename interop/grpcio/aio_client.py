"""The client on grpc.aio."""

import asyncio
import signal
import sys

import harness
import tls
from aio_cases import CASES, Peer
from common import OPTIONS
from stubs import example_pb2, example_pb2_grpc, grpc


async def run_case(channel, name):
    try:
        # Besides the calls' own deadlines: a case also waits for other things than a call's end.
        await asyncio.wait_for(CASES[name](Peer(channel)), harness.LIMIT_SECONDS + 1)
    except (Exception, asyncio.CancelledError) as error:
        print(f"FAIL {name}: {harness.reason_of(error)}", flush=True)
        return False
    print(f"ok {name}", flush=True)
    return True


async def ask(channel, caller):
    stub = example_pb2_grpc.TestServiceStub(channel)
    request = example_pb2.Request(request1=f"{caller}-request1", request2=f"{caller}-request2")
    try:
        result = await stub.method(request, timeout=harness.LIMIT_SECONDS)
    except grpc.RpcError as error:
        print(f"client: {harness.reason_of(error)}", file=sys.stderr)
        return False
    print(result.result1)
    print(result.result2)
    return True


async def talk(address, names, caller, flags):
    async with tls.channel(grpc.aio, address, flags, OPTIONS) as channel:
        if caller is not None:
            return await ask(channel, caller)
        return all([await run_case(channel, name) for name in names])


def main():
    address, names, caller, flags = harness.arguments("client --aio", CASES)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(0 if asyncio.run(talk(address, names, caller, flags)) else 1)


if __name__ == "__main__":
    main()
