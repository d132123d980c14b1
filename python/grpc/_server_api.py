"""The interfaces of the server side: contexts, handlers, interceptors and servers.

They are abstract: `grpc._server` and `grpc._utilities` implement them, and so may anybody else.
Programs decide by `isinstance`, so the inheritance is real.
"""

import abc
from typing import Protocol, runtime_checkable

from grpc._client_api import RpcContext


class Status(abc.ABC):
    """How an RPC ends, for `ServicerContext.abort_with_status`.

    Attributes: `code` (`grpc.StatusCode`), `details` (str), `trailing_metadata` (pairs or None).
    """


class ServicerContext(RpcContext):
    """An RPC as its handler sees it; the second argument of each behaviour."""

    @abc.abstractmethod
    def invocation_metadata(self):
        """The metadata the client sent: a tuple of pairs of key and value."""
        raise NotImplementedError

    @abc.abstractmethod
    def peer(self):
        """Where the call came from, a str such as `ipv4:192.0.2.1:50123`."""
        raise NotImplementedError

    @abc.abstractmethod
    def peer_identities(self):
        """The names the client has proved, a list of bytes; None when it has proved none."""
        raise NotImplementedError

    @abc.abstractmethod
    def peer_identity_key(self):
        """The property of `auth_context()` which holds those names, a str or None."""
        raise NotImplementedError

    @abc.abstractmethod
    def auth_context(self):
        """What is known of the connection: a dict of str to lists of bytes."""
        raise NotImplementedError

    def set_compression(self, compression):
        """Has responses compressed by a `grpc.Compression`. Before anything is sent."""
        raise NotImplementedError

    @abc.abstractmethod
    def send_initial_metadata(self, initial_metadata):
        """Sends metadata before any response. Raises ValueError if some was sent already."""
        raise NotImplementedError

    @abc.abstractmethod
    def set_trailing_metadata(self, trailing_metadata):
        """Sets the metadata that will be sent with the status."""
        raise NotImplementedError

    def trailing_metadata(self):
        """What was given to `set_trailing_metadata`, or None."""
        raise NotImplementedError

    @abc.abstractmethod
    def abort(self, code, details):
        """Raises an exception that ends the handler, and the RPC with this `grpc.StatusCode` (not
        OK) and this str; to catch it changes nothing."""
        raise NotImplementedError

    @abc.abstractmethod
    def abort_with_status(self, status):
        """As `abort`, with a `grpc.Status`."""
        raise NotImplementedError

    @abc.abstractmethod
    def set_code(self, code):
        """Sets the `grpc.StatusCode` that the RPC will end with."""
        raise NotImplementedError

    @abc.abstractmethod
    def set_details(self, details):
        """Sets the str that goes with a code other than OK."""
        raise NotImplementedError

    def code(self):
        """What was given to `set_code`, or None."""
        raise NotImplementedError

    def details(self):
        """What was given to `set_details`, as bytes, or None."""
        raise NotImplementedError

    def disable_next_message_compression(self):
        """Sends the next response uncompressed."""
        raise NotImplementedError


class RpcMethodHandler(abc.ABC):
    """How a method is served.

    Attributes: `request_streaming` and `response_streaming` (bool), `request_deserializer`
    (function from bytes) and `response_serializer` (function to bytes), each None for bytes as they
    are, and `unary_unary`, `unary_stream`, `stream_unary`, `stream_stream`: the one that fits holds
    the behaviour, a function of request (or iterator of requests) and `grpc.ServicerContext`.
    """


@runtime_checkable
class HandlerCallDetails(Protocol):
    """A call for which a handler is looked for."""

    method: str
    invocation_metadata: tuple


class GenericRpcHandler(abc.ABC):
    """Finds handlers for calls."""

    @abc.abstractmethod
    def service(self, handler_call_details):
        """The `grpc.RpcMethodHandler` for a `grpc.HandlerCallDetails`, or None."""
        raise NotImplementedError


class ServiceRpcHandler(GenericRpcHandler):
    """Finds handlers for the methods of one service."""

    @abc.abstractmethod
    def service_name(self):
        """The service's full name, `package.Service`."""
        raise NotImplementedError


class ServerInterceptor(abc.ABC):
    """Stands between calls and their handlers."""

    @abc.abstractmethod
    def intercept_service(self, continuation, handler_call_details):
        """Returns the `grpc.RpcMethodHandler` for a call, or None; that of the interceptors and
        handlers behind is `continuation(handler_call_details)`."""
        raise NotImplementedError


class Server(abc.ABC):
    """Serves RPCs. Handlers and ports are added before it starts."""

    @abc.abstractmethod
    def add_generic_rpc_handlers(self, generic_rpc_handlers):
        """Adds an iterable of `grpc.GenericRpcHandler`, asked in order."""
        raise NotImplementedError

    def add_registered_method_handlers(self, service_name, method_handlers):
        """Adds a service's handlers: a dict of method names to `grpc.RpcMethodHandler`. They are
        asked before the generic ones."""

    @abc.abstractmethod
    def add_insecure_port(self, address):
        """Listens on an address without TLS and returns the port, an int. Raises RuntimeError when
        it cannot be bound."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_secure_port(self, address, server_credentials):
        """Listens on an address with `grpc.ServerCredentials` and returns the port, an int. Raises
        RuntimeError when it cannot be bound."""
        raise NotImplementedError

    @abc.abstractmethod
    def start(self):
        """Begins to serve. Raises ValueError when it was started already."""
        raise NotImplementedError

    @abc.abstractmethod
    def stop(self, grace):
        """Accepts nothing new and ends calls after `grace` seconds. Returns a `threading.Event`
        that is set once all is over; with a grace of None, waits for it."""
        raise NotImplementedError

    def wait_for_termination(self, timeout=None):
        """Waits until the server has stopped. True when `timeout` seconds passed first."""
        raise NotImplementedError
