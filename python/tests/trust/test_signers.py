"""Private keys that are elsewhere: what their functions are asked, and what becomes of the
calls."""

import asyncio
import gc
import os
import sys
import threading
import weakref

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from grpc import aio
from grpc.experimental import (
    PrivateKeySignatureAlgorithm,
    session_cache,
    ssl_channel_credentials_with_custom_signer,
)

from .conftest import METHOD
from .test_tls import refused

pytestmark = pytest.mark.filterwarnings("ignore::grpc.experimental.ExperimentalApiWarning")

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def make_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}[kind])


class Vault:
    """Has a private key; notes what it is asked, and by which thread."""

    def __init__(self, key=None):
        self.key = key or make_key("p256")
        self.asked = []
        self.threads = set()

    def sign(self, message, algorithm):
        self.threads.add(threading.current_thread())
        self.asked.append(PrivateKeySignatureAlgorithm(algorithm))
        name = PrivateKeySignatureAlgorithm(algorithm).name
        digest = HASHES[name[-3:]]
        if name.startswith("ECDSA"):
            return self.key.sign(message, ec.ECDSA(digest))
        if "PSS" in name:
            pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return self.key.sign(message, pss, digest)
        return self.key.sign(message, padding.PKCS1v15(), digest)

    def now(self, message, algorithm, on_complete):
        assert type(message) is bytes
        assert isinstance(algorithm, int)
        return self.sign(message, algorithm)

    def later(self, message, algorithm, on_complete):
        signature = self.sign(message, algorithm)
        threading.Timer(0.05, on_complete, [signature]).start()
        return lambda: None


@pytest.fixture
def mutual(serve, authority):
    """The target of a server that wants certificates of its callers."""
    pair = authority.issue("127.0.0.1")
    credentials = grpc.ssl_server_credentials([pair], authority.pem, True)
    return serve(credentials, "127.0.0.1:0")


@pytest.fixture
def signed_by(authority):
    """Channel credentials for a vault's key, and the function that is asked for signatures."""

    def signed_by(vault, function):
        _, chain = authority.issue("me", key=vault.key)
        return ssl_channel_credentials_with_custom_signer(
            private_key_sign_fn=function,
            root_certificates=authority.pem,
            certificate_chain=chain,
        )

    return signed_by


@pytest.mark.parametrize("way", ["now", "later"])
@pytest.mark.parametrize(
    ("kind", "expect"),
    [
        ("p256", PrivateKeySignatureAlgorithm.ECDSA_SECP256R1_SHA256),
        ("p384", PrivateKeySignatureAlgorithm.ECDSA_SECP384R1_SHA384),
        ("rsa", PrivateKeySignatureAlgorithm.RSA_PSS_RSAE_SHA256),
    ],
)
def test_keys_of_all_kinds(mutual, signed_by, call, kind, expect, way):
    vault = Vault(make_key(kind))
    assert call(mutual, signed_by(vault, getattr(vault, way))).identities == [b"me"]
    assert vault.asked == [expect]
    assert threading.current_thread() not in vault.threads


def test_asyncio(mutual, signed_by):
    vault = Vault()

    async def main():
        for function in (vault.now, vault.later):
            async with aio.secure_channel(mutual, signed_by(vault, function)) as channel:
                answers = [channel.unary_unary(METHOD)(b"", timeout=20) for _ in range(3)]
                for answer in await asyncio.gather(*answers):
                    assert b"b'me'" in answer

    asyncio.run(main())
    assert len(vault.asked) == 2


def test_servers_that_want_none_ask_for_no_signature(serve, authority, signed_by, call):
    target = serve(grpc.ssl_server_credentials([authority.issue("localhost")]))
    vault = Vault()
    assert call(target, signed_by(vault, vault.now)).identities is None
    assert vault.asked == []


def test_it_is_asked_once_per_handshake(mutual, signed_by, call):
    vault = Vault()
    credentials = signed_by(vault, vault.now)
    token = grpc.access_token_call_credentials("token")
    composite = grpc.composite_channel_credentials(credentials, token)
    with grpc.secure_channel(mutual, composite) as channel:
        for _ in range(3):
            assert b"Bearer token" in channel.unary_unary(METHOD)(b"", timeout=20)
    assert len(vault.asked) == 1


@pytest.mark.ferrpc_only("grpcio resumes no session of theirs")
def test_resumed_sessions_need_no_signature(mutual, signed_by, call):
    vault = Vault()
    credentials = signed_by(vault, vault.now)
    options = [("grpc.ssl_session_cache", session_cache.ssl_session_cache_lru(4))]
    for _ in range(3):
        assert call(mutual, credentials, options).identities == [b"me"]
    assert len(vault.asked) == 1


def raises(*arguments):
    raise ValueError("the vault is shut")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (raises, "Exception in user function: the vault is shut"),
        (lambda *arguments: None, "Invalid result type: <class 'NoneType'>"),
        (lambda *arguments: "text", "Invalid result type: <class 'str'>"),
        (lambda *arguments: bytearray(b"x"), "Invalid result type: <class 'bytearray'>"),
        (lambda message, algorithm: b"", "takes 2 positional arguments but 3 were given"),
        (5, "'int' object is not callable"),
        (lambda *arguments: b"", ""),
        (lambda *arguments: b"nonsense", ""),
    ],
    ids=["raises", "None", "str", "bytearray", "two", "int", "empty", "nonsense"],
)
def test_functions_that_fail(mutual, signed_by, call, function, text):
    refused(call(mutual, signed_by(Vault(), function)), True, text)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (ValueError("the vault is shut"), "the vault is shut"),
        (5, "Invalid result type: <class 'int'>"),
        (None, "Invalid result type: <class 'NoneType'>"),
    ],
    ids=["error", "int", "None"],
)
def test_functions_that_fail_later(mutual, signed_by, call, result, text):
    def function(message, algorithm, on_complete):
        threading.Timer(0.05, on_complete, [result]).start()
        return lambda: None

    refused(call(mutual, signed_by(Vault(), function)), True, text)


def test_the_first_answer_counts(mutual, signed_by, call):
    vault, returned = Vault(), []

    def function(message, algorithm, on_complete):
        def answer():
            returned.append(on_complete(vault.sign(message, algorithm)))
            returned.append(on_complete(ValueError("too late")))

        threading.Timer(0.05, answer).start()
        return lambda: None

    assert call(mutual, signed_by(vault, function)).identities == [b"me"]
    assert returned in ([None], [None, None])


@pytest.mark.ferrpc_only("grpcio waits for ever")
def test_an_answer_before_the_function_returns(mutual, signed_by, call):
    vault = Vault()

    def function(message, algorithm, on_complete):
        on_complete(vault.sign(message, algorithm))
        return lambda: None

    assert call(mutual, signed_by(vault, function)).identities == [b"me"]


class Silent:
    """Never answers; notes when it is given up."""

    def __init__(self, error=None):
        self.asked, self.given_up = threading.Event(), threading.Event()
        self.answer = None
        self._error = error

    def __call__(self, message, algorithm, on_complete):
        self.answer = on_complete
        self.asked.set()
        return self._give_up

    def _give_up(self):
        self.given_up.set()
        if self._error is not None:
            raise self._error


def test_a_function_that_never_answers(mutual, signed_by):
    silent = Silent()
    with grpc.secure_channel(mutual, signed_by(Vault(), silent)) as channel:
        later = channel.unary_unary(METHOD).future(b"", timeout=30)
        assert silent.asked.wait(20)
        assert not silent.given_up.is_set()
        # A call gives up, the handshake does not: the next call may need it.
        later.cancel()
        assert not silent.given_up.is_set()
    assert silent.given_up.wait(20)
    assert silent.answer(b"late") is None


def test_the_time_of_a_handshake(mutual, signed_by, call, caplog):
    silent = Silent(ValueError("not even that"))
    options = [("grpc.min_reconnect_backoff_ms", 500)]
    error = call(mutual, signed_by(Vault(), silent), options)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert silent.given_up.wait(20)


def test_a_function_that_blocks_hurts_nobody_else(mutual, signed_by, call):
    goes_on, vault = threading.Event(), Vault()

    def function(message, algorithm, on_complete):
        goes_on.wait(30)
        return vault.sign(message, algorithm)

    with grpc.secure_channel(mutual, signed_by(vault, function)) as channel:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(METHOD)(b"", timeout=0.3)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert call(mutual, signed_by(vault, vault.now)).identities == [b"me"]
        later = channel.unary_unary(METHOD).future(b"", timeout=30)
        goes_on.set()
        assert b"b'me'" in later.result()


def test_chains_of_no_use(mutual, authority, call, on_ferrpc):
    credentials = ssl_channel_credentials_with_custom_signer(
        private_key_sign_fn=Vault().now, root_certificates=authority.pem, certificate_chain=b"junk"
    )
    refused(call(mutual, credentials), on_ferrpc, "the certificate chain: there is no certificate")


@pytest.mark.ferrpc_only("grpcio's credentials live as long as its core likes")
def test_functions_are_let_go_of(mutual, signed_by, call):
    class Function:
        def __init__(self):
            self.vault = Vault()

        def __call__(self, *arguments):
            return self.vault.now(*arguments)

    function = Function()
    gone = threading.Event()
    weakref.finalize(function, gone.set)
    assert call(mutual, signed_by(function.vault, function)).identities == [b"me"]
    del function
    for _ in range(100):
        gc.collect()
        if gone.wait(0.1):
            break
    assert gone.is_set()


@pytest.mark.ferrpc_only("grpcio needs an environment variable to be forked")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_channel_in_the_child_of_a_fork(mutual, authority, tmp_path, run):
    key, chain = authority.issue("me")
    for name, content in [("key", key), ("chain", chain), ("roots", authority.pem)]:
        (tmp_path / name).write_bytes(content)
    program = (
        "import grpc, os, sys\n"
        "from cryptography.hazmat.primitives import hashes, serialization\n"
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        "from grpc.experimental import ssl_channel_credentials_with_custom_signer as signed\n"
        "def read(name): return open(os.path.join(sys.argv[2], name), 'rb').read()\n"
        "key = serialization.load_pem_private_key(read('key'), None)\n"
        "def sign(message, algorithm, done): return key.sign(message, ec.ECDSA(hashes.SHA256()))\n"
        "made = signed(private_key_sign_fn=sign, root_certificates=read('roots'),\n"
        "              certificate_chain=read('chain'))\n"
        "channel = grpc.secure_channel(sys.argv[1], made)\n"
        "call = channel.unary_unary('/trust.Test/Who')\n"
        "call(b'', timeout=20)\n"
        "child = os.fork()\n"
        "call(b'', timeout=20)\n"
        "if child:\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = run([sys.executable, "-W", "ignore", "-c", program, mutual, str(tmp_path)])
    assert done.stdout == "0\n", done.stderr
