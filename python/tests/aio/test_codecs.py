"""(De)serialisers that know what None is: those of pickle and JSON do."""

import pickle

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, Service, run

CODEC = {"request_deserializer": pickle.loads, "response_serializer": pickle.dumps}


async def _echo(request, context):
    return request


async def _twice(request, context):
    yield request
    yield request


async def _last(requests, context):
    last = ...
    async for request in requests:
        last = request
    return last


async def _each(requests, context):
    async for request in requests:
        await context.write(request)


HANDLERS = {
    "/s/UU": grpc.unary_unary_rpc_method_handler(_echo, **CODEC),
    "/s/US": grpc.unary_stream_rpc_method_handler(_twice, **CODEC),
    "/s/SU": grpc.stream_unary_rpc_method_handler(_last, **CODEC),
    "/s/SS": grpc.stream_stream_rpc_method_handler(_each, **CODEC),
}


@pytest.mark.parametrize("value", [None, 0, [], b"", False, 7])
def test_values_that_are_false(value):
    both = (pickle.dumps, pickle.loads)

    async def main():
        server = grpc.aio.server(handlers=[Service(HANDLERS)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/s/UU", *both)(value, timeout=LIMIT) == value
            call = channel.unary_stream("/s/US", *both)(value, timeout=LIMIT)
            assert [response async for response in call] == [value, value]
            call = channel.unary_stream("/s/US", *both)(value, timeout=LIMIT)
            read = [await call.read() for _ in range(3)]
            assert read == [value, value, grpc.aio.EOF]
            upload = channel.stream_unary("/s/SU", *both)
            assert await upload(iter([1, value]), timeout=LIMIT) == value
            call = channel.stream_stream("/s/SS", *both)(timeout=LIMIT)
            await call.write(value)
            await call.done_writing()
            assert [response async for response in call] == [value]
        await server.stop(None)

    run(main)


def test_text_that_a_serialiser_passes_on():
    async def hello(request, context):
        return "hello"

    async def main():
        for serializer in (None, lambda message: message):
            handler = grpc.unary_unary_rpc_method_handler(hello, response_serializer=serializer)
            server = grpc.aio.server(handlers=[Service({"/s/UU": handler})])
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                assert await channel.unary_unary("/s/UU")(b"", timeout=LIMIT) == b"hello"
            await server.stop(None)

    run(main)


@pytest.mark.parametrize("serializer", [None, lambda message: None])
def test_none_is_an_empty_request(serializer):
    async def both(requests, context):
        return repr([request async for request in requests]).encode()

    handlers = {
        "/s/UU": grpc.unary_unary_rpc_method_handler(_echo),
        "/s/SU": grpc.stream_unary_rpc_method_handler(both),
    }

    async def main():
        server = grpc.aio.server(handlers=[Service(handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/s/UU", serializer)(None, timeout=LIMIT) == b""
            upload = channel.stream_unary("/s/SU", serializer)
            assert await upload(iter([None, None]), timeout=LIMIT) == b"[b'', b'']"
            call = upload(timeout=LIMIT)
            await call.write(None)
            await call.done_writing()
            assert await call == b"[b'']"
        await server.stop(None)

    run(main)
