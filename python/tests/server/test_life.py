"""Ports, start, stop, the end."""

import gc
import os
import socket
import threading
import time
from concurrent import futures

import grpc
import pytest

from .conftest import LIMIT, Service

Code = grpc.StatusCode
UNARY = grpc.unary_unary_rpc_method_handler


@pytest.fixture
def pool():
    with futures.ThreadPoolExecutor(2) as pool:
        yield pool


def server_with(pool, behavior, **arguments):
    server = grpc.server(pool, handlers=[Service({"/s/UU": UNARY(behavior)})], **arguments)
    port = server.add_insecure_port("127.0.0.1:0")
    return server, port


def test_ports(pool, tmp_path):
    server, port = server_with(pool, lambda r, c: b"fine")
    more = [server.add_insecure_port(a) for a in ("localhost:0", b"127.0.0.1:0", "[::]:0")]
    assert server.add_insecure_port(f"unix:{tmp_path}/socket") == 1
    abstract = f"unix-abstract:ferrpc-test-{os.getpid()}"
    assert server.add_insecure_port(abstract) == 1
    server.start()
    targets = [f"127.0.0.1:{number}" for number in (port, *more)]
    targets += [f"unix:{tmp_path}/socket", abstract]
    for target in targets:
        with grpc.insecure_channel(target) as channel:
            assert channel.unary_unary("/s/UU")(b"", timeout=LIMIT) == b"fine", target
    server.stop(None)
    assert isinstance(server, grpc.Server)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:https", "[::1]", "::1"])
def test_an_address_without_a_port(pool, address):
    """It is that of https."""
    family, host = (socket.AF_INET6, "::1") if "::" in address else (socket.AF_INET, "127.0.0.1")
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, 443))
        except OSError as error:
            pytest.skip(f"port 443 cannot be had here: {error}")
    server = grpc.server(pool)
    assert server.add_insecure_port(address) == 443
    server.start()
    server.stop(None).wait()


@pytest.mark.ferrpc_only("its own code")
def test_ports_that_addresses_name():
    from grpc._server_options import with_port

    for address, expected in {
        "localhost": "localhost:443",
        "127.0.0.1:": "127.0.0.1:443",
        "[::]:http": "[::]:80",
        "fe80::1%eth0": "[fe80::1%eth0]:443",
        "localhost:50051": "localhost:50051",
        "[::1]:0": "[::1]:0",
        "unix:/run/socket": "unix:/run/socket",
        "unix-abstract:name": "unix-abstract:name",
        "dns:127.0.0.1": "dns:127.0.0.1",
        "dns:///localhost:1": "dns:///localhost:1",
    }.items():
        assert with_port(address) == expected


@pytest.mark.parametrize("address", ["nonsense", "256.0.0.1:1", "", "unix:/no/such/folder/s"])
def test_addresses_that_cannot_be_had(pool, address):
    server = grpc.server(pool)
    with pytest.raises(RuntimeError) as caught:
        server.add_insecure_port(address)
    text = f"Failed to bind to address {address}; set GRPC_VERBOSITY=debug environment variable"
    assert str(caught.value).startswith(text)


def test_a_port_that_is_taken(pool):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RuntimeError, match="Failed to bind to address"):
            grpc.server(pool).add_insecure_port(address)


def test_two_servers_share_a_port_unless_told_otherwise(pool):
    one, port = server_with(pool, lambda r, c: b"")
    two = grpc.server(pool)
    assert two.add_insecure_port(f"127.0.0.1:{port}") == port
    three = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
    with pytest.raises(RuntimeError, match="Failed to bind"):
        three.add_insecure_port(f"127.0.0.1:{port}")
    one.stop(None)
    two.stop(None)


def test_started_twice(pool):
    server, _ = server_with(pool, lambda r, c: b"")
    server.start()
    with pytest.raises(ValueError, match="Cannot start already-started server!"):
        server.start()
    server.stop(None)
    with pytest.raises(ValueError):
        server.start()


@pytest.mark.ferrpc_only("it crashes grpcio")
def test_a_port_after_the_stop(pool):
    server, _ = server_with(pool, lambda r, c: b"")
    server.start()
    server.stop(None)
    with pytest.raises(ValueError, match="the server was stopped"):
        server.add_insecure_port("127.0.0.1:0")


def test_a_server_that_was_not_started(pool):
    server, _ = server_with(pool, lambda r, c: b"")
    assert server.wait_for_termination(0.05) is True
    assert server.stop(None).is_set()
    assert server.stop(1).is_set()


def test_handlers_are_checked(pool):
    with pytest.raises(AttributeError, match='"service" method'):
        grpc.server(pool, handlers=[object()])
    server = grpc.server(pool)
    with pytest.raises(AttributeError, match='"service" method'):
        server.add_generic_rpc_handlers([object()])


def test_options_are_checked(pool):
    with pytest.raises(TypeError):
        grpc.server(pool, options=[("grpc.so_reuseport", None)])
    server = grpc.server(
        pool, options=[("some.unknown", 1), ("some.text", "x"), ("some.bytes", b"y"), ("f", 1.5)]
    )
    server.stop(None)


def test_stop_without_grace_cancels_and_blocks(pool):
    entered, over, calls_over = threading.Event(), threading.Event(), []

    def behavior(request, context):
        context.add_callback(over.set)
        entered.set()
        calls_over.append(over.wait(LIMIT))
        return b""

    server, port = server_with(pool, behavior)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/s/UU").future(b"", timeout=LIMIT)
        assert entered.wait(LIMIT)
        begin = time.monotonic()
        event = server.stop(None)
        assert event.is_set()
        assert time.monotonic() - begin < LIMIT / 2
        assert call.code() in (Code.UNAVAILABLE, Code.CANCELLED)
        assert over.wait(LIMIT)
        assert server.wait_for_termination(LIMIT) is False
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/s/UU")(b"", timeout=LIMIT)
        assert caught.value.code() is Code.UNAVAILABLE


def test_stop_with_grace_lets_calls_end(pool):
    entered, go = threading.Event(), threading.Event()

    def behavior(request, context):
        entered.set()
        assert go.wait(LIMIT)
        return b"done"

    server, port = server_with(pool, behavior)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/s/UU").future(b"", timeout=LIMIT)
        assert entered.wait(LIMIT)
        event = server.stop(LIMIT)
        assert isinstance(event, threading.Event) and not event.is_set()
        assert server.wait_for_termination(0.05) is True
        go.set()
        assert call.result() == b"done"
        assert event.wait(LIMIT)
        assert server.stop(None).is_set()


def test_the_smallest_grace_wins(pool):
    entered, over = threading.Event(), threading.Event()

    def behavior(request, context):
        context.add_callback(over.set)
        entered.set()
        over.wait(LIMIT)
        return b""

    server, port = server_with(pool, behavior)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/s/UU").future(b"", timeout=LIMIT)
        assert entered.wait(LIMIT)
        begin = time.monotonic()
        events = [server.stop(grace) for grace in (60, 0.3, 60)]
        assert not any(event.is_set() for event in events)
        assert all(event.wait(LIMIT) for event in events)
        assert 0.2 < time.monotonic() - begin < LIMIT / 2
        assert call.code() in (Code.UNAVAILABLE, Code.CANCELLED)


def test_idle_clients_do_not_hold_up_the_end(pool):
    server, port = server_with(pool, lambda r, c: b"")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, socket.create_connection(
        ("127.0.0.1", port)
    ):
        assert channel.unary_unary("/s/UU")(b"", timeout=LIMIT) == b""
        begin = time.monotonic()
        assert server.stop(0.1).wait(LIMIT)
        assert time.monotonic() - begin < LIMIT / 4


def test_a_server_that_is_forgotten_ends(pool):
    server, port = server_with(pool, lambda r, c: b"")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary("/s/UU")(b"", timeout=LIMIT) == b""
    del server
    gc.collect()
    end = time.monotonic() + LIMIT
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) != 0:
                break
        assert time.monotonic() < end
        time.sleep(0.05)


def test_generic_handlers_may_be_added_after_the_start(pool):
    server, port = server_with(pool, lambda r, c: b"first")
    server.start()
    server.add_generic_rpc_handlers([Service({"/late/UU": UNARY(lambda r, c: b"late")})])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary("/s/UU")(b"", timeout=LIMIT) == b"first"
        assert channel.unary_unary("/late/UU")(b"", timeout=LIMIT) == b"late"
    server.stop(None)


def test_handlers_after_the_start_change_nothing_that_is_there(pool):
    server, port = server_with(pool, lambda r, c: b"first")
    server.start()
    server.add_registered_method_handlers("s", {"UU": UNARY(lambda r, c: b"second")})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert channel.unary_unary("/s/UU")(b"", timeout=LIMIT) == b"first"
    server.stop(None)
