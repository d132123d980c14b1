"""Metadata at its limits: what arrives, and what too much of it does to whom."""

import asyncio
import contextlib

import grpc
import grpc.aio
import pytest

from .conftest import LIMIT

Code = grpc.StatusCode
DETAILS = "grpc-status-details-bin"

#: For both ends: room for anything below.
ROOMY = (("grpc.max_metadata_size", 1 << 17),)


def outcome(call, *arguments, **keywords):
    """The status, its text and the trailing metadata of a unary call."""
    try:
        _, call = call.with_call(*arguments, timeout=LIMIT, **keywords)
    except grpc.RpcError as error:
        call = error
    return call.code(), call.details(), pairs(call.trailing_metadata())


def pairs(metadata):
    return [tuple(pair) for pair in metadata or ()]


RAW = [
    (("a", "1"), (DETAILS, b"\x08\x05"), ("b", "2")),
    # Another code than the call's, no message at all, and what is not even one.
    ((DETAILS, b"\x08\x0d"),),
    ((DETAILS, b'{"why": 1}'),),
    ((DETAILS, b""),),
    ((DETAILS, b"one"), ("between", "x"), (DETAILS, b"two")),
]


@pytest.mark.parametrize("code", [Code.OK, Code.NOT_FOUND])
def test_details_arrive_as_they_were_sent(serve, code):
    def handle(request, context):
        context.set_code(code)
        context.set_trailing_metadata(RAW[int(request)])
        return b""

    ends = serve({"/s/UU": handle})
    for index, sent in enumerate(RAW):
        call = ends.channel.unary_unary("/s/UU")
        assert outcome(call, b"%d" % index) == (code, "", list(sent))


@pytest.mark.parametrize("code", [Code.OK, Code.NOT_FOUND])
def test_details_arrive_as_they_were_sent_in_asyncio(code):
    async def handle(request, context):
        context.set_code(code)
        context.set_trailing_metadata(RAW[int(request)])
        return b""

    async def main():
        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(handle)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("s", {"UU": method})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for index, sent in enumerate(RAW):
                call = channel.unary_unary("/s/UU")(b"%d" % index, timeout=LIMIT)
                assert await call.code() is code
                # `grpc.aio.Metadata` has the values of a key together.
                assert sorted(pairs(await call.trailing_metadata())) == sorted(sent)
                if code is not Code.OK:
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await call
                    assert sorted(pairs(caught.value.trailing_metadata())) == sorted(sent)
        await server.stop(None)

    asyncio.run(asyncio.wait_for(main(), LIMIT))


@pytest.mark.parametrize("code", [Code.OK, Code.NOT_FOUND])
def test_a_status_written_by_hand_is_not_one(serve, code):
    def handle(request, context):
        context.set_code(code)
        context.set_details("real")
        context.set_trailing_metadata(
            (("grpc-status", "7"), ("k", "v"), ("grpc-message", "by hand"))
        )
        return b""

    ends = serve({"/s/UU": handle})
    real = "" if code is Code.OK else "real"
    call = ends.channel.unary_unary("/s/UU")
    assert outcome(call, b"") == (code, real, [("k", "v")])


@pytest.mark.parametrize("value", ["gr\u00fc\u00df", b"gr\xfc\xdf", "a\tb"])
def test_text_that_cannot_be_sent(serve, value):
    def handle(request, context):
        context.set_trailing_metadata((("k", value),))
        return b""

    ends = serve({"/s/UU": handle})
    code, details, trailing = outcome(ends.channel.unary_unary("/s/UU"), b"")
    assert (code, trailing) == (Code.INTERNAL, [])
    assert details.startswith("Invalid metadata")


def fail(request, context):
    """Fails with a text as long as the request says."""
    context.abort(Code.INVALID_ARGUMENT, "x" * int(request))


def trail(request, context):
    """Fails with as many bytes of metadata as the request says."""
    context.set_trailing_metadata((("small", "1"), ("large-bin", bytes(int(request)))))
    context.abort(Code.INVALID_ARGUMENT, "bad")


def feed(request, context):
    """Sends numbers until it is cancelled."""
    while context.is_active():
        yield b"1"


def count(request, context):
    return b"%d" % sum(key.startswith("k") for key, _ in context.invocation_metadata())


# The last part of a path says how many messages go each way.
METHODS = {"/s.fail/UU": fail, "/s.trail/UU": trail, "/s/US": feed, "/s.count/UU": count}


@contextlib.contextmanager
def neighbour(channel):
    """A stream on the same connection: it goes on."""
    stream = channel.unary_stream("/s/US")(b"", timeout=LIMIT)
    next(stream)
    yield
    for _ in range(3):
        next(stream)
    stream.cancel()


def test_large_statuses_where_there_is_room(serve):
    ends = serve(METHODS, channel_options=ROOMY)
    for size in (9000, 20_000, 60_000):
        call = ends.channel.unary_unary("/s.fail/UU")
        assert outcome(call, b"%d" % size) == (Code.INVALID_ARGUMENT, "x" * size, [])
        call = ends.channel.unary_unary("/s.trail/UU")
        code, details, trailing = outcome(call, b"%d" % size)
        assert (code, details) == (Code.INVALID_ARGUMENT, "bad")
        assert trailing == [("small", "1"), ("large-bin", bytes(size))]


@pytest.mark.ferrpc_only("grpcio loses the status, from 8 KiB on by chance")
def test_large_statuses_by_default(serve):
    ends = serve(METHODS)
    with neighbour(ends.channel):
        for size in (6000, 9000, 12_000, 15_000):
            call = ends.channel.unary_unary("/s.fail/UU")
            assert outcome(call, b"%d" % size) == (Code.INVALID_ARGUMENT, "x" * size, [])
        for size in (16_384, 40_000, 2_000_000):
            call = ends.channel.unary_unary("/s.fail/UU")
            code, details, _ = outcome(call, b"%d" % size)
            assert code is Code.INVALID_ARGUMENT
            assert details.startswith("x" * 15_000)
            assert details.endswith(
                "(this status was shortened: the peer takes 16384 bytes of metadata)"
            )
        # 8 KiB of base64 and more.
        for size in (6000, 9000, 12_000):
            call = ends.channel.unary_unary("/s.trail/UU")
            whole = (Code.INVALID_ARGUMENT, "bad", [("small", "1"), ("large-bin", bytes(size))])
            assert outcome(call, b"%d" % size) == whole
        for size in (13_000, 40_000, 2_000_000):
            call = ends.channel.unary_unary("/s.trail/UU")
            code, details, trailing = outcome(call, b"%d" % size)
            assert (code, trailing) == (Code.INVALID_ARGUMENT, [("small", "1")])
            assert details.startswith("bad (this status was shortened")


def test_a_success_with_too_much_metadata(serve):
    def handle(request, context):
        context.set_trailing_metadata((("large", "x" * 20_000),))
        return b""

    ends = serve({**METHODS, "/s/UU": handle})
    with neighbour(ends.channel):
        assert outcome(ends.channel.unary_unary("/s/UU"), b"")[0] is Code.RESOURCE_EXHAUSTED
    roomy = serve({"/s/UU": handle}, channel_options=ROOMY)
    assert outcome(roomy.channel.unary_unary("/s/UU"), b"")[0] is Code.OK


@pytest.mark.parametrize("size", [20_000, 40_000, 100_000, 2_000_000])
def test_a_request_with_too_much_metadata(serve, size):
    ends = serve(METHODS)
    with neighbour(ends.channel):
        call = ends.channel.unary_unary("/s.count/UU")
        code, _, _ = outcome(call, b"", metadata=(("large", "x" * size),))
        assert code is Code.RESOURCE_EXHAUSTED
    if size < 1 << 17:
        roomy = serve(METHODS, options=ROOMY)
        call = roomy.channel.unary_unary("/s.count/UU")
        assert outcome(call, b"", metadata=(("large", "x" * size),))[0] is Code.OK


@pytest.mark.ferrpc_only("grpcio refuses some of them by chance")
def test_a_request_below_the_limit(serve):
    ends = serve(METHODS)
    call = ends.channel.unary_unary("/s.count/UU")
    for size in (9000, 12_000, 15_500):
        assert outcome(call, b"", metadata=(("large", "x" * size),))[0] is Code.OK


def test_many_entries(serve):
    ends = serve(METHODS, options=ROOMY, channel_options=ROOMY)
    many = tuple((f"k{number}", "v") for number in range(1000))
    assert ends.channel.unary_unary("/s.count/UU")(b"", metadata=many, timeout=LIMIT) == b"1000"


@pytest.mark.parametrize("limits", ["server", "client"])
def test_between_the_limits_chance_decides(serve, limits):
    def initial(request, context):
        context.send_initial_metadata((("large", "x" * int(request)),))
        return b""

    options = (("grpc.max_metadata_size", 1000), ("grpc.absolute_max_metadata_size", 100_000))
    if limits == "server":
        ends = serve(METHODS, options=options)
        call = ends.channel.unary_unary("/s.count/UU")

        def codes(size):
            metadata = (("large", "x" * size),)
            return [outcome(call, b"", metadata=metadata)[0] for _ in range(40)]

    else:
        ends = serve({"/s/UU": initial}, channel_options=options)
        call = ends.channel.unary_unary("/s/UU")

        def codes(size):
            return [outcome(call, b"%d" % size)[0] for _ in range(40)]

    assert set(codes(100)) == {Code.OK}
    assert set(codes(50_000)) == {Code.OK, Code.RESOURCE_EXHAUSTED}


def test_keys_that_look_like_those_of_grpc(serve):
    """Programs have them, whatever the specification says."""
    sent = [("grpc-client-name", "x"), ("grpc-client-bin", b"\x00")]
    seen = []

    def behavior(request, context):
        seen.extend(tuple(pair) for pair in context.invocation_metadata())
        context.send_initial_metadata(sent)
        context.set_trailing_metadata(sent)
        return b""

    _, call = serve({"/s/UU": behavior}).uu_call("/s/UU", metadata=sent)
    assert [pair for pair in seen if pair[0] != "user-agent"] == sent
    assert [tuple(pair) for pair in call.initial_metadata()] == sent
    assert [tuple(pair) for pair in call.trailing_metadata()] == sent
