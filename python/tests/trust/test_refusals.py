"""Handshakes that fail, by both doors: the codes are grpcio's, and ferrpc's details say what was
expected and what was seen."""

import asyncio
import socket
import ssl
import threading

import grpc
import pytest
from grpc import aio

from .certificates import DAY, Authority
from .conftest import METHOD
from .test_tls import refused


def over_aio(target, trust, options):
    async def main():
        if trust is None:
            channel = aio.insecure_channel(target, options)
        else:
            channel = aio.secure_channel(target, trust, options)
        async with channel:
            try:
                return await channel.unary_unary(METHOD)(b"", timeout=20)
            except aio.AioRpcError as error:
                return error

    return asyncio.run(main())


@pytest.fixture(params=["sync", "asyncio"])
def ask(request, call):
    """One call by one of the doors: what came, or the error."""

    def ask(target, trust, options=()):
        if request.param == "sync":
            return call(target, trust, options)
        return over_aio(target, trust, options)

    return ask


@pytest.fixture
def mutual(serve, authority):
    pair = authority.issue("localhost")
    return serve(grpc.ssl_server_credentials([pair], authority.pem, True))


def test_wrong_names(serve, authority, root, ask, on_ferrpc):
    target = serve(grpc.ssl_server_credentials([authority.issue("a.example")]))
    parts = ("wrong name: expected localhost", "is for a.example")
    refused(ask(target, root), on_ferrpc, *parts)


def test_unknown_issuers(tls, ask, on_ferrpc):
    other = grpc.ssl_channel_credentials(Authority("somebody else").pem)
    parts = ("unknown issuer: expected one of 1 trusted roots", "issued by CN=ferrpc test root")
    refused(ask(tls, other), on_ferrpc, *parts)


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (-20 * DAY, -10 * DAY, "expired: the server's certificate (CN=late) was valid until"),
        (10 * DAY, 20 * DAY, "not yet valid: the server's certificate (CN=late) is valid from"),
    ],
    ids=["expired", "early"],
)
def test_dates(serve, authority, root, ask, on_ferrpc, since, until, words):
    pair = authority.issue("localhost", common_name="late", since=since, until=until)
    refused(ask(serve(grpc.ssl_server_credentials([pair])), root), on_ferrpc, words)


def test_no_client_certificate(mutual, root, ask, on_ferrpc):
    text = "the server expects a client certificate, the channel has none"
    refused(ask(mutual, root), on_ferrpc, text)


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [(-20 * DAY, -10 * DAY, "(certificate expired)"), (10 * DAY, 20 * DAY, "client certificate (")],
    ids=["expired", "early"],
)
def test_dates_of_callers(mutual, authority, ask, on_ferrpc, since, until, words):
    pair = authority.issue("me", since=since, until=until)
    outcome = ask(mutual, grpc.ssl_channel_credentials(authority.pem, *pair))
    refused(outcome, on_ferrpc, "the server refuses our client certificate", words)


def test_callers_whom_nobody_knows(mutual, authority, ask, on_ferrpc):
    pair = Authority("somebody else").issue("me")
    outcome = ask(mutual, grpc.ssl_channel_credentials(authority.pem, *pair))
    refused(outcome, on_ferrpc, "the server refuses our client certificate (unknown ca)")


def test_plaintext_peers(serve, tls, root, ask, on_ferrpc):
    parts = ("expected TLS", "the server speaks plaintext HTTP/2")
    refused(ask(serve(None), root), on_ferrpc, *parts)
    refused(ask(tls, None), on_ferrpc, "did not speak HTTP/2", "does it expect TLS?")


@pytest.fixture
def without_http2(authority, tmp_path):
    """Starts a server with TLS that has these protocols by ALPN, or none."""
    key, chain = authority.issue("127.0.0.1")
    (tmp_path / "pem").write_bytes(key + chain)
    listeners = []

    def without_http2(protocols):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "pem")
        if protocols:
            context.set_alpn_protocols(protocols)
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=_greet, args=(listener, context), daemon=True)
        thread.start()
        listeners.append((listener, thread))
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield without_http2
    for listener, thread in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def _greet(listener, context):
    while True:
        try:
            stream = listener.accept()[0]
        except OSError:
            return
        try:
            stream.settimeout(20)
            with context.wrap_socket(stream, server_side=True) as secure:
                secure.recv(4096)
        except OSError:
            pass


def test_servers_without_http2(without_http2, root, ask, on_ferrpc):
    outcome = ask(without_http2([]), root)
    # A word that grpcio's text has, too.
    refused(outcome, True, "ALPN")
    refused(outcome, on_ferrpc, 'expected the protocol "h2" by ALPN, it named none')


def test_servers_with_another_protocol(without_http2, root, ask, on_ferrpc):
    outcome = ask(without_http2(["http/1.1"]), root)
    refused(outcome, on_ferrpc, 'expected the protocol "h2" by ALPN')
