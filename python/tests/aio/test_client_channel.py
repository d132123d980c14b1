"""Channels: their states, their end, and the loops and threads they live in."""

import asyncio
import threading

import grpc
import grpc.aio
import pytest
import uvloop

from .calling import Methods, nowhere, run


def test_states(target):
    async def main(methods):
        channel = methods.channel
        assert channel.get_state() is grpc.ChannelConnectivity.IDLE
        waiting = asyncio.create_task(
            channel.wait_for_state_change(grpc.ChannelConnectivity.IDLE)
        )
        await asyncio.sleep(0)
        channel.get_state(try_to_connect=True)
        await waiting
        await channel.channel_ready()
        assert channel.get_state() is grpc.ChannelConnectivity.READY
        await channel.close()
        assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        with pytest.raises(grpc.aio.UsageError, match="Channel is closed."):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.SHUTDOWN)

    run(main, target)


def test_a_server_that_is_not_there():
    async def main(methods):
        state = methods.channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await methods.channel.wait_for_state_change(state)
            state = methods.channel.get_state()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(methods.channel.channel_ready(), 0.2)

    run(main, nowhere())


def test_the_state_is_that_before_it_begins_to_connect(target):
    async def main(methods):
        channel = methods.channel
        assert channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.IDLE
        await channel.channel_ready()
        assert channel.get_state(True) is grpc.ChannelConnectivity.READY

    run(main, target)


@pytest.mark.parametrize("connected", [False, True])
def test_closing_is_a_change_of_state(target, connected):
    async def watch(channel):
        while (state := channel.get_state()) is not grpc.ChannelConnectivity.SHUTDOWN:
            await channel.wait_for_state_change(state)
        return "closed"

    async def main(methods):
        channel = methods.channel
        if connected:
            await channel.channel_ready()
        watching = [asyncio.create_task(watch(channel)) for _ in range(2)]
        await asyncio.sleep(0.05)
        await channel.close()
        assert await asyncio.gather(*watching) == ["closed", "closed"]

    run(main, target)


@pytest.mark.parametrize("unreadable", ["foo/bar", "localhost:notaport", "[::1"])
def test_a_target_that_cannot_be_read(unreadable):
    async def main(methods):
        channel = methods.channel
        cancelled, ended = methods.echo(b""), []
        cancelled.add_done_callback(ended.append)
        assert not cancelled.done() and cancelled.cancel() and ended == [cancelled]
        for call in (methods.echo(b""), methods.collect([b""])):
            call.add_done_callback(ended.append)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert call.done() and ended[-1] is call
        call = methods.chat()
        with pytest.raises(grpc.aio.AioRpcError):
            await call.write(b"")
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()
        await call.done_writing()
        channel.get_state(try_to_connect=True)
        await channel.wait_for_state_change(grpc.ChannelConnectivity.IDLE)
        while channel.get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await asyncio.sleep(0.01)

    run(main, unreadable)


@pytest.mark.ferrpc_only("in grpcio they wait for ever")
@pytest.mark.parametrize("unreadable", ["foo/bar", ""])
def test_closing_a_channel_whose_target_cannot_be_read(unreadable):
    async def main(methods):
        channel = methods.channel
        failed = grpc.ChannelConnectivity.TRANSIENT_FAILURE
        while channel.get_state(try_to_connect=True) is not failed:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(channel.wait_for_state_change(failed))
        ready = asyncio.create_task(channel.channel_ready())
        await asyncio.sleep(0.05)
        assert not waiting.done() and not ready.done()
        await channel.close()
        assert await waiting is None
        with pytest.raises(grpc.aio.UsageError, match="Channel is closed."):
            await ready

    run(main, unreadable)


def test_closing_cancels_what_runs(target):
    async def main(methods):
        call = methods.echo(b"x", metadata=(("x-sleep", "0.5"),))
        stream = methods.stream(b"100", metadata=(("x-pause", "0.1"),))
        assert await stream.read() == b"0"
        await methods.channel.close()
        await methods.channel.close()
        for pending in (call, stream.read()):
            with pytest.raises(asyncio.CancelledError):
                await pending
        assert call.cancelled() and stream.cancelled()
        for method in (methods.echo, methods.stream):
            with pytest.raises(grpc.aio.UsageError, match="Channel is closed."):
                method(b"x")
        for method in (methods.collect, methods.chat):
            with pytest.raises(grpc.aio.UsageError, match="Channel is closed."):
                method()

    run(main, target)


def test_closing_with_grace(target):
    async def main(methods):
        quick = methods.echo(b"x", metadata=(("x-sleep", "0.2"),))
        slow = methods.stream(b"100", metadata=(("x-pause", "0.2"),))
        await slow.read()
        with pytest.raises(ValueError):
            await methods.channel.close(grace=-1)
        await methods.channel.close(grace=0.8)
        assert await quick == b"x"
        assert slow.cancelled()

    run(main, target)


def test_made_outside_of_a_running_loop(target):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        channel = grpc.aio.insecure_channel(target)
        assert channel._loop is loop

        async def main():
            assert await Methods(channel).echo(b"x") == b"x"
            await channel.close()

        loop.run_until_complete(main())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_loops_in_threads(target):
    results = []

    def work(number):
        async def main(methods):
            for round_ in range(50):
                message = b"%d %d" % (number, round_)
                assert await methods.echo(message) == message
            return number

        results.append(run(main, target))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == list(range(6))


def test_one_loop_after_the_other(target):
    async def main(methods):
        assert await methods.echo(b"x") == b"x"

    for _ in range(30):
        run(main, target)


def test_debug_mode(target):
    async def main():
        asyncio.get_running_loop().slow_callback_duration = 10
        async with grpc.aio.insecure_channel(target) as channel:
            methods = Methods(channel)
            assert await methods.echo(b"x") == b"x"
            assert [message async for message in methods.chat([b"1"])] == [b"1"]

    asyncio.run(main(), debug=True)


def test_uvloop(target):
    async def main():
        async with grpc.aio.insecure_channel(target) as channel:
            methods = Methods(channel)
            assert await asyncio.gather(*[methods.echo(b"x") for _ in range(50)]) == [b"x"] * 50
            assert [message async for message in methods.chat([b"1"])] == [b"1"]

    uvloop.run(main())


def test_the_attributes_that_packages_know(target):
    async def main(methods):
        channel = methods.channel
        assert isinstance(channel, grpc.aio.Channel)
        assert channel._loop is asyncio.get_running_loop()
        for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            assert getattr(channel, f"_{kind}_interceptors") == []
        assert isinstance(methods.echo, grpc.aio.UnaryUnaryMultiCallable)
        assert isinstance(methods.stream, grpc.aio.UnaryStreamMultiCallable)
        assert isinstance(methods.collect, grpc.aio.StreamUnaryMultiCallable)
        assert isinstance(methods.chat, grpc.aio.StreamStreamMultiCallable)

    run(main, target)
