"""Certificates of callers, and what a server's handlers learn of them."""

import grpc
import pytest

from .certificates import Authority
from .test_tls import refused


@pytest.fixture
def mutual(serve, authority):
    """The target of a server that wants certificates of its callers."""
    pair = authority.issue("localhost")
    return serve(grpc.ssl_server_credentials([pair], authority.pem, True))


@pytest.fixture
def known_as(authority):
    """Channel credentials with a certificate."""

    def known_as(*names, **keywords):
        return grpc.ssl_channel_credentials(authority.pem, *authority.issue(*names, **keywords))

    return known_as


def test_names_of_all_kinds(mutual, known_as, call):
    names = ["client.example", "10.0.0.7", "spiffe://trust/me", "me@example.com"]
    seen = call(mutual, known_as(*names, common_name="the client"))
    encoded = [name.encode() for name in names]
    assert seen.identities == encoded
    assert seen.key == "x509_subject_alternative_name"
    context = seen.auth_context
    assert context["x509_subject_alternative_name"] == encoded
    assert context["peer_dns"] == [b"client.example"]
    assert context["peer_ip"] == [b"10.0.0.7"]
    assert context["peer_uri"] == [b"spiffe://trust/me"]
    assert context["peer_spiffe_id"] == [b"spiffe://trust/me"]
    assert context["peer_email"] == [b"me@example.com"]
    assert context["x509_common_name"] == [b"the client"]
    assert context["x509_subject"] == [b"CN=the client"]
    (pem,) = context["x509_pem_cert"]
    assert pem.startswith(b"-----BEGIN CERTIFICATE-----\n")
    assert len(context) == 15


def test_the_pem_is_the_callers(mutual, authority, call):
    key, chain = authority.issue("me")
    seen = call(mutual, grpc.ssl_channel_credentials(authority.pem, key, chain))
    assert seen.auth_context["x509_pem_cert"] == [chain]


def test_a_common_name(mutual, known_as, call):
    seen = call(mutual, known_as(common_name="only this"))
    assert (seen.identities, seen.key) == ([b"only this"], "x509_common_name")
    assert "x509_subject_alternative_name" not in seen.auth_context


def test_nobody(mutual, root, call, on_ferrpc):
    parts = ("the server expects a client certificate", "the channel has none")
    refused(call(mutual, root), on_ferrpc, *parts)


def test_somebody_elses(mutual, authority, call, on_ferrpc):
    pair = Authority("somebody else").issue("me")
    outcome = call(mutual, grpc.ssl_channel_credentials(authority.pem, *pair))
    refused(outcome, on_ferrpc, "refuses our client certificate", "unknown ca")


def test_callers_are_not_asked_unless_they_must_answer(serve, authority, root, known_as, call):
    pair = authority.issue("localhost")
    target = serve(grpc.ssl_server_credentials([pair], authority.pem, False))
    stranger = grpc.ssl_channel_credentials(authority.pem, *Authority("other").issue("me"))
    for credentials in (root, known_as("me"), stranger):
        seen = call(target, credentials)
        assert (seen.identities, seen.key) == (None, None)
        assert "x509_pem_cert" not in seen.auth_context


def test_a_server_without_client_certificates(tls, known_as, call):
    assert call(tls, known_as("me")).identities is None


# -- without certificates --------------------------------------------------------------------------


def test_local_tcp(serve, call):
    target = serve(grpc.local_server_credentials(), "127.0.0.1:0")
    token = grpc.access_token_call_credentials("token")
    for credentials in (grpc.local_channel_credentials(), None):
        seen = call(target, credentials, credentials=token if credentials else None)
        assert seen.auth_context == {
            "transport_security_type": [b"local"],
            "security_level": [b"TSI_PRIVACY_AND_INTEGRITY"],
        }
        assert (seen.identities, seen.key) == ([b"local"], "transport_security_type")
    assert call(serve(None), grpc.local_channel_credentials(), credentials=token).metadata


def test_local_unix(serve, call, tmp_path):
    kind = grpc.LocalConnectionType.UDS
    target = serve(grpc.local_server_credentials(kind), f"unix:{tmp_path}/socket")
    token = grpc.access_token_call_credentials("token")
    seen = call(target, grpc.local_channel_credentials(kind), credentials=token)
    assert seen.metadata == [("authorization", "Bearer token")]
    assert seen.identities == [b"local"]


def test_local_of_the_wrong_kind(serve, call, tmp_path, on_ferrpc):
    kind = grpc.LocalConnectionType.UDS
    target = serve(grpc.local_server_credentials(kind), f"unix:{tmp_path}/socket")
    outcome = call(target, grpc.local_channel_credentials())
    refused(outcome, on_ferrpc, "expected a loopback address", "unix:")
    target = serve(grpc.local_server_credentials(), "127.0.0.1:0")
    outcome = call(target, grpc.local_channel_credentials(kind))
    assert outcome.code() is grpc.StatusCode.UNAVAILABLE
