"""Channels, stubs and servers of the beta API."""

import grpc
from grpc import _auth
from grpc.beta import _client_adaptations, _metadata, _server_adaptations
from grpc.beta import interfaces as interfaces

ChannelCredentials = grpc.ChannelCredentials
CallCredentials = grpc.CallCredentials
ServerCredentials = grpc.ServerCredentials
ssl_channel_credentials = grpc.ssl_channel_credentials
ssl_server_credentials = grpc.ssl_server_credentials
access_token_call_credentials = grpc.access_token_call_credentials
composite_call_credentials = grpc.composite_call_credentials
composite_channel_credentials = grpc.composite_channel_credentials


def metadata_call_credentials(metadata_plugin, name=None):
    """Call credentials of a plugin, which may give metadata with keys that are bytes."""

    def plugin(context, callback):
        def unbeta(metadata, error):
            callback(_metadata.unbeta(metadata), error)

        metadata_plugin(context, unbeta)

    return grpc.metadata_call_credentials(plugin, name)


def google_call_credentials(credentials):
    """Call credentials of oauth2client."""
    return grpc.metadata_call_credentials(_auth.GoogleCallCredentials(credentials))


class Channel:
    """A channel of the beta API; `_channel` is the one of `grpc` behind it."""

    def __init__(self, channel):
        self._channel = channel

    def subscribe(self, callback, try_to_connect=None):
        """As `grpc.Channel.subscribe`."""
        self._channel.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback):
        """As `grpc.Channel.unsubscribe`."""
        self._channel.unsubscribe(callback)


def _target(host, port):
    return host if port is None else f"{host}:{port}"


def insecure_channel(host, port):
    """A channel without TLS. `port` may be None: then the host has it."""
    return Channel(grpc.insecure_channel(_target(host, port)))


def secure_channel(host, port, channel_credentials):
    """A channel with credentials. `port` may be None: then the host has it."""
    return Channel(grpc.secure_channel(_target(host, port), channel_credentials))


class StubOptions:
    """See `stub_options`."""

    def __init__(
        self,
        host,
        request_serializers,
        response_deserializers,
        metadata_transformer,
        thread_pool,
        thread_pool_size,
    ):
        self.host = host
        self.request_serializers = request_serializers
        self.response_deserializers = response_deserializers
        self.metadata_transformer = metadata_transformer
        self.thread_pool = thread_pool
        self.thread_pool_size = thread_pool_size


_EMPTY_STUB_OPTIONS = StubOptions(None, None, None, None, None, None)


def stub_options(
    host=None,
    request_serializers=None,
    response_deserializers=None,
    metadata_transformer=None,
    thread_pool=None,
    thread_pool_size=None,
):
    """What a stub does with messages and metadata: functions by (group, method), and one from
    metadata to metadata. `host` and the pool have no effect."""
    return StubOptions(
        host,
        request_serializers,
        response_deserializers,
        metadata_transformer,
        thread_pool,
        thread_pool_size,
    )


def generic_stub(channel, options=None):
    """A `face.GenericStub` on a channel of the beta API."""
    options = _EMPTY_STUB_OPTIONS if options is None else options
    return _client_adaptations.generic_stub(
        channel._channel,
        options.host,
        options.metadata_transformer,
        options.request_serializers,
        options.response_deserializers,
    )


def dynamic_stub(channel, service, cardinalities, options=None):
    """A `face.DynamicStub` for the methods whose `Cardinality` is given by name."""
    options = _EMPTY_STUB_OPTIONS if options is None else options
    return _client_adaptations.dynamic_stub(
        channel._channel,
        service,
        cardinalities,
        options.host,
        options.metadata_transformer,
        options.request_serializers,
        options.response_deserializers,
    )


class ServerOptions:
    """See `server_options`."""

    def __init__(
        self,
        multi_method_implementation,
        request_deserializers,
        response_serializers,
        thread_pool,
        thread_pool_size,
        default_timeout,
        maximum_timeout,
    ):
        self.multi_method_implementation = multi_method_implementation
        self.request_deserializers = request_deserializers
        self.response_serializers = response_serializers
        self.thread_pool = thread_pool
        self.thread_pool_size = thread_pool_size
        self.default_timeout = default_timeout
        self.maximum_timeout = maximum_timeout


_EMPTY_SERVER_OPTIONS = ServerOptions(None, None, None, None, None, None, None)


def server_options(
    multi_method_implementation=None,
    request_deserializers=None,
    response_serializers=None,
    thread_pool=None,
    thread_pool_size=None,
    default_timeout=None,
    maximum_timeout=None,
):
    """Who answers for methods that are not implemented one by one (a
    `face.MultiMethodImplementation`), functions for messages by (group, method), and the executor.
    The timeouts have no effect."""
    return ServerOptions(
        multi_method_implementation,
        request_deserializers,
        response_serializers,
        thread_pool,
        thread_pool_size,
        default_timeout,
        maximum_timeout,
    )


def server(service_implementations, options=None):
    """A `grpc.beta.interfaces.Server` for `face.MethodImplementation`s by (group, method)."""
    options = _EMPTY_SERVER_OPTIONS if options is None else options
    return _server_adaptations.server(
        service_implementations,
        options.multi_method_implementation,
        options.request_deserializers,
        options.response_serializers,
        options.thread_pool,
        options.thread_pool_size,
    )
