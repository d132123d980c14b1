"""The end of a process with an asyncio server, and its forks."""

import sys

import pytest

PROGRAM = """
import asyncio, os, sys, grpc, grpc.aio

async def hello(request, context):
    return request

async def waits(request, context):
    await asyncio.sleep(60)

class Service(grpc.GenericRpcHandler):
    def service(self, details):
        behavior = {"/s/hello": hello, "/s/waits": waits}.get(details.method)
        return behavior and grpc.unary_unary_rpc_method_handler(behavior)

async def start():
    server = grpc.aio.server(handlers=[Service()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port

def call(port, method="/s/hello"):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return channel.unary_unary(method)(b"q", timeout=10)

async def main():
"""


def _program(run, text):
    lines = [f"    {line}" for line in text.strip().splitlines()]
    done = run([sys.executable, "-c", PROGRAM + "\n".join(lines) + "\nasyncio.run(main())"])
    return done.returncode, done.stdout, done.stderr


def test_the_process_ends_with_a_server_that_was_not_stopped(run):
    text = """
server, port = await start()
print(await asyncio.to_thread(call, port))
"""
    code, out, err = _program(run, text)
    assert (code, out) == (0, "b'q'\n"), err


@pytest.mark.ferrpc_only("grpcio's poller complains")
def test_the_process_ends_in_silence_with_a_call_under_way(run):
    text = """
global server
server, port = await start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
future = channel.unary_unary("/s/waits").future(b"")
await asyncio.sleep(0.2)
print("end")
"""
    assert _program(run, text) == (0, "end\n", "")


@pytest.mark.ferrpc_only("grpcio does not survive a fork with a server")
def test_a_fork(run):
    """The parent's server goes on; the child's copy says what it is, and a new one works."""
    text = """
server, port = await start()
print(await asyncio.to_thread(call, port), flush=True)
child = os.fork()
if child == 0:
    asyncio._set_running_loop(None)
    async def in_child():
        try:
            server.add_insecure_port("127.0.0.1:0")
        except RuntimeError as error:
            print("forked from" in str(error))
        mine, port = await start()
        print(await asyncio.to_thread(call, port))
        await mine.stop(None)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(in_child())
    sys.stdout.flush()
    os._exit(0)
_, status = await asyncio.to_thread(os.waitpid, child, 0)
print(status, await asyncio.to_thread(call, port))
await server.stop(None)
"""
    code, out, err = _program(run, text)
    assert (code, out) == (0, "b'q'\nTrue\nb'q'\n0 b'q'\n"), err
