"""Certificates of X.509 version 1, as `openssl x509 -req` makes them without extensions: taken as
those of servers and clients, never as those of issuers."""

import asyncio

import grpc
import pytest

METHOD = "/trust.Test/Who"


@pytest.fixture(params=["sync", "aio"])
def ask(request):
    """What a server answers, or the code of the error."""

    async def later(target, credentials):
        async with grpc.aio.secure_channel(target, credentials) as channel:
            return await channel.unary_unary(METHOD)(b"", timeout=20)

    def ask(target, credentials):
        try:
            if request.param == "aio":
                return asyncio.run(later(target, credentials))
            with grpc.secure_channel(target, credentials) as channel:
                return channel.unary_unary(METHOD)(b"", timeout=20)
        except grpc.RpcError as error:
            return error.code()

    return ask


def test_of_both_sides(serve, authority, ask):
    pair = authority.issue_version_1("localhost")
    target = serve(grpc.ssl_server_credentials([pair], authority.pem, True))
    key, chain = authority.issue_version_1("client")
    seen = ask(target, grpc.ssl_channel_credentials(authority.pem, key, chain))
    assert b"'x509_common_name': [b'client']" in seen


def test_of_a_server_of_asyncio(authority):
    async def run():
        server = grpc.aio.server()
        pair = authority.issue_version_1("localhost")
        port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
        await server.start()
        trust = grpc.ssl_channel_credentials(authority.pem)
        async with grpc.aio.secure_channel(f"localhost:{port}", trust) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(METHOD)(b"", timeout=20)
        await server.stop(0)
        return error.value.code()

    assert asyncio.run(run()) is grpc.StatusCode.UNIMPLEMENTED


def test_another_name(serve, authority, ask):
    target = serve(grpc.ssl_server_credentials([authority.issue_version_1("elsewhere")]))
    trust = grpc.ssl_channel_credentials(authority.pem)
    assert ask(target, trust) is grpc.StatusCode.UNAVAILABLE


def test_a_stranger(serve, authority, ask):
    other = type(authority)()
    target = serve(grpc.ssl_server_credentials([other.issue_version_1("localhost")]))
    trust = grpc.ssl_channel_credentials(authority.pem)
    assert ask(target, trust) is grpc.StatusCode.UNAVAILABLE


def test_no_issuer(serve, authority, ask):
    middle, certificate = authority.certify_version_1("middle")
    key, chain = middle.issue("localhost")
    target = serve(grpc.ssl_server_credentials([(key, chain + certificate)]))
    trust = grpc.ssl_channel_credentials(authority.pem)
    assert ask(target, trust) is grpc.StatusCode.UNAVAILABLE
