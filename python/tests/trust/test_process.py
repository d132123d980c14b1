"""Signals, forks and the end of the interpreter while there are credentials at work."""

import sys

import pytest

PLUGIN = """
import grpc, os, signal, sys, threading
channel = grpc.secure_channel(
    sys.argv[1], grpc.ssl_channel_credentials(open(sys.argv[2], "rb").read())
)
call = channel.unary_unary("/trust.Test/Who")
kept = []
never = grpc.metadata_call_credentials(lambda context, callback: kept.append(callback))
"""


@pytest.fixture
def program(run, tls, authority, tmp_path):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.pem)

    def program(text, **variables):
        return run([sys.executable, "-c", PLUGIN + text, tls, roots], **variables)

    return program


def test_signals_reach_a_call_that_waits_for_its_plugin(program):
    done = program(
        """
def handle(number, frame):
    raise InterruptedError("a signal")

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    call(b"", timeout=50, credentials=never)
except InterruptedError as error:
    print(error)
os._exit(0)
"""
    )
    assert done.stdout == "a signal\n", done.stderr


@pytest.mark.ferrpc_only("grpcio aborts or hangs now and then")
def test_the_interpreter_ends_while_plugins_are_at_work(program):
    done = program(
        """
import time
blocking = grpc.metadata_call_credentials(lambda context, callback: time.sleep(50))
futures = [call.future(b"", credentials=each) for each in (never, blocking)]
call(b"", credentials=grpc.access_token_call_credentials("t"))
print("done")
"""
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


@pytest.mark.ferrpc_only("channels of grpcio work in a child only if it was told so before")
def test_a_secure_channel_in_the_child_of_a_fork(program):
    done = program(
        """
says = grpc.metadata_call_credentials(lambda context, callback: callback((("k", "v"),), None))
assert b"'v'" in call(b"", timeout=20, credentials=says)
child = os.fork()
if child == 0:
    os._exit(0 if b"'v'" in call(b"", timeout=20, credentials=says) else 1)
_, status = os.waitpid(child, 0)
assert b"'v'" in call(b"", timeout=20, credentials=says)
print("child", os.waitstatus_to_exitcode(status))
"""
    )
    assert done.stdout == "child 0\n", done.stderr


@pytest.mark.ferrpc_only("grpcio's threads are its core's")
def test_the_interpreter_ends_while_a_fetcher_waits(run, authority, tmp_path):
    for name, pem in zip(("key", "chain"), authority.issue("localhost"), strict=True):
        (tmp_path / name).write_bytes(pem)
    program = """
import grpc, sys
from concurrent import futures
pem = [open(path, "rb").read() for path in sys.argv[1:]]
first = grpc.ssl_server_certificate_configuration([pem])
server = grpc.server(futures.ThreadPoolExecutor(1))
server.add_secure_port("localhost:0", grpc.dynamic_ssl_server_credentials(first, lambda: None))
server.start()
print("done")
"""
    done = run([sys.executable, "-c", program, tmp_path / "key", tmp_path / "chain"])
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
