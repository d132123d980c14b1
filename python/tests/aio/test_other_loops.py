"""Servers and channels that meet other loops than the one they were made in."""

import asyncio
import sys
import textwrap
import threading

import grpc
import grpc.aio
import pytest

from .calling import LIMIT, Methods, run
from .serving import Service, make
from .test_client_lives import one_of_each

pytestmark = pytest.mark.ferrpc_only("grpcio's belong to the loop of their making")


async def _hello(request, context):
    await asyncio.sleep(0)
    return request


def _made():
    return grpc.aio.server(handlers=[Service({"/s/UU": make("UU", _hello)})])


async def _use(server, port=None):
    """Starts a server, calls it and stops it."""
    port = port or server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await channel.unary_unary("/s/UU")(b"q", timeout=LIMIT) == b"q"
    await server.stop(0)
    assert await server.wait_for_termination() is False


# -- servers ---------------------------------------------------------------------------------------


def test_a_server_is_of_the_loop_that_starts_it():
    server = _made()
    port = server.add_insecure_port("127.0.0.1:0")
    run(lambda: _use(server, port))
    # There is no loop set now, nor one to be made by itself.
    server = _made()
    run(lambda: _use(server))

    async def only_make():
        server = _made()
        return server, server.add_insecure_port("127.0.0.1:0")

    server, port = run(only_make)
    run(lambda: _use(server, port))


def test_a_server_that_is_made_in_a_thread_without_a_loop():
    made = []
    thread = threading.Thread(target=lambda: made.append(_made()))
    thread.start()
    thread.join()
    run(lambda: _use(made[0]))


def test_a_server_in_a_loop_that_is_run_again_and_again():
    loop = asyncio.new_event_loop()
    try:
        server = _made()
        port = server.add_insecure_port("127.0.0.1:0")
        loop.run_until_complete(server.start())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/s/UU")
            for number in range(3):
                # It waits while the loop does not run.
                begun = call.future(b"%d" % number, timeout=LIMIT)
                waiting = asyncio.to_thread(begun.result)
                assert loop.run_until_complete(waiting) == b"%d" % number
        loop.run_until_complete(server.stop(0))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def test_a_server_is_stopped_and_awaited_by_other_loops():
    server = _made()
    port = server.add_insecure_port("127.0.0.1:0")
    started = threading.Event()
    ended = []

    async def serve():
        await server.start()
        started.set()
        ended.append(await server.wait_for_termination())

    thread = threading.Thread(target=lambda: run(serve))
    thread.start()
    assert started.wait(LIMIT)

    async def stop():
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/s/UU")(b"q", timeout=LIMIT) == b"q"
        assert await server.wait_for_termination(0.01) is True
        await server.stop(1)
        assert await server.wait_for_termination() is False

    run(stop)
    thread.join(LIMIT)
    assert ended == [False]


def test_a_server_whose_loop_is_over_has_stopped():
    server = _made()
    run(server.start)

    async def after():
        assert await server.wait_for_termination() is False
        await server.stop(5)
        with pytest.raises(grpc.aio.UsageError, match="Server not in ready state"):
            await server.start()

    run(after)


def test_a_server_whose_loop_does_not_run():
    loop = asyncio.new_event_loop()
    try:
        server = _made()
        loop.run_until_complete(server.start())
        for wait in (lambda: server.stop(0), server.wait_for_termination):
            with pytest.raises(RuntimeError, match="another event loop, which does not run"):
                run(wait)
        loop.run_until_complete(server.stop(0))
    finally:
        loop.close()


# -- channels --------------------------------------------------------------------------------------


def test_a_channel_is_of_every_loop(target):
    channel = grpc.aio.insecure_channel(target)
    methods = Methods(channel)
    for _ in range(3):
        run(lambda: one_of_each(methods))
    run(channel.close)

    async def after():
        with pytest.raises(grpc.aio.UsageError, match="Channel is closed."):
            methods.echo(b"x")

    run(after)


def test_a_channel_in_the_loops_of_several_threads(target):
    async def main(methods):
        done = []

        def work():
            for _ in range(3):
                run(lambda: one_of_each(methods))
            done.append(True)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            await one_of_each(methods)
        assert len(done) == 4
        assert methods.channel._loop is asyncio.get_running_loop()
        # That of a loop which is gone leaves when the next one comes.
        assert len(methods.channel._drivers._all) <= 5

    run(main, target)


def test_closing_a_channel_ends_the_calls_of_other_loops(target):
    channel = grpc.aio.insecure_channel(target)
    methods = Methods(channel)
    begun = threading.Event()
    ended = []

    async def elsewhere():
        call = methods.stream(b"1000", metadata=(("x-pause", "0.05"),))
        assert await call.read() == b"0"
        waiting = asyncio.ensure_future(
            channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        )
        await asyncio.sleep(0)
        begun.set()
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except asyncio.CancelledError:
            ended.append(await call.code())
        await waiting
        assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN

    thread = threading.Thread(target=lambda: run(elsewhere))
    thread.start()
    assert begun.wait(LIMIT)

    async def close():
        await one_of_each(methods)
        await channel.close()

    run(close)
    thread.join(LIMIT)
    assert not thread.is_alive() and ended == [grpc.StatusCode.CANCELLED]


def test_a_channel_of_a_loop_that_does_not_run(target):
    loop = asyncio.new_event_loop()
    try:
        channel = grpc.aio.insecure_channel(target)
        methods = Methods(channel)
        loop.run_until_complete(one_of_each(methods))

        async def begin():
            return methods.stream(b"1000", metadata=(("x-pause", "0.05"),))

        call = loop.run_until_complete(begin())

        async def elsewhere():
            await one_of_each(methods)
            await channel.close()

        run(elsewhere)
        # It hears of that when it runs again.
        assert loop.run_until_complete(call.code()) is grpc.StatusCode.CANCELLED
    finally:
        loop.close()


def test_a_call_without_a_loop(target):
    async def make_channel():
        return grpc.aio.insecure_channel(target)

    channel = run(make_channel)
    with pytest.raises(RuntimeError, match="loop"):
        Methods(channel).echo(b"x")
    run(lambda: one_of_each(Methods(channel)))


# -- loops in loops --------------------------------------------------------------------------------

NESTED = """
import asyncio, faulthandler
import grpc, grpc.aio
import nest_asyncio

faulthandler.dump_traceback_later(30, exit=True)
nest_asyncio.apply()
tasks = []

async def echo(request, context):
    tasks.append(asyncio.current_task())
    return request

async def nested(request, context):
    # Calls the server that it belongs to, in a loop that runs inside of it.
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    answers = loop.run_until_complete(several(request))
    assert asyncio.current_task() is task
    await asyncio.sleep(0)
    assert asyncio.current_task() is task
    return b" ".join(answers)

async def several(request):
    answers = [await channel.unary_unary("/s/echo")(request, timeout=20) for _ in range(3)]
    answers += [message async for message in channel.unary_stream("/s/stream")(request, timeout=20)]
    return answers

async def stream(request, context):
    for _ in range(3):
        yield request
        await asyncio.sleep(0)

async def main():
    global channel
    handlers = {
        "echo": grpc.unary_unary_rpc_method_handler(echo),
        "nested": grpc.unary_unary_rpc_method_handler(nested),
        "stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    loop = asyncio.get_running_loop()
    for _ in range(3):
        assert loop.run_until_complete(several(b"1")) == [b"1"] * 6
        assert await channel.unary_unary("/s/nested")(b"2", timeout=20) == b"2 2 2 2 2 2"
    together = [channel.unary_unary("/s/nested")(b"3", timeout=20) for _ in range(4)]
    assert await asyncio.gather(*together) == [b"3 3 3 3 3 3"] * 4
    # A callback of a call runs a loop too.
    found = []
    call = channel.unary_unary("/s/echo")(b"4", timeout=20)
    call.add_done_callback(lambda _: found.extend(loop.run_until_complete(several(b"5"))))
    assert await call == b"4"
    assert found == [b"5"] * 6
    await channel.close()
    await server.stop(0)
    assert len(set(map(id, tasks))) == len(tasks)
    print("good")

asyncio.run(main())
"""


@pytest.fixture
def programs(request):
    """The fixture, whose name is also that of what runs a coroutine here."""
    return request.getfixturevalue("run")


def test_a_loop_that_runs_inside_of_a_running_one(programs):
    pytest.importorskip("nest_asyncio")
    done = programs([sys.executable, "-c", textwrap.dedent(NESTED)])
    assert done.stdout == "good\n", done.stderr
    assert not done.stderr
