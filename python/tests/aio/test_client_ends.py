"""A call runs until its responses were read: its end is not told of before."""

import asyncio
import contextvars
import gc
import weakref

import grpc
import grpc.aio
import pytest

from .calling import run
from .test_client_interceptors import StreamStream, StreamUnary, UnaryStream, UnaryUnary

PASSING = [UnaryUnary([]), UnaryStream([]), StreamUnary([]), StreamStream([])]
FAILING = (("x-fail-after", "3"),)


@pytest.fixture(params=["plain", "intercepted"])
def channel(request):
    """What a channel is made with."""
    return {} if request.param == "plain" else {"interceptors": PASSING}


@pytest.fixture(params=["stream", "chat"])
def begun(request):
    """Begins a call with three responses, of which none is read, and gives its end time to come."""

    async def begin(methods, fails=False, **arguments):
        # The service's method that fails half way has one request.
        if fails or request.param == "stream":
            metadata = FAILING if fails else None
            call = methods.stream(b"9" if fails else b"3", metadata=metadata, **arguments)
        else:
            call = methods.chat([b"0", b"1", b"2"], **arguments)
        ended = []
        call.add_done_callback(ended.append)
        await methods.echo(b"x")
        await asyncio.sleep(0.2)
        return call, ended

    return begin


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_runs_until_its_responses_were_read(target, channel, begun, fails):
    async def main(methods):
        call, ended = await begun(methods, fails)
        read = []
        while len(read) < 3:
            assert not call.done() and not call.cancelled() and not ended
            assert "terminated" not in repr(call)
            read.append(await call.read())
            # It is not told behind the reader's back that there is nothing more, either.
            assert not ended
        assert read == [b"0", b"1", b"2"]
        while not ended:
            await asyncio.sleep(0.01)
        assert ended == [call] and call.done() and not call.cancelled() and not call.cancel()
        code = await call.code()
        assert code is (grpc.StatusCode.ABORTED if fails else grpc.StatusCode.OK)

    run(main, target, **channel)


def test_a_loop_over_done_reads_everything(target, channel, begun):
    async def main(methods):
        call, _ = await begun(methods)
        read = []
        while not call.done() and (message := await call.read()) is not grpc.aio.EOF:
            read.append(message)
        assert read == [b"0", b"1", b"2"]

    run(main, target, **channel)


@pytest.mark.parametrize("reads", [0, 2])
@pytest.mark.parametrize("fails", [False, True])
def test_what_was_not_read_may_be_cancelled(target, channel, begun, reads, fails):
    async def main(methods):
        call, ended = await begun(methods, fails)
        for _ in range(reads):
            await call.read()
        assert call.cancel() and not call.cancel()
        while not call.done():
            await asyncio.sleep(0.01)
        assert call.cancelled() and ended == [call]
        assert await call.code() is grpc.StatusCode.CANCELLED
        assert await call.details() == "Locally cancelled by application!"
        assert not await call.trailing_metadata()
        with pytest.raises(asyncio.CancelledError):
            await call.read()

    run(main, target, **channel)


def test_its_callbacks_do_not_wait_for_longer_than_its_deadline(target, channel, begun):
    async def main(methods):
        call, ended = await begun(methods, timeout=0.8)
        while not ended:
            await asyncio.sleep(0.05)
        assert ended == [call] and call.done()
        assert call.time_remaining() == 0 if not channel else True

    run(main, target, **channel)


@pytest.mark.ferrpc_only("grpcio takes away what was not read before the deadline")
def test_what_has_come_may_be_read_behind_the_deadline(target, channel, begun):
    async def main(methods):
        call, ended = await begun(methods, timeout=0.8)
        while not call.done():
            await asyncio.sleep(0.05)
        assert [message async for message in call] == [b"0", b"1", b"2"]
        assert await call.code() is grpc.StatusCode.OK and ended == [call]

    run(main, target, **channel)


@pytest.mark.ferrpc_only("in grpcio who asks waits for a reader")
def test_who_asks_how_it_ended_does_not_wait_for_a_reader(target, channel, begun):
    async def main(methods):
        call, ended = await begun(methods)
        assert await call.code() is grpc.StatusCode.OK and await call.details() == ""
        assert not call.done() and not ended
        assert [message async for message in call] == [b"0", b"1", b"2"]
        assert call.done() and ended == [call]

    run(main, target, **channel)


def test_closing_a_channel_leaves_time_to_read(target, begun):
    async def main(methods):
        call, ended = await begun(methods)
        closing = asyncio.create_task(methods.channel.close(20))
        await asyncio.sleep(0.1)
        assert not closing.done() and not ended
        assert [message async for message in call] == [b"0", b"1", b"2"]
        await closing
        assert call.done() and not call.cancelled()

    run(main, target)


def test_closing_a_channel_cancels_what_was_not_read(target, begun):
    async def main(methods):
        call, ended = await begun(methods)
        await methods.channel.close()
        assert call.cancelled() and ended == [call]
        with pytest.raises(asyncio.CancelledError):
            await call.read()

    run(main, target)


@pytest.mark.ferrpc_only("grpcio's tasks hold their calls")
def test_a_call_that_waits_for_its_reader_is_not_held(target, begun):
    async def main(methods):
        call, _ = await begun(methods, timeout=20)
        gone = weakref.ref(call)
        del call
        gc.collect()
        assert gone() is None and not methods.channel._driven().calls

    run(main, target)


def test_a_request_iterator_outlives_what_the_server_has_to_say(target, channel):
    seen = []

    async def requests(read):
        try:
            yield b"0"
            await read.wait()
            seen.append("read")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main(methods):
        # The server ends the call behind its first response.
        read = asyncio.Event()
        call = methods.chat(requests(read), metadata=(("x-end-after", "1"),))
        await methods.echo(b"x")
        await asyncio.sleep(0.2)
        assert not seen
        assert await call.read() == b"0"
        read.set()
        while not seen:
            await asyncio.sleep(0.01)

    run(main, target, **channel)


@pytest.mark.parametrize("fails", [False, True])
def test_an_iterator_that_has_ended_stays_so(target, channel, fails):
    async def main(methods):
        call = methods.stream(b"9" if fails else b"2", metadata=FAILING if fails else None)
        read = []
        try:
            async for message in call:
                read.append(message)
        except grpc.aio.AioRpcError as error:
            assert fails and error.code() is grpc.StatusCode.ABORTED
        assert len(read) == (3 if fails else 2)
        assert [message async for message in call] == []

    run(main, target, **channel)


def test_responses_are_an_asynchronous_generator(target, channel):
    async def main(methods):
        responses = methods.stream(b"3").__aiter__()
        assert await responses.__anext__() == b"0"
        assert await responses.asend(None) == b"1"
        await responses.aclose()
        with pytest.raises(StopAsyncIteration):
            await responses.__anext__()

    run(main, target, **channel)


def test_both_styles_of_reading_an_intercepted_call(target):
    async def main(methods):
        call = methods.stream(b"3")
        assert await call.read() == b"0"
        assert [message async for message in call] == [b"1", b"2"]
        assert await call.read() is grpc.aio.EOF

    run(main, target, interceptors=PASSING)


def test_done_writing_to_an_intercepted_call_that_has_ended(target):
    async def main(methods):
        call = methods.collect(metadata=(("x-fail", "not you"),))
        while not call.done():
            await asyncio.sleep(0.02)
        await call.done_writing()
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.details() == "not you"
        with pytest.raises(asyncio.InvalidStateError, match="RPC already finished."):
            await call.write(b"")
        call = methods.collect()
        await call.wait_for_connection()
        call.cancel()
        await call.done_writing()
        assert call.cancelled()

    run(main, target, interceptors=PASSING)


@pytest.mark.parametrize("kind", ["echo", "stream"])
@pytest.mark.parametrize("how", ["ends", "cancelled"])
def test_callbacks_see_the_context_of_their_call(target, channel, kind, how):
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    async def one(methods, name):
        variable.set(name)
        metadata = (("x-sleep", "0.1"),)
        call = methods.echo(b"", metadata=metadata) if kind == "echo" else methods.stream(b"1")
        call.add_done_callback(lambda _: seen.append((name, variable.get())))
        if how == "cancelled":
            call.cancel()
            await asyncio.sleep(0)
        elif kind == "echo":
            await call
        else:
            async for _ in call:
                pass

    async def main(methods):
        variable.set("first use")
        await methods.echo(b"")
        await asyncio.gather(*(one(methods, f"call {number}") for number in range(3)))
        while len(seen) < 3:
            await asyncio.sleep(0.01)
        assert all(name == value for name, value in seen)

    run(main, target, **channel)
