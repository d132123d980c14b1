"""gRPC for Python, on ferrpc's engine: the names and the behaviour of grpcio.

A client makes a `Channel` with `insecure_channel` or `secure_channel` and hands it to a generated
stub; a server is made with `server`, gets its handlers from generated code, and is started.

To import it is cheap: the engine is loaded with the first channel or server, and `grpc.aio` and
`grpc.experimental` when they are asked for. No thread is started before that.
"""

import logging

from grpc._client_api import (
    Call,
    Channel,
    ClientCallDetails,
    Future,
    RpcContext,
    StreamStreamClientInterceptor,
    StreamStreamMultiCallable,
    StreamUnaryClientInterceptor,
    StreamUnaryMultiCallable,
    UnaryStreamClientInterceptor,
    UnaryStreamMultiCallable,
    UnaryUnaryClientInterceptor,
    UnaryUnaryMultiCallable,
)
from grpc._credentials_api import (
    AuthMetadataContext,
    AuthMetadataPlugin,
    AuthMetadataPluginCallback,
    CallCredentials,
    ChannelCredentials,
    ServerCertificateConfiguration,
    ServerCredentials,
    access_token_call_credentials,
    alts_channel_credentials,
    alts_server_credentials,
    composite_call_credentials,
    composite_channel_credentials,
    compute_engine_channel_credentials,
    dynamic_ssl_server_credentials,
    insecure_server_credentials,
    local_channel_credentials,
    local_server_credentials,
    metadata_call_credentials,
    ssl_channel_credentials,
    ssl_server_certificate_configuration,
    ssl_server_credentials,
    xds_channel_credentials,
    xds_server_credentials,
)
from grpc._enums import ChannelConnectivity, Compression, LocalConnectionType, StatusCode
from grpc._errors import FutureCancelledError, FutureTimeoutError, RpcError
from grpc._grpcio_metadata import __version__
from grpc._runtime_protos import protos, protos_and_services, services
from grpc._server_api import (
    GenericRpcHandler,
    HandlerCallDetails,
    RpcMethodHandler,
    Server,
    ServerInterceptor,
    ServicerContext,
    ServiceRpcHandler,
    Status,
)

__all__ = (
    "AuthMetadataContext",
    "AuthMetadataPlugin",
    "AuthMetadataPluginCallback",
    "Call",
    "CallCredentials",
    "Channel",
    "ChannelConnectivity",
    "ChannelCredentials",
    "ClientCallDetails",
    "Compression",
    "Future",
    "FutureCancelledError",
    "FutureTimeoutError",
    "GenericRpcHandler",
    "HandlerCallDetails",
    "LocalConnectionType",
    "RpcContext",
    "RpcError",
    "RpcMethodHandler",
    "Server",
    "ServerCertificateConfiguration",
    "ServerCredentials",
    "ServerInterceptor",
    "ServiceRpcHandler",
    "ServicerContext",
    "Status",
    "StatusCode",
    "StreamStreamClientInterceptor",
    "StreamStreamMultiCallable",
    "StreamUnaryClientInterceptor",
    "StreamUnaryMultiCallable",
    "UnaryStreamClientInterceptor",
    "UnaryStreamMultiCallable",
    "UnaryUnaryClientInterceptor",
    "UnaryUnaryMultiCallable",
    "access_token_call_credentials",
    "alts_channel_credentials",
    "alts_server_credentials",
    "channel_ready_future",
    "composite_call_credentials",
    "composite_channel_credentials",
    "compute_engine_channel_credentials",
    "dynamic_ssl_server_credentials",
    "insecure_channel",
    "insecure_server_credentials",
    "intercept_channel",
    "local_channel_credentials",
    "local_server_credentials",
    "metadata_call_credentials",
    "method_handlers_generic_handler",
    "protos",
    "protos_and_services",
    "secure_channel",
    "server",
    "services",
    "ssl_channel_credentials",
    "ssl_server_certificate_configuration",
    "ssl_server_credentials",
    "stream_stream_rpc_method_handler",
    "stream_unary_rpc_method_handler",
    "unary_stream_rpc_method_handler",
    "unary_unary_rpc_method_handler",
    "xds_channel_credentials",
    "xds_server_credentials",
)


def insecure_channel(target, options=None, compression=None):
    """A `Channel` to a target, `host:port` say, without TLS.

    `options` are pairs of name and value, `("grpc.max_receive_message_length", -1)` say;
    `compression` is a `Compression` for all its calls.
    """
    from grpc import _channel

    return _channel.Channel(target, () if options is None else options, None, compression)


def secure_channel(target, credentials, options=None, compression=None):
    """A `Channel` to a target with `ChannelCredentials`; the rest as in `insecure_channel`."""
    from grpc import _credentials

    secrets = _credentials.for_channel(credentials._credentials)
    from grpc import _channel

    return _channel.Channel(target, () if options is None else options, secrets, compression)


def intercept_channel(channel, *interceptors):
    """A `Channel` whose calls pass through client interceptors, the first one outermost. Raises
    TypeError for an object that implements none of the four interfaces of interceptors."""
    from grpc import _interceptor

    return _interceptor.intercept_channel(channel, *interceptors)


def channel_ready_future(channel):
    """A `Future` whose `result()` is None once the channel has a connection. It makes the channel
    connect; to cancel it does not make it stop."""
    from grpc import _utilities

    return _utilities.channel_ready_future(channel)


def server(
    thread_pool,
    handlers=None,
    interceptors=None,
    options=None,
    maximum_concurrent_rpcs=None,
    compression=None,
    xds=False,
):
    """A `Server` which runs its handlers in `thread_pool`, any object with the `submit` of a
    `concurrent.futures.Executor`.

    `handlers` are `GenericRpcHandler`s, `interceptors` are `ServerInterceptor`s, `options` are
    pairs of name and value; `maximum_concurrent_rpcs` is how many calls are served at a time before
    others are refused with RESOURCE_EXHAUSTED (None: no limit); `compression` is a `Compression`
    for all responses. `xds=True` is for a server that a control plane configures: there is no
    xDS, and where GRPC_XDS_BOOTSTRAP names a control plane the server refuses to start.
    """
    from grpc import _server

    return _server.create_server(
        thread_pool,
        () if handlers is None else handlers,
        () if interceptors is None else interceptors,
        () if options is None else options,
        maximum_concurrent_rpcs,
        compression,
        xds,
    )


def unary_unary_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    """The `RpcMethodHandler` of a method with one request and one response."""
    from grpc import _utilities

    return _utilities.RpcMethodHandler(
        False, False, request_deserializer, response_serializer, behavior, None, None, None
    )


def unary_stream_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    """The `RpcMethodHandler` of a method with one request and a stream of responses."""
    from grpc import _utilities

    return _utilities.RpcMethodHandler(
        False, True, request_deserializer, response_serializer, None, behavior, None, None
    )


def stream_unary_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    """The `RpcMethodHandler` of a method with a stream of requests and one response."""
    from grpc import _utilities

    return _utilities.RpcMethodHandler(
        True, False, request_deserializer, response_serializer, None, None, behavior, None
    )


def stream_stream_rpc_method_handler(behavior, request_deserializer=None, response_serializer=None):
    """The `RpcMethodHandler` of a method with streams in both directions."""
    from grpc import _utilities

    return _utilities.RpcMethodHandler(
        True, True, request_deserializer, response_serializer, None, None, None, behavior
    )


def method_handlers_generic_handler(service, method_handlers):
    """A `GenericRpcHandler` for a service, from a dict of method names to `RpcMethodHandler`."""
    from grpc import _utilities

    return _utilities.DictionaryGenericHandler(service, method_handlers)


def _create_servicer_context(rpc_event, state, request_deserializer):
    # Kept as a context manager because it is wrapped by tools that trace servers.
    from grpc import _servicer_context

    return _servicer_context.create_servicer_context(rpc_event, state, request_deserializer)


def __getattr__(name):
    # What grpcio has imported by now is here at the first look, and not before.
    if name in _LATER:
        import importlib

        try:
            return importlib.import_module(f"grpc.{name}")
        except ImportError as error:
            # For `hasattr`, which packages ask with what else they can do.
            raise AttributeError(f"module 'grpc' has no attribute {name!r}: {error}") from error
    raise AttributeError(f"module 'grpc' has no attribute {name!r}")


#: Submodules that are imported at their first use.
_LATER = frozenset(
    (
        "aio",
        "experimental",
        "framework",
        "_auth",
        "_channel",
        "_common",
        "_compression",
        "_cython",
        "_interceptor",
        "_observability",
        "_plugin_wrapping",
        "_server",
        "_simple_stubs",
        "_typing",
        "_utilities",
    )
)

# Programs, tracebacks and pickles know these as `grpc.NAME`, wherever they are written.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name

# A library says nothing unless it is asked to.
logging.getLogger(__name__).addHandler(logging.NullHandler())
