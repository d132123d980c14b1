"""HTTP proxies, by option and by environment."""

import grpc
import pytest

from .relay import Proxy

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy")


@pytest.fixture
def proxy(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    made = Proxy()
    yield made
    made.close()


@pytest.fixture
def plain(serve):
    return serve(None)


def test_by_option(plain, proxy, call):
    assert call(plain, None, [("grpc.http_proxy", proxy.url)]).auth_context
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {plain} HTTP/1.1\r\n")
    assert f"Host: {plain}\r\n" in head
    assert "authorization" not in head.lower()


def test_tls_passes_through(tls, root, proxy, call):
    seen = call(tls, root, [("grpc.http_proxy", proxy.url)])
    assert seen.auth_context["ssl_requested_server_name"] == [b"localhost"]
    assert len(proxy.heads) == 1


def test_names_and_passwords(plain, proxy, call):
    url = proxy.url.replace("//", "//me:p%40ss@")
    assert call(plain, None, [("grpc.http_proxy", url)]).auth_context
    assert "Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in proxy.heads[0]


@pytest.mark.parametrize("name", VARIABLES[:3])
def test_by_environment(plain, proxy, call, monkeypatch, name):
    monkeypatch.setenv(name, proxy.url)
    assert call(plain, None).auth_context
    assert len(proxy.heads) == 1
    assert call(plain, None, [("grpc.enable_http_proxy", 0)]).auth_context
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("name", VARIABLES[3:])
def test_exceptions(plain, proxy, call, monkeypatch, name):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv(name, "elsewhere.example,localhost")
    assert call(plain, None).auth_context
    assert call(plain, None, [("grpc.http_proxy", proxy.url)]).auth_context
    assert proxy.heads == []
    monkeypatch.setenv(name, "elsewhere.example")
    assert call(plain, None).auth_context
    assert len(proxy.heads) == 1


def test_neither_empty_nor_disabled(plain, proxy, call, monkeypatch):
    assert call(plain, None, [("grpc.http_proxy", "")]).auth_context
    options = [("grpc.http_proxy", proxy.url), ("grpc.enable_http_proxy", 0)]
    assert call(plain, None, options).auth_context
    assert proxy.heads == []


def test_a_proxy_that_is_not_there(plain, proxy, call, on_ferrpc):
    proxy.close()
    error = call(plain, None, [("grpc.http_proxy", proxy.url)])
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    if on_ferrpc:
        assert proxy.target in error.details()


@pytest.mark.ferrpc_only("grpcio goes past the proxy it was told to use")
def test_a_proxy_that_is_none(plain, call):
    error = call(plain, None, [("grpc.http_proxy", "junk:// x")])
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "only http:// proxies are supported" in error.details()


@pytest.mark.parametrize(
    "url", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "127.0.0.1:1", "nonsense", "http://"]
)
def test_what_is_no_http_proxy_is_passed_over_in_the_environment(
    plain, proxy, call, monkeypatch, url
):
    monkeypatch.setenv("http_proxy", url)
    assert call(plain, None).auth_context
    # The one that is set first counts, usable or not.
    monkeypatch.setenv("grpc_proxy", url)
    monkeypatch.setenv("http_proxy", proxy.url)
    assert call(plain, None).auth_context
    assert proxy.heads == []


def test_the_scheme_in_capitals(plain, proxy, call, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url.replace("http", "HTTP"))
    assert call(plain, None).auth_context
    assert len(proxy.heads) == 1
