"""What becomes of a call by what its handler does."""

import logging

import grpc
import pytest

Code = grpc.StatusCode


def raises(error):
    def behavior(request, context):
        raise error

    return behavior


def test_all_four_kinds(serve):
    ends = serve(
        {
            "/s/UU": lambda request, context: request + b"!",
            "/s/US": lambda request, context: iter([request, request]),
            "/s/SU": lambda requests, context: b"".join(requests),
            "/s/SS": lambda requests, context: (request + b"!" for request in requests),
        }
    )
    assert ends.uu("/s/UU") == b"q!"
    assert list(ends.us("/s/US")) == [b"q", b"q"]
    assert ends.su("/s/SU", [b"a", b"b"]) == b"ab"
    assert list(ends.ss("/s/SS", [b"a", b"b"])) == [b"a!", b"b!"]
    assert list(ends.us("/s/US", b"")) == [b"", b""]
    assert ends.su("/s/SU", []) == b""
    assert list(ends.ss("/s/SS", [])) == []


def test_many_and_large_messages(serve):
    ends = serve(
        {
            "/s/US": lambda request, context: (bytes([i % 256]) * 1000 for i in range(2000)),
            "/s/SU": lambda requests, context: str(sum(len(r) for r in requests)).encode(),
            "/s/SS": lambda requests, context: requests,
            "/s/UU": lambda request, context: request,
        }
    )
    assert [len(r) for r in ends.us("/s/US")] == [1000] * 2000
    assert ends.su("/s/SU", (b"x" * 10_000 for _ in range(300))) == b"3000000"
    assert list(ends.ss("/s/SS", [b"x" * 300_000] * 5)) == [b"x" * 300_000] * 5
    assert ends.uu("/s/UU", b"y" * 2_000_000) == b"y" * 2_000_000


def test_registered_methods_win_over_generic_ones(serve):
    unary = grpc.unary_unary_rpc_method_handler
    generic = grpc.method_handlers_generic_handler(
        "s", {"UU": unary(lambda r, c: b"generic"), "UU2": unary(lambda r, c: b"generic 2")}
    )
    server_ends = serve({}, handlers=[generic])
    assert server_ends.uu("/s/UU") == b"generic"
    from concurrent import futures

    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[generic])
    server.add_registered_method_handlers("s", {"UU": unary(lambda r, c: b"registered")})
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary("/s/UU")(b"", timeout=10) == b"registered"
        assert channel.unary_unary("/s/UU2")(b"", timeout=10) == b"generic 2"
    server.stop(None)


def test_a_unary_call_of_a_streaming_method_succeeds(serve):
    unary = grpc.method_handlers_generic_handler(
        "k", {"SS": grpc.stream_stream_rpc_method_handler(lambda requests, c: requests)}
    )
    ends = serve({"/s/SS": lambda requests, context: requests}, handlers=[unary])
    assert ends.uu("/s/SS", b"one") == b"one"
    assert ends.uu("/k/SS", b"one") == b"one"


def test_unknown_methods(serve):
    ends = serve({"/s/UU": lambda request, context: b""})
    assert ends.fails("/s/UUx") == (Code.UNIMPLEMENTED, "Method not found!")
    assert ends.fails("/t/SS", "ss", [b"a"]) == (Code.UNIMPLEMENTED, "Method not found!")


def test_a_lookup_that_raises(serve):
    class Broken(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            raise ValueError("broken")

    ends = serve({"/s/UU": lambda request, context: b"fine"}, handlers=[Broken()])
    assert ends.uu("/s/UU") == b"fine"
    assert ends.fails("/s/UU2") == (Code.UNKNOWN, "Error in service handler!")


def test_exceptions_of_handlers(serve, caplog):
    def late(request, context):
        yield b"one"
        raise ValueError("late")

    ends = serve(
        {
            "/s/UU": raises(ValueError("boom")),
            "/s/US": late,
            "/s/SU": raises(ValueError("boom")),
            "/s/SS": raises(ValueError("boom")),
        }
    )
    with caplog.at_level(logging.ERROR, "grpc._server"):
        boom = (Code.UNKNOWN, "Exception calling application: boom")
        assert ends.fails("/s/UU") == boom
        assert ends.fails("/s/SU", "su", [b"a"]) == boom
        assert ends.fails("/s/SS", "ss", [b"a"]) == boom
        responses = ends.us("/s/US")
        assert next(responses) == b"one"
        with pytest.raises(grpc.RpcError) as caught:
            next(responses)
        assert caught.value.code() is Code.UNKNOWN
        assert caught.value.details() == "Exception iterating responses: late"
    texts = {record.getMessage() for record in caplog.records if record.exc_info}
    assert "Exception calling application: boom" in texts
    assert "Exception iterating responses: late" in texts


def test_what_is_set_before_an_exception_wins(serve):
    def behavior(request, context):
        context.set_code(Code.NOT_FOUND)
        if request == b"both":
            context.set_details("no such thing")
        raise ValueError("boom")

    ends = serve({"/s/UU": behavior})
    assert ends.fails("/s/UU") == (Code.NOT_FOUND, "Exception calling application: boom")
    assert ends.fails("/s/UU", "uu", b"both") == (Code.NOT_FOUND, "no such thing")


def test_codes_set_by_a_handler_that_returns(serve):
    seen = []

    def behavior(request, context):
        seen.append((context.code(), context.details()))
        if request == b"int":
            context.set_code(5)
        else:
            context.set_code(Code[request.decode()])
        context.set_details("text")
        seen.append((context.code(), context.details()))
        return b"value"

    def stream(request, context):
        yield b"one"
        context.set_code(Code.ABORTED)

    ends = serve({"/s/UU": behavior, "/s/US": stream})
    assert ends.fails("/s/UU", "uu", b"NOT_FOUND") == (Code.NOT_FOUND, "text")
    assert seen == [(None, None), (Code.NOT_FOUND, b"text")]
    assert ends.fails("/s/UU", "uu", b"int") == (Code.UNKNOWN, "text")
    response, call = ends.uu_call("/s/UU", b"OK")
    assert (response, call.code(), call.details()) == (b"value", Code.OK, "")
    assert ends.fails("/s/US", "us") == (Code.ABORTED, "")


def test_abort(serve, caplog):
    caught = []

    def behavior(request, context):
        context.set_trailing_metadata((("t", "1"),))
        try:
            if request == b"ok":
                context.abort(Code.OK, "fine?")
            if request == b"int":
                context.abort(3, "number")
            context.abort(Code.FAILED_PRECONDITION, "not now")
        except Exception as error:
            caught.append(error)
            if request == b"swallow":
                return b"value"
            raise

    def stream(request, context):
        yield b"one"
        context.abort(Code.ABORTED, "midway")

    ends = serve({"/s/UU": behavior, "/s/US": stream})
    assert ends.fails("/s/UU") == (Code.FAILED_PRECONDITION, "not now")
    assert type(caught[0]) is Exception and caught[0].args == ()
    assert ends.fails("/s/UU", "uu", b"swallow") == (Code.FAILED_PRECONDITION, "not now")
    assert ends.fails("/s/UU", "uu", b"int")[0] is Code.UNKNOWN
    with caplog.at_level(logging.ERROR, "grpc._server"):
        assert ends.fails("/s/UU", "uu", b"ok") == (Code.UNKNOWN, "")
    assert "abort() called with StatusCode.OK; returning UNKNOWN" in caplog.text
    responses = ends.us("/s/US")
    assert next(responses) == b"one"
    with pytest.raises(grpc.RpcError) as error:
        next(responses)
    assert (error.value.code(), error.value.details()) == (Code.ABORTED, "midway")


RICH = b"\x08\x0f\x12\x04lost"


def test_abort_with_status(serve):
    class Status(grpc.Status):
        code = Code.DATA_LOSS
        details = "lost"
        # A google.rpc.Status of the same code and text.
        trailing_metadata = (("grpc-status-details-bin", RICH), ("key", "value"))

    ends = serve({"/s/UU": lambda request, context: context.abort_with_status(Status())})
    with pytest.raises(grpc.RpcError) as caught:
        ends.uu("/s/UU")
    assert (caught.value.code(), caught.value.details()) == (Code.DATA_LOSS, "lost")
    trailing = dict(tuple(pair) for pair in caught.value.trailing_metadata())
    assert trailing["grpc-status-details-bin"] == RICH
    assert trailing["key"] == "value"


def test_none_as_a_response(serve):
    def stream(request, context):
        yield b"one"
        yield None
        yield b"never sent"

    ends = serve({"/s/UU": lambda request, context: None, "/s/US": stream})
    assert ends.fails("/s/UU") == (Code.INTERNAL, "Failed to serialize response!")
    assert list(ends.us("/s/US")) == [b"one"]


def test_serialisers(serve):
    def broken(value):
        raise ValueError("no")

    unary = grpc.unary_unary_rpc_method_handler
    ends = serve(
        {
            "/s/UU": unary(lambda r, c: r * 2, bytes.decode, str.encode),
            "/s/UUin": unary(lambda r, c: r, broken, None),
            "/s/UUnone": unary(lambda r, c: r, lambda data: None, None),
            "/s/UUout": unary(lambda r, c: r, None, broken),
            "/s/SS": grpc.stream_stream_rpc_method_handler(lambda rs, c: list(rs) and (), broken),
            "/s/US": grpc.unary_stream_rpc_method_handler(lambda r, c: iter([r]), None, broken),
        }
    )
    assert ends.uu("/s/UU", b"ab") == b"abab"
    wrong = (Code.INTERNAL, "Exception deserializing request!")
    assert ends.fails("/s/UUin") == wrong
    assert ends.fails("/s/UUnone") == wrong
    assert ends.fails("/s/SS", "ss", [b"a"]) == wrong
    assert ends.fails("/s/UUout") == (Code.INTERNAL, "Failed to serialize response!")
    assert ends.fails("/s/US", "us") == (Code.INTERNAL, "Failed to serialize response!")


def test_a_list_is_no_iterator_of_responses(serve):
    ends = serve({"/s/US": lambda request, context: [b"a"]})
    code, details = ends.fails("/s/US", "us")
    assert code is Code.UNKNOWN
    assert details == "Exception iterating responses: 'list' object is not an iterator"


def test_a_unary_method_that_gets_no_request(serve):
    ends = serve({"/s/UU": lambda request, context: request})
    code, _ = ends.fails("/s/UU", "su", [])
    assert code is Code.UNIMPLEMENTED


def test_messages_that_are_too_large(serve):
    ends = serve(
        {"/s/UU": lambda request, context: bytes(int(request.split()[0]))},
        options=[
            ("grpc.max_receive_message_length", 1000),
            ("grpc.max_send_message_length", 2000),
        ],
    )
    assert ends.uu("/s/UU", b"1500") == bytes(1500)
    code, details = ends.fails("/s/UU", "uu", b"1 " + bytes(2000))
    assert code is Code.RESOURCE_EXHAUSTED
    assert details == "SERVER: Received message larger than max (2002 vs. 1000)"
    code, details = ends.fails("/s/UU", "uu", b"2500")
    assert code is Code.RESOURCE_EXHAUSTED
    assert details == "SERVER: Sent message larger than max (2500 vs. 2000)"
