"""Servers and the life of their process: exit, signals, forks. Each has a process of its own."""

import signal
import subprocess
import sys
import time

import pytest

HEAD = """
import grpc, os, sys, threading, time
from concurrent import futures

class Service(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/s/UU":
            return grpc.unary_unary_rpc_method_handler(lambda r, c: r)
        if details.method == "/s/SS":
            return grpc.stream_stream_rpc_method_handler(waits)

def waits(requests, context):
    print("in", flush=True)
    for request in requests:
        yield request

server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Service()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
"""

CLIENT = """
import grpc, sys, threading
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
channel.unary_unary("/s/UU")(b"a", timeout=20)
def requests():
    threading.Event().wait(60)
    yield b""
try:
    list(channel.stream_stream("/s/SS")(requests(), timeout=50))
except grpc.RpcError as error:
    print(error.code().name, flush=True)
import os
os._exit(0)
"""


@pytest.fixture
def start():
    """Starts a Python program with pipes to it; it is gone when the test is over."""
    programs = []

    def start(text, *arguments, python=sys.executable):
        program = subprocess.Popen(
            [python, "-u", "-c", text, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        programs.append(program)
        return program

    yield start
    for program in programs:
        program.kill()
        program.communicate()


@pytest.mark.ferrpc_only("grpcio waits for the handler for ever")
def test_exit_with_a_call_in_flight(start, oracle_python):
    server = start(HEAD + "sys.stdin.readline()\n")
    port = int(server.stdout.readline())
    client = start(CLIENT, port, python=oracle_python)
    assert server.stdout.readline() == "in\n"
    server.stdin.write("end\n")
    server.stdin.flush()
    _, errors = server.communicate(timeout=30)
    assert server.returncode == 0
    assert errors == ""
    assert client.stdout.readline().strip() in ("UNAVAILABLE", "CANCELLED")


def test_exit_without_calls(start):
    server = start(HEAD)
    _, errors = server.communicate(timeout=30)
    assert (server.returncode, errors) == (0, "")


@pytest.mark.ferrpc_only("grpcio waits for the handler for ever")
def test_ctrl_c(start, oracle_python):
    server = start(HEAD + "server.wait_for_termination()\n")
    port = int(server.stdout.readline())
    start(CLIENT, port, python=oracle_python)
    assert server.stdout.readline() == "in\n"
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=30)
    assert server.returncode != 0
    assert "KeyboardInterrupt" in errors


def test_a_killed_client_ends_its_calls(start, oracle_python):
    server = start(
        HEAD.replace("print(\"in\", flush=True)", "context.add_callback(over.set)")
        + "over = threading.Event()\nassert over.wait(20)\nprint('over', flush=True)\n"
    )
    port = int(server.stdout.readline())
    client = start(CLIENT, port, python=oracle_python)
    time.sleep(1)
    client.kill()
    assert server.stdout.readline() == "over\n"


@pytest.mark.ferrpc_only("what grpcio's server does in the child of a fork is left open")
def test_a_server_in_the_child_of_a_fork(start, oracle_python):
    server = start(
        HEAD
        + """
sys.stdin.readline()
child = os.fork()
if child == 0:
    for act in (lambda: server.stop(0), lambda: server.add_insecure_port("127.0.0.1:0")):
        try:
            act()
        except RuntimeError as error:
            print(str(error), flush=True)
    del server
    # A server of its own works.
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Service()])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.readline()
    server.stop(None)
    sys.exit(0)
print(os.waitpid(child, 0)[1], flush=True)
server.wait_for_termination()
"""
    )
    port = int(server.stdout.readline())
    call = """
import grpc, sys
with grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}") as channel:
    print(channel.unary_unary("/s/UU")(b"a", timeout=20))
"""

    def answers(port):
        client = start(call, port, python=oracle_python)
        return client.communicate(timeout=30)[0] == "b'a'\n"

    assert answers(port)
    server.stdin.write("fork\n")
    server.stdin.flush()
    for _ in range(2):
        assert "belongs to the process that this one was forked from" in server.stdout.readline()
    own = int(server.stdout.readline())
    assert answers(own)
    assert answers(port)
    server.stdin.write("end\n")
    server.stdin.flush()
    assert server.stdout.readline() == "0\n"
    assert answers(port)


def test_nothing_is_said_on_stderr(start, oracle_python):
    failing = HEAD.replace("lambda r, c: r)", "lambda r, c: 1 / 0)")
    server = start(failing + "sys.stdin.readline()\n")
    port = int(server.stdout.readline())
    call = """
import grpc, sys
try:
    grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}").unary_unary("/s/UU")(b"a", timeout=20)
except grpc.RpcError as error:
    print(error.code().name)
"""
    client = start(call, port, python=oracle_python)
    assert client.communicate(timeout=30)[0] == "UNKNOWN\n"
    server.stdin.write("end\n")
    server.stdin.flush()
    assert server.communicate(timeout=30)[1] == ""
    assert server.returncode == 0



EXITS = """
import threading
from concurrent import futures
import grpc

def wait(request, context):
    cancelled = threading.Event()
    if context.add_callback(cancelled.set):
        cancelled.wait(60)
    return request

server = grpc.server(futures.ThreadPoolExecutor(8))
handlers = {"UU": grpc.unary_unary_rpc_method_handler(wait)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
calls = [channel.unary_unary("/s/UU").future(b"") for _ in range(5)]
"""


@pytest.mark.ferrpc_only("in grpcio they wait for their 60 seconds now and then")
def test_handlers_hear_of_the_end_of_the_process(run):
    for _ in range(5):
        done = run([sys.executable, "-c", EXITS], limit=40)
        assert (done.returncode, done.stderr) == (0, "")
