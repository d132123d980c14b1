"""Attributes with an underscore that agents and libraries read from channels, calls, servers and
credentials. Who reads them stands beside."""

import asyncio
import pickle
import threading
from concurrent import futures

import grpc
import pytest
from grpc import _channel

LIMIT = 20
Code = grpc.StatusCode


def answer(request, context):
    if request == b"fail":
        context.set_trailing_metadata((("k", "v"),))
        context.abort(Code.NOT_FOUND, "none")
    return request


@pytest.fixture
def port():
    seen.clear()
    handlers = {
        "UU": grpc.unary_unary_rpc_method_handler(answer),
        "US": grpc.unary_stream_rpc_method_handler(lambda request, context: iter([request] * 2)),
        "Event": grpc.unary_unary_rpc_method_handler(look),
    }
    handlers = [grpc.method_handlers_generic_handler("s", handlers)]
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=handlers)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield port
    server.stop(None)


@pytest.fixture
def channel(port):
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        yield channel


def kinds(channel):
    return [
        getattr(channel, kind)("/s/UU", _registered_method=True)
        for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    ]


# -- channels --------------------------------------------------------------------------------------


def test_the_target_of_a_channel_and_its_methods(channel, port):
    # New Relic, Instana, the tests of google-cloud-pubsub.
    target = f"dns:///localhost:{port}".encode()
    assert channel._channel.target() == target
    for method in kinds(channel):
        assert method._channel.target() == target
        assert (method._method, method._target) == (b"/s/UU", f"localhost:{port}".encode())
        assert method._registered_call_handle is None or type(method._registered_call_handle) is int
        assert type(method).__module__ == "grpc._channel"


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("a:1", "dns:///a:1"),
        ("a", "dns:///a"),
        ("[::1]:5", "dns:///[::1]:5"),
        ("dns:///a:1", None),
        ("dns:a:1", None),
        ("DNS:///a:1", None),
        ("ipv4:127.0.0.1:5", None),
        ("ipv6:[::1]:4", None),
        ("unix:/a/b", None),
        ("unix:///a/b", None),
        ("unix-abstract:x", None),
        ("xds:///a", None),
    ],
)
def test_targets_are_uris(target, uri):
    with grpc.insecure_channel(target) as channel:
        assert channel._channel.target() == (uri or target).encode()


def test_the_target_of_a_channel_of_asyncio(port):
    async def run():
        async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
            method = channel.unary_unary("/s/UU")
            assert await method(b"x", timeout=LIMIT) == b"x"
            assert method._loop is channel._loop is asyncio.get_running_loop()
            assert method._python_channel is channel
            return channel._channel.target, method._channel.target, method._method

    target = f"localhost:{port}".encode()
    assert asyncio.run(run()) == (target, target, b"/s/UU")


def test_the_connectivity_that_subscribers_know(channel):
    # grpc_gcp's pool of channels.
    assert channel._connectivity_state.connectivity is None
    ready = threading.Event()

    def hear(state):
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    channel.subscribe(hear, try_to_connect=True)
    assert ready.wait(LIMIT)
    assert channel._connectivity_state.connectivity is grpc.ChannelConnectivity.READY
    assert channel._call_state.channel is channel._channel is channel._connectivity_state.channel
    channel._unsubscribe_all()


def test_closing_by_the_private_name(port):
    # grpc_requests.
    channel = grpc.insecure_channel(f"localhost:{port}")
    assert channel._single_threaded_unary_stream is False
    channel._close()
    with pytest.raises(ValueError):
        channel.unary_unary("/s/UU")(b"")


# -- calls -----------------------------------------------------------------------------------------


def test_the_state_of_an_error(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/s/UU")(b"fail", timeout=LIMIT)
    error = caught.value
    state = error._state
    assert isinstance(state, _channel._RPCState)
    assert (state.code, state.details) == (Code.NOT_FOUND, "none")
    assert state.debug_error_string == error.debug_error_string()
    assert [tuple(pair) for pair in state.trailing_metadata] == [("k", "v")]


def test_the_state_of_a_call(channel):
    future = channel.unary_unary("/s/UU").future(b"x", timeout=LIMIT)
    assert future.result() == b"x"
    state = future._state
    assert isinstance(state, _channel._RPCState)
    assert (state.code, state.details, state.cancelled) == (Code.OK, "", False)
    assert (state.initial_metadata, state.trailing_metadata) == ((), ())
    assert future._is_complete()
    stream = channel.unary_stream("/s/US")(b"x", timeout=LIMIT)
    assert stream._next() == b"x" and stream._response_deserializer is None
    assert [*stream] == [b"x"] and stream._state.code is Code.OK


def stated(code=Code.NOT_FOUND, details="none"):
    state = _channel._RPCState((), (("i", "1"),), (("t", "2"),), code, details)
    state.debug_error_string = "said"
    return state


def test_an_error_made_of_a_state():
    # The tests of many programs.
    for error in (
        _channel._InactiveRpcError(stated()),
        _channel._InactiveRpcError(state=stated()),
        _channel._MultiThreadedRendezvous(stated(), None, None, None),
    ):
        assert isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call)
        assert (error.code(), error.details()) == (Code.NOT_FOUND, "none")
        assert error.trailing_metadata() == (("t", "2"),)
        assert error.initial_metadata() == (("i", "1"),)
        assert error.debug_error_string() == "said"
        assert error.done() and not error.cancelled() and error.exception() is error
        with pytest.raises(type(error)):
            error.result()
        assert 'status = StatusCode.NOT_FOUND\n\tdetails = "none"' in str(error)


def test_a_rendezvous_made_of_a_state():
    # google.cloud._testing.
    state = stated(None, None)
    state.code, state.details = Code.ABORTED, "later"
    error = _channel._Rendezvous(state, None, None, None)
    assert isinstance(error, grpc.RpcError)
    assert error._state is state
    assert not error.is_active()


@pytest.mark.ferrpc_only("grpcio 1.85 takes its own states alone; earlier ones took any")
def test_an_error_made_of_whatever_is_like_a_state():
    class State:
        condition = threading.Condition()
        initial_metadata = trailing_metadata = response = None
        code = Code.INTERNAL
        details = "broken"
        debug_error_string = "said"

    error = _channel._InactiveRpcError(State())
    assert (error.code(), error.details()) == (Code.INTERNAL, "broken")
    assert (error.debug_error_string(), error.trailing_metadata()) == ("said", None)
    assert str(error).endswith('details = "broken"\n\tdebug_error_string = "said"\n>')
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.code(), copied.details()) == (Code.INTERNAL, "broken")


# -- servers ---------------------------------------------------------------------------------------

seen = []


def look(request, context):
    event = context._rpc_event
    seen.append((context._state.client, context._state.code, event))
    return b""


def test_what_a_handler_is_called_for(channel, port):
    # Instana, New Relic, OpenCensus, ddtrace, mlserver.
    from grpc._cython import cygrpc

    channel.unary_unary("/s/Event")(b"", metadata=(("k", "v"),), timeout=LIMIT)
    ((client, code, event),) = seen
    assert (client, code) == ("open", None)
    assert type(event) is cygrpc.RequestCallEvent
    assert event.call_details.method == b"/s/Event"
    assert event.call_details.host == f"localhost:{port}".encode()
    assert ("k", "v") in [(pair.key, pair.value) for pair in event.invocation_metadata]


def test_a_servers_state():
    with futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        assert server._state.thread_pool is pool
        assert server._state.server is server._cy_server
        assert server._state.generic_handlers == []


# -- credentials -----------------------------------------------------------------------------------


def test_what_credentials_are_made_of():
    # pytest-grpc.
    token = grpc.access_token_call_credentials("t")
    base = grpc.ssl_channel_credentials(b"roots", b"key", b"chain")
    secrets = grpc.composite_channel_credentials(base, token)._credentials
    assert secrets._call_credentialses == (token._credentials,)
    assert secrets._channel_credentials is base._credentials
    assert token._credentials._metadata_plugin._metadata_plugin is not None
    assert type(token._credentials._name) is bytes
    fields = ("_pem_root_certificates", "_private_key", "_certificate_chain")
    assert [getattr(base._credentials, field) for field in fields] == [b"roots", b"key", b"chain"]


# -- versions --------------------------------------------------------------------------------------


def test_a_version_that_only_a_generated_file_is_deceived_about():
    from grpc._utilities import first_version_is_lower

    assert first_version_is_lower(grpc.__version__, "1.99.0")
    assert first_version_is_lower("1.2.3", "1.2.3.dev0")
    assert not first_version_is_lower("1.2.3.dev0", "1.2.3")
    assert not first_version_is_lower("1.2.3.dev0", "1.2.3.dev1")


@pytest.mark.ferrpc_only("there is nothing to ask a plugin")
def test_an_observability_plugin_is_refused():
    from grpc import _observability

    class Plugin(_observability.ObservabilityPlugin):
        pass

    plugin = Plugin()
    plugin.set_tracing(True)
    assert plugin.tracing_enabled and plugin.observability_enabled and not plugin.stats_enabled
    with pytest.raises(RuntimeError, match="opentelemetry-instrumentation-grpc"):
        _observability.observability_init(plugin)
    assert _observability.get_plugin() is None
    _observability.observability_deinit()
