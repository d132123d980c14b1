"""Servers whose answer says whom they see, and one authority whose certificates both sides have."""

import ast
from concurrent import futures

import grpc
import pytest

from .certificates import Authority

METHOD = "/trust.Test/Who"


class Seen:
    """What a server saw of a call: metadata without the caller's user-agent."""

    def __init__(self, text):
        self.auth_context, self.identities, self.key, self.metadata = ast.literal_eval(
            text.decode()
        )


def _who(_request, context):
    metadata = [tuple(pair) for pair in context.invocation_metadata() if pair[0] != "user-agent"]
    seen = (
        dict(context.auth_context()),
        context.peer_identities(),
        context.peer_identity_key(),
        metadata,
    )
    return repr(seen).encode()


class _Handlers(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method.endswith("Stream"):
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: (_who(request, context) for request in requests)
            )
        return grpc.unary_unary_rpc_method_handler(_who)


@pytest.fixture(scope="session")
def authority():
    return Authority()


@pytest.fixture(scope="session")
def root(authority):
    """Channel credentials that trust the authority."""
    return grpc.ssl_channel_credentials(authority.pem)


@pytest.fixture
def serve():
    """Starts a server with these credentials (None: without) and returns its target."""
    servers = []

    def serve(credentials, address="localhost:0", options=()):
        server = grpc.server(
            futures.ThreadPoolExecutor(4), handlers=[_Handlers()], options=options
        )
        servers.append(server)
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
        server.start()
        return address if address.startswith("unix") else address.rsplit(":", 1)[0] + f":{port}"

    yield serve
    for server in servers:
        server.stop(0).wait()


@pytest.fixture
def tls(serve, authority):
    """The target of a server with TLS."""
    return serve(grpc.ssl_server_credentials([authority.issue("localhost")]))


@pytest.fixture
def call():
    """One call over a channel of its own: what the server saw, or the error."""

    def call(target, trust, options=(), timeout=20, **arguments):
        if trust is None:
            channel = grpc.insecure_channel(target, options)
        else:
            channel = grpc.secure_channel(target, trust, options)
        with channel:
            try:
                return Seen(channel.unary_unary(METHOD)(b"", timeout=timeout, **arguments))
            except grpc.RpcError as error:
                return error

    return call
