"""How long connections live and who looks whether they do: options of channels and servers."""

import queue
import threading
from concurrent import futures

import grpc
import pytest

from .relay import Relay

READY = grpc.ChannelConnectivity.READY
IDLE = grpc.ChannelConnectivity.IDLE


class Holding(grpc.GenericRpcHandler):
    """Calls that last until they are let go; `ended` is set when the caller is gone."""

    def __init__(self):
        self.begun, self.ended, self.lets_go = (threading.Event() for _ in range(3))

    def service(self, details):
        if details.method.endswith("Echo"):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        return grpc.unary_unary_rpc_method_handler(self._hold)

    def _hold(self, request, context):
        context.add_callback(self.ended.set)
        self.begun.set()
        self.lets_go.wait(40)
        return request


@pytest.fixture
def holding():
    """Starts a server with options; its handler and its target."""
    made = []

    def holding(*options):
        handler = Holding()
        server = grpc.server(futures.ThreadPoolExecutor(8), [handler], options=options)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        made.append((server, handler))
        return handler, f"127.0.0.1:{port}"

    yield holding
    for server, handler in made:
        handler.lets_go.set()
        server.stop(0).wait()


@pytest.fixture
def relay():
    relays = []

    def relay(target):
        relays.append(Relay(int(target.rpartition(":")[2])))
        return relays[-1]

    yield relay
    for each in relays:
        each.close()


def states(channel):
    """A queue of the states that the channel has from now on."""
    seen = queue.Queue()
    channel.subscribe(seen.put, try_to_connect=True)
    return seen


def until(seen, wanted):
    while (state := seen.get(timeout=20)) is not wanted:
        assert state in grpc.ChannelConnectivity


def hold(channel, **arguments):
    return channel.unary_unary("/t.T/Hold").future(b"x", timeout=40, **arguments)


def echo(channel):
    return channel.unary_unary("/t.T/Echo")(b"x", timeout=20, wait_for_ready=True)


#: Silence, and how long the answer to a ping may take: grpcio has a second option for that, with a
#: minute as its default.
WATCHFUL = [
    ("grpc.keepalive_time_ms", 200),
    ("grpc.keepalive_timeout_ms", 200),
    ("grpc.http2.ping_timeout_ms", 200),
]


def test_a_channel_gives_up_a_silent_server(holding, relay):
    handler, target = holding()
    between = relay(target)
    with grpc.insecure_channel(between.target, WATCHFUL) as channel:
        call = hold(channel)
        assert handler.begun.wait(20)
        between.freeze()
        error = call.exception(timeout=30)
        assert error.code() is grpc.StatusCode.UNAVAILABLE


def test_a_channel_without_calls_looks_if_it_is_permitted_to(holding, relay):
    _, target = holding()
    between = relay(target)
    options = [*WATCHFUL, ("grpc.keepalive_permit_without_calls", 1)]
    with grpc.insecure_channel(between.target, options) as channel:
        seen = states(channel)
        until(seen, READY)
        between.freeze()
        until(seen, IDLE)


def test_a_server_gives_up_a_silent_channel(holding, relay):
    handler, target = holding(*WATCHFUL)
    between = relay(target)
    with grpc.insecure_channel(between.target) as channel:
        call = hold(channel)
        assert handler.begun.wait(20)
        between.freeze()
        assert handler.ended.wait(20)
        call.cancel()


PINGING = [
    ("grpc.keepalive_time_ms", 100),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


def test_a_server_ends_connections_with_too_many_pings(holding):
    handler, target = holding(("grpc.http2.max_ping_strikes", 1))
    with grpc.insecure_channel(target, PINGING) as channel:
        call = hold(channel)
        assert handler.begun.wait(20)
        error = call.exception(timeout=30)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "too_many_pings" in error.details().lower().replace(" ", "_")


@pytest.mark.parametrize(
    "options",
    [
        [("grpc.http2.min_ping_interval_without_data_ms", 10)],
        [("grpc.http2.max_ping_strikes", 0)],
    ],
    ids=["interval", "strikes"],
)
def test_pings_that_a_server_permits(holding, options):
    handler, target = holding(*options, ("grpc.keepalive_permit_without_calls", 1))
    with grpc.insecure_channel(target, PINGING) as channel:
        call = hold(channel)
        assert handler.begun.wait(20)
        with pytest.raises(grpc.FutureTimeoutError):
            # Ten pings, of which two would be too many.
            call.result(timeout=1)
        handler.lets_go.set()
        assert call.result(timeout=20) == b"x"


def test_connections_of_age(holding):
    handler, target = holding(
        ("grpc.max_connection_age_ms", 300), ("grpc.max_connection_age_grace_ms", 300)
    )
    with grpc.insecure_channel(target) as channel:
        seen = states(channel)
        until(seen, READY)
        call = hold(channel)
        assert handler.begun.wait(20)
        until(seen, IDLE)
        assert call.exception(timeout=20).code() is grpc.StatusCode.UNAVAILABLE
        assert echo(channel) == b"x"


def test_connections_of_age_let_calls_end(holding):
    handler, target = holding(("grpc.max_connection_age_ms", 300))
    with grpc.insecure_channel(target) as channel:
        seen = states(channel)
        call = hold(channel)
        assert handler.begun.wait(20)
        until(seen, IDLE)
        handler.lets_go.set()
        assert call.result(timeout=20) == b"x"


def test_idle_connections_of_a_server(holding):
    _, target = holding(("grpc.max_connection_idle_ms", 300))
    with grpc.insecure_channel(target) as channel:
        seen = states(channel)
        until(seen, READY)
        assert echo(channel) == b"x"
        until(seen, IDLE)
        assert echo(channel) == b"x"


def test_idle_connections_of_a_channel(holding):
    handler, target = holding()
    with grpc.insecure_channel(target, [("grpc.client_idle_timeout_ms", 1000)]) as channel:
        seen = states(channel)
        assert echo(channel) == b"x"
        until(seen, READY)
        until(seen, IDLE)
        call = hold(channel)
        assert handler.begun.wait(20)
        until(seen, READY)
        with pytest.raises(grpc.FutureTimeoutError):
            # A call that runs keeps it.
            call.result(timeout=1.5)
        assert seen.empty()
        handler.lets_go.set()
        assert call.result(timeout=20) == b"x"


def test_how_many_connections_a_server_takes(holding):
    _, target = holding(("grpc.max_allowed_incoming_connections", 1))
    own = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(target, own) as first, grpc.insecure_channel(target, own) as second:
        assert echo(first) == b"x"
        with pytest.raises(grpc.RpcError) as error:
            second.unary_unary("/t.T/Echo")(b"x", timeout=20)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert echo(first) == b"x"


@pytest.mark.ferrpc_only("grpcio logs nothing of options")
def test_options_that_act_are_not_reported(holding, caplog):
    names = [
        "grpc.keepalive_time_ms",
        "grpc.keepalive_timeout_ms",
        "grpc.keepalive_permit_without_calls",
        "grpc.http2.max_pings_without_data",
    ]
    servers = ["grpc.http2.max_ping_strikes", "grpc.max_connection_idle_ms"]
    servers += ["grpc.max_connection_age_ms", "grpc.max_connection_age_grace_ms"]
    servers += ["grpc.http2.min_ping_interval_without_data_ms"]
    servers += ["grpc.server_handshake_timeout_ms", "grpc.max_allowed_incoming_connections"]
    _, target = holding(*[(name, 10_000) for name in names + servers])
    channels = [*names, "grpc.client_idle_timeout_ms", "grpc.enable_http_proxy"]
    options = [(name, 10_000) for name in channels]
    options += [("grpc.http_proxy", ""), ("grpc.ssl_target_name_override", "a")]
    with grpc.insecure_channel(target, options) as channel:
        assert echo(channel) == b"x"
    assert caplog.text == ""
