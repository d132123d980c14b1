"""TLS: who is trusted, by what name, and what is said when somebody is not."""

import datetime
import socket
import sys
import threading

import grpc
import pytest

from .certificates import DAY, Authority

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def refused(outcome, on_ferrpc, *parts):
    """The call ended with UNAVAILABLE; ferrpc's text has these parts."""
    assert isinstance(outcome, grpc.RpcError), outcome
    assert outcome.code() is UNAVAILABLE, outcome
    if on_ferrpc:
        for part in parts:
            assert part in outcome.details()


def test_a_call(tls, root, call):
    context = call(tls, root).auth_context
    assert context["transport_security_type"] == [b"ssl"]
    assert context["security_level"] == [b"TSI_PRIVACY_AND_INTEGRITY"]
    assert context["ssl_requested_server_name"] == [b"localhost"]
    assert context["ssl_tls_version"] == [b"TLSv1.3"]
    assert context["ssl_session_reused"] == [b"false"]
    assert context["ssl_negotiated_key_exchange_group"] == [b"X25519MLKEM768"]
    assert len(context) == 6


def test_streams_and_futures(tls, root):
    with grpc.secure_channel(tls, root) as channel:
        stream = channel.stream_stream("/trust.Test/Stream")
        assert len(list(stream(iter([b"1", b"2", b"3"]), timeout=20))) == 3
        call = channel.unary_unary("/trust.Test/Who").future(b"", timeout=20)
        assert b"ssl" in call.result()
        grpc.channel_ready_future(channel).result(timeout=20)


def test_large_messages(serve, authority, root):
    target = serve(grpc.ssl_server_credentials([authority.issue("localhost")]))
    with grpc.secure_channel(target, root) as channel:
        assert channel.unary_unary("/trust.Test/Who")(bytes(3 << 20), timeout=30)


def test_an_unknown_issuer(tls, call, on_ferrpc):
    other = grpc.ssl_channel_credentials(Authority("somebody else").pem)
    parts = ("unknown issuer", "1 trusted roots", "issued by CN=ferrpc test root")
    refused(call(tls, other), on_ferrpc, *parts)
    refused(call(tls, grpc.ssl_channel_credentials()), on_ferrpc, "unknown issuer")


def test_a_wrong_name(serve, authority, root, call, on_ferrpc):
    target = serve(grpc.ssl_server_credentials([authority.issue("a.example", "b.example")]))
    parts = ("wrong name", "expected localhost", "is for a.example, b.example")
    refused(call(target, root), on_ferrpc, *parts)


@pytest.mark.parametrize("option", ["grpc.ssl_target_name_override", "grpc.default_authority"])
def test_another_name_than_the_targets(serve, authority, root, call, option):
    target = serve(grpc.ssl_server_credentials([authority.issue("*.test.example")]))
    seen = call(target, root, [(option, "foo.test.example")])
    assert seen.auth_context["ssl_requested_server_name"] == [b"foo.test.example"]
    assert call(target, root, [(option, "foo.example")]).code() is UNAVAILABLE


def test_addresses_are_names(serve, authority, root, call):
    target = serve(grpc.ssl_server_credentials([authority.issue("127.0.0.1")]), "127.0.0.1:0")
    assert "ssl_requested_server_name" not in call(target, root).auth_context
    assert "ssl_requested_server_name" not in call("ipv4:" + target, root).auth_context


def test_common_names_where_there_are_no_others(serve, authority, root, call):
    override = "grpc.ssl_target_name_override"
    for common_name, name, fits in [
        ("localhost", "localhost", True),
        ("*.test.example", "a.test.example", True),
        ("*.test.example", "a.b.test.example", False),
        ("localhost", "other", False),
    ]:
        target = serve(grpc.ssl_server_credentials([authority.issue(common_name=common_name)]))
        seen = call(target, root, [(override, name)])
        assert isinstance(seen, grpc.RpcError) is not fits, (common_name, name, seen)
    pair = authority.issue("a.example", common_name="localhost")
    assert call(serve(grpc.ssl_server_credentials([pair])), root).code() is UNAVAILABLE
    pair = authority.issue(common_name="127.0.0.1")
    target = serve(grpc.ssl_server_credentials([pair]), "127.0.0.1:0")
    # An address is no common name; grpcio says so in its own way, by UNAUTHENTICATED.
    assert isinstance(call(target, root), grpc.RpcError)


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [(-20 * DAY, -10 * DAY, "expired"), (10 * DAY, 20 * DAY, "not yet valid")],
)
def test_dates(serve, authority, root, call, on_ferrpc, since, until, words):
    pair = authority.issue("localhost", common_name="late", since=since, until=until)
    target = serve(grpc.ssl_server_credentials([pair]))
    year = str((datetime.datetime.now(datetime.timezone.utc) + max(since, until, key=abs)).year)
    refused(call(target, root), on_ferrpc, words, "CN=late", year)


def test_roots_from_the_environment(tls, authority, tmp_path, run):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.pem)
    program = (
        "import grpc, sys\n"
        "channel = grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials())\n"
        "channel.unary_unary('/trust.Test/Who')(b'', timeout=20)\n"
        "print('called')\n"
    )
    command = [sys.executable, "-c", program, tls]
    done = run(command, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(roots))
    assert done.stdout == "called\n", done.stderr
    done = run(command, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=None)
    assert "UNAVAILABLE" in done.stderr


def test_roots_of_the_environment_are_read_once(tls, authority, tmp_path, run):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.pem)
    program = (
        "import grpc, os, sys\n"
        "def call():\n"
        "    with grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials()) as channel:\n"
        "        channel.unary_unary('/trust.Test/Who')(b'', timeout=20)\n"
        "call()\n"
        "os.remove(sys.argv[2])\n"
        "call()\n"
        "print('called')\n"
    )
    command = [sys.executable, "-c", program, tls, str(roots)]
    done = run(command, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(roots))
    assert done.stdout == "called\n", done.stderr


@pytest.mark.ferrpc_only("grpcio trusts its own roots then, without a word")
def test_roots_of_the_environment_that_are_not_there(tls, run, tmp_path):
    program = (
        "import grpc, sys\n"
        "channel = grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials())\n"
        "channel.unary_unary('/trust.Test/Who')(b'', timeout=20)\n"
    )
    path = str(tmp_path / "nothing.pem")
    done = run([sys.executable, "-c", program, tls], GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=path)
    assert f"cannot read GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={path}" in done.stderr


# -- PEM of no use ------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(b"junk",), (None, b"junk", b"junk")], ids=repr)
def test_junk_fails_when_a_channel_connects(tls, call, on_ferrpc, arguments):
    outcome = call(tls, grpc.ssl_channel_credentials(*arguments))
    refused(outcome, on_ferrpc, "credentials cannot be used", "no certificate in PEM")


@pytest.mark.ferrpc_only("grpcio's process ends with SIGABRT")
def test_half_an_identity(tls, authority, call):
    key, chain = authority.issue("me")
    for half in [(key, None), (None, chain)]:
        outcome = call(tls, grpc.ssl_channel_credentials(authority.pem, *half))
        refused(outcome, True, "credentials cannot be used")


def test_junk_fails_at_a_servers_port(authority):
    key, chain = authority.issue("localhost")
    other, _ = authority.issue("localhost")
    for pairs, roots, required in [
        ([(b"junk", b"junk")], None, False),
        ([(key, b"junk")], None, False),
        ([(other, chain)], None, False),
        ([(key, chain), (b"junk", chain)], None, False),
        ([(key, chain)], b"junk", True),
        ([(key, chain)], b"junk", False),
    ]:
        server = grpc.server(None)
        credentials = grpc.ssl_server_credentials(pairs, roots, required)
        with pytest.raises(RuntimeError) as error:
            server.add_secure_port("localhost:0", credentials)
        text = "Failed to bind to address localhost:0; set GRPC_VERBOSITY=debug"
        assert str(error.value).startswith(text)


def test_a_port_wants_credentials():
    with pytest.raises(AttributeError):
        grpc.server(None).add_secure_port("localhost:0", None)


def test_insecure_credentials(serve, call):
    target = serve(grpc.insecure_server_credentials())
    seen = call(target, grpc.experimental.insecure_channel_credentials())
    assert seen.auth_context["transport_security_type"] == [b"insecure"]


# -- those who do not speak it ---------------------------------------------------------------------


def test_plaintext_to_a_port_with_tls(tls, call, on_ferrpc):
    refused(call(tls, None), on_ferrpc, "did not speak HTTP/2", "does it expect TLS?")


def test_tls_to_a_plaintext_port(serve, root, call, on_ferrpc):
    parts = ("expected TLS", "the server speaks plaintext HTTP/2")
    refused(call(serve(None), root), on_ferrpc, *parts)


@pytest.fixture
def silent():
    """The target of a listener that accepts and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted = []

    def accept():
        while True:
            try:
                accepted.append(listener.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)
    for connection in accepted:
        connection.close()


def test_a_server_that_stalls_in_the_handshake(silent, root, call):
    assert call(silent, root, timeout=0.5).code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_callers_that_stall_in_the_handshake_hurt_nobody(serve, authority, root, call):
    credentials = grpc.ssl_server_credentials([authority.issue("localhost")])
    options = [("grpc.server_handshake_timeout_ms", 500)]
    target = serve(credentials, options=options)
    address = ("localhost", int(target.rpartition(":")[2]))
    stalling = [socket.create_connection(address, timeout=20) for _ in range(20)]
    junk = socket.create_connection(address, timeout=20)
    try:
        junk.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert call(target, root).auth_context["transport_security_type"] == [b"ssl"]
        for connection in [*stalling, junk]:
            # Answers or not, the server ends it.
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    finally:
        for connection in [*stalling, junk]:
            connection.close()


def test_several_certificates_on_one_port(serve, authority, root, call, on_ferrpc):
    pairs = [authority.issue("one.example"), authority.issue("two.example")]
    target = serve(grpc.ssl_server_credentials(pairs))
    override = [("grpc.ssl_target_name_override", "one.example")]
    assert call(target, root, override).auth_context
    second = call(target, root, [("grpc.ssl_target_name_override", "two.example")])
    assert second.auth_context["ssl_requested_server_name"] == [b"two.example"]
