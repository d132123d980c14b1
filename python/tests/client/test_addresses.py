"""Servers with several addresses; zones; localhost."""

import asyncio
import socket
from concurrent import futures

import grpc
import grpc.aio
import pytest

# The seconds after which a test has failed rather than waits on.
LIMIT = 20


@pytest.fixture
def serve():
    servers = []

    def serve(address):
        handlers = {"Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request)}
        server = grpc.server(futures.ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
        port = server.add_insecure_port(address)
        server.start()
        servers.append(server)
        return port

    yield serve
    for server in servers:
        server.stop(None)


def _by_threads(target):
    with grpc.insecure_channel(target) as channel:
        return channel.unary_unary("/t.T/Echo")(b"x", timeout=LIMIT)


def _by_tasks(target):
    async def main():
        async with grpc.aio.insecure_channel(target) as channel:
            return await channel.unary_unary("/t.T/Echo")(b"x", timeout=LIMIT)

    return asyncio.run(main())


@pytest.fixture(params=[_by_threads, _by_tasks], ids=["threads", "tasks"])
def call(request):
    return request.param


@pytest.fixture
def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_an_address_that_refuses(serve, call):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        bad = unused.getsockname()[1]
        assert call(f"ipv4:127.0.0.1:{bad},127.0.0.1:{serve('127.0.0.1:0')}") == b"x"


@pytest.mark.ferrpc_only("grpcio waits 20 s for such an address")
def test_an_address_that_accepts_and_is_silent(serve, call):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bad = silent.getsockname()[1]
        assert call(f"ipv4:127.0.0.1:{bad},127.0.0.1:{serve('127.0.0.1:0')}") == b"x"


@pytest.mark.usefixtures("has_ipv6")
def test_localhost_is_both(serve, call):
    port = serve("localhost:0")
    assert call(f"127.0.0.1:{port}") == b"x"
    assert call(f"[::1]:{port}") == b"x"
    assert call(f"localhost:{serve('[::1]:0')}") == b"x"


@pytest.mark.usefixtures("has_ipv6")
@pytest.mark.parametrize(
    "target",
    ["[::1%lo]:{}", "ipv6:[::1%25lo]:{}", "dns:///[::1%25lo]:{}", "ipv6:%5B::1%25lo%5D:{}"],
)
def test_zones(serve, call, target):
    if "lo" not in dict(map(reversed, socket.if_nameindex())):
        pytest.skip("its loopback interface has another name")
    assert call(target.format(serve("[::1%lo]:0"))) == b"x"
