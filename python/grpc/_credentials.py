"""What credentials hold: the objects behind `grpc.ChannelCredentials` and its like, and what of it
this version can use.

The public objects carry one of these as `_credentials`. The classes have the names that grpcio's
have in `grpc._cython.cygrpc`, where other packages look for them. None of them shows its secrets.
"""


class _Secrets:
    """Its fields are for the transports; it has no `repr` of them."""

    __slots__ = ()


class ChannelCredentials(_Secrets):
    """What a channel's connections are secured by."""

    __slots__ = ()


class InsecureChannelCredentials(ChannelCredentials):
    """Nothing."""

    __slots__ = ()


class SSLChannelCredentials(ChannelCredentials):
    """TLS. Each field is PEM in bytes or None; None for roots are those of the system."""

    __slots__ = ("certificate_chain", "pem_root_certificates", "private_key")

    def __init__(self, pem_root_certificates, private_key, certificate_chain):
        for pem in (pem_root_certificates, private_key, certificate_chain):
            if pem is not None and not isinstance(pem, bytes):
                raise TypeError(f"expected certificate to be bytes, got {type(pem)}")
        self.pem_root_certificates = pem_root_certificates
        self.private_key = private_key
        self.certificate_chain = certificate_chain


class SSLCustomSignerChannelCredentials(SSLChannelCredentials):
    """TLS with a private key that is elsewhere: `private_key_sign_fn` signs with it."""

    __slots__ = ("private_key_sign_fn",)

    def __init__(self, pem_root_certificates, private_key_sign_fn, certificate_chain):
        super().__init__(pem_root_certificates, None, certificate_chain)
        self.private_key_sign_fn = private_key_sign_fn


class LocalChannelCredentials(ChannelCredentials):
    """Connections that do not leave the machine; `kind` is a `grpc.LocalConnectionType`."""

    __slots__ = ("kind",)

    def __init__(self, kind):
        self.kind = kind


class CompositeChannelCredentials(ChannelCredentials):
    """A channel's credentials and those of each of its calls."""

    __slots__ = ("call_credentialses", "channel_credentials")

    def __init__(self, call_credentialses, channel_credentials):
        self.call_credentialses = tuple(call_credentialses)
        self.channel_credentials = channel_credentials


class ALTSChannelCredentials(ChannelCredentials):
    """Google's own transport security."""

    __slots__ = ("service_accounts",)

    def __init__(self, service_accounts):
        self.service_accounts = service_accounts


class XDSChannelCredentials(ChannelCredentials):
    """Credentials that an xDS server names."""

    __slots__ = ("fallback_credentials",)

    def __init__(self, fallback_credentials):
        self.fallback_credentials = fallback_credentials


class ComputeEngineChannelCredentials(ChannelCredentials):
    """Those of a virtual machine in Google's cloud."""

    __slots__ = ("call_credentials",)

    def __init__(self, call_credentials):
        self.call_credentials = call_credentials


class CallCredentials(_Secrets):
    """What proves who makes a call."""

    __slots__ = ()


class MetadataPluginCallCredentials(CallCredentials):
    """Metadata asked of a plugin for each call: `metadata_plugin(service_url, method_name,
    callback)`, and the name that errors call it."""

    __slots__ = ("metadata_plugin", "name")

    def __init__(self, metadata_plugin, name):
        self.metadata_plugin = metadata_plugin
        self.name = name


class CompositeCallCredentials(CallCredentials):
    """Several, whose metadata is put together in order."""

    __slots__ = ("call_credentialses",)

    def __init__(self, call_credentialses):
        self.call_credentialses = tuple(call_credentialses)


class ServerCertificateConfig(_Secrets):
    """A server's PEM: `pem_key_certificate_pairs` is a tuple of private key and chain, bytes each;
    `pem_root_certificates` bytes or None."""

    __slots__ = ("pem_key_certificate_pairs", "pem_root_certificates")

    def __init__(self, pem_root_certificates, pem_key_certificate_pairs):
        if pem_root_certificates is not None and not isinstance(pem_root_certificates, bytes):
            raise TypeError(f"expected bytes, {type(pem_root_certificates).__name__} found")
        pairs = []
        for private_key, certificate_chain in pem_key_certificate_pairs:
            _check_bytes("private_key", private_key)
            _check_bytes("certificate_chain", certificate_chain)
            pairs.append((private_key, certificate_chain))
        self.pem_root_certificates = pem_root_certificates
        self.pem_key_certificate_pairs = tuple(pairs)


class ServerCredentials(_Secrets):
    """What a server's port is secured by. `kind`: `ssl`, `local`, `insecure`, `alts` or `xds`.

    For `ssl`, `certificate_config` is what it begins with, `fetcher` None or a function without
    arguments asked before each handshake for a `grpc.ServerCertificateConfiguration` (None: as it
    was), `require_client_auth` a bool. For `local`, `local_kind` is a `grpc.LocalConnectionType`.
    """

    __slots__ = ("certificate_config", "fetcher", "kind", "local_kind", "require_client_auth")

    def __init__(
        self,
        kind,
        certificate_config=None,
        fetcher=None,
        require_client_auth=False,
        local_kind=None,
    ):
        self.kind = kind
        self.certificate_config = certificate_config
        self.fetcher = fetcher
        self.require_client_auth = require_client_auth
        self.local_kind = local_kind


def for_channel(credentials):
    """What a channel is opened with: None where nothing secures it. Raises NotImplementedError for
    what this version has no transport for, in the words of that error."""
    if isinstance(credentials, InsecureChannelCredentials):
        return None
    raise NotImplementedError(_REFUSALS.get(type(credentials), _NOT_YET).format("grpc.secure_channel"))


def for_port(credentials):
    """As `for_channel`, for the credentials of `Server.add_secure_port`."""
    if credentials.kind == "insecure":
        return None
    text = {"alts": _ALTS, "xds": _XDS}.get(credentials.kind, _NOT_YET)
    raise NotImplementedError(text.format("Server.add_secure_port"))


def _check_bytes(argument, value):
    if value is None:
        raise TypeError("expected bytes, NoneType found")
    if not isinstance(value, bytes):
        kind = type(value).__name__
        raise TypeError(
            f"Argument '{argument}' has incorrect type (expected bytes, got {kind})"
        )


_NOT_YET = (
    "{}: this version of ferrpc has no TLS yet; use an insecure channel or port, or a later version"
)
_ALTS = "{}: ferrpc has no ALTS, the transport security inside Google's cloud; use TLS"
_XDS = "{}: ferrpc has no xDS; use TLS credentials and a service config"
_COMPUTE_ENGINE = (
    "{}: ferrpc has no Compute Engine channel credentials; use grpc.composite_channel_credentials "
    "with TLS and the call credentials of google-auth"
)
_REFUSALS = {
    ALTSChannelCredentials: _ALTS,
    XDSChannelCredentials: _XDS,
    ComputeEngineChannelCredentials: _COMPUTE_ENGINE,
}
