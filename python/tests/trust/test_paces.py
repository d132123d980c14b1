"""Streams of every size, read at once or slowly, by both APIs at both ends, over every socket: each
runs to its end."""

import asyncio
import contextlib
import os
import threading
import time
from concurrent import futures

import grpc
import grpc.aio
import pytest

from .certificates import Authority

# Bytes of a message, and how many.
SIZES = [(0, 1000), (1, 1000), (2000, 300), (70_000, 20), (1 << 20, 3), ((4 << 20) - 100, 2)]

# Who is slow pauses behind each of its first messages.
PAUSE = 0.001
PAUSES = 10

# The seconds after which a call hangs.
LIMIT = 60


def _order(size, count, slow=False):
    return b"%d %d %d" % (size, count, slow)


def _numbers(text):
    return [int(number) for number in text.split()]


def _messages(size, count):
    message = bytes(size)
    return (message for _ in range(count))


class _Sum:
    """Counts messages; `take` says whether to pause."""

    def __init__(self, slow):
        self.count = self.bytes = 0
        self._slow = slow

    def take(self, message):
        self.count += 1
        self.bytes += len(message)
        return self._slow and self.count <= PAUSES

    def said(self):
        return _order(self.bytes, self.count)


def _is_slow(context):
    return ("slow", "1") in map(tuple, context.invocation_metadata())


def _feed(request, _context):
    size, count, _ = _numbers(request)
    yield from _messages(size, count)


def _sink(requests, context):
    got = _Sum(_is_slow(context))
    for request in requests:
        if got.take(request):
            time.sleep(PAUSE)
    return got.said()


def _chat(requests, _context):
    yield from requests


async def _aio_feed(request, _context):
    for message in _feed(request, _context):
        yield message


async def _aio_sink(requests, context):
    got = _Sum(_is_slow(context))
    async for request in requests:
        if got.take(request):
            await asyncio.sleep(PAUSE)
    return got.said()


async def _aio_chat(requests, _context):
    async for request in requests:
        yield request


def _handlers(feed, sink, chat):
    handlers = {
        "Feed": grpc.unary_stream_rpc_method_handler(feed),
        "Sink": grpc.stream_unary_rpc_method_handler(sink),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    return grpc.method_handlers_generic_handler("test.Paces", handlers)


class _Sockets:
    """Where a server listens, and how it is reached."""

    def __init__(self, kind, folder):
        self.secure = kind == "tls"
        self._path = f"unix:{folder}/paces.sock" if kind == "unix" else None
        if self.secure:
            self._authority = Authority()
            pair = self._authority.issue("localhost")
            self._server = grpc.ssl_server_credentials([pair])

    def add_to(self, server):
        if self.secure:
            return f"localhost:{server.add_secure_port('localhost:0', self._server)}"
        if self._path is not None:
            server.add_insecure_port(self._path)
            return self._path
        return f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"

    def channel(self, module, target):
        if self.secure:
            credentials = grpc.ssl_channel_credentials(self._authority.pem)
            return module.secure_channel(target, credentials)
        return module.insecure_channel(target)


@contextlib.contextmanager
def _threads_serve(sockets):
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[_handlers(_feed, _sink, _chat)])
    target = sockets.add_to(server)
    server.start()
    try:
        yield target
    finally:
        server.stop(None).wait(LIMIT)


@contextlib.contextmanager
def _a_loop_serves(sockets):
    """In a thread of its own."""
    started, loop = futures.Future(), asyncio.new_event_loop()
    stopping = asyncio.Event()

    async def serve():
        handlers = [_handlers(_aio_feed, _aio_sink, _aio_chat)]
        server = grpc.aio.server(handlers=handlers)
        target = sockets.add_to(server)
        await server.start()
        started.set_result(target)
        await stopping.wait()
        await server.stop(None)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield started.result(LIMIT)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()


def _by_threads(sockets, target):
    def read(responses, slow):
        got = _Sum(slow)
        for response in responses:
            if got.take(response):
                time.sleep(PAUSE)
        return got.said()

    with sockets.channel(grpc, target) as channel:
        feed, sink, chat = _methods(channel)
        for size, count, slow in _cases():
            metadata = (("slow", "1"),) if slow else ()
            yield read(feed(_order(size, count), timeout=LIMIT), slow)
            yield sink(_messages(size, count), timeout=LIMIT, metadata=metadata)
            yield read(chat(_messages(size, count), timeout=LIMIT), slow)


async def _by_tasks(sockets, target):
    async def read(responses, slow):
        got = _Sum(slow)
        async for response in responses:
            if got.take(response):
                await asyncio.sleep(PAUSE)
        return got.said()

    async def write(call, size, count):
        for message in _messages(size, count):
            await call.write(message)
        await call.done_writing()

    said = []
    async with sockets.channel(grpc.aio, target) as channel:
        feed, sink, chat = _methods(channel)
        for size, count, slow in _cases():
            metadata = (("slow", "1"),) if slow else ()
            said.append(await read(feed(_order(size, count), timeout=LIMIT), slow))
            said.append(await sink(_messages(size, count), timeout=LIMIT, metadata=metadata))
            call = chat(timeout=LIMIT)
            writes = asyncio.ensure_future(write(call, size, count))
            said.append(await read(call, slow))
            await writes
    return said


def _methods(channel):
    return (
        channel.unary_stream("/test.Paces/Feed"),
        channel.stream_unary("/test.Paces/Sink"),
        channel.stream_stream("/test.Paces/Chat"),
    )


def _cases():
    for slow in (False, True):
        for size, count in SIZES:
            yield size, count, slow


@pytest.mark.parametrize("client", ["threads", "tasks"])
@pytest.mark.parametrize("serve", [_threads_serve, _a_loop_serves])
@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
def test_every_stream_ends(kind, serve, client, tmp_path):
    # The path of a socket may be no longer than some 100 bytes.
    sockets = _Sockets(kind, os.path.relpath(tmp_path))
    with serve(sockets) as target:
        if client == "threads":
            said = list(_by_threads(sockets, target))
        else:
            said = asyncio.run(asyncio.wait_for(_by_tasks(sockets, target), 2 * LIMIT))
    cases = list(_cases())
    expected = [_order(size * count, count) for size, count, _ in cases for _ in range(3)]
    assert said == expected
