"""Credentials for Google's cloud and for xDS: what does not need either works, the rest says so."""

import asyncio
import sys
from concurrent import futures

import grpc
import grpc.experimental
import pytest

METHOD = "/trust.Test/Who"
INSECURE = grpc.experimental.insecure_channel_credentials()


def answer(target, credentials, api):
    """What the server answered, or the error."""

    async def ask():
        async with grpc.aio.secure_channel(target, credentials) as channel:
            return await channel.unary_unary(METHOD)(b"", timeout=20)

    try:
        if api == "aio":
            return asyncio.run(ask())
        with grpc.secure_channel(target, credentials) as channel:
            return channel.unary_unary(METHOD)(b"", timeout=20)
    except grpc.RpcError as error:
        return error


@pytest.fixture(params=["sync", "aio"])
def api(request):
    return request.param


@pytest.mark.parametrize(
    "credentials",
    [grpc.ChannelCredentials(None), grpc.xds_channel_credentials(INSECURE)],
    ids=["none", "xds"],
)
def test_a_channel_without_security(serve, api, credentials):
    assert b"insecure" in answer(serve(None), credentials, api)


def test_a_channel_falls_back_from_xds(serve, root, tls, api):
    assert b"TLS" in answer(tls, grpc.xds_channel_credentials(root), api)
    twice = grpc.xds_channel_credentials(grpc.xds_channel_credentials(root))
    assert b"TLS" in answer(tls, twice, api)


def test_call_credentials_around_and_in_a_fallback(root, tls, call):
    token = grpc.access_token_call_credentials
    around = grpc.composite_channel_credentials(grpc.xds_channel_credentials(root), token("a"))
    assert call(tls, around).metadata == [("authorization", "Bearer a")]
    within = grpc.xds_channel_credentials(grpc.composite_channel_credentials(root, token("b")))
    assert call(tls, within).metadata == [("authorization", "Bearer b")]


def test_a_port_falls_back_from_xds(serve, authority, root, call):
    tls = grpc.ssl_server_credentials([authority.issue("localhost")])
    target = serve(grpc.xds_server_credentials(tls))
    assert call(target, root).auth_context["transport_security_type"] == [b"ssl"]
    target = serve(grpc.xds_server_credentials(grpc.insecure_server_credentials()))
    assert call(target, None).auth_context["transport_security_type"] == [b"insecure"]


def test_a_port_of_an_aio_server_falls_back_from_xds():
    async def run():
        server = grpc.aio.server()
        credentials = grpc.xds_server_credentials(grpc.insecure_server_credentials())
        port = server.add_secure_port("localhost:0", credentials)
        await server.start()
        async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(METHOD)(b"", timeout=20)
        await server.stop(0)
        return error.value.code()

    assert asyncio.run(run()) is grpc.StatusCode.UNIMPLEMENTED


XDS_SERVER = """
import grpc
from concurrent import futures
handlers = {"M": grpc.unary_unary_rpc_method_handler(lambda request, context: b"here")}
handlers = [grpc.method_handlers_generic_handler("s", handlers)]
server = grpc.server(futures.ThreadPoolExecutor(1), handlers=handlers, xds=True)
port = server.add_insecure_port("localhost:0")
try:
    server.start()
except RuntimeError as error:
    print(error)
else:
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        print(channel.unary_unary("/s/M")(b"", timeout=20).decode())
    server.stop(0)
"""


def test_an_xds_server_without_a_control_plane_serves(run):
    unset = {"GRPC_XDS_BOOTSTRAP": None, "GRPC_XDS_BOOTSTRAP_CONFIG": None}
    done = run([sys.executable, "-c", XDS_SERVER], **unset)
    assert done.stdout == "here\n", done.stderr


@pytest.mark.ferrpc_only("grpcio asks the control plane")
@pytest.mark.parametrize("variable", ["GRPC_XDS_BOOTSTRAP", "GRPC_XDS_BOOTSTRAP_CONFIG"])
def test_an_xds_server_with_a_control_plane_does_not_start(run, variable):
    done = run([sys.executable, "-c", XDS_SERVER], **{variable: "/nowhere.json"})
    assert done.stdout.startswith("ferrpc has no xDS: "), done


COMPUTE_ENGINE = """
import asyncio, grpc, sys
token = grpc.access_token_call_credentials("t0ken")
credentials = grpc.compute_engine_channel_credentials(token)
with grpc.secure_channel(sys.argv[1], credentials) as channel:
    print(channel.unary_unary("/trust.Test/Who")(b"", timeout=20).decode())
    print(channel.unary_unary("/trust.Test/Who").future(b"", timeout=20).result().decode())

async def run():
    # Anew: grpcio crashes where two channels share them.
    again = grpc.compute_engine_channel_credentials(token)
    async with grpc.aio.secure_channel(sys.argv[1], again) as channel:
        print((await channel.unary_unary("/trust.Test/Who")(b"", timeout=20)).decode())

asyncio.run(run())
"""


def test_compute_engine_is_tls_with_the_usual_roots_and_a_token(run, authority, tls, tmp_path):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.pem)
    variables = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(roots)}
    done = run([sys.executable, "-c", COMPUTE_ENGINE, tls], **variables)
    answers = done.stdout.splitlines()
    assert len(answers) == 3, done.stderr
    for each in answers:
        assert "('authorization', 'Bearer t0ken')" in each and "TLS" in each


def test_compute_engine_never_speaks_in_the_clear(serve, api):
    token = grpc.access_token_call_credentials("t0ken")
    error = answer(serve(None), grpc.compute_engine_channel_credentials(token), api)
    assert error.code() is grpc.StatusCode.UNAVAILABLE


def test_alts_fails_when_it_is_used(serve, api, on_ferrpc):
    error = answer(serve(None), grpc.alts_channel_credentials(), api)
    assert isinstance(error, grpc.RpcError)
    if on_ferrpc:
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "ferrpc has no ALTS" in error.details()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    with pytest.raises(RuntimeError, match="Failed to bind to address localhost:0"):
        server.add_secure_port("localhost:0", grpc.alts_server_credentials())


@pytest.mark.ferrpc_only("this crashes grpcio")
def test_call_credentials_do_not_go_over_a_channel_without_security(serve, call):
    token = grpc.access_token_call_credentials("t0ken")
    for base in (grpc.ChannelCredentials(None), INSECURE):
        error = call(serve(None), grpc.composite_channel_credentials(base, token))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_what_are_no_credentials():
    with pytest.raises(TypeError):
        grpc.secure_channel("localhost:1", grpc.ChannelCredentials(object()))


@pytest.mark.parametrize("target", ["xds:///service", "google-c2p:///service"])
def test_targets_of_a_control_plane_fail_when_they_are_called(target):
    with grpc.secure_channel(target, grpc.xds_channel_credentials(INSECURE)) as channel:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(METHOD)(b"", timeout=20)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
