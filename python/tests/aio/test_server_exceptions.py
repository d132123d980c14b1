"""What callers of `grpc.aio`'s servers learn of exceptions, and what logs show of paths."""

import asyncio
import logging

import grpc
import pytest

from .serving import run, serving

Code = grpc.StatusCode

SECRET = "/etc/secrets/key"
HIDE = [("ferrpc.hide_exceptions", 1)]


def raises(request, context):
    raise ValueError(SECRET)


def breaks_off(request, context):
    yield b"1"
    raise ValueError(SECRET)


def refuses(message):
    raise ValueError(SECRET)


async def raises_later(request, context):
    await asyncio.sleep(0)
    raise ValueError(SECRET)


async def breaks_off_later(request, context):
    yield b"1"
    raise ValueError(SECRET)


async def aborts_later(request, context):
    await context.abort(Code.NOT_FOUND, "no such thing")


async def echoes(request, context):
    return request


AIO = {
    "/s/UU": raises_later,
    "/s/US": breaks_off_later,
    "/s/UUthread": raises,
    "/s/USthread": breaks_off,
    "/s/UUaborts": aborts_later,
    "/s/UUin": grpc.unary_unary_rpc_method_handler(echoes, request_deserializer=refuses),
    "/s/UUout": grpc.unary_unary_rpc_method_handler(echoes, response_serializer=refuses),
}


def ends_of(**arguments):
    """How the calls end."""

    async def main():
        async with serving(AIO, **arguments) as ends:
            return {path: await ends.fails(path) for path in AIO}

    return run(main)


@pytest.mark.ferrpc_only("grpcio always tells callers")
def test_exceptions_are_hidden_where_that_is_wanted(caplog, monkeypatch):
    shown = ends_of()
    assert all(SECRET in shown[path][1] for path in set(AIO) - {"/s/UUaborts"})
    caplog.clear()
    hidden = ends_of(options=HIDE)
    assert SECRET in caplog.text
    assert hidden["/s/UUaborts"] == (Code.NOT_FOUND, "no such thing")
    for path in set(AIO) - {"/s/UUaborts"}:
        assert hidden[path] == (Code.UNKNOWN, "Unexpected exception in the servicer method"), path
    monkeypatch.setenv("FERRPC_HIDE_EXCEPTIONS", "1")
    assert ends_of() == hidden
    assert ends_of(options=[("ferrpc.hide_exceptions", 0)]) == shown


@pytest.mark.ferrpc_only("grpcio writes them as they come")
def test_what_terminals_obey_is_escaped_in_logs(caplog):
    path = "/s/UU\x1b[2J"

    async def main():
        async with serving({path: raises_later}) as ends:
            await ends.fails(path)

    with caplog.at_level(logging.ERROR):
        run(main)
    assert "/s/UU\\x1b[2J" in caplog.text and "\x1b" not in caplog.records[-1].getMessage()
