"""Names of grpcio's extension module that other packages import.

Only what these use of it is here: enumerations, argument names, credentials, metadata, and the one
operation that they ask of calls. What else they would have to drive grpcio's core with (`Channel`,
`Server`, the other operations) is not.
"""

import enum
import os

from grpc._credentials import (
    ALTSChannelCredentials,
    CallCredentials,
    ChannelCredentials,
    CompositeCallCredentials,
    CompositeChannelCredentials,
    ComputeEngineChannelCredentials,
    InsecureChannelCredentials,
    LocalChannelCredentials,
    MetadataPluginCallCredentials,
    ServerCertificateConfig,
    ServerCredentials,
    SSLChannelCredentials,
    XDSChannelCredentials,
)
from grpc._metadatum import _Metadatum
from grpc._operations import BatchOperationEvent, ReceiveMessageOperation

GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM = "grpc.default_compression_algorithm"
GRPC_COMPRESSION_REQUEST_ALGORITHM_MD_KEY = "grpc-internal-encoding-request"
_EMPTY_FLAGS = 0
_EMPTY_MASK = 0


class StatusCode(enum.IntEnum):
    """Numbers of status codes."""

    ok = 0
    cancelled = 1
    unknown = 2
    invalid_argument = 3
    deadline_exceeded = 4
    not_found = 5
    already_exists = 6
    permission_denied = 7
    resource_exhausted = 8
    failed_precondition = 9
    aborted = 10
    out_of_range = 11
    unimplemented = 12
    internal = 13
    unavailable = 14
    data_loss = 15
    unauthenticated = 16


class ConnectivityState:
    """Numbers of connectivity states."""

    idle = 0
    connecting = 1
    ready = 2
    transient_failure = 3
    shutdown = 4


class ChannelArgKey:
    """Names of channel options."""

    enable_census = b"grpc.census"
    max_concurrent_streams = b"grpc.max_concurrent_streams"
    max_receive_message_length = b"grpc.max_receive_message_length"
    max_send_message_length = b"grpc.max_send_message_length"
    http2_initial_sequence_number = b"grpc.http2.initial_sequence_number"
    default_authority = b"grpc.default_authority"
    primary_user_agent_string = b"grpc.primary_user_agent"
    secondary_user_agent_string = b"grpc.secondary_user_agent"
    ssl_session_cache = b"grpc.ssl_session_cache"
    ssl_target_name_override = b"grpc.ssl_target_name_override"


class CompressionAlgorithm:
    """Numbers of compression algorithms."""

    none = 0
    deflate = 1
    gzip = 2


class CompressionLevel:
    """Numbers of compression levels."""

    none = 0
    low = 1
    medium = 2
    high = 3


class OperationType(enum.IntEnum):
    """Numbers of the operations of grpcio's core."""

    send_initial_metadata = 0
    send_message = 1
    send_close_from_client = 2
    send_status_from_server = 3
    receive_initial_metadata = 4
    receive_message = 5
    receive_status_on_client = 6
    receive_close_on_server = 7


class LocalConnectionType:
    """Numbers of the kinds of local connections."""

    uds = 0
    local_tcp = 1


class WriteFlag:
    """Bits of what may be asked for with a message."""

    buffer_hint = 1
    no_compress = 2


class InitialMetadataFlags:
    """Bits of what may be asked for with a call."""

    wait_for_ready = 32
    wait_for_ready_explicitly_set = 128
    used_mask = 244


class PropagationConstants:
    """Bits of what a call may take over from the one being served."""

    GRPC_PROPAGATE_DEADLINE = 1
    GRPC_PROPAGATE_CENSUS_STATS_CONTEXT = 2
    GRPC_PROPAGATE_CENSUS_TRACING_CONTEXT = 4
    GRPC_PROPAGATE_CANCELLATION = 8
    GRPC_PROPAGATE_DEFAULTS = 65535


class BaseError(Exception):
    """The base of what `grpc.aio` raises for its own reasons."""


class UsageError(BaseError):
    """The API of `grpc.aio` was used in a way that it does not allow."""


class AbortError(BaseError):
    """Ends a handler of `grpc.aio` that has aborted its call."""


class InternalError(BaseError):
    """Something went wrong inside `grpc.aio`."""


class ExecuteBatchError(InternalError):
    """What was sent or asked for was refused."""


class _EOF:
    """The end of a stream; false, empty, and like itself only."""

    def __bool__(self):
        return False

    def __len__(self):
        return 0

    def __repr__(self):
        return "<grpc.aio.EOF>"


EOF = _EOF()


def init_grpc_aio():
    """Nothing: what asyncio needs is there with the first channel or server."""


def shutdown_grpc_aio():
    """Nothing: there is nothing to end."""


_FORK_EPOCH = 0


def get_fork_epoch():
    """How many forks this process is away from the one that imported this module."""
    return _FORK_EPOCH


def _count_fork():
    global _FORK_EPOCH
    _FORK_EPOCH += 1


def get_deadline_from_context():
    """None: deadlines of calls being served do not pass to calls being made."""
    return None


def channel_credentials_insecure():
    return InsecureChannelCredentials()


def channel_credentials_local(local_connect_type):
    return LocalChannelCredentials(local_connect_type)


def channel_credentials_alts(service_accounts):
    return ALTSChannelCredentials(tuple(service_accounts))


def channel_credentials_compute_engine(call_credentials):
    return ComputeEngineChannelCredentials(call_credentials)


def is_fork_support_enabled():
    """Whether GRPC_ENABLE_FORK_SUPPORT asks for it."""
    value = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "0")
    return value.lower() in ("1", "t", "true", "yes", "y")


class _Missing(NotImplementedError, ValueError):
    """`grpcio-channelz` answers INTERNAL to a ValueError, with its text and no traceback."""


def _no_channelz(*_):
    """What `grpcio-channelz` asks for, which nothing here counts."""
    raise _Missing(
        "ferrpc keeps no channelz records: its servers and channels do not count their calls for "
        "grpcio-channelz. Count them in interceptors instead"
    )


channelz_get_top_channels = _no_channelz
channelz_get_servers = _no_channelz
channelz_get_server = _no_channelz
channelz_get_server_sockets = _no_channelz
channelz_get_channel = _no_channelz
channelz_get_subchannel = _no_channelz
channelz_get_socket = _no_channelz


def dump_xds_configs():
    """What `grpcio-csds` asks for: a serialised `ClientStatusResponse`, empty without an xDS
    client, of which there is none."""
    return b""


#: Names that stand elsewhere, where they are imported at their first use: module and name there.
_ELSEWHERE = {
    "AioChannel": ("grpc._ferrpc", "AioChannel"),
    "Channel": ("grpc._ferrpc", "ClientChannel"),
    "PrivateKeySignatureAlgorithm": ("grpc.experimental", "PrivateKeySignatureAlgorithm"),
    "SSLSessionCacheLRU": ("grpc.experimental.session_cache", "_Lru"),
    # Agents ask for the type of what handlers know as `_rpc_event`.
    "RequestCallEvent": ("grpc._ferrpc", "Call"),
    "_HandlerCallDetails": ("grpc._server", "_HandlerCallDetails"),
    # Annotations name it.
    "_ServicerContext": ("grpc.aio._context", "_ServicerContext"),
}


def __getattr__(name):
    if name in _ELSEWHERE:
        import importlib

        module, there = _ELSEWHERE[name]
        return getattr(importlib.import_module(module), there)
    raise AttributeError(f"module 'grpc._cython.cygrpc' has no attribute {name!r}")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)
