"""Servers that say goodbye, or just go, behind an answer: the next call does not go to the old
connection, however soon it begins and whatever its thread did meanwhile."""

import asyncio
import queue
import socket
import struct
import threading

import grpc
import grpc.aio
import pytest

CALLS = 10

# The seconds after which a test has failed rather than waits on.
LIMIT = 20

_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_ACK = _END_STREAM = 1
_END_HEADERS = 4


def _frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _headers(*pairs):
    # Literals without indexing.
    return b"".join(
        b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in pairs
    )


class Server:
    """Answers one call on each connection; `part` then takes leave, and returns when that has
    arrived."""

    def __init__(self, goaway):
        self._goaway = goaway
        self._told, self._parted = queue.Queue(), queue.Queue()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def part(self):
        self._told.put(True)
        assert self._parted.get(timeout=LIMIT)

    def close(self):
        self._told.put(False)
        self._listener.close()

    def _serve(self):
        left = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            # Its other end is to find out by itself that it is over.
            left.append(connection)
            self._answer(connection)
            if not self._told.get():
                break
            if self._goaway:
                connection.sendall(_frame(_GOAWAY, 0, 0, struct.pack(">II", 1, 0)))
            else:
                connection.shutdown(socket.SHUT_WR)
            self._parted.put(True)
        for connection in left:
            connection.close()

    def _answer(self, connection):
        received = connection.makefile("rb")
        received.read(24)
        connection.sendall(_frame(_SETTINGS, 0, 0) + _frame(_SETTINGS, _ACK, 0))
        while True:
            head = received.read(9)
            received.read(int.from_bytes(head[:3], "big"))
            if head[3] in (_DATA, _HEADERS) and head[4] & _END_STREAM:
                break
        stream = int.from_bytes(head[5:], "big")
        initial = _headers((b":status", b"200"), (b"content-type", b"application/grpc"))
        trailing = _headers((b"grpc-status", b"0"))
        connection.sendall(
            _frame(_HEADERS, _END_HEADERS, stream, initial)
            + _frame(_DATA, 0, stream, bytes(5))
            + _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, trailing)
        )


@pytest.fixture(params=[False, True], ids=["close", "goaway"])
def server(request):
    server = Server(request.param)
    yield server
    server.close()


RACES = pytest.mark.ferrpc_only("grpcio may write a call before its thread has read the farewell")


def _blocking(channel):
    return channel.unary_unary("/t/Echo")(b"", timeout=LIMIT)


def _future(channel):
    return channel.unary_unary("/t/Echo").future(b"", timeout=LIMIT).result()


def _stream(channel):
    (response,) = channel.stream_stream("/t/Echo")(iter([b""]), timeout=LIMIT)
    return response


@RACES
@pytest.mark.parametrize("ask", [_blocking, _future, _stream])
def test_threads(server, ask):
    with grpc.insecure_channel(server.target) as channel:
        for _ in range(CALLS):
            assert ask(channel) == b""
            server.part()


@RACES
def test_tasks(server):
    async def main():
        async with grpc.aio.insecure_channel(server.target) as channel:
            method = channel.unary_unary("/t/Echo")
            for _ in range(CALLS):
                assert await method(b"", timeout=LIMIT) == b""
                # The loop stands still meanwhile.
                server.part()

    asyncio.run(main())
