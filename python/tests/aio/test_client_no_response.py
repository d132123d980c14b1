"""Servers that end a call with OK and send no response where there has to be one: None."""

import grpc
import pytest

from .calling import run

OK = grpc.StatusCode.OK
METADATA = (("x-initial", "one"), ("x-trailing", "two"))


async def check(call):
    assert await call is None
    assert await call is None
    assert (await call.code(), await call.details()) == (OK, "")
    initial = (("initial", "one"), ("initial-bin", b"\x00\xff"))
    assert tuple(await call.initial_metadata()) == initial
    trailing = (("trailing", "two"), ("trailing-bin", b"\x00\xff"))
    assert tuple(await call.trailing_metadata()) == trailing
    assert call.done() and not call.cancelled()


def test_unary(target):
    async def main(methods):
        method = methods.channel.unary_unary("/test.Client/Stream")
        await check(method(b"0", timeout=20, metadata=METADATA))
        assert await method(b"1", timeout=20) == b"0"

    run(main, target)


def test_uploads(target):
    async def main(methods):
        method = methods.channel.stream_unary("/test.Client/Chat")
        await check(method(iter(()), timeout=20, metadata=METADATA))
        call = method(timeout=20, metadata=METADATA)
        await call.done_writing()
        await check(call)

    run(main, target)


@pytest.mark.ferrpc_only("grpcio calls the deserialiser with None, and logs what it raises")
def test_there_is_nothing_to_deserialise(target, caplog):
    asked = []

    async def main(methods):
        method = methods.channel.unary_unary("/test.Client/Stream", None, asked.append)
        assert await method(b"0", timeout=20) is None

    run(main, target)
    assert not asked and not caplog.records


def test_interceptors(target):
    seen = []

    class Interceptor(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, details, request):
            call = await continuation(details, request)
            seen.append((await call, await call.code()))
            return call

    async def main(methods):
        method = methods.channel.unary_unary("/test.Client/Stream")
        call = method(b"0", timeout=20)
        assert await call is None and await call.code() is OK

    run(main, target, interceptors=[Interceptor()])
    assert seen == [(None, OK)]
