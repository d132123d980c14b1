"""Interceptors of clients."""

import asyncio

import grpc
import grpc.aio
import pytest

from .calling import run


class Recording:
    def __init__(self, log, name="seen"):
        self.log = log
        self.name = name

    async def through(self, continuation, details, request):
        self.log.append((self.name, details.method, type(details.metadata), details.timeout))
        metadata = details.metadata + (("x-tell", "added"), ("added", "by-interceptor"))
        return await continuation(details._replace(metadata=metadata), request)


class UnaryUnary(Recording, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, client_call_details, request):
        return await self.through(continuation, client_call_details, request)


class UnaryStream(Recording, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation, client_call_details, request):
        return await self.through(continuation, client_call_details, request)


class StreamUnary(Recording, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation, client_call_details, request_iterator):
        return await self.through(continuation, client_call_details, request_iterator)


class StreamStream(Recording, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation, client_call_details, request_iterator):
        return await self.through(continuation, client_call_details, request_iterator)


def all_kinds(log):
    return [kind(log) for kind in (UnaryUnary, UnaryStream, StreamUnary, StreamStream)]


def test_all_kinds(target):
    log = []

    async def main(methods):
        call = methods.echo(b"1", timeout=9)
        assert isinstance(call, grpc.aio.InterceptedUnaryUnaryCall)
        assert isinstance(call, grpc.aio.UnaryUnaryCall)
        assert await call == b"1"
        assert (await call.trailing_metadata())["told"] == "by-interceptor"
        assert await call.code() is grpc.StatusCode.OK and await call.details() == ""
        assert call.done() and not call.cancelled()

        call = methods.stream(b"2")
        assert isinstance(call, grpc.aio.UnaryStreamCall)
        assert [message async for message in call] == [b"0", b"1"]
        call = methods.stream(b"1")
        assert await call.read() == b"0" and await call.read() is grpc.aio.EOF

        assert await methods.collect(iter([b"1", b"2"])) == b"1,2"
        call = methods.collect()
        await call.write(b"3")
        await call.write(b"4")
        await call.done_writing()
        assert await call == b"3,4"

        assert [message async for message in methods.chat([b"1", b"2"])] == [b"1", b"2"]
        call = methods.chat()
        await call.write(b"5")
        assert await call.read() == b"5"
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF

    run(main, target, interceptors=all_kinds(log))
    assert log[0] == ("seen", b"/test.Client/Echo", grpc.aio.Metadata, 9)
    assert [entry[1] for entry in log] == [
        b"/test.Client/Echo",
        b"/test.Client/Stream",
        b"/test.Client/Stream",
        b"/test.Client/Collect",
        b"/test.Client/Collect",
        b"/test.Client/Chat",
        b"/test.Client/Chat",
    ]


def test_their_order_and_the_live_list(target):
    log = []

    async def main(methods):
        await methods.echo(b"")
        methods.channel._unary_unary_interceptors.append(UnaryUnary(log, "third"))
        await methods.echo(b"")

    run(main, target, interceptors=[UnaryUnary(log, "first"), UnaryUnary(log, "second")])
    assert [entry[0] for entry in log] == ["first", "second", "first", "second", "third"]


class Answering(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, client_call_details, request):
        return b"made here"


def test_a_plain_response(target):
    async def main(methods):
        call = methods.echo(b"x")
        assert await call == b"made here"
        assert await call.code() is grpc.StatusCode.OK
        assert call.done() and not call.cancelled() and not call.cancel()

    run(main, target, interceptors=[Answering()])


class Doubling(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation, client_call_details, request):
        call = await continuation(client_call_details, request)

        async def twice():
            async for message in call:
                yield message + message

        return twice()


def test_an_iterator_in_place_of_a_call(target):
    async def main(methods):
        call = methods.stream(b"3")
        assert [message async for message in call] == [b"00", b"11", b"22"]
        assert await call.code() is grpc.StatusCode.OK

    run(main, target, interceptors=[Doubling()])


class Retrying(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, client_call_details, request):
        call = await continuation(client_call_details, request)
        if await call.code() is grpc.StatusCode.NOT_FOUND:
            details = client_call_details._replace(metadata=grpc.aio.Metadata())
            return await continuation(details, request)
        return call


def test_a_second_attempt(target):
    async def main(methods):
        assert await methods.echo(b"x", metadata=(("x-fail", "first"),)) == b"x"

    run(main, target, interceptors=[Retrying()])


def test_an_error_passes(target):
    async def main(methods):
        call = methods.echo(b"x", metadata=(("x-fail", "gone"),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.details() == "gone"
        assert await call.code() is grpc.StatusCode.NOT_FOUND
        assert await call.details() == "gone"

    run(main, target, interceptors=[UnaryUnary([])])


class Raising(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, client_call_details, request):
        raise LookupError("not today")


def test_an_exception_of_an_interceptor(target):
    async def main(methods):
        with pytest.raises(LookupError, match="not today"):
            await methods.echo(b"x")

    run(main, target, interceptors=[Raising()])


def test_cancelling_while_interceptors_run(target):
    class Slow(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, client_call_details, request):
            await asyncio.sleep(20)

    async def main(methods):
        call = methods.echo(b"x")
        await asyncio.sleep(0)
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert call.cancelled() and call.done()
        assert await call.code() is grpc.StatusCode.CANCELLED
        assert await call.details() == "Locally cancelled by application!"
        assert await call.initial_metadata() is None

    run(main, target, interceptors=[Slow()])


def test_cancelling_behind_interceptors(target):
    async def main(methods):
        call = methods.echo(b"x", metadata=(("x-sleep", "0.5"),))
        await asyncio.sleep(0.1)
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await call.code() is grpc.StatusCode.CANCELLED

    run(main, target, interceptors=[UnaryUnary([])])


def test_done_callbacks(target):
    async def main(methods):
        seen = []
        call = methods.echo(b"x")
        call.add_done_callback(seen.append)
        await call
        await asyncio.sleep(0)
        assert seen == [call]
        call.add_done_callback(seen.append)
        await asyncio.sleep(0)
        assert seen == [call, call]

    run(main, target, interceptors=[UnaryUnary([])])


class Redirecting(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, client_call_details, request):
        details = grpc.aio.ClientCallDetails(
            b"/test.Client/Nothing",
            client_call_details.timeout,
            client_call_details.metadata,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


def test_another_method(target):
    async def main(methods):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await methods.echo(b"x")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    run(main, target, interceptors=[Redirecting()])


def test_an_interceptor_of_no_kind():
    async def main():
        with pytest.raises(ValueError, match="must be UnaryUnaryClientInterceptor or"):
            grpc.aio.insecure_channel("127.0.0.1:1", interceptors=[object()])

    run(main)


def test_a_call_on_a_closed_channel_says_so_when_it_is_asked(target):
    log = []

    async def main(methods):
        await methods.channel.close()
        text = "Channel is closed."
        call = methods.echo(b"1")
        with pytest.raises(grpc.aio.UsageError, match=text):
            await call
        assert call.done() and not call.cancelled()
        with pytest.raises(grpc.aio.UsageError, match=text):
            await call.code()
        with pytest.raises(grpc.aio.UsageError, match=text):
            await methods.stream(b"1").read()
        # The interceptors have seen them.
        assert [entry[1] for entry in log] == [b"/test.Client/Echo", b"/test.Client/Stream"]

    run(main, target, interceptors=all_kinds(log))
