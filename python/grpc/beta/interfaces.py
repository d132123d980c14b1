"""The interfaces of the beta API that are gRPC's own; the others are in `grpc.framework`."""

import abc

import grpc

ChannelConnectivity = grpc.ChannelConnectivity
# What SHUTDOWN was called; an alias of it.
ChannelConnectivity.FATAL_FAILURE = ChannelConnectivity.SHUTDOWN

StatusCode = grpc.StatusCode

GRPCAuthMetadataContext = grpc.AuthMetadataContext
GRPCAuthMetadataPluginCallback = grpc.AuthMetadataPluginCallback
GRPCAuthMetadataPlugin = grpc.AuthMetadataPlugin


class GRPCCallOptions:
    """What may be asked for with a call: `credentials`, and that its request is not compressed."""

    def __init__(self, disable_compression, subcall_of, credentials):
        self.disable_compression = disable_compression
        self.subcall_of = subcall_of
        self.credentials = credentials


def grpc_call_options(disable_compression=False, credentials=None):
    """The value of the argument `protocol_options` of calls."""
    return GRPCCallOptions(disable_compression, None, credentials)


class GRPCServicerContext(abc.ABC):
    """The `protocol_context()` of a call being served."""

    @abc.abstractmethod
    def peer(self):
        """Who calls."""
        raise NotImplementedError

    @abc.abstractmethod
    def disable_next_response_compression(self):
        """Has the next response sent as it is."""
        raise NotImplementedError


class GRPCInvocationContext(abc.ABC):
    """The `protocol_context()` of a call being made."""

    @abc.abstractmethod
    def disable_next_request_compression(self):
        """Has the next request sent as it is."""
        raise NotImplementedError


class Server(abc.ABC):
    """Serves; a context manager, too, which starts and stops it."""

    @abc.abstractmethod
    def add_insecure_port(self, address):
        """Binds an address and returns the port."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_secure_port(self, address, server_credentials):
        """Binds an address for TLS and returns the port."""
        raise NotImplementedError

    @abc.abstractmethod
    def start(self):
        """Begins to serve."""
        raise NotImplementedError

    @abc.abstractmethod
    def stop(self, grace):
        """Ends; calls have `grace` seconds left. Returns an event that is set at the end."""
        raise NotImplementedError
