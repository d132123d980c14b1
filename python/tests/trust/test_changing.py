"""Certificates that change while a server runs, and sessions that are resumed."""

import logging
import socket
import ssl
import threading

import grpc
import pytest
from grpc.experimental import session_cache

from .certificates import Authority


@pytest.fixture(scope="module")
def other():
    return Authority("the other root")


class Fetcher:
    """Returns, or raises, what `answer` is; counts how often."""

    def __init__(self):
        self.answer = None
        self.count = 0
        self.threads = set()

    def __call__(self):
        self.count += 1
        self.threads.add(threading.current_thread())
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def configuration(*pairs, roots=None):
    return grpc.ssl_server_certificate_configuration(pairs, roots)


def test_certificates_of_a_fetcher(serve, authority, other, root, call, caplog, on_ferrpc):
    caplog.set_level(logging.CRITICAL, "grpc")
    fetcher = Fetcher()
    ours = configuration(authority.issue("localhost"))
    theirs = configuration(other.issue("localhost"))
    target = serve(grpc.dynamic_ssl_server_credentials(ours, fetcher))
    other_root = grpc.ssl_channel_credentials(other.pem)
    assert fetcher.count == 0

    def serves():
        """Whose certificate the server has; one handshake at least for each question."""
        before = fetcher.count
        found = [
            name
            for name, trust in [("ours", root), ("theirs", other_root)]
            if not isinstance(call(target, trust), grpc.RpcError)
        ]
        assert fetcher.count >= before + 2
        return found

    assert serves() == ["ours"]
    with grpc.secure_channel(target, root) as channel:
        open_before = channel.unary_unary("/trust.Test/Who")
        open_before(b"", timeout=20)
        fetcher.answer = theirs
        assert serves() == ["theirs"]
        # Connections that are open stay as they are.
        asked = fetcher.count
        open_before(b"", timeout=20)
        assert fetcher.count == asked
    junk = configuration((b"junk", b"junk"))
    # In grpcio it ends the thread, and no handshake is answered any more.
    ends_threads = (SystemExit(1), KeyboardInterrupt()) if on_ferrpc else ()
    for answer in (None, ValueError("no luck"), *ends_threads, "junk", junk, 5):
        fetcher.answer = answer
        assert serves() == ["theirs"]
    fetcher.answer = ours
    assert serves() == ["ours"]
    assert threading.current_thread() not in fetcher.threads


@pytest.mark.ferrpc_only("grpcio says nothing of what cannot be used")
def test_what_a_fetcher_does_wrong_is_logged(serve, authority, root, call, caplog):
    fetcher = Fetcher()
    ours = configuration(authority.issue("localhost"))
    target = serve(grpc.dynamic_ssl_server_credentials(ours, fetcher))
    for answer, text in [
        (ValueError("no luck"), "no luck"),
        (5, "returns a grpc.ServerCertificateConfiguration or None, not int"),
        (configuration((b"junk", b"junk")), "no certificate in PEM"),
    ]:
        caplog.clear()
        fetcher.answer = answer
        assert call(target, root).auth_context
        assert text in caplog.text


def test_a_fetcher_that_does_not_return_hurts_no_open_connection(serve, authority, root):
    goes_on, asked, stalls = threading.Event(), threading.Event(), threading.Event()

    def fetch():
        asked.set()
        if stalls.is_set():
            goes_on.wait(30)

    ours = configuration(authority.issue("localhost"))
    target = serve(grpc.dynamic_ssl_server_credentials(ours, fetch))
    with grpc.secure_channel(target, root) as first, grpc.secure_channel(target, root) as second:
        first.unary_unary("/trust.Test/Who")(b"", timeout=20)
        stalls.set()
        asked.clear()
        later = second.unary_unary("/trust.Test/Who").future(b"", timeout=40)
        assert asked.wait(20)
        first.unary_unary("/trust.Test/Who")(b"", timeout=20)
        assert not later.done()
        goes_on.set()
        assert later.result(timeout=30)


@pytest.mark.ferrpc_only("grpcio calls fetchers once for each handshake")
def test_handshakes_that_wait_share_a_run_of_a_fetcher(serve, authority, root):
    goes_on, asked = threading.Event(), threading.Event()
    count = 0

    def fetch():
        nonlocal count
        count += 1
        asked.set()
        goes_on.wait(30)

    ours = configuration(authority.issue("localhost"))
    target = serve(grpc.dynamic_ssl_server_credentials(ours, fetch))
    port = int(target.rpartition(":")[2])
    hello = first_flight()
    strangers = [socket.create_connection(("localhost", port)) for _ in range(60)]
    for stranger in strangers:
        stranger.sendall(hello)
    assert asked.wait(20)
    with grpc.secure_channel(target, root) as channel:
        later = channel.unary_unary("/trust.Test/Who").future(b"", timeout=40)
        goes_on.set()
        assert later.result(timeout=30)
    # One for each would be 61 by now; a few came while a run was under way.
    assert count < 30
    for stranger in strangers:
        stranger.close()


def first_flight():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


def test_client_certificates_of_a_fetcher(serve, authority, other, call):
    pair = authority.issue("localhost")
    fetcher = Fetcher()
    first = configuration(pair, roots=authority.pem)
    target = serve(grpc.dynamic_ssl_server_credentials(first, fetcher, True))
    mine = grpc.ssl_channel_credentials(authority.pem, *authority.issue("me"))
    theirs = grpc.ssl_channel_credentials(authority.pem, *other.issue("them"))
    assert call(target, mine).identities == [b"me"]
    assert call(target, theirs).code() is grpc.StatusCode.UNAVAILABLE
    fetcher.answer = configuration(pair, roots=other.pem)
    assert call(target, theirs).identities == [b"them"]
    assert call(target, mine).code() is grpc.StatusCode.UNAVAILABLE


def test_first_certificates_of_no_use():
    credentials = grpc.dynamic_ssl_server_credentials(configuration((b"a", b"b")), lambda: None)
    with pytest.raises(RuntimeError):
        grpc.server(None).add_secure_port("localhost:0", credentials)


@pytest.mark.ferrpc_only("grpcio refuses every caller until there are roots")
def test_client_certificates_without_roots(authority):
    first = configuration(authority.issue("localhost"))
    credentials = grpc.dynamic_ssl_server_credentials(first, lambda: None, True)
    with pytest.raises(RuntimeError, match="no root certificates to check them by"):
        grpc.server(None).add_secure_port("localhost:0", credentials)


@pytest.mark.ferrpc_only("grpcio calls fetchers on threads of its core")
def test_the_thread_of_a_fetcher_ends_with_its_server(authority, root, call):
    def threads():
        return {
            thread for thread in threading.enumerate() if thread.name == "grpc-certificates"
        }

    before = threads()
    first = configuration(authority.issue("localhost"))
    credentials = grpc.dynamic_ssl_server_credentials(first, lambda: None)
    server = grpc.server(None)
    port = server.add_secure_port("localhost:0", credentials)
    with pytest.raises(RuntimeError):
        server.add_secure_port("nowhere.invalid:1", credentials)
    server.start()
    call(f"localhost:{port}", root, timeout=0.2)
    started = threads() - before
    server.stop(0).wait()
    del server
    for thread in started:
        thread.join(20)
        assert not thread.is_alive()


# -- sessions ----------------------------------------------------------------------------------


def is_reused(seen):
    return seen.auth_context["ssl_session_reused"] == [b"true"]


def test_sessions_are_resumed_with_a_cache(tls, authority, root, call):
    options = [("grpc.ssl_session_cache", session_cache.ssl_session_cache_lru(1))]
    assert not is_reused(call(tls, root, options))
    assert is_reused(call(tls, root, options))
    equal = grpc.ssl_channel_credentials(authority.pem)
    assert is_reused(call(tls, equal, options))
    assert not is_reused(call(tls, root))


def test_sessions_are_not_resumed_without_one(tls, root, call):
    options = [("grpc.ssl_session_cache", session_cache.ssl_session_cache_lru(0))]
    for arguments in ((), (options,)):
        assert not is_reused(call(tls, root, *arguments))
        assert not is_reused(call(tls, root, *arguments))


@pytest.mark.ferrpc_only("grpcio resumes sessions of those whom these roots do not trust")
def test_sessions_of_others_are_not_resumed(tls, root, other, call):
    options = [("grpc.ssl_session_cache", session_cache.ssl_session_cache_lru(8))]
    call(tls, root, options)
    error = call(tls, grpc.ssl_channel_credentials(other.pem), options)
    assert "unknown issuer" in error.details()
