"""What credentials hold: the objects behind `grpc.ChannelCredentials` and its like, and what the
engine is given of it.

The public objects carry one of these as `_credentials`. The classes have the names that grpcio's
have in `grpc._cython.cygrpc`, where other packages look for them, and some of their fields. None of
them shows its secrets.
"""

import os


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

    __slots__ = ("_certificate_chain", "_pem_root_certificates", "_private_key")

    def __init__(self, pem_root_certificates, private_key, certificate_chain):
        for pem in (pem_root_certificates, private_key, certificate_chain):
            if pem is not None and not isinstance(pem, bytes):
                raise TypeError(f"expected certificate to be bytes, got {type(pem)}")
        self._pem_root_certificates = pem_root_certificates
        self._private_key = private_key
        self._certificate_chain = certificate_chain


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


class FileChannelCredentials(ChannelCredentials):
    """TLS from files that may change; `engine` are the engine's credentials."""

    __slots__ = ("engine",)

    def __init__(self, engine):
        self.engine = engine


class CompositeChannelCredentials(ChannelCredentials):
    """A channel's credentials and those of each of its calls."""

    __slots__ = ("_call_credentialses", "_channel_credentials")

    def __init__(self, call_credentialses, channel_credentials):
        self._call_credentialses = tuple(call_credentialses)
        self._channel_credentials = channel_credentials


class ALTSChannelCredentials(ChannelCredentials):
    """Google's own transport security, for which there is no transport here."""

    __slots__ = ("service_accounts",)

    def __init__(self, service_accounts):
        self.service_accounts = service_accounts


class XDSChannelCredentials(ChannelCredentials):
    """Those that a control plane names; for targets that no control plane resolves, the
    fallback."""

    __slots__ = ("fallback_credentials",)

    def __init__(self, fallback_credentials):
        self.fallback_credentials = fallback_credentials


class ComputeEngineChannelCredentials(ChannelCredentials):
    """Those of Google's services: TLS with the usual roots, and `call_credentials` for each
    call."""

    __slots__ = ("call_credentials",)

    def __init__(self, call_credentials):
        self.call_credentials = call_credentials


class CallCredentials(_Secrets):
    """What proves who makes a call."""

    __slots__ = ()


class MetadataPluginCallCredentials(CallCredentials):
    """Metadata asked of a plugin for each call: `metadata_plugin(service_url, method_name,
    callback)`, and the name that errors call it."""

    __slots__ = ("_metadata_plugin", "_name")

    def __init__(self, metadata_plugin, name):
        self._metadata_plugin = metadata_plugin
        self._name = name


class CompositeCallCredentials(CallCredentials):
    """Several, whose metadata is put together in order."""

    __slots__ = ("_call_credentialses",)

    def __init__(self, call_credentialses):
        self._call_credentialses = tuple(call_credentialses)


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
    """What a server's port is secured by. `kind`: `ssl`, `files`, `local`, `insecure`, `alts` or
    `xds`.

    For `ssl`, `certificate_config` is what it begins with, `fetcher` None or a function without
    arguments asked before each handshake for a `grpc.ServerCertificateConfiguration` (None: as it
    was), `require_client_auth` a bool. For `local`, `local_kind` is a `grpc.LocalConnectionType`.
    For `files`, `make_engine` makes the engine's credentials for one port. For `xds`, `fallback`
    are those of a server that no control plane configures.
    """

    __slots__ = (
        "certificate_config",
        "fallback",
        "fetcher",
        "kind",
        "local_kind",
        "make_engine",
        "require_client_auth",
    )

    def __init__(
        self,
        kind,
        certificate_config=None,
        fetcher=None,
        require_client_auth=False,
        local_kind=None,
        make_engine=None,
        fallback=None,
    ):
        self.kind = kind
        self.fallback = fallback
        self.certificate_config = certificate_config
        self.fetcher = fetcher
        self.require_client_auth = require_client_auth
        self.local_kind = local_kind
        self.make_engine = make_engine


class Secured:
    """What a channel is opened with. `call_credentials` are the plugins of all its calls, in order;
    `is_secure` says whether it may send what they say."""

    __slots__ = ("_credentials", "call_credentials", "is_secure")

    def __init__(self, credentials, call_credentials):
        self._credentials = credentials
        self.call_credentials = call_credentials
        self.is_secure = not isinstance(credentials, InsecureChannelCredentials)

    def engine(self, session_cache=None):
        """The engine's credentials; None for no security. Channels with one cache, an object of
        `grpc.experimental.session_cache`, share their TLS sessions."""
        from grpc._ferrpc import ChannelCredentials as Engine

        credentials = self._credentials
        if not self.is_secure:
            return None
        if isinstance(credentials, LocalChannelCredentials):
            return Engine.local(credentials.kind.value)
        if isinstance(credentials, FileChannelCredentials):
            return credentials.engine
        if isinstance(credentials, ALTSChannelCredentials):
            return Engine.missing(_ALTS)
        if isinstance(credentials, SSLCustomSignerChannelCredentials):
            return _signed(credentials, session_cache)
        pem = (
            _roots(credentials),
            credentials._private_key,
            credentials._certificate_chain,
        )
        if session_cache is None:
            return Engine.tls(*pem, None)
        return session_cache.shared(pem, lambda capacity: Engine.tls(*pem, capacity))


def _roots(credentials):
    """PEM of a channel's roots; None for those of the system. Where it has none they are those of
    `certifi`, if that is installed: the list that grpcio brings along."""
    pem = credentials._pem_root_certificates
    if pem is not None or _has_roots():
        return pem
    from importlib import util

    found = util.find_spec("certifi")
    if found is None or not found.submodule_search_locations:
        # What is missing is said when the channel connects.
        return None
    path = os.path.join(found.submodule_search_locations[0], "cacert.pem")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _has_roots():
    """Whether the system has roots, or a variable says where they are."""
    from grpc._ferrpc import ChannelCredentials as Engine

    variables = ("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
    return any(os.environ.get(name) for name in variables) or Engine.has_system_roots()


def _signed(credentials, session_cache):
    from grpc import _signing

    roots = _roots(credentials)
    if session_cache is None:
        return _signing.engine(credentials, roots, None)
    key = (
        roots,
        credentials.private_key_sign_fn,
        credentials._certificate_chain,
    )
    return session_cache.shared(key, lambda capacity: _signing.engine(credentials, roots, capacity))


def for_channel(credentials):
    """What a channel is opened with: a `Secured`; None where nothing secures it. Raises TypeError
    for what are no credentials."""
    call_credentials = ()
    while True:
        if isinstance(credentials, CompositeChannelCredentials):
            mine = [leaf for each in credentials._call_credentialses for leaf in for_call(each)]
            call_credentials = (*mine, *call_credentials)
            credentials = credentials._channel_credentials
        elif isinstance(credentials, ComputeEngineChannelCredentials):
            call_credentials = (*for_call(credentials.call_credentials), *call_credentials)
            credentials = SSLChannelCredentials(None, None, None)
        elif isinstance(credentials, XDSChannelCredentials):
            credentials = credentials.fallback_credentials
        else:
            break
    if credentials is None or type(credentials) is InsecureChannelCredentials:
        if not call_credentials:
            return None
        return Secured(InsecureChannelCredentials(), call_credentials)
    if not isinstance(credentials, ChannelCredentials):
        raise TypeError(
            "a channel's credentials are made by functions of grpc, "
            f"grpc.ssl_channel_credentials() say; got {type(credentials)}"
        )
    return Secured(credentials, call_credentials)


def for_call(credentials):
    """The plugins behind call credentials, in order."""
    if isinstance(credentials, CompositeCallCredentials):
        return tuple(leaf for each in credentials._call_credentialses for leaf in for_call(each))
    return (credentials,)


def for_port(credentials):
    """The engine's credentials for one port; None where nothing secures it. Raises ValueError for
    PEM of no use, and for what there is no transport for."""
    from grpc._ferrpc import ServerCredentials as Engine

    while credentials is not None and credentials.kind == "xds":
        credentials = credentials.fallback
    if credentials is None or credentials.kind == "insecure":
        return None
    kind = credentials.kind
    if kind == "local":
        return Engine.local(credentials.local_kind.value)
    if kind == "files":
        return credentials.make_engine()
    if kind == "alts":
        raise ValueError(_ALTS)
    config = credentials.certificate_config
    pem = (list(config.pem_key_certificate_pairs), config.pem_root_certificates)
    if credentials.fetcher is None:
        return Engine.tls(*pem, credentials.require_client_auth, None)
    from grpc import _certificates
    from grpc._ferrpc import Fetches

    asked = Fetches()
    engine = Engine.tls(*pem, credentials.require_client_auth, asked)
    _certificates.serve(asked, credentials.fetcher)
    return engine


def _check_bytes(argument, value):
    if value is None:
        raise TypeError("expected bytes, NoneType found")
    if not isinstance(value, bytes):
        kind = type(value).__name__
        raise TypeError(
            f"Argument '{argument}' has incorrect type (expected bytes, got {kind})"
        )


_ALTS = "ferrpc has no ALTS, the transport security inside Google's cloud: use TLS"
