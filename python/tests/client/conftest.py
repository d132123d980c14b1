"""A server of whichever module is active in a process of its own, and channels to it."""

import pathlib
import subprocess
import sys

import grpc
import pytest

SERVER = pathlib.Path(__file__).with_name("server.py")


@pytest.fixture(scope="session")
def target():
    server = subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield f"127.0.0.1:{int(server.stdout.readline())}"
    server.stdin.close()
    server.wait(timeout=30)


class Methods:
    """The test's service through one channel, with bytes for messages."""

    def __init__(self, channel, serializer=None, deserializer=None):
        self.channel = channel
        both = (serializer, deserializer)
        self.echo = channel.unary_unary("/test.Client/Echo", *both)
        self.stream = channel.unary_stream("/test.Client/Stream", *both)
        self.collect = channel.stream_unary("/test.Client/Collect", *both)
        self.chat = channel.stream_stream("/test.Client/Chat", *both)


@pytest.fixture
def connect(target):
    """Makes channels to the server, and closes them behind the test."""
    made = []

    def make(options=None, compression=None, **methods):
        channel = grpc.insecure_channel(target, options=options, compression=compression)
        made.append(channel)
        return Methods(channel, **methods)

    yield make
    for channel in made:
        channel.close()


@pytest.fixture
def methods(connect):
    return connect()
