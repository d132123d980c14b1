"""Calls of the four kinds, what they answer, and how they end."""

import asyncio
import copy
import pickle

import grpc
import grpc.aio
import pytest
from grpc._cython import cygrpc

from .calling import nowhere, run


def test_a_unary_call(target):
    async def main(methods):
        call = methods.echo(b"hello", metadata=(("x-initial", "one"), ("x-trailing", "two")))
        assert isinstance(call, grpc.aio.UnaryUnaryCall) and isinstance(call, grpc.aio.Call)
        assert not call.done() and not call.cancelled() and call.time_remaining() is None
        assert repr(call) == "<_AioCall object>" or "UnaryUnaryCall" in repr(call)
        assert await call == b"hello"
        assert await call == b"hello"
        assert call.done() and not call.cancelled() and not call.cancel()
        assert await call.code() is grpc.StatusCode.OK
        assert await call.details() == ""
        assert not await call.debug_error_string()
        initial, trailing = await call.initial_metadata(), await call.trailing_metadata()
        assert type(initial) is type(trailing) is grpc.aio.Metadata
        assert initial["initial"] == "one" and initial["initial-bin"] == b"\x00\xff"
        assert trailing["trailing"] == "two" and trailing["trailing-bin"] == b"\x00\xff"

    run(main, target)


def test_the_rpc_begins_when_the_call_is_made(target):
    async def main(methods):
        call = methods.echo(b"x")
        while not call.done():
            await asyncio.sleep(0.01)
        assert await call == b"x"

    run(main, target)


def test_a_failed_call_raises_its_status(target):
    async def main(methods):
        call = methods.echo(b"x", metadata=(("x-trailing", "why"), ("x-fail", "gone")))
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
        error = caught.value
        assert isinstance(error, grpc.RpcError) and error.args == ()
        assert error.code() is grpc.StatusCode.NOT_FOUND and error.details() == "gone"
        assert error.trailing_metadata()["trailing"] == "why"
        assert error.initial_metadata() == grpc.aio.Metadata()
        assert await call.code() is grpc.StatusCode.NOT_FOUND
        assert await call.details() == "gone"
        assert str(error).startswith(
            "<AioRpcError of RPC that terminated with:\n"
            '\tstatus = StatusCode.NOT_FOUND\n\tdetails = "gone"\n\tdebug_error_string = "'
        )
        assert str(error) == repr(error)
        for copied in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
            assert repr(copied) == repr(error)
            assert copied.trailing_metadata() == error.trailing_metadata()

    run(main, target)


def test_many_calls_at_once(target):
    async def main(methods):
        calls = [methods.echo(b"%d" % number) for number in range(300)]
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(300)]

    run(main, target)


def test_a_large_message_each_way(target):
    async def main(methods):
        message = bytes(range(256)) * 12000
        assert await methods.echo(message) == message
        chat = methods.chat()
        for _ in range(3):
            await chat.write(message)
            assert await chat.read() == message

    run(main, target)


def test_responses_are_iterated(target):
    async def main(methods):
        call = methods.stream(b"1000")
        assert isinstance(call, grpc.aio.UnaryStreamCall)
        assert [message async for message in call] == [b"%d" % number for number in range(1000)]
        assert await call.code() is grpc.StatusCode.OK
        assert call.done()

    run(main, target)


def test_responses_are_read(target):
    async def main(methods):
        call = methods.stream(b"3")
        assert [await call.read() for _ in range(3)] == [b"0", b"1", b"2"]
        assert await call.read() is grpc.aio.EOF
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK

    run(main, target)


def test_a_stream_that_fails_half_way(target):
    async def main(methods):
        failing = (("x-fail-after", "2"),)
        found = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for message in methods.stream(b"9", metadata=failing):
                found.append(message)
        assert found == [b"0", b"1"]
        assert caught.value.code() is grpc.StatusCode.ABORTED
        call = methods.stream(b"9", metadata=failing)
        assert [await call.read(), await call.read()] == [b"0", b"1"]
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()

    run(main, target)


@pytest.mark.parametrize("kind", ["asynchronous", "plain", "list"])
def test_requests_from_an_iterable(target, kind):
    async def asynchronous():
        for number in range(4):
            await asyncio.sleep(0)
            yield b"%d" % number

    def requests():
        if kind == "asynchronous":
            return asynchronous()
        listed = [b"%d" % number for number in range(4)]
        return iter(listed) if kind == "plain" else listed

    async def main(methods):
        call = methods.collect(requests())
        assert isinstance(call, grpc.aio.StreamUnaryCall)
        assert await call == b"0,1,2,3"
        call = methods.chat(requests())
        assert isinstance(call, grpc.aio.StreamStreamCall)
        assert [message async for message in call] == [b"0", b"1", b"2", b"3"]

    run(main, target)


def test_requests_are_written(target):
    async def main(methods):
        call = methods.collect()
        await call.write(b"a")
        await call.write(b"b")
        await call.done_writing()
        await call.done_writing()
        with pytest.raises(asyncio.InvalidStateError, match="half closed after calling"):
            await call.write(b"c")
        assert await call == b"a,b"
        with pytest.raises(asyncio.InvalidStateError, match="RPC already finished."):
            await call.write(b"c")

    run(main, target)


def test_ping_and_pong(target):
    async def main(methods):
        call = methods.chat()
        for number in range(200):
            await call.write(b"%d" % number)
            assert await call.read() == b"%d" % number
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK

    run(main, target)


def test_writing_faster_than_the_server_reads(target):
    async def main(methods):
        call = methods.collect()
        for _ in range(200):
            await call.write(bytes(10000))
        await call.done_writing()
        assert len(await call) == 200 * 10001 - 1

    run(main, target)


@pytest.mark.ferrpc_only("grpcio's call ends: TOO_MANY_OPERATIONS")
def test_tasks_that_write_at_the_same_time(target):
    async def main(methods):
        call = methods.collect()
        messages = [b"%03d" % number + bytes(30000) for number in range(100)]
        writes = [asyncio.create_task(call.write(message)) for message in messages]
        # Nobody has read: some wait for room, and each other.
        await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
        await call.done_writing()
        assert await asyncio.gather(*writes) == [None] * 100
        assert await call == b",".join(messages)

    run(main, target)


@pytest.mark.ferrpc_only("grpcio's call ends: TOO_MANY_OPERATIONS")
def test_a_write_that_is_cancelled_ends_those_behind_it(target):
    async def main(methods):
        call = methods.collect(metadata=(("x-sleep", "20"),))
        writes = [asyncio.create_task(call.write(bytes(1_000_000))) for _ in range(10)]
        await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
        next(write for write in writes if not write.done()).cancel()
        ended = await asyncio.gather(*writes, return_exceptions=True)
        assert ended[0] is None and isinstance(ended[-1], asyncio.CancelledError)
        assert call.cancelled()

    run(main, target)


def test_styles_are_not_mixed(target):
    text = "The iterator and read/write APIs may not be mixed on a single RPC."

    async def main(methods):
        call = methods.stream(b"3")
        assert await call.read() == b"0"
        with pytest.raises(grpc.aio.UsageError, match=text):
            async for _ in call:
                pass
        call = methods.stream(b"3")
        async for _ in call:
            break
        with pytest.raises(grpc.aio.UsageError, match=text):
            await call.read()
        call = methods.chat(iter([b"1"]))
        with pytest.raises(grpc.aio.UsageError, match=text):
            await call.write(b"2")
        with pytest.raises(grpc.aio.UsageError, match=text):
            await call.done_writing()

    run(main, target)


def test_a_call_that_was_iterated_says_how_it_ended_to_a_reader(target):
    async def main(methods):
        call = methods.stream(b"2")
        assert [message async for message in call] == [b"0", b"1"]
        assert await call.read() is grpc.aio.EOF
        call = methods.stream(b"1000", metadata=(("x-pause", "0.05"),))
        assert await call.__aiter__().__anext__() == b"0"
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        call = methods.stream(b"1000", metadata=(("x-pause", "0.05"),), timeout=0.2)
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in call:
                pass
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    run(main, target)


def test_cancelling_a_unary_call(target):
    async def main(methods):
        call = methods.echo(b"x", metadata=(("x-sleep", "0.5"),))
        assert call.cancel()
        assert not call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert call.cancelled() and call.done()
        assert await call.code() is grpc.StatusCode.CANCELLED
        assert await call.details() == "Locally cancelled by application!"

    run(main, target)


def test_a_cancelled_task_cancels_its_call(target):
    async def main(methods):
        call = methods.echo(b"x", metadata=(("x-sleep", "0.5"),))

        async def wait():
            await call

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert call.cancelled()
        assert await call.code() is grpc.StatusCode.CANCELLED

    run(main, target)


def test_cancelling_a_stream(target):
    async def main(methods):
        slow = (("x-pause", "0.1"),)
        call = methods.stream(b"100", metadata=slow)
        assert await call.read() == b"0"
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        assert await call.code() is grpc.StatusCode.CANCELLED

        call = methods.stream(b"100", metadata=slow)
        with pytest.raises(asyncio.CancelledError):
            async for _ in call:
                call.cancel()
        assert call.cancelled()

        call = methods.chat()
        await call.write(b"1")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(b"2")

    run(main, target)


def test_a_cancelled_reader_cancels_its_call(target):
    async def main(methods):
        call = methods.chat()
        await call.write(b"1")
        assert await call.read() == b"1"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(call.read(), 0.1)
        assert call.cancelled()

    run(main, target)


def test_the_deadline(target):
    async def main(methods):
        slow = (("x-sleep", "1"),)
        call = methods.echo(b"x", timeout=0.2, metadata=slow)
        assert 0 < call.time_remaining() <= 0.2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert caught.value.details() == "Deadline Exceeded"
        assert call.time_remaining() == 0
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in methods.stream(b"9", timeout=0.2, metadata=slow):
                pass
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await methods.echo(b"y", timeout=10) == b"y"

    run(main, target)


def test_no_server():
    async def main(methods):
        for call in (methods.echo(b"x"), methods.collect()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "failed to connect to all addresses" in caught.value.details()
        with pytest.raises(grpc.aio.AioRpcError):
            await methods.chat().read()
        with pytest.raises(grpc.aio.AioRpcError):
            await methods.chat().write(b"")
        with pytest.raises(grpc.aio.AioRpcError):
            await methods.echo(b"x").wait_for_connection()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await methods.echo(b"x", wait_for_ready=True, timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    run(main, nowhere())


def test_wait_for_connection(target):
    async def main(methods):
        for call in (
            methods.echo(b"x"),
            methods.stream(b"1"),
            methods.collect(),
            methods.chat(),
        ):
            await call.wait_for_connection()

    run(main, target)


def test_done_callbacks(target):
    async def main(methods):
        seen = []
        call = methods.echo(b"x")
        call.add_done_callback(seen.append)
        assert await call == b"x"
        assert seen == [call]
        call.add_done_callback(seen.append)
        assert seen == [call, call]
        call = methods.stream(b"100", metadata=(("x-pause", "0.1"),))
        call.add_done_callback(seen.append)
        call.cancel()
        await call.code()
        assert seen[2:] == [call]

    run(main, target)


def test_initial_metadata_before_the_end(target):
    async def main(methods):
        call = methods.stream(b"9", metadata=(("x-initial", "early"), ("x-pause", "0.2")))
        assert (await call.initial_metadata())["initial"] == "early"
        assert not call.done()
        call.cancel()

    run(main, target)


def test_compression_is_no_hindrance(target):
    async def main(methods):
        for compression in grpc.Compression:
            assert await methods.echo(bytes(5000), compression=compression) == bytes(5000)

    run(main, target, compression=grpc.Compression.Gzip)


def test_serialisers(target):
    async def main(methods):
        assert await methods.echo("text") == "text"
        assert [message async for message in methods.chat(["a", "b"])] == ["a", "b"]

    run(main, target, serializer=str.encode, deserializer=bytes.decode)


def test_metadata_of_all_forms(target):
    async def main(methods):
        for metadata in (
            (("x-tell", "key"), ("key", "value")),
            [("x-tell", "key"), ("key", "value")],
            grpc.aio.Metadata(("x-tell", "key"), ("key", "value")),
        ):
            call = methods.echo(b"", metadata=metadata)
            await call
            assert (await call.trailing_metadata())["told"] == "value"

    run(main, target)


def test_call_credentials_need_a_secure_channel(target):
    async def main(methods):
        credentials = grpc.access_token_call_credentials("token")
        with pytest.raises(grpc.aio.UsageError, match="secure"):
            await methods.echo(b"", credentials=credentials)

    run(main, target)


def test_a_request_iterator_that_fails_cancels_the_call(target):
    def requests():
        yield b"1"
        raise ValueError("no more")

    async def main(methods):
        call = methods.collect(requests())
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await call.code() is grpc.StatusCode.CANCELLED

    run(main, target)


def test_invalid_metadata(target):
    async def main(methods):
        with pytest.raises(cygrpc.ExecuteBatchError):
            await methods.echo(b"", metadata=(("Bad Key", "value"),))

    run(main, target)


def test_a_timeout_of_a_wrong_type(target):
    async def main(methods):
        with pytest.raises(TypeError):
            await methods.echo(b"", timeout="soon")

    run(main, target)


def refuse(_message):
    raise ValueError("cannot")


@pytest.mark.ferrpc_only("grpcio sends an empty request")
def test_a_request_that_cannot_be_serialised(target):
    async def main(methods):
        for call in (methods.echo(b"x"), methods.collect(iter([b"x"]))):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert caught.value.details() == "Exception serializing request!"

    run(main, target, serializer=refuse)


@pytest.mark.ferrpc_only("grpcio takes None for the response")
def test_a_response_that_cannot_be_deserialised(target):
    async def main(methods):
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await methods.echo(b"x")
            assert caught.value.code() is grpc.StatusCode.INTERNAL
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await methods.stream(b"3").read()
        assert caught.value.details() == "Exception deserializing response!"

    run(main, target, deserializer=refuse)
