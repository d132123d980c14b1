"""Compressions that options have switched off: `grpc.compression_enabled_algorithms_bitset`."""

import asyncio
from concurrent import futures

import grpc
import grpc.aio
import pytest

LIMIT = 20

GZIP, DEFLATE = grpc.Compression.Gzip, grpc.Compression.Deflate
REQUEST = b"q" * 5000


def only(bits):
    return [("grpc.compression_enabled_algorithms_bitset", bits)]


NO_GZIP, NONE = only(0b011), only(0b001)


def kinds():
    return [
        grpc.method_handlers_generic_handler(
            "s",
            {
                "UU": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
                "US": grpc.unary_stream_rpc_method_handler(
                    lambda request, context: iter([request])
                ),
            },
        )
    ]


@pytest.fixture
def connect():
    """Connects a channel to a server; both are closed behind the test."""
    made = []

    def make(server_options, server_compression, options, compression):
        pool = futures.ThreadPoolExecutor(2)
        server = grpc.server(
            pool, kinds(), options=server_options, compression=server_compression
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        target = f"127.0.0.1:{port}"
        channel = grpc.insecure_channel(target, options=options, compression=compression)
        made.append((channel, server, pool))
        return target, channel

    yield make
    for channel, server, pool in made:
        channel.close()
        server.stop(None)
        pool.shutdown()


@pytest.mark.parametrize(
    ("options", "compression", "name"),
    [(NO_GZIP, GZIP, "gzip"), (NONE, DEFLATE, "deflate"), (only(0), GZIP, "gzip")],
)
def test_a_server_refuses_what_is_switched_off(connect, options, compression, name):
    target, channel = connect(options, None, None, compression)
    disabled = f"Compression algorithm '{name}' is disabled."
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/s/UU")(REQUEST, timeout=LIMIT)
    assert (caught.value.code(), caught.value.details()) == (
        grpc.StatusCode.UNIMPLEMENTED,
        disabled,
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(channel.unary_stream("/s/US")(REQUEST, timeout=LIMIT))
    assert caught.value.details() == disabled
    with grpc.insecure_channel(target) as plain:
        assert plain.unary_unary("/s/UU")(REQUEST, timeout=LIMIT) == REQUEST


@pytest.mark.parametrize("options", [NO_GZIP, NONE])
def test_nothing_is_sent_with_what_is_switched_off(connect, options):
    """Each end would refuse it."""
    target, channel = connect(options, GZIP, options, GZIP)
    assert channel.unary_unary("/s/UU")(REQUEST, timeout=LIMIT) == REQUEST
    assert list(channel.unary_stream("/s/US")(REQUEST, timeout=LIMIT)) == [REQUEST]

    async def main():
        async with grpc.aio.insecure_channel(target, options=options, compression=GZIP) as ch:
            assert await ch.unary_unary("/s/UU")(REQUEST, timeout=LIMIT) == REQUEST

    asyncio.run(main())


@pytest.mark.ferrpc_only("grpcio sends what a call asks for, whatever the channel says")
def test_calls_that_ask_for_what_is_switched_off(connect):
    target, channel = connect(NO_GZIP, None, NO_GZIP, None)
    assert channel.unary_unary("/s/UU")(REQUEST, timeout=LIMIT, compression=GZIP) == REQUEST

    async def main():
        async with grpc.aio.insecure_channel(target, options=NO_GZIP) as ch:
            call = ch.unary_unary("/s/UU")(REQUEST, timeout=LIMIT, compression=GZIP)
            assert await call == REQUEST

    asyncio.run(main())


def test_a_server_for_asyncio(connect):
    async def main():
        async def echo(request, context):
            context.set_compression(GZIP)
            return request

        handlers = {"UU": grpc.unary_unary_rpc_method_handler(echo)}
        server = grpc.aio.server(options=NO_GZIP)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("s", handlers)])
        target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        async with grpc.aio.insecure_channel(target, options=NO_GZIP) as channel:
            assert await channel.unary_unary("/s/UU")(REQUEST, timeout=LIMIT) == REQUEST
        async with grpc.aio.insecure_channel(target, compression=GZIP) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/s/UU")(REQUEST, timeout=LIMIT)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        await server.stop(None)

    asyncio.run(main())
