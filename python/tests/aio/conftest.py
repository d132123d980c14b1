"""A server of whichever module is active, in a process of its own, for the tests of clients."""

import pathlib
import subprocess
import sys

import pytest

SERVER = pathlib.Path(__file__).parents[1] / "client" / "server.py"


@pytest.fixture(scope="session")
def target():
    server = subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield f"127.0.0.1:{int(server.stdout.readline())}"
    server.stdin.close()
    server.wait(timeout=30)
