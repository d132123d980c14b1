"""What is left of an asynchronous call when it is over: callbacks, and why it failed."""

import asyncio
import contextvars
import warnings

import grpc
import grpc.aio
import pytest
from grpc._cython import cygrpc

from .calling import run

WHO = contextvars.ContextVar("who", default="nobody")


async def read_up(call):
    async for _ in call:
        pass


@pytest.mark.parametrize(
    ("make", "wait"),
    [
        (lambda methods: methods.echo(b""), lambda call: call.code()),
        (lambda methods: methods.stream(b"3"), read_up),
        (lambda methods: methods.collect(iter([b"a"])), lambda call: call.details()),
    ],
    ids=["code", "stream", "details"],
)
def test_a_call_answers_behind_its_callbacks(target, make, wait):
    async def main(methods):
        for _ in range(100):
            ran = []
            call = make(methods)
            call.add_done_callback(ran.append)
            await wait(call)
            assert ran == [call]

    run(main, target)


def test_callbacks_see_the_context_variables_of_whoever_added_them(target):
    async def main(methods):
        WHO.set("me")
        seen = []
        call = methods.echo(b"")
        call.add_done_callback(lambda call: seen.append(WHO.get()))
        assert await call == b"" and await call.code() is grpc.StatusCode.OK
        assert seen == ["me"]

    run(main, target)


def test_an_iterator_of_requests_that_raises(target, on_ferrpc):
    async def requests():
        yield b"1"
        raise ValueError("row 7")

    def plain():
        yield b"1"
        raise ValueError("row 7")

    async def main(methods):
        for make in (requests, plain):
            for call in (methods.collect(make()), methods.chat(make())):
                with pytest.raises(asyncio.CancelledError) as caught:
                    await (call if hasattr(call, "__await__") else read_up(call))
                if on_ferrpc:
                    assert str(caught.value.__cause__) == "row 7"

    run(main, target)


def test_metadata_that_cannot_be_sent(target, on_ferrpc):
    async def main(methods):
        with pytest.raises(cygrpc.ExecuteBatchError) as caught:
            await methods.echo(b"", metadata=(("X-Upper", "1"),))
        if on_ferrpc:
            assert '"x-upper", not "X-Upper"' in str(caught.value)

    run(main, target)


def test_a_service_config_that_is_none(target):
    async def main():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = [("grpc.service_config", "no JSON")]
            channel = grpc.aio.insecure_channel(target, options=options)
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/s/M")(b"")
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "JSON parsing failed" in caught.value.details()

    run(main)
