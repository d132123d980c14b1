"""Credentials as users make them. They check their arguments; what they hold is `_credentials`."""

import abc

from grpc import _credentials as secrets
from grpc._enums import LocalConnectionType


class ChannelCredentials:
    """What a channel's connections are secured by; made by functions of this package."""

    def __init__(self, credentials):
        self._credentials = credentials


class CallCredentials:
    """What proves who makes a call; made by functions of this package."""

    def __init__(self, credentials):
        self._credentials = credentials


class ServerCredentials:
    """What a server's port is secured by; made by functions of this package."""

    def __init__(self, credentials):
        self._credentials = credentials


class ServerCertificateConfiguration:
    """Keys and certificates of a server; made by `ssl_server_certificate_configuration`."""

    def __init__(self, certificate_configuration):
        self._certificate_configuration = certificate_configuration


class AuthMetadataContext(abc.ABC):
    """The call which an `AuthMetadataPlugin` is asked about.

    Attributes: `service_url` (str, `https://host/package.Service`), `method_name` (str).
    """


class AuthMetadataPluginCallback(abc.ABC):
    """Takes the answer of an `AuthMetadataPlugin`."""

    def __call__(self, metadata, error):
        """`metadata` are pairs of key and value; `error` is None, or an exception for a call that
        shall fail."""
        raise NotImplementedError


class AuthMetadataPlugin(abc.ABC):
    """Finds metadata that proves who makes a call."""

    def __call__(self, context, callback):
        """Called for each call, and must not block: `callback`, an `AuthMetadataPluginCallback`,
        is to be called once, now or later, in any thread."""
        raise NotImplementedError


def ssl_channel_credentials(root_certificates=None, private_key=None, certificate_chain=None):
    """`ChannelCredentials` for TLS: PEM in bytes, each optional. Without roots those of the system
    are trusted. Raises TypeError for anything else than bytes."""
    return ChannelCredentials(
        secrets.SSLChannelCredentials(root_certificates, private_key, certificate_chain)
    )


def xds_channel_credentials(fallback_credentials=None):
    """`ChannelCredentials` from an xDS control plane, of which there is none here: a channel has
    `fallback_credentials`, or those of `ssl_channel_credentials()`."""
    fallback = ssl_channel_credentials() if fallback_credentials is None else fallback_credentials
    return ChannelCredentials(secrets.XDSChannelCredentials(fallback._credentials))


def metadata_call_credentials(metadata_plugin, name=None):
    """`CallCredentials` from an `AuthMetadataPlugin`, or any function like it; `name` is what
    errors call it."""
    from grpc import _plugin_wrapping

    return _plugin_wrapping.metadata_plugin_call_credentials(metadata_plugin, name)


def access_token_call_credentials(access_token):
    """`CallCredentials` which send `authorization: Bearer TOKEN`."""
    from grpc import _auth

    return metadata_call_credentials(_auth.AccessTokenAuthMetadataPlugin(access_token), None)


def composite_call_credentials(*call_credentials):
    """`CallCredentials` which send what each of several sends."""
    return CallCredentials(
        secrets.CompositeCallCredentials(each._credentials for each in call_credentials)
    )


def composite_channel_credentials(channel_credentials, *call_credentials):
    """`ChannelCredentials` with `CallCredentials` for each call on the channel."""
    return ChannelCredentials(
        secrets.CompositeChannelCredentials(
            [each._credentials for each in call_credentials], channel_credentials._credentials
        )
    )


def ssl_server_credentials(
    private_key_certificate_chain_pairs, root_certificates=None, require_client_auth=False
):
    """`ServerCredentials` for TLS, from pairs of private key and certificate chain, PEM in bytes.

    `root_certificates` are for checking certificates of clients; `require_client_auth` refuses
    clients without one. Raises ValueError without a pair, or when clients must have a certificate
    and there are no roots, and TypeError for anything else than bytes.
    """
    if not private_key_certificate_chain_pairs:
        raise ValueError("At least one private key-certificate chain pair is required!")
    if require_client_auth and root_certificates is None:
        raise ValueError("Illegal to require client auth without providing root certificates!")
    config = secrets.ServerCertificateConfig(root_certificates, private_key_certificate_chain_pairs)
    return ServerCredentials(
        secrets.ServerCredentials("ssl", config, require_client_auth=bool(require_client_auth))
    )


def xds_server_credentials(fallback_credentials):
    """`ServerCredentials` from an xDS control plane, of which there is none here: a port has
    `fallback_credentials`."""
    return ServerCredentials(
        secrets.ServerCredentials("xds", fallback=fallback_credentials._credentials)
    )


def insecure_server_credentials():
    """`ServerCredentials` which secure nothing, for `xds_server_credentials` to fall back to."""
    return ServerCredentials(secrets.ServerCredentials("insecure"))


def ssl_server_certificate_configuration(
    private_key_certificate_chain_pairs, root_certificates=None
):
    """A `ServerCertificateConfiguration` for `dynamic_ssl_server_credentials`; arguments and errors
    as in `ssl_server_credentials`."""
    if not private_key_certificate_chain_pairs:
        raise ValueError("At least one private key-certificate chain pair is required!")
    return ServerCertificateConfiguration(
        secrets.ServerCertificateConfig(root_certificates, private_key_certificate_chain_pairs)
    )


def dynamic_ssl_server_credentials(
    initial_certificate_configuration,
    certificate_configuration_fetcher,
    require_client_authentication=False,
):
    """`ServerCredentials` for TLS whose certificates may change.

    Before each handshake the fetcher, a function without arguments, returns a
    `ServerCertificateConfiguration`, or None to keep the one in use. Raises TypeError when the
    first argument is no such configuration or the second cannot be called.
    """
    if not isinstance(initial_certificate_configuration, ServerCertificateConfiguration):
        raise TypeError("initial_cert_config must be a grpc.ServerCertificateConfiguration")
    if not callable(certificate_configuration_fetcher):
        raise TypeError("cert_config_fetcher must be callable")
    return ServerCredentials(
        secrets.ServerCredentials(
            "ssl",
            initial_certificate_configuration._certificate_configuration,
            certificate_configuration_fetcher,
            bool(require_client_authentication),
        )
    )


def local_channel_credentials(local_connect_type=LocalConnectionType.LOCAL_TCP):
    """`ChannelCredentials` for connections that do not leave the machine."""
    return ChannelCredentials(secrets.LocalChannelCredentials(_local(local_connect_type)))


def local_server_credentials(local_connect_type=LocalConnectionType.LOCAL_TCP):
    """`ServerCredentials` for connections that do not leave the machine."""
    return ServerCredentials(
        secrets.ServerCredentials("local", local_kind=_local(local_connect_type))
    )


def alts_channel_credentials(service_accounts=None):
    """`ChannelCredentials` for ALTS, which is not there: a channel's calls end with UNAVAILABLE."""
    return ChannelCredentials(secrets.ALTSChannelCredentials(tuple(service_accounts or ())))


def alts_server_credentials():
    """`ServerCredentials` for ALTS, which is not there: `Server.add_secure_port` raises
    RuntimeError."""
    return ServerCredentials(secrets.ServerCredentials("alts"))


def compute_engine_channel_credentials(call_credentials):
    """`ChannelCredentials` for Google's services: TLS with the usual roots, and `CallCredentials`
    for each call."""
    return ChannelCredentials(
        secrets.ComputeEngineChannelCredentials(call_credentials._credentials)
    )


def _local(kind):
    # Anything with the value of a member is taken, as the values are what is looked at.
    return LocalConnectionType(kind.value)
