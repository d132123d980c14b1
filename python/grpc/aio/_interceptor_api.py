"""The interfaces of interceptors of both sides; they are from `grpc.aio._interceptor`."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Optional, Union

import grpc
from grpc.aio import _base_call
from grpc.aio._metadata import Metadata
from grpc.aio._typing import RequestIterableType, ResponseIterableType

_HERE = "grpc.aio._interceptor"


class ServerInterceptor(metaclass=ABCMeta):
    """Stands between RPCs that come in and their handlers."""

    __module__ = _HERE

    @abstractmethod
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """The handler of an RPC: that of `await continuation(handler_call_details)`, or
        another."""


class _Details(NamedTuple):
    method: bytes
    timeout: Optional[float]
    metadata: Optional[Metadata]
    credentials: Optional[grpc.CallCredentials]
    wait_for_ready: Optional[bool]


# Both have this name in grpcio.
_Details.__name__ = _Details.__qualname__ = "ClientCallDetails"
_Details.__module__ = _HERE


class ClientCallDetails(_Details, grpc.ClientCallDetails):
    """What a client interceptor can read, and replace, of a call about to be made.

    `method` is bytes; `metadata` is never None where it was not put there by an interceptor.
    """

    __module__ = _HERE


class ClientInterceptor(metaclass=ABCMeta):
    """What all client interceptors are."""

    __module__ = _HERE


class UnaryUnaryClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Stands between callers and calls with one request and one response."""

    __module__ = _HERE

    @abstractmethod
    async def intercept_unary_unary(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[_base_call.UnaryUnaryCall]],
        client_call_details: ClientCallDetails,
        request: Any,
    ) -> Union[_base_call.UnaryUnaryCall, Any]:
        """Called in place of the call. `await continuation(client_call_details, request)` makes it;
        a call is returned, or a response."""


class UnaryStreamClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Stands between callers and calls with one request and a stream of responses."""

    __module__ = _HERE

    @abstractmethod
    async def intercept_unary_stream(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[_base_call.UnaryStreamCall]],
        client_call_details: ClientCallDetails,
        request: Any,
    ) -> Union[ResponseIterableType, _base_call.UnaryStreamCall]:
        """Called in place of the call. `await continuation(client_call_details, request)` makes it;
        a call is returned, or responses to be iterated asynchronously."""


class StreamUnaryClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Stands between callers and calls with a stream of requests and one response."""

    __module__ = _HERE

    @abstractmethod
    async def intercept_stream_unary(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[_base_call.StreamUnaryCall]],
        client_call_details: ClientCallDetails,
        request_iterator: RequestIterableType,
    ) -> _base_call.StreamUnaryCall:
        """Called in place of the call. `await continuation(client_call_details, request_iterator)`
        makes it; a call is returned."""


class StreamStreamClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Stands between callers and calls with a stream each way."""

    __module__ = _HERE

    @abstractmethod
    async def intercept_stream_stream(
        self,
        continuation: Callable[[ClientCallDetails, Any], Awaitable[_base_call.StreamStreamCall]],
        client_call_details: ClientCallDetails,
        request_iterator: RequestIterableType,
    ) -> Union[ResponseIterableType, _base_call.StreamStreamCall]:
        """Called in place of the call. `await continuation(client_call_details, request_iterator)`
        makes it; a call is returned, or responses to be iterated asynchronously."""
