"""What handlers of an asyncio server may be, and what becomes of what they return and raise."""

import asyncio
import functools
import logging
import threading
from concurrent import futures

import grpc
import grpc.aio
import pytest

from .serving import make, run, serving

Code = grpc.StatusCode


def raises(value):
    raise ValueError("nope")


async def _echo(request, context):
    return request


async def _later(request, context):
    await asyncio.sleep(0)
    return request


async def _stream(request, context):
    for part in (b"1", b"2", request):
        yield part


async def _writes(request, context):
    for part in (b"1", b"2", request):
        await context.write(part)


async def _mixes(request, context):
    await context.write(b"1")
    yield b"2"
    await asyncio.sleep(0)
    await context.write(request)


async def _join(requests, context):
    return b",".join([request async for request in requests])


async def _join_read(requests, context):
    read = []
    while (request := await context.read()) is not grpc.aio.EOF:
        read.append(request)
    assert await context.read() is grpc.aio.EOF
    return b",".join(read)


async def _join_both(requests, context):
    first = await context.read()
    return b",".join([first] + [request async for request in requests])


async def _each(requests, context):
    async for request in requests:
        yield request


async def _each_written(requests, context):
    while request := await context.read():
        await context.write(request)


def _plain(request, context):
    return threading.current_thread().name.encode()


def _plain_stream(request, context):
    yield b"1"
    yield request


def _plain_list(request, context):
    return [b"1", request]


def _plain_join(requests, context):
    return b",".join(requests)


def _plain_each(requests, context):
    yield from requests


async def _given(extra, request, context):
    return request + extra


KINDS = {
    "uu": [
        ("/s/UU", _echo, b"q"),
        ("/s/UU", _later, b"q"),
        ("/s/UU", functools.partial(_given, b"+"), b"q+"),
    ],
    "us": [
        ("/s/US", _stream, [b"1", b"2", b"q"]),
        ("/s/US", _writes, [b"1", b"2", b"q"]),
        ("/s/US", _mixes, [b"1", b"2", b"q"]),
        ("/s/US", _plain_stream, [b"1", b"q"]),
        ("/s/US", _plain_list, [b"1", b"q"]),
    ],
    "su": [
        ("/s/SU", _join, b"a,b,c"),
        ("/s/SU", _join_read, b"a,b,c"),
        ("/s/SU", _join_both, b"a,b,c"),
        ("/s/SU", _plain_join, b"a,b,c"),
    ],
    "ss": [
        ("/s/SS", _each, [b"a", b"b", b"c"]),
        ("/s/SS", _each_written, [b"a", b"b", b"c"]),
        ("/s/SS", _plain_each, [b"a", b"b", b"c"]),
    ],
}
CASES = [(kind, *case) for kind, cases in KINDS.items() for case in cases]


@pytest.mark.parametrize(("kind", "path", "behavior", "expected"), CASES)
@pytest.mark.parametrize("registered", [False, True])
def test_every_kind_of_handler(kind, path, behavior, expected, registered):
    async def main():
        async with serving({} if registered else {path: behavior}) as ends:
            request = b"q" if kind[0] == "u" else [b"a", b"b", b"c"]
            assert await getattr(ends, kind)(path, request) == expected

    async def main_registered():
        server = grpc.aio.server()
        service, _, method = path[1:].partition("/")
        handlers = {method: make(path, behavior)}
        server.add_registered_method_handlers(service, handlers)
        handler = grpc.method_handlers_generic_handler(service, handlers)
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with serving({}) as ends:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as ends.channel:
                request = b"q" if kind[0] == "u" else [b"a", b"b", b"c"]
                assert await getattr(ends, kind)(path, request) == expected
        await server.stop(None)

    run(main_registered if registered else main)


@pytest.mark.ferrpc_only("grpcio takes it for a plain function, which returned a coroutine")
def test_an_object_with_a_coroutine_for_its_call_is_a_coroutine():
    class Called:
        async def __call__(self, request, context):
            return request

    async def main():
        async with serving({"/s/UU": Called()}) as ends:
            assert await ends.uu("/s/UU") == b"q"

    run(main)


def test_plain_functions_run_in_the_pool_they_are_given():
    async def main():
        with futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
            async with serving({"/s/UU": _plain}, migration_thread_pool=pool) as ends:
                assert (await ends.uu("/s/UU")).startswith(b"mine")

    run(main)


# What a handler returns, or does, and how the call ends.


async def _returns_none(request, context):
    return None


async def _returns_text(request, context):
    return "text"


async def _returns_number(request, context):
    return 1


async def _raises(request, context):
    raise ValueError("boom")


async def _raises_later(request, context):
    await asyncio.sleep(0)
    raise ValueError("boom")


async def _raises_with_code(request, context):
    context.set_code(Code.NOT_FOUND)
    context.set_details("not used")
    raise ValueError("boom")


async def _raises_with_ok(request, context):
    context.set_code(Code.OK)
    raise ValueError("boom")


async def _code(request, context):
    context.set_code(Code.NOT_FOUND)
    context.set_details("mine")
    return b"not seen"


async def _number(request, context):
    context.set_code(5)
    return b"not seen"


async def _no_code(request, context):
    context.set_code("NOT_FOUND")
    context.set_details("mine")
    return b"not seen"


async def _is_a_generator(request, context):
    yield request


def _plain_raises(request, context):
    raise ValueError("boom")


async def _stream_raises(request, context):
    yield b"1"
    raise ValueError("boom")


async def _stream_code(request, context):
    yield b"1"
    context.set_code(Code.NOT_FOUND)
    context.set_details("mine")


async def _stream_nothing(request, context):
    return
    yield


async def _stream_none(request, context):
    yield b"1"
    yield None


BOOM = "Unexpected <class 'ValueError'>: boom"
ENDS = [
    ("/s/UU", _returns_none, b""),
    ("/s/UU", _returns_text, b"text"),
    ("/s/UU", _raises, (Code.UNKNOWN, BOOM)),
    ("/s/UU", _raises_later, (Code.UNKNOWN, BOOM)),
    ("/s/UU", _raises_with_code, (Code.NOT_FOUND, BOOM)),
    ("/s/UU", _raises_with_ok, (Code.UNKNOWN, BOOM)),
    ("/s/UU", _code, (Code.NOT_FOUND, "mine")),
    ("/s/UU", _number, (Code.NOT_FOUND, "")),
    ("/s/UU", _no_code, (Code.UNKNOWN, "mine")),
    ("/s/UU", _plain_raises, (Code.UNKNOWN, BOOM)),
    (
        "/s/UU",
        _is_a_generator,
        (
            Code.UNKNOWN,
            ("Unexpected <class 'TypeError'>: object async_generator can't be used in 'await' "
             "expression"),
        ),
    ),
    ("/s/US", _stream_raises, (Code.UNKNOWN, BOOM)),
    ("/s/US", _stream_code, (Code.NOT_FOUND, "mine")),
    ("/s/US", _stream_nothing, []),
    ("/s/US", _stream_none, [b"1", b""]),
]


@pytest.mark.parametrize(("path", "behavior", "expected"), ENDS)
def test_how_a_call_ends(path, behavior, expected):
    async def main():
        async with serving({path: behavior}) as ends:
            if isinstance(expected, tuple):
                assert await ends.fails(path) == expected
            else:
                assert await getattr(ends, path[3:].lower())(path) == expected

    run(main)


@pytest.mark.parametrize("part", ["request_deserializer", "response_serializer"])
@pytest.mark.parametrize("path", ["/s/UU", "/s/US", "/s/SU", "/s/SS"])
def test_a_serialiser_that_fails_fails_the_call(path, part):
    behaviors = {"UU": _echo, "US": _stream, "SU": _join, "SS": _each}

    async def main():
        behavior = make(path, behaviors[path[3:]], **{part: raises})
        async with serving({path: behavior}) as ends:
            request = b"q" if path[3] == "U" else [b"q"]
            expected = (Code.UNKNOWN, "Unexpected <class 'ValueError'>: nope")
            assert await ends.fails(path, request) == expected

    run(main)


def test_messages_go_through_the_serialisers():
    async def main():
        serializer = "{:b}".format
        handler = make(
            "/s/UU",
            _given_numbers,
            request_deserializer=int,
            response_serializer=lambda number: serializer(number).encode(),
        )
        async with serving({"/s/UU": handler}) as ends:
            assert await ends.uu("/s/UU", b"41") == b"101010"

    run(main)


async def _given_numbers(request, context):
    return request + 1


def test_a_serialiser_makes_bytes():
    async def main():
        async with serving({"/s/UU": make("/s/UU", _echo, response_serializer=str)}) as ends:
            expected = (Code.UNKNOWN, "Unexpected <class 'TypeError'>: Expected bytes, got str")
            assert await ends.fails("/s/UU") == expected

    run(main)


def test_what_a_handler_raises_is_logged(caplog):
    async def main():
        async with serving({"/s/UU": _raises}) as ends:
            await ends.fails("/s/UU")

    with caplog.at_level(logging.ERROR, "grpc._cython.cygrpc"):
        run(main)
    (record,) = [one for one in caplog.records if one.name == "grpc._cython.cygrpc"]
    assert record.getMessage() == "Unexpected [ValueError] raised by servicer method [/s/UU]"
    assert record.exc_info[0] is ValueError


@pytest.mark.ferrpc_only("grpcio leaves the caller waiting")
def test_no_handler_leaves_its_caller_waiting():
    async def cancelled(request, context):
        raise asyncio.CancelledError

    async def cancelled_later(request, context):
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    async def ended(request, context):
        raise BaseException("the end")

    async def writes(request, context):
        with pytest.raises(grpc.aio.UsageError):
            await context.write(b"1")
        return b"2"

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        behaviors = {"/s/UU": cancelled, "/s/UUlater": cancelled_later, "/s/UUend": ended}
        async with serving({**behaviors, "/s/UUwrites": writes}) as ends:
            for path in ("/s/UU", "/s/UUlater"):
                expected = (Code.CANCELLED, "The handler was cancelled")
                assert await ends.fails(path) == expected
            expected = (Code.UNKNOWN, "Unexpected <class 'BaseException'>: the end")
            assert await ends.fails("/s/UUend") == expected
            assert await ends.uu("/s/UUwrites") == b"2"
            with pytest.raises(grpc.RpcError) as caught:
                await ends.su("/s/UU", [])
            assert caught.value.code() is Code.UNIMPLEMENTED
            assert caught.value.details() == '"/s/UU" requires exactly one request message.'

    run(main)


def test_an_unknown_method():
    class Raises(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            if handler_call_details.method == "/s/UUraises":
                raise ValueError("lookup")
            return None

    async def main():
        async with serving({"/s/UU": _echo}, handlers=[Raises()]) as ends:
            assert await ends.fails("/s/UUunknown") == (Code.UNIMPLEMENTED, "Method not found!")
            expected = (Code.UNKNOWN, "Unexpected <class 'ValueError'>: lookup")
            assert await ends.fails("/s/UUraises") == expected

    run(main)


def test_a_limit_of_calls():
    release = asyncio.Event()

    async def waits(request, context):
        await release.wait()
        return b"done"

    async def main():
        async with serving({"/s/UU": waits}, maximum_concurrent_rpcs=2) as ends:
            calls = [asyncio.ensure_future(_outcome(ends)) for _ in range(5)]
            done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 3:
                done, _ = await asyncio.wait(calls, timeout=0.01)
            # Unknown methods are unknown all the same.
            assert (await ends.fails("/s/UUunknown"))[0] is Code.UNIMPLEMENTED
            release.set()
            outcomes = await asyncio.gather(*calls)
            assert outcomes.count(b"done") == 2
            refused = (Code.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
            assert outcomes.count(refused) == 3
            assert await ends.uu("/s/UU") == b"done"

    async def _outcome(ends):
        try:
            return await ends.uu("/s/UU")
        except grpc.RpcError as error:
            return error.code(), error.details()

    run(main)


def test_many_messages_each_way():
    sent = [b"%d" % number for number in range(3000)]

    async def main():
        behaviors = {"/s/SS": _each, "/s/SSw": _each_written, "/s/SSp": _plain_each}
        async with serving({**behaviors, "/s/SU": _join}) as ends:
            for path in behaviors:
                assert await ends.ss(path, sent) == sent
            assert await ends.su("/s/SU", sent) == b",".join(sent)

    run(main)


def test_large_messages_wait_for_room():
    async def large(request, context):
        for number in range(40):
            yield bytes([number]) * 500_000

    async def main():
        options = [("grpc.max_receive_message_length", -1)]
        async with serving({"/s/US": large}, channel_options=options) as ends:
            parts = await ends.us("/s/US")
            assert [part[:1] for part in parts] == [bytes([number]) for number in range(40)]
            assert {len(part) for part in parts} == {500_000}

    run(main)
