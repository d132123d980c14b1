"""What must not stay behind a call, a channel or a loop."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import grpc
import grpc.aio
import pytest

from .calling import Methods, run


def objects():
    """How many of our objects there are, and how many in all."""
    gc.collect()
    every = gc.get_objects()
    kinds = (grpc.aio.Call, asyncio.Task, asyncio.Future)
    return sum(isinstance(one, kinds) for one in every), len(every)


async def one_of_each(methods):
    """A call of each kind."""
    assert await methods.echo(b"x") == b"x"
    assert [message async for message in methods.stream(b"2")] == [b"0", b"1"]
    assert await methods.collect([b"1", b"2"]) == b"1,2"
    call = methods.chat()
    await call.write(b"1")
    assert await call.read() == b"1"
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def exercise(methods, rounds):
    """Calls of each kind, 100 at a time."""
    for _ in range(rounds):
        await asyncio.gather(*[methods.echo(b"x") for _ in range(100)])
    for _ in range(rounds):
        await asyncio.gather(*[one_of_each(methods) for _ in range(10)])


def test_no_calls_or_tasks_stay_behind(target):
    async def main(methods):
        await exercise(methods, 2)
        before = objects()
        await exercise(methods, 10)
        assert objects()[0] <= before[0]

    run(main, target)


@pytest.mark.ferrpc_only("grpcio has 12,000 objects more afterwards")
def test_nothing_stays_behind_calls(target):
    async def main(methods):
        await exercise(methods, 2)
        before = objects()
        await exercise(methods, 100)
        # Caches of the interpreter may grow a little; 13,000 calls would not be a little.
        assert objects()[1] - before[1] < 500

    run(main, target)


@pytest.mark.ferrpc_only("grpcio's tasks hold their calls")
def test_a_call_that_nobody_holds_is_cancelled(target):
    async def main(methods):
        await methods.echo(b"x")
        driver = methods.channel._driven()
        call = methods.stream(b"1000", metadata=(("x-pause", "0.05"),))
        assert await call.read() == b"0"
        assert len(driver.calls) == 1
        del call
        gc.collect()
        assert not driver.calls and not driver.waited
        assert await methods.echo(b"y") == b"y"

    run(main, target)


@pytest.mark.ferrpc_only("grpcio's tasks hold their calls")
@pytest.mark.parametrize("question", ["code", "initial_metadata"])
def test_a_call_whose_waiter_has_given_up_is_not_held(target, question):
    async def main(methods):
        call = methods.chat()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(getattr(call, question)(), 0.05)
        gone = weakref.ref(call)
        # One of two.
        patient = asyncio.create_task(call.details())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(call.details(), 0.05)
        del call
        gc.collect()
        assert gone() is not None and not patient.done()
        patient.cancel()
        await asyncio.wait([patient])
        del patient
        gc.collect()
        assert gone() is None

    run(main, target)


@pytest.mark.ferrpc_only("it asks for what the option does")
@pytest.mark.parametrize("spin", [0, 1000])
def test_a_loop_that_looks_for_an_answer_goes_to_sleep(target, spin):
    async def main(methods):
        assert await methods.echo(b"x") == b"x"
        (connection,) = methods.channel._driven()._connections
        call = methods.echo(b"y", metadata=(("x-sleep", "0.5"),))
        await asyncio.sleep(0)
        if spin == 0:
            assert not connection._looking
        while connection._looking:
            assert not call.done()
            await asyncio.sleep(0)
        assert await call == b"y"

    run(main, target, options=[("ferrpc.spin_us", spin)])


def test_a_call_that_somebody_waits_for_is_not_lost(target):
    async def main(methods):
        async def one():
            return await methods.echo(b"x", metadata=(("x-sleep", "0.3"),))

        tasks = {asyncio.ensure_future(one()) for _ in range(3)}
        await asyncio.sleep(0.1)
        gc.collect()
        assert await asyncio.gather(*tasks) == [b"x"] * 3

    run(main, target)


def test_a_loop_that_ends_before_its_calls(target):
    channels = []

    async def main():
        channel = grpc.aio.insecure_channel(target)
        channels.append(channel)
        methods = Methods(channel)
        assert await methods.echo(b"x") == b"x"
        channels.append(methods.stream(b"1000", metadata=(("x-pause", "0.05"),)))
        channels.append(methods.echo(b"x", metadata=(("x-sleep", "0.3"),)))
        await asyncio.sleep(0)

    asyncio.run(main())
    channels.clear()
    gc.collect()
    run(lambda methods: methods.echo(b"x"), target)


@pytest.mark.ferrpc_only("grpcio says that the event loop is closed, or hangs")
def test_a_channel_after_its_loop(target):
    async def main():
        channel = grpc.aio.insecure_channel(target)
        await Methods(channel).echo(b"x")
        return channel

    channel = asyncio.run(main())
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        # In no loop.
        Methods(channel).echo(b"x")


@pytest.mark.ferrpc_only("grpcio has a poller's thread, and others of its core's")
def test_no_thread_is_busy_with_a_channel(target):
    before = threading.active_count()

    async def main(methods):
        await exercise(methods, 2)
        # The engine's threads are not Python's.
        assert threading.active_count() == before

    run(main, target)


def test_descriptors_are_given_back(target):
    def count():
        return len(os.listdir("/proc/self/fd"))

    async def main(methods):
        assert await methods.echo(b"x") == b"x"

    async def abandon():
        assert await Methods(grpc.aio.insecure_channel(target)).echo(b"x") == b"x"

    for _ in range(3):
        run(main, target)
    before = count()
    for _ in range(20):
        run(main, target)
        asyncio.run(abandon())
    gc.collect()
    # A connection's last thread may just be ending.
    assert count() < before + 15


CHILD = """
    import asyncio, sys
    import grpc.aio

    async def main():
        channel = grpc.aio.insecure_channel(sys.argv[1])
        echo = channel.unary_unary("/test.Client/Echo")
        stream = channel.unary_stream("/test.Client/Stream")
        assert await echo(b"x") == b"x"
        call = stream(b"1000", metadata=(("x-pause", "0.05"),))
        assert await call.read() == b"0"
        if sys.argv[2] == "close":
            await channel.close()

    asyncio.run(main())
    print("done")
"""


@pytest.mark.parametrize("how", ["close", "leave"])
def test_the_interpreter_ends_in_silence(target, how):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), target, how],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout, done.returncode) == ("done\n", 0)
    assert "Traceback" not in done.stderr


FORKING = """
    import asyncio, os, sys
    import grpc.aio

    async def main(text):
        async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
            echo = channel.unary_unary("/test.Client/Echo")
            assert await echo(text) == text

    asyncio.run(main(b"parent"))
    child = os.fork()
    if child == 0:
        asyncio.run(main(b"child"))
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    asyncio.run(main(b"parent again"))
    print("done")
"""


@pytest.mark.ferrpc_only("grpcio's asyncio does not outlive a fork")
def test_a_loop_in_the_child_of_a_fork(target):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKING), target],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout, done.returncode, done.stderr) == ("done\n", 0, "")
