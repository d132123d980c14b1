"""Credentials from files that change: `ferrpc.credentials`."""

import os

import grpc
import pytest

from .certificates import Authority

pytestmark = pytest.mark.ferrpc_only("grpcio has nothing of the kind")


class Files:
    """An identity and roots in a folder; written so that a look sees the change."""

    def __init__(self, folder, pair, roots):
        self.paths = [folder / name for name in ("key.pem", "chain.pem", "roots.pem")]
        self.write(pair, roots)

    def write(self, pair, roots):
        for path, pem in zip(self.paths, [*pair, roots], strict=True):
            new = path.with_suffix(".new")
            new.write_bytes(pem)
            os.replace(new, path)


@pytest.fixture
def made(tmp_path, authority):
    return Files(tmp_path, authority.issue("localhost"), authority.pem)


def test_a_server(serve, authority, root, call, made):
    from ferrpc import credentials

    key, chain, _ = made.paths
    target = serve(credentials.ssl_server_credentials(key, str(chain), interval=0))
    assert call(target, root).auth_context["transport_security_type"] == [b"ssl"]
    other = Authority("another")
    trusting = grpc.ssl_channel_credentials(other.pem)
    assert call(target, trusting).code() is grpc.StatusCode.UNAVAILABLE
    made.write(other.issue("localhost"), b"")
    assert call(target, trusting).auth_context
    # Half of a change is no change.
    key.write_bytes(b"junk")
    assert call(target, trusting).auth_context
    assert call(target, root).code() is grpc.StatusCode.UNAVAILABLE


def test_client_certificates(serve, authority, root, call, made):
    from ferrpc import credentials

    mine = grpc.ssl_channel_credentials(authority.pem, *authority.issue("me"))
    theirs = grpc.ssl_channel_credentials(authority.pem, *Authority("other").issue("them"))
    required = serve(credentials.ssl_server_credentials(*made.paths))
    assert call(required, mine).identities == [b"me"]
    assert call(required, root).code() is grpc.StatusCode.UNAVAILABLE
    optional = serve(credentials.ssl_server_credentials(*made.paths, optional_client_auth=True))
    assert call(optional, mine).identities == [b"me"]
    assert call(optional, root).identities is None
    assert call(optional, theirs).code() is grpc.StatusCode.UNAVAILABLE


def test_a_channel(serve, authority, made):
    from ferrpc import credentials

    other = Authority("another")
    servers = []

    def move(issuer):
        """The server goes, and comes back on the same port with another issuer's certificate."""
        address = "localhost:0"
        if servers:
            old, address = servers[-1]
            old.stop(0).wait()
        server = grpc.server(_pool(), handlers=[_Echo()])
        pair = issuer.issue("localhost")
        port = server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
        server.start()
        servers.append((server, f"localhost:{port}"))
        return f"localhost:{port}"

    target = move(authority)
    trust = credentials.ssl_channel_credentials(made.paths[2], interval=0)
    options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
    with grpc.secure_channel(target, trust, options) as channel:
        echo = channel.unary_unary("/trust.Test/Echo")
        assert echo(b"1", timeout=20) == b"1"
        move(other)
        with pytest.raises(grpc.RpcError) as error:
            echo(b"2", timeout=20)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        made.write(other.issue("me"), other.pem)
        assert echo(b"3", timeout=20, wait_for_ready=True) == b"3"
    servers[-1][0].stop(0).wait()


def test_files_of_no_use(tmp_path, authority, made):
    from ferrpc import credentials

    key, chain, roots = made.paths
    with pytest.raises(ValueError, match="cannot read .*nothing"):
        credentials.ssl_channel_credentials(tmp_path / "nothing")
    with pytest.raises(ValueError, match="cannot read .*nothing"):
        credentials.ssl_server_credentials(key, tmp_path / "nothing")
    with pytest.raises(ValueError, match="belong together"):
        credentials.ssl_channel_credentials(roots, key)
    with pytest.raises(ValueError, match="needs root_certificates"):
        credentials.ssl_server_credentials(key, chain, optional_client_auth=True)
    for interval in (-1, float("nan")):
        with pytest.raises(ValueError, match="interval"):
            credentials.ssl_channel_credentials(roots, interval=interval)


def _pool():
    from concurrent import futures

    return futures.ThreadPoolExecutor(2)


class _Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
