"""What a handler learns from its context, and does by it."""

import threading
import time
from concurrent import futures

import grpc
import pytest

from .conftest import LIMIT

Code = grpc.StatusCode


def pairs(metadata):
    return [tuple(pair) for pair in metadata]


def test_metadata_both_ways(serve):
    seen = []

    def behavior(request, context):
        seen.append(context.invocation_metadata())
        context.send_initial_metadata((("first", "1"), ("first-bin", b"\x00\x80")))
        context.set_trailing_metadata([("last", "2"), ("last-bin", b"\xff")])
        assert context.trailing_metadata() == [("last", "2"), ("last-bin", b"\xff")]
        return b""

    ends = serve({"/s/UU": behavior})
    sent = (("key", "value"), ("key", "two"), ("k-bin", b"\x01\xfe"))
    _, call = ends.uu_call("/s/UU", metadata=sent)
    assert ("first", "1") in pairs(call.initial_metadata())
    assert ("first-bin", b"\x00\x80") in pairs(call.initial_metadata())
    assert ("last", "2") in pairs(call.trailing_metadata())
    assert ("last-bin", b"\xff") in pairs(call.trailing_metadata())
    (metadata,) = seen
    assert isinstance(metadata, tuple)
    assert [value for key, value in metadata if key == "key"] == ["value", "two"]
    assert {pair.key: pair.value for pair in metadata}["k-bin"] == b"\x01\xfe"
    assert "user-agent" in {pair.key for pair in metadata}
    assert not any(key.startswith(":") for key, _ in metadata)


def test_initial_metadata_only_once_and_only_first(serve):
    errors = []

    def twice(request, context):
        context.send_initial_metadata((("a", "1"),))
        try:
            context.send_initial_metadata(())
        except ValueError as error:
            errors.append(str(error))
        return b""

    def late(request, context):
        yield b"one"
        try:
            context.send_initial_metadata(())
        except ValueError as error:
            errors.append(str(error))

    ends = serve({"/s/UU": twice, "/s/US": late})
    assert ends.uu("/s/UU") == b""
    assert list(ends.us("/s/US")) == [b"one"]
    assert errors == ["Initial metadata no longer allowed!"] * 2


def test_metadata_that_is_none(serve):
    raised = []

    def behavior(request, context):
        wrong = {b"key": [("UPPER", "x")], b"value": [("a", 5)], b"dict": {"a": "b"}}
        try:
            if request.startswith(b"trailing "):
                context.set_trailing_metadata(wrong[request.removeprefix(b"trailing ")])
            else:
                context.send_initial_metadata(wrong[request])
        except (TypeError, ValueError) as error:
            raised.append(type(error))
            raise
        return b""

    ends = serve({"/s/UU": behavior})
    assert ends.fails("/s/UU", "uu", b"key") == (Code.INTERNAL, "Invalid metadata")
    assert ends.fails("/s/UU", "uu", b"trailing key") == (Code.INTERNAL, "Invalid metadata")
    for request, text in (
        (b"value", "Expected str, not <class 'int'>"),
        (b"dict", "need more than 1 value to unpack"),
    ):
        code, details = ends.fails("/s/UU", "uu", request)
        assert (code, details) == (Code.UNKNOWN, f"Exception calling application: {text}")
    assert raised == [TypeError, ValueError]


def test_initial_metadata_goes_out_at_once(serve):
    go = threading.Event()

    def behavior(request, context):
        context.send_initial_metadata((("early", "1"),))
        assert go.wait(LIMIT)
        yield b"late"

    ends = serve({"/s/US": behavior})
    call = ends.us("/s/US")
    assert ("early", "1") in pairs(call.initial_metadata())
    go.set()
    assert list(call) == [b"late"]


def test_who_calls(serve):
    seen = []

    def behavior(request, context):
        seen.append(context)
        return context.peer().encode()

    ends = serve({"/s/UU": behavior})
    kind, host, port = ends.uu("/s/UU").decode().split(":")
    assert (kind, host) == ("ipv4", "127.0.0.1") and 0 < int(port) < 65536
    (context,) = seen
    assert context.auth_context() == {
        "transport_security_type": [b"insecure"],
        "security_level": [b"TSI_SECURITY_NONE"],
    }
    assert context.peer_identities() is None
    assert context.peer_identity_key() is None
    assert isinstance(context, grpc.ServicerContext)


def test_who_calls_over_ipv6_and_unix(tmp_path):
    class Peer(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            return grpc.unary_unary_rpc_method_handler(lambda r, c: c.peer().encode())

    with futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, handlers=[Peer()])
        ipv6 = server.add_insecure_port("[::1]:0")
        path = tmp_path / "socket"
        assert server.add_insecure_port(f"unix:{path}") == 1
        server.start()
        for target, peer in ((f"[::1]:{ipv6}", b"ipv6:%5B::1%5D:"), (f"unix:{path}", b"unix:")):
            with grpc.insecure_channel(target) as channel:
                assert channel.unary_unary("/s/UU")(b"", timeout=LIMIT).startswith(peer)
        server.stop(None)


def test_time_remaining(serve):
    seen = []

    def behavior(request, context):
        seen.append(context.time_remaining())
        return b""

    ends = serve({"/s/UU": behavior})
    ends.channel.unary_unary("/s/UU")(b"", timeout=10)
    ends.channel.unary_unary("/s/UU")(b"")
    assert 5 < seen[0] < 10.5
    assert seen[1] > 1e18


def test_a_deadline_that_passes(serve):
    over, seen = threading.Event(), []

    def behavior(request, context):
        context.add_callback(over.set)
        assert over.wait(LIMIT)
        seen.append((context.is_active(), context.time_remaining()))
        return b""

    ends = serve({"/s/UU": behavior})
    future = ends.uu_future("/s/UU", timeout=0.3)
    assert future.code() is Code.DEADLINE_EXCEEDED
    assert over.wait(LIMIT)
    wait_for(lambda: seen)
    assert seen == [(False, 0)]


def test_callbacks(serve):
    events, cancelled = [], threading.Event()
    entered = threading.Event()

    def behavior(request, context):
        added = [context.add_callback(lambda: events.append("one"))]
        added.append(context.add_callback(lambda: events.append("two")))
        contexts.append(context)
        return repr(added).encode()

    def waits(request, context):
        context.add_callback(cancelled.set)
        entered.set()
        assert cancelled.wait(LIMIT)
        errors.append(context.is_active())
        errors.append(context.add_callback(lambda: None))
        try:
            context.send_initial_metadata(())
        except grpc.RpcError as error:
            errors.append(type(error))
        return b""

    contexts, errors = [], []
    ends = serve({"/s/UU": behavior, "/s/UU2": waits})
    assert ends.uu("/s/UU") == b"[True, True]"
    wait_for(lambda: events == ["one", "two"])
    wait_for(lambda: not contexts[0].is_active())
    assert contexts[0].add_callback(lambda: None) is False
    future = ends.uu_future("/s/UU2")
    assert entered.wait(LIMIT)
    future.cancel()
    wait_for(lambda: len(errors) == 3)
    assert errors == [False, False, grpc.RpcError]


@pytest.mark.ferrpc_only("on grpcio the requests end now and then, as if they were whole")
def test_requests_of_a_cancelled_call(serve):
    errors, entered, done = [], threading.Event(), threading.Event()

    def behavior(requests, context):
        assert next(requests) == b"one"
        entered.set()
        try:
            next(requests)
        except grpc.RpcError as error:
            errors.append(type(error))
        done.set()
        return b""

    ends = serve({"/s/SU": behavior})
    gate = threading.Event()

    def requests():
        yield b"one"
        gate.wait(LIMIT)

    call = ends.channel.stream_unary("/s/SU").future(requests(), timeout=LIMIT)
    assert entered.wait(LIMIT)
    call.cancel()
    assert done.wait(LIMIT)
    gate.set()
    assert errors == [grpc.RpcError]


def test_a_producer_learns_of_a_cancelled_call(serve):
    state = {}

    def behavior(request, context):
        try:
            while True:
                state["active"] = context.is_active()
                yield bytes(1000)
        finally:
            state["closed"] = True

    ends = serve({"/s/US": behavior})
    call = ends.us("/s/US")
    next(call)
    call.cancel()
    wait_for(lambda: state.get("closed"))


def test_the_server_cancels(serve):
    def behavior(request, context):
        context.cancel()
        return b"not seen"

    ends = serve({"/s/UU": behavior})
    assert ends.fails("/s/UU")[0] is Code.CANCELLED


def test_state_as_observers_read_it(serve):
    seen, entered, cancelled = [], threading.Event(), threading.Event()

    def behavior(request, context):
        context.set_code(Code.ABORTED)
        context.set_details("d")
        seen.append((context._state.code, context._state.details, context._state.client))
        entered.set()
        if request == b"wait":
            context.add_callback(cancelled.set)
            assert cancelled.wait(LIMIT)
            seen.append(context._state.client)
        return b""

    ends = serve({"/s/UU": behavior})
    ends.fails("/s/UU")
    assert seen == [(Code.ABORTED, b"d", "open")]
    entered.clear()
    future = ends.uu_future("/s/UU", b"wait")
    assert entered.wait(LIMIT)
    future.cancel()
    wait_for(lambda: len(seen) == 3)
    assert seen[2] == "cancelled"


@pytest.mark.parametrize("where", ["server", "call"])
def test_compression(serve, where):
    def behavior(request, context):
        if where == "call":
            context.set_compression(grpc.Compression.Gzip)
        return b"x" * 10_000

    def stream(request, context):
        if where == "call":
            context.set_compression(grpc.Compression.Deflate)
        yield b"x" * 10_000
        context.disable_next_message_compression()
        yield b"y" * 10_000
        yield b"z" * 10_000

    compression = grpc.Compression.Gzip if where == "server" else None
    ends = serve({"/s/UU": behavior, "/s/US": stream}, compression=compression)
    assert ends.uu("/s/UU") == b"x" * 10_000
    assert list(ends.us("/s/US")) == [b"x" * 10_000, b"y" * 10_000, b"z" * 10_000]


def test_attributes_of_ones_own(serve):
    def behavior(request, context):
        context.user = "me"
        return context.user.encode()

    assert serve({"/s/UU": behavior}).uu("/s/UU") == b"me"


def wait_for(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def test_another_context_of_a_call(serve):
    seen = []

    def behavior(request, context):
        with grpc._create_servicer_context(context._rpc_event, context._state, None) as other:
            seen.append((type(other) is type(context), other.peer() == context.peer()))
            other.set_trailing_metadata((("by", "the other"),))
        return b""

    ends = serve({"/s/UU": behavior})
    _, call = ends.uu_call("/s/UU")
    assert seen == [(True, True)]
    assert ("by", "the other") in pairs(call.trailing_metadata())


def test_classes_say_where_they_are_looked_for():
    from grpc import _server

    for name in ("_Context", "_RPCState", "_HandlerCallDetails"):
        assert getattr(_server, name).__module__ == "grpc._server"


def test_what_makes_contexts_may_be_wrapped(serve, monkeypatch):
    create = grpc._create_servicer_context
    made = []

    def wrapped(*arguments):
        made.append("made")
        return create(*arguments)

    ends = serve({"/s/UU": lambda request, context: type(context).__name__.encode()})
    assert ends.uu("/s/UU") == b"_Context" and made == []
    monkeypatch.setattr(grpc, "_create_servicer_context", wrapped)
    assert ends.uu("/s/UU") == b"_Context" and made == ["made"]


def test_the_class_of_servers_stands_where_tools_look():
    from grpc import _server

    server = grpc.server(futures.ThreadPoolExecutor(1))
    assert type(server) is _server._Server
    assert (type(server).__module__, type(server).__qualname__) == ("grpc._server", "_Server")


@pytest.mark.ferrpc_only("grpcio writes them as they come")
def test_a_servers_words_cannot_forge_lines_of_a_log(serve, caplog):
    words = "a\nERROR forged \x1b[2J"
    entered = threading.Event()

    def behavior(request, context):
        assert entered.wait(LIMIT)
        context.abort(Code.NOT_FOUND, words)

    told = threading.Event()

    def callback(call):
        told.set()
        raise call.exception()

    ends = serve({"/s/UU": behavior})
    call = ends.uu_future("/s/UU")
    call.add_done_callback(callback)
    entered.set()
    assert call.exception().details() == words
    assert told.wait(LIMIT)
    ends.channel.close()
    while not (found := [record for record in caplog.records if record.name == "grpc._channel"]):
        threading.Event().wait(0.001)
    text = found[0].getMessage()
    assert "\\x1b[2J" in text and text.isprintable()
