"""The life of an asyncio server: ports, start and stop, loops, forks, the end of the process."""

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import weakref

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, Service, eventually, make, run, serving

Code = grpc.StatusCode


async def _hello(request, context):
    return request


async def _hello_later(request, context):
    await asyncio.sleep(0)
    return request


# -- order ----------------------------------------------------------------------------------------


def test_start_and_stop_in_any_order():
    async def main():
        server = grpc.aio.server()
        await server.stop(None)
        assert await server.wait_for_termination(0.01) is True
        port = server.add_insecure_port("127.0.0.1:0")
        assert port > 0 and server.add_insecure_port(b"127.0.0.1:0") > 0
        await server.start()
        await server.start()
        assert server.add_insecure_port("127.0.0.1:0") > 0
        server.add_generic_rpc_handlers((Service({}),))
        server.add_registered_method_handlers("s", {})
        assert await server.wait_for_termination(0.01) is True
        waiting = [asyncio.ensure_future(server.wait_for_termination()) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.gather(server.stop(None), server.stop(1))
        assert await asyncio.gather(*waiting) == [False, False]
        await server.stop(None)
        assert await server.wait_for_termination() is False
        with pytest.raises(grpc.aio.UsageError, match="Server not in ready state"):
            await server.start()

    run(main)


@pytest.mark.ferrpc_only("grpcio crashes")
def test_no_port_is_added_to_a_stopped_server():
    async def main():
        server = grpc.aio.server()
        await server.start()
        await server.stop(None)
        with pytest.raises(grpc.aio.UsageError, match="the server was stopped"):
            server.add_insecure_port("127.0.0.1:0")

    run(main)


@pytest.mark.parametrize("address", ["nosuch.invalid:0", "127.0.0.1:notaport"])
def test_an_address_that_cannot_be_bound(address):
    async def main():
        with pytest.raises(RuntimeError, match=f"Failed to bind to address {address}"):
            grpc.aio.server().add_insecure_port(address)

    run(main)


def test_a_unix_socket_has_port_one(tmp_path):
    async def main():
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", _hello)})])
        assert server.add_insecure_port(f"unix:{tmp_path}/socket") == 1
        await server.start()
        with grpc.insecure_channel(f"unix:{tmp_path}/socket") as channel:
            call = channel.unary_unary("/s/UU")
            assert await asyncio.to_thread(call, b"q", timeout=LIMIT) == b"q"
        await server.stop(None)

    run(main)


def test_a_server_may_be_made_before_its_loop_runs():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", _hello)})])
        port = server.add_insecure_port("127.0.0.1:0")

        async def main():
            await server.start()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = channel.unary_unary("/s/UU")
                assert await asyncio.to_thread(call, b"q", timeout=LIMIT) == b"q"
            await server.stop(None)

        loop.run_until_complete(asyncio.wait_for(main(), LIMIT))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


# -- stop -----------------------------------------------------------------------------------------


def test_a_graceful_stop_waits_for_calls_and_takes_no_more():
    release = asyncio.Event()

    async def waits(request, context):
        began.set()
        await release.wait()
        return b"done"

    async def main():
        nonlocal began
        began = asyncio.Event()
        async with serving({"/s/UU": waits}) as ends:
            call = asyncio.ensure_future(ends.uu("/s/UU"))
            await began.wait()
            stopping = asyncio.ensure_future(ends.server.stop(LIMIT))
            await asyncio.sleep(0)
            with grpc.insecure_channel(f"127.0.0.1:{ends.port}") as another:
                with pytest.raises(grpc.RpcError) as caught:
                    await asyncio.to_thread(another.unary_unary("/s/UU"), b"", timeout=LIMIT)
            assert caught.value.code() is Code.UNAVAILABLE
            assert not stopping.done()
            release.set()
            assert await call == b"done"
            await stopping

    began = None
    run(main)


def test_a_second_stop_has_less_patience():
    cancelled = []

    async def waits(request, context):
        began.set()
        try:
            await asyncio.sleep(LIMIT)
        finally:
            cancelled.append(True)

    async def main():
        nonlocal began
        began = asyncio.Event()
        async with serving({"/s/UU": waits}) as ends:
            call = asyncio.ensure_future(ends.fails("/s/UU"))
            await began.wait()
            patient = asyncio.ensure_future(ends.server.stop(LIMIT))
            await asyncio.sleep(0)
            await ends.server.stop(0)
            await patient
            assert (await call)[0] is Code.UNAVAILABLE
            await eventually(lambda: cancelled)

    began = None
    run(main)


@pytest.mark.ferrpc_only("of grpcio it is not known")
def test_stop_does_not_hang_on_whom_it_waits_for():
    """Peers that say nothing, and handlers that do not let themselves be cancelled."""
    release = asyncio.Event()

    async def stubborn(request, context):
        began.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    async def main():
        nonlocal began
        began = asyncio.Event()
        async with serving({"/s/UU": stubborn}) as ends:
            with socket.create_connection(("127.0.0.1", ends.port)) as silent:
                silent.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                await asyncio.to_thread(silent.recv, 1)
                call = asyncio.ensure_future(ends.fails("/s/UU"))
                await began.wait()
                await asyncio.wait_for(ends.server.stop(0), LIMIT / 2)
                assert (await call)[0] is Code.UNAVAILABLE
            release.set()

    began = None
    run(main)


def test_a_stop_that_is_cancelled_goes_on():
    async def main():
        async with serving({"/s/UU": _hello}) as ends:
            stopping = asyncio.ensure_future(ends.server.stop(0))
            await asyncio.sleep(0)
            stopping.cancel()
            assert await ends.server.wait_for_termination() is False

    run(main)


def test_a_forgotten_server_stops():
    async def main():
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", _hello)})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/s/UU")
            assert await asyncio.to_thread(call, b"q", timeout=LIMIT) == b"q"
            del server
            gc.collect()
            while True:
                try:
                    await asyncio.to_thread(call, b"q", timeout=LIMIT)
                except grpc.RpcError as error:
                    assert error.code() is Code.UNAVAILABLE
                    break

    run(main)


# -- loops ----------------------------------------------------------------------------------------


def test_several_loops_in_several_threads():
    answers = []

    def one(number):
        async def name(request, context):
            await asyncio.sleep(0)
            return b"%d" % number

        async def main():
            async with serving({"/s/UU": name}) as ends:
                for _ in range(20):
                    answers.append((number, await ends.uu("/s/UU")))

        run(main)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted((n, b"%d" % n) for n in range(4) for _ in range(20))


@pytest.mark.ferrpc_only("grpcio's callers wait for their deadline")
def test_a_call_that_outlives_its_loop_ends():
    """The loop is closed with calls under way: their callers hear of it, and nothing is said."""
    began = threading.Event()
    said = []

    async def waits(request, context):
        began.set()
        await asyncio.sleep(LIMIT)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: said.append(context))

    async def start():
        server = grpc.aio.server(handlers=[Service({"/s/UU": make("UU", waits)})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = loop.run_until_complete(start())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/s/UU").future(b"", timeout=LIMIT)
        loop.run_until_complete(loop.run_in_executor(None, began.wait, LIMIT))
        tasks = asyncio.all_tasks(loop)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        assert call.code() is Code.UNAVAILABLE
    for task in tasks:
        # What they are still in is nobody's any more.
        task._log_destroy_pending = False
    del tasks, task
    gc.collect()
    # That it was stopped with its loop is no reason for another to fail.
    another = asyncio.new_event_loop()
    another.run_until_complete(asyncio.sleep(0))
    another.close()
    assert not said
    del server


@pytest.mark.ferrpc_only("grpcio keeps its loops")
def test_a_closed_loop_is_not_kept():
    async def main():
        async with serving({"/s/UU": _hello, "/s/UUl": _hello_later}) as ends:
            assert await ends.uu("/s/UU") == b"q"
            assert await ends.uu("/s/UUl") == b"q"

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    known = weakref.ref(loop)
    descriptors = len(os.listdir("/proc/self/fd"))
    del loop
    gc.collect()
    assert known() is None
    assert len(os.listdir("/proc/self/fd")) <= descriptors


class _WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that cannot wait for descriptors of others, as on Windows."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError


def test_a_loop_that_has_no_readers():
    async def main():
        async with serving({"/s/UU": _hello, "/s/US": _stream}) as ends:
            for _ in range(20):
                assert await ends.uu("/s/UU") == b"q"
            assert len(await ends.us("/s/US")) == 1000

    async def _stream(request, context):
        for _ in range(1000):
            yield b"1"

    loop = _WithoutReaders()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), LIMIT))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_uvloop():
    uvloop = pytest.importorskip("uvloop", reason="ferrpc_only: uvloop is not installed")

    async def main():
        async with serving({"/s/UU": _hello, "/s/UUl": _hello_later}) as ends:
            assert await ends.uu("/s/UU") == b"q"
            assert await ends.uu("/s/UUl") == b"q"

    uvloop.run(asyncio.wait_for(main(), LIMIT))


# -- nothing stays --------------------------------------------------------------------------------


async def _stream(request, context):
    for _ in range(3):
        yield request


async def _join(requests, context):
    return b"".join([request async for request in requests])


async def _each(requests, context):
    async for request in requests:
        await context.write(request)


async def _aborts(request, context):
    await context.abort(Code.NOT_FOUND, "gone")


async def _raises(request, context):
    raise ValueError("boom")


def _plain(request, context):
    return request


@pytest.mark.ferrpc_only("grpcio's objects come and go as they like")
@pytest.mark.parametrize(
    ("path", "behavior", "count"),
    [
        ("/s/UU", _hello, 20_000),
        ("/s/UU", _hello_later, 10_000),
        ("/s/UU", _aborts, 5_000),
        ("/s/UU", _raises, 2_000),
        ("/s/UU", _plain, 3_000),
        ("/s/US", _stream, 5_000),
        ("/s/SU", _join, 2_000),
        ("/s/SS", _each, 2_000),
    ],
)
def test_no_object_stays_of_a_call(path, behavior, count):
    logging.getLogger("grpc._cython.cygrpc").disabled = True

    def calls(channel, count):
        for _ in range(count):
            try:
                if path == "/s/UU":
                    channel.unary_unary(path)(b"q", timeout=LIMIT)
                elif path == "/s/US":
                    list(channel.unary_stream(path)(b"q", timeout=LIMIT))
                elif path == "/s/SU":
                    channel.stream_unary(path)(iter([b"q"] * 3), timeout=LIMIT)
                else:
                    list(channel.stream_stream(path)(iter([b"q"] * 3), timeout=LIMIT))
            except grpc.RpcError:
                pass

    async def settled(most=None):
        """The count of objects, once no more of them go; or once they are few enough."""
        seen = sys.maxsize
        for _ in range(200):
            gc.collect()
            now = len(gc.get_objects())
            if now >= seen and (most is None or now <= most):
                break
            seen = now
            await asyncio.sleep(0.01)
        return now, len(asyncio.all_tasks())

    async def main():
        async with serving({path: behavior}) as ends:
            await asyncio.to_thread(calls, ends.channel, 200)
            objects, tasks = await settled()
            await asyncio.to_thread(calls, ends.channel, count)
            after, tasks_after = await settled(objects + 100)
            # One object a call would be thousands.
            assert after - objects <= 100
            assert tasks_after <= tasks + 1

    try:
        asyncio.run(asyncio.wait_for(main(), 4 * LIMIT))
    finally:
        logging.getLogger("grpc._cython.cygrpc").disabled = False


@pytest.mark.ferrpc_only("grpcio's objects come and go as they like")
def test_no_object_stays_of_a_cancelled_call():
    waiting = set()

    async def waits(request, context):
        waiting.add(request)
        try:
            await asyncio.sleep(LIMIT)
        finally:
            waiting.discard(request)

    async def calls(ends, count):
        for number in range(count):
            request = b"%d" % number
            call = ends.channel.unary_unary("/s/UU").future(request, timeout=LIMIT)
            await eventually(lambda: request in waiting)
            call.cancel()
            await eventually(lambda: not waiting)

    async def main():
        async with serving({"/s/UU": waits}) as ends:
            await calls(ends, 20)
            gc.collect()
            before = len(gc.get_objects())
            await calls(ends, 500)
            await eventually(lambda: gc.collect() >= 0 and len(gc.get_objects()) <= before + 100)

    asyncio.run(asyncio.wait_for(main(), 2 * LIMIT))


# -- processes ------------------------------------------------------------------------------------

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
