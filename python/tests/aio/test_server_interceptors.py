"""Interceptors of an asyncio server."""

import asyncio
import contextvars

import grpc
import grpc.aio
import pytest

from .serving import make, run, serving

Code = grpc.StatusCode


async def _hello(request, context):
    return request


_variable = contextvars.ContextVar("variable", default="unset")


class _Adds(grpc.aio.ServerInterceptor):
    def __init__(self, text):
        self._text = text

    async def intercept_service(self, continuation, handler_call_details):
        await asyncio.sleep(0)
        assert handler_call_details.method.startswith("/s/")
        assert "user-agent" in dict(handler_call_details.invocation_metadata)
        _variable.set(_variable.get() + self._text)
        return await continuation(handler_call_details)


class _Answers(grpc.aio.ServerInterceptor):
    def __init__(self, answer):
        self._answer = answer

    async def intercept_service(self, continuation, handler_call_details):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_context_variables_reach_the_handler():
    async def handler(request, context):
        before = _variable.get()
        token = _variable.set("inside")
        await asyncio.sleep(0)
        # It is the same context still: a token of another could not be used.
        _variable.reset(token)
        return f"{before} {_variable.get()}".encode()

    async def main():
        _variable.set("outside")
        interceptors = [_Adds("+a"), _Adds("+b")]
        async with serving({"/s/UU": handler}, interceptors=interceptors) as ends:
            _variable.set("too late")
            for _ in range(2):
                assert await ends.uu("/s/UU") == b"outside+a+b outside+a+b"

    run(main)


def test_what_interceptors_may_answer():
    async def other(request, context):
        return b"other"

    async def refuses(request, context):
        await context.abort(Code.UNAUTHENTICATED, "who?")

    async def stream(request, context):
        yield b"streamed"

    unimplemented = (Code.UNIMPLEMENTED, "Method not found!")
    answers = [
        (make("UU", other), b"other"),
        (make("UU", refuses), (Code.UNAUTHENTICATED, "who?")),
        (make("US", stream), b"streamed"),
        (None, unimplemented),
        (ValueError("boom"), (Code.UNKNOWN, "Unexpected <class 'ValueError'>: boom")),
    ]

    async def main():
        for answer, expected in answers:
            async with serving({"/s/UU": _hello}, interceptors=[_Answers(answer)]) as ends:
                if isinstance(expected, bytes):
                    assert await ends.uu("/s/UU") == expected
                else:
                    assert await ends.fails("/s/UU") == expected

    run(main)


def test_only_interceptors_of_servers_are_taken():
    async def main():
        with pytest.raises(ValueError, match="must be ServerInterceptor"):
            grpc.aio.server(interceptors=[object()])
        with pytest.raises(ValueError, match="should be a positive integer"):
            grpc.aio.server(maximum_concurrent_rpcs=0)

    run(main)
