"""What may change between releases: calls without a stub, options, warnings."""

from __future__ import annotations

import enum
import functools
import warnings
from collections.abc import Callable
from typing import Union

import grpc
from grpc import _credentials

_EXPERIMENTAL_APIS_USED: set[str] = set()


class ChannelOptions:
    """Names of options that only Python channels have.

    `SingleThreadedUnaryStream`: calls with a stream of responses use no other thread; their methods
    raise `UsageError` where they would have to wait.
    """

    SingleThreadedUnaryStream = "SingleThreadedUnaryStream"


class UsageError(Exception):
    """The API was used in a way that it does not allow."""


class ExperimentalApiWarning(Warning):
    """Something experimental is used."""


class PrivateKeySignatureAlgorithm(enum.IntFlag):
    """How a private key is to sign."""

    RSA_PKCS1_SHA256 = 0
    RSA_PKCS1_SHA384 = 1
    RSA_PKCS1_SHA512 = 2
    ECDSA_SECP256R1_SHA256 = 3
    ECDSA_SECP384R1_SHA384 = 4
    ECDSA_SECP521R1_SHA512 = 5
    RSA_PSS_RSAE_SHA256 = 6
    RSA_PSS_RSAE_SHA384 = 7
    RSA_PSS_RSAE_SHA512 = 8


#: Gives up a signature that is under way.
PrivateKeySignCancel = Callable[[], None]
#: Takes a signature made later, or an exception.
PrivateKeySignOnComplete = Callable[[Union[bytes, Exception]], None]
#: Signs bytes: returns the signature, or what gives it up and calls the third argument later.
CustomPrivateKeySign = Callable[
    [bytes, PrivateKeySignatureAlgorithm, PrivateKeySignOnComplete],
    Union[bytes, PrivateKeySignCancel],
]

_insecure_channel_credentials = grpc.ChannelCredentials(_credentials.InsecureChannelCredentials())


def insecure_channel_credentials():
    """`grpc.ChannelCredentials` which secure nothing, for where some are asked for."""
    return _insecure_channel_credentials


def _warn_experimental(api_name, stack_offset):
    if api_name in _EXPERIMENTAL_APIS_USED:
        return
    _EXPERIMENTAL_APIS_USED.add(api_name)
    warnings.warn(
        f"'{api_name}' is an experimental API. It is subject to change or removal between minor "
        "releases. Proceed with caution.",
        ExperimentalApiWarning,
        stacklevel=2 + stack_offset,
    )


def experimental_api(f):
    """Has a function warn with `ExperimentalApiWarning` at its first use."""

    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        _warn_experimental(f.__name__, 1)
        return f(*args, **kwargs)

    return wrapper


def wrap_server_method_handler(wrapper, handler):
    """A `grpc.RpcMethodHandler` whose behaviour is `wrapper(behaviour)`; None for None."""
    if not handler:
        return None
    request = "stream" if handler.request_streaming else "unary"
    response = "stream" if handler.response_streaming else "unary"
    kind = f"{request}_{response}"
    return handler._replace(**{kind: wrapper(getattr(handler, kind))})


@experimental_api
def ssl_channel_credentials_with_custom_signer(
    *,
    private_key_sign_fn: CustomPrivateKeySign,
    root_certificates: bytes | None = None,
    certificate_chain: bytes,
) -> grpc.ChannelCredentials:
    """`grpc.ChannelCredentials` for TLS whose private key is elsewhere: `private_key_sign_fn` signs
    with it. The rest is PEM in bytes."""
    return grpc.ChannelCredentials(
        _credentials.SSLCustomSignerChannelCredentials(
            root_certificates, private_key_sign_fn, certificate_chain
        )
    )


# Behind what it imports from here.
from grpc._simple_stubs import (  # noqa: E402
    stream_stream,
    stream_unary,
    unary_stream,
    unary_unary,
)

__all__ = (
    "ChannelOptions",
    "ExperimentalApiWarning",
    "UsageError",
    "insecure_channel_credentials",
    "ssl_channel_credentials_with_custom_signer",
    "stream_stream",
    "stream_unary",
    "unary_stream",
    "unary_unary",
    "wrap_server_method_handler",
)


def __getattr__(name):
    if name == "aio":
        import importlib

        return importlib.import_module("grpc.experimental.aio")
    raise AttributeError(f"module 'grpc.experimental' has no attribute {name!r}")
