"""What handlers of an asyncio server learn of their calls, and how they end them."""

import asyncio
import threading

import grpc
import grpc.aio
import pytest

from .serving import LIMIT, eventually, run, serving

Code = grpc.StatusCode


async def _hello(request, context):
    return request


# -- the context -----------------------------------------------------------------------------------


def test_what_a_context_knows():
    seen = {}

    async def handler(request, context):
        seen["before"] = (context.code(), context.details(), context.trailing_metadata())
        seen["metadata"] = dict(context.invocation_metadata())
        seen["peer"] = context.peer().rpartition(":")[0]
        seen["identities"] = (context.peer_identities(), context.peer_identity_key())
        seen["security"] = context.auth_context()
        seen["remaining"] = context.time_remaining()
        seen["over"] = (context.cancelled(), context.done())
        seen["request"] = await context.read()
        context.set_code(Code.OK)
        context.set_details("fine")
        context.set_trailing_metadata((("a", "b"), ("c-bin", b"\x00")))
        seen["after"] = (context.code(), context.details(), context.trailing_metadata())
        seen["kind"] = isinstance(context, (grpc.aio.ServicerContext, grpc.ServicerContext))
        return b"r"

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            response, call = await ends.uu_call("/s/UU", metadata=[("k", "v"), ("k-bin", b"\xff")])
            assert response == b"r"
            assert call.details() == ""
            assert dict(call.trailing_metadata()) == {"a": "b", "c-bin": b"\x00"}

    run(main)
    assert seen["before"] == (None, "", ())
    assert seen["metadata"]["k"] == "v" and seen["metadata"]["k-bin"] == b"\xff"
    assert seen["peer"] == "ipv4:127.0.0.1"
    assert seen["identities"] == (None, None)
    assert seen["security"]["transport_security_type"] == [b"insecure"]
    # grpcio's clients round the time they send up.
    assert 0 < seen["remaining"] <= LIMIT + 1
    assert seen["over"] == (False, False)
    assert seen["request"] is grpc.aio.EOF
    assert seen["after"] == (Code.OK, "fine", (("a", "b"), ("c-bin", b"\x00")))
    assert not seen["kind"]


def test_without_a_deadline_no_time_is_left_to_tell():
    async def handler(request, context):
        return repr(context.time_remaining()).encode()

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            assert await ends.uu("/s/UU", timeout=None) == b"None"

    run(main)


def test_initial_metadata_is_sent_once():
    async def handler(request, context):
        await context.send_initial_metadata((("i", "1"),))
        with pytest.raises(grpc.aio.UsageError, match="already sent"):
            await context.send_initial_metadata((("i", "2"),))
        return b""

    async def late(request, context):
        yield b"1"
        with pytest.raises(grpc.aio.UsageError, match="already sent"):
            await context.send_initial_metadata((("i", "2"),))
        with pytest.raises(RuntimeError, match="before sending initial metadata"):
            context.set_compression(grpc.Compression.Gzip)

    def plain(request, context):
        context.send_initial_metadata((("i", "1"),))
        with pytest.raises(grpc.aio.UsageError, match="already sent"):
            context.send_initial_metadata((("i", "2"),))
        return b""

    async def main():
        async with serving({"/s/UU": handler, "/s/US": late, "/s/UUp": plain}) as ends:
            for path in ("/s/UU", "/s/UUp"):
                _, call = await ends.uu_call(path)
                assert dict(call.initial_metadata()) == {"i": "1"}
            assert await ends.us("/s/US") == [b"1"]

    run(main)


@pytest.mark.parametrize("what", ["initial", "trailing"])
def test_metadata_that_cannot_be_sent(what):
    async def handler(request, context):
        if what == "trailing":
            context.set_trailing_metadata((("BAD KEY", "1"),))
        else:
            with pytest.raises(grpc.aio.InternalError):
                await context.send_initial_metadata((("BAD KEY", "1"),))
        return b""

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            assert await ends.fails("/s/UU") == (Code.INTERNAL, "Invalid metadata")

    run(main)


WRONG = [{"why": "a dict"}, {}, None, 3, "text", b"x", ["kv"], [["k", "v"]], [("k", 3)], [("k",)]]
RIGHT = [[("k", "v")], grpc.aio.Metadata(("k", "v")), {"k": "v"}.items()]


@pytest.mark.parametrize("metadata", WRONG)
def test_trailing_metadata_of_wrong_types(metadata):
    async def handler(request, context):
        context.set_trailing_metadata(metadata)
        return b"not sent"

    async def aborts(request, context):
        await context.abort(Code.NOT_FOUND, "gone", metadata)

    async def streams(request, context):
        yield b""
        context.set_trailing_metadata(metadata)

    def plain(request, context):
        context.set_trailing_metadata(metadata)
        return b"not sent"

    async def main():
        behaviors = {"/s/UU": handler, "/s/UUp": plain, "/s/US": streams, "/s/UUa": aborts}
        async with serving(behaviors) as ends:
            for path in ("/s/UU", "/s/UUp", "/s/US"):
                code, details = await ends.fails(path)
                assert code is Code.UNKNOWN
                assert "<class 'TypeError'>: Invalid trailing metadata type, expected" in details
            if metadata:
                assert (await ends.fails("/s/UUa"))[0] is Code.UNKNOWN

    run(main)


@pytest.mark.parametrize("metadata", RIGHT)
def test_trailing_metadata_of_other_types(metadata):
    async def handler(request, context):
        context.set_trailing_metadata(metadata)
        assert context.trailing_metadata() == (("k", "v"),)
        return b""

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            _, call = await ends.uu_call("/s/UU")
            assert dict(call.trailing_metadata()) == {"k": "v"}

    run(main)


class _Untold(Exception):
    def __str__(self):
        raise ValueError("no text")


@pytest.mark.ferrpc_only("in grpcio these callers wait for their deadline")
def test_texts_that_cannot_be_sent():
    async def aborts(request, context):
        await context.abort(Code.NOT_FOUND, "a \ud800 b \u00e9")

    async def sets(request, context):
        context.set_code(Code.NOT_FOUND)
        context.set_details("a \ud800 b \u00e9")
        return b""

    async def raises(request, context):
        raise ValueError("a \ud800 b \u00e9")

    async def untold(request, context):
        raise _Untold

    async def main():
        behaviors = {"/s/UU": aborts, "/s/UUs": sets, "/s/UUr": raises, "/s/UUu": untold}
        async with serving(behaviors) as ends:
            for path in ("/s/UU", "/s/UUs"):
                assert await ends.fails(path) == (Code.NOT_FOUND, "a ? b \u00e9")
            assert await ends.fails("/s/UUr") == (
                Code.UNKNOWN,
                "Unexpected <class 'ValueError'>: a ? b \u00e9",
            )
            code, details = await ends.fails("/s/UUu")
            assert code is Code.UNKNOWN and details.startswith("Unexpected <class ")

    run(main)


def test_compression():
    async def handler(request, context):
        context.set_compression(grpc.Compression.Gzip)
        if request == b"not":
            context.disable_next_message_compression()
        return b"a" * 10000

    async def stream(request, context):
        context.set_compression(grpc.Compression.Deflate)
        for number in range(4):
            if number % 2:
                context.disable_next_message_compression()
            yield b"a" * 10000

    async def main():
        behaviors = {"/s/UU": handler, "/s/US": stream, "/s/UUall": _hello}
        async with serving(behaviors, compression=grpc.Compression.Gzip) as ends:
            for request in (b"", b"not"):
                assert await ends.uu("/s/UU", request) == b"a" * 10000
            assert await ends.us("/s/US") == [b"a" * 10000] * 4
            assert await ends.uu("/s/UUall", b"a" * 10000) == b"a" * 10000

    run(main)


# -- abort -----------------------------------------------------------------------------------------


async def _aborts(request, context):
    await context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))


async def _aborts_with_what_was_set(request, context):
    context.set_trailing_metadata((("k", "v"),))
    await context.abort(Code.NOT_FOUND, "gone")


async def _swallows(request, context):
    with pytest.raises(grpc.aio.AbortError, match=r"Locally aborted\."):
        await context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))
    assert context.done() and not context.cancelled()
    assert (context.code(), context.details()) == (Code.NOT_FOUND, "gone")
    for after in (context.read(), context.write(b""), context.send_initial_metadata(())):
        with pytest.raises(grpc.aio.AbortError):
            await after
    with pytest.raises(grpc.aio.UsageError, match="Abort already called!"):
        await context.abort(Code.INTERNAL, "again")
    return b"late"


async def _aborts_with_status(request, context):
    class Status(grpc.Status):
        code = Code.NOT_FOUND
        details = "gone"
        trailing_metadata = (("k", "v"),)

    await context.abort_with_status(Status())


async def _raises_another(request, context):
    try:
        await context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))
    except grpc.aio.AbortError:
        raise ValueError("another") from None


async def _aborts_by_number(request, context):
    await context.abort(5, "gone", (("k", "v"),))


def _plain_aborts(request, context):
    context.abort(Code.NOT_FOUND, "gone", (("k", "v"),))


@pytest.mark.parametrize(
    "handler",
    [
        _aborts,
        _aborts_with_what_was_set,
        _swallows,
        _aborts_with_status,
        _raises_another,
        _aborts_by_number,
        _plain_aborts,
    ],
)
def test_abort(handler):
    async def main():
        async with serving({"/s/UU": handler}) as ends:
            with pytest.raises(grpc.RpcError) as caught:
                await ends.uu("/s/UU")
            assert (caught.value.code(), caught.value.details()) == (Code.NOT_FOUND, "gone")
            assert dict(caught.value.trailing_metadata()) == {"k": "v"}

    run(main)


def test_abort_in_a_stream():
    async def handler(request, context):
        yield b"1"
        await context.abort(Code.NOT_FOUND, "gone")

    async def main():
        async with serving({"/s/US": handler}) as ends:
            call = ends.channel.unary_stream("/s/US")(b"", timeout=LIMIT)
            assert await asyncio.to_thread(next, call) == b"1"
            assert await asyncio.to_thread(call.code) is Code.NOT_FOUND

    run(main)


@pytest.mark.ferrpc_only("grpcio leaves the caller waiting")
def test_abort_with_ok_is_an_error():
    async def handler(request, context):
        await context.abort(Code.OK, "fine")

    async def main():
        async with serving({"/s/UU": handler}) as ends:
            assert await ends.fails("/s/UU") == (Code.UNKNOWN, "")

    run(main)


# -- callbacks -------------------------------------------------------------------------------------


def test_callbacks_run_in_the_loop_when_the_handler_has_ended():
    heard = []

    async def handler(request, context):
        context.add_done_callback(lambda ended: heard.append((ended, threading.get_ident())))
        with pytest.raises(TypeError):
            context.add_done_callback("no function")
        heard.append(context)
        return b""

    def plain(request, context):
        context.add_callback(lambda: heard.append(threading.get_ident()))
        return b""

    async def main():
        async with serving({"/s/UU": handler, "/s/UUp": plain}) as ends:
            await ends.uu("/s/UU")
            await eventually(lambda: len(heard) == 2)
            assert heard[1] == (heard[0], threading.get_ident())
            heard.clear()
            await ends.uu("/s/UUp")
            await eventually(lambda: heard == [threading.get_ident()])

    run(main)
