"""Credentials from files that may change while a program runs, for servers and channels alike.

    credentials = ferrpc.credentials.ssl_server_credentials("server.key", "server.pem")
    server.add_secure_port("[::]:443", credentials)

The files are PEM. They are looked at when a handshake begins, at most once in `interval` seconds;
nothing runs meanwhile. Connections that are open stay as they are. A change that cannot be used,
for instance because only one of two files was replaced yet, leaves the last files in use and is
looked at again with the next handshake that is due.
"""

from __future__ import annotations

import os
from typing import Union

import grpc

__all__ = ("ssl_channel_credentials", "ssl_server_credentials")

_Path = Union[str, "os.PathLike[str]"]


def ssl_channel_credentials(
    root_certificates: _Path | None = None,
    private_key: _Path | None = None,
    certificate_chain: _Path | None = None,
    *,
    interval: float = 10,
) -> grpc.ChannelCredentials:
    """`grpc.ChannelCredentials` for TLS, from the names of files.

    The arguments are those of `grpc.ssl_channel_credentials`, each a path; without roots those of
    the system are trusted. `interval` is in seconds. Raises ValueError if the files cannot be used
    now.
    """
    from grpc import _credentials, _ferrpc

    if (private_key is None) != (certificate_chain is None):
        raise ValueError("a private key and its certificate chain belong together: give both files")
    engine = _ferrpc.ChannelCredentials.files(
        root_certificates, private_key, certificate_chain, interval
    )
    return grpc.ChannelCredentials(_credentials.FileChannelCredentials(engine))


def ssl_server_credentials(
    private_key: _Path,
    certificate_chain: _Path,
    root_certificates: _Path | None = None,
    *,
    optional_client_auth: bool = False,
    interval: float = 10,
) -> grpc.ServerCredentials:
    """`grpc.ServerCredentials` for TLS, from the names of files.

    With `root_certificates` clients must have a certificate that one of those issued; with
    `optional_client_auth` they may come without, but not with another. `interval` is in seconds.
    Raises ValueError if the files cannot be used now.
    """
    from grpc import _credentials, _ferrpc

    if optional_client_auth and root_certificates is None:
        raise ValueError("optional_client_auth needs root_certificates to check clients by")
    paths = (private_key, certificate_chain, root_certificates)

    def engine():
        return _ferrpc.ServerCredentials.files(*paths, optional_client_auth, interval)

    # What is wrong with them is said here and not at the port.
    engine()
    return grpc.ServerCredentials(_credentials.ServerCredentials("files", make_engine=engine))
