"""Interceptors of the server."""

import contextvars
import logging

import grpc

Code = grpc.StatusCode
WHO = contextvars.ContextVar("who", default="nobody")


class Tracing(grpc.ServerInterceptor):
    def __init__(self, name, log):
        self._name = name
        self._log = log

    def intercept_service(self, continuation, handler_call_details):
        self._log.append(f"{self._name} {handler_call_details.method}")
        handler = continuation(handler_call_details)
        self._log.append(f"{self._name} back")
        return handler


def test_the_first_one_is_the_outermost(serve):
    log = []
    ends = serve(
        {"/s/UU": lambda request, context: b"fine"},
        interceptors=[Tracing("a", log), Tracing("b", log)],
    )
    assert ends.uu("/s/UU") == b"fine"
    assert log == ["a /s/UU", "b /s/UU", "b back", "a back"]
    assert ends.fails("/s/UU2") == (Code.UNIMPLEMENTED, "Method not found!")


def test_a_call_is_refused(serve):
    def refuse(request, context):
        context.abort(Code.UNAUTHENTICATED, "who are you?")

    class Guard(grpc.ServerInterceptor):
        def intercept_service(self, continuation, handler_call_details):
            if ("token", "right") in [tuple(p) for p in handler_call_details.invocation_metadata]:
                return continuation(handler_call_details)
            return grpc.unary_unary_rpc_method_handler(refuse)

    known = grpc.method_handlers_generic_handler(
        "k", {"SS": grpc.stream_stream_rpc_method_handler(lambda requests, context: requests)}
    )
    ends = serve(
        {"/s/UU": lambda r, c: b"in", "/s/US": lambda r, c: iter([b"in"])},
        interceptors=[Guard()],
        handlers=[known],
    )
    refused = (Code.UNAUTHENTICATED, "who are you?")
    assert ends.fails("/s/UU") == refused
    # The handler that refuses has another kind than the method.
    assert ends.fails("/s/US", "us") == refused
    assert ends.fails("/k/SS", "ss", [b"a"]) == refused
    assert ends.uu("/s/UU", metadata=(("token", "right"),)) == b"in"
    assert list(ends.us("/s/US", metadata=(("token", "right"),))) == [b"in"]


def test_the_handler_is_wrapped(serve):
    class Upper(grpc.ServerInterceptor):
        def intercept_service(self, continuation, handler_call_details):
            handler = continuation(handler_call_details)
            inner = handler.unary_unary
            return handler._replace(unary_unary=lambda r, c: inner(r, c).upper())

    ends = serve({"/s/UU": lambda request, context: request}, interceptors=[Upper()])
    assert ends.uu("/s/UU", b"abc") == b"ABC"


def test_context_variables_reach_the_handler_and_nobody_else(serve):
    class Caller(grpc.ServerInterceptor):
        def intercept_service(self, continuation, handler_call_details):
            for key, value in handler_call_details.invocation_metadata:
                if key == "who":
                    WHO.set(value)
            return continuation(handler_call_details)

    def stream(request, context):
        for _ in range(3):
            yield WHO.get().encode()

    ends = serve(
        {"/s/UU": lambda request, context: WHO.get().encode(), "/s/US": stream},
        interceptors=[Caller()],
    )
    assert ends.uu("/s/UU", metadata=(("who", "me"),)) == b"me"
    assert list(ends.us("/s/US", metadata=(("who", "you"),))) == [b"you"] * 3
    assert [ends.uu("/s/UU") for _ in range(8)] == [b"nobody"] * 8


def test_an_interceptor_that_raises(serve, caplog):
    class Broken(grpc.ServerInterceptor):
        def intercept_service(self, continuation, handler_call_details):
            raise ValueError("broken")

    ends = serve({"/s/UU": lambda request, context: b""}, interceptors=[Broken()])
    with caplog.at_level(logging.ERROR, "grpc._server"):
        assert ends.fails("/s/UU") == (Code.UNKNOWN, "Error in service handler!")
    assert any(record.exc_info for record in caplog.records)
