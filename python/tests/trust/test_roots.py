"""Whom a channel trusts that has no roots of its own."""

import sys

import grpc
import pytest


@pytest.fixture
def certifi(tmp_path, monkeypatch):
    """A package of that name, without its list."""
    package = tmp_path / "certifi"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.delitem(sys.modules, "certifi", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return package


@pytest.fixture
def no_roots(monkeypatch):
    from grpc import _credentials

    monkeypatch.setattr(_credentials, "_has_roots", lambda: False)


@pytest.mark.ferrpc_only("grpcio brings a list along")
def test_certifi_where_the_system_has_none(tls, authority, call, certifi, no_roots):
    certifi.joinpath("cacert.pem").write_bytes(authority.pem)
    assert call(tls, grpc.ssl_channel_credentials()).auth_context
    certifi.joinpath("cacert.pem").unlink()
    assert call(tls, grpc.ssl_channel_credentials()).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.ferrpc_only("grpcio brings a list along")
def test_certifi_is_not_asked_where_it_need_not_be(tls, authority, call, certifi, monkeypatch):
    from grpc import _credentials

    certifi.joinpath("cacert.pem").write_bytes(authority.pem)
    assert _credentials._has_roots()
    assert call(tls, grpc.ssl_channel_credentials()).code() is grpc.StatusCode.UNAVAILABLE
    for name in ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/no/such/file")
        assert _credentials._has_roots()
        assert call(tls, grpc.ssl_channel_credentials()).code() is grpc.StatusCode.UNAVAILABLE
        monkeypatch.delenv(name)
