"""The interfaces of channels and of what makes calls."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Generic, Optional

import grpc
from grpc.aio import _base_call
from grpc.aio._metadata import MetadataType
from grpc.aio._typing import (
    DeserializingFunction,
    RequestIterableType,
    RequestType,
    ResponseType,
    SerializingFunction,
)

# What the four have in common: `timeout` is in seconds, `metadata` is sent first, `credentials`
# make this call alone, `wait_for_ready` has it wait while the server cannot be reached. The RPC
# begins at once, not when the call is awaited.


class UnaryUnaryMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """Makes calls with one request and one response."""

    @abc.abstractmethod
    def __call__(
        self,
        request: RequestType,
        *,
        timeout: Optional[float] = None,
        metadata: Optional[MetadataType] = None,
        credentials: Optional[grpc.CallCredentials] = None,
        wait_for_ready: Optional[bool] = None,
        compression: Optional[grpc.Compression] = None,
    ) -> _base_call.UnaryUnaryCall[RequestType, ResponseType]:
        """Begins a call."""


class UnaryStreamMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """Makes calls with one request and a stream of responses."""

    @abc.abstractmethod
    def __call__(
        self,
        request: RequestType,
        *,
        timeout: Optional[float] = None,
        metadata: Optional[MetadataType] = None,
        credentials: Optional[grpc.CallCredentials] = None,
        wait_for_ready: Optional[bool] = None,
        compression: Optional[grpc.Compression] = None,
    ) -> _base_call.UnaryStreamCall[RequestType, ResponseType]:
        """Begins a call."""


class StreamUnaryMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """Makes calls with a stream of requests and one response."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Optional[RequestIterableType] = None,
        timeout: Optional[float] = None,
        metadata: Optional[MetadataType] = None,
        credentials: Optional[grpc.CallCredentials] = None,
        wait_for_ready: Optional[bool] = None,
        compression: Optional[grpc.Compression] = None,
    ) -> _base_call.StreamUnaryCall[RequestType, ResponseType]:
        """Begins a call. The requests come from an iterable, asynchronous or not; without one they
        are written to the call."""


class StreamStreamMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """Makes calls with a stream each way."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Optional[RequestIterableType] = None,
        timeout: Optional[float] = None,
        metadata: Optional[MetadataType] = None,
        credentials: Optional[grpc.CallCredentials] = None,
        wait_for_ready: Optional[bool] = None,
        compression: Optional[grpc.Compression] = None,
    ) -> _base_call.StreamStreamCall[RequestType, ResponseType]:
        """Begins a call. The requests come from an iterable, asynchronous or not; without one they
        are written to the call."""


class Channel(abc.ABC):
    """A server as its clients see it. As a context manager it is closed at the end."""

    @abc.abstractmethod
    async def __aenter__(self) -> Channel:
        """The channel itself."""

    @abc.abstractmethod
    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_val: Optional[BaseException],
        exc_tb: Optional[TracebackType],
    ) -> Optional[bool]:
        """Closes it, and the calls that run."""

    @abc.abstractmethod
    async def close(self, grace: Optional[float] = None) -> None:
        """No more calls; those that run have `grace` seconds, then they are cancelled."""

    @abc.abstractmethod
    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the connection; begins to connect if asked to."""

    @abc.abstractmethod
    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the state is another one."""

    @abc.abstractmethod
    async def channel_ready(self) -> None:
        """Connects, and waits until that has succeeded."""

    @abc.abstractmethod
    def unary_unary(
        self,
        method: str,
        request_serializer: Optional[SerializingFunction] = None,
        response_deserializer: Optional[DeserializingFunction] = None,
        _registered_method: Optional[bool] = False,
    ) -> UnaryUnaryMultiCallable[RequestType, ResponseType]:
        """For a method by its path, `/package.Service/Method`. Without serialisers messages are
        bytes."""

    @abc.abstractmethod
    def unary_stream(
        self,
        method: str,
        request_serializer: Optional[SerializingFunction] = None,
        response_deserializer: Optional[DeserializingFunction] = None,
        _registered_method: Optional[bool] = False,
    ) -> UnaryStreamMultiCallable[RequestType, ResponseType]:
        """As `unary_unary`."""

    @abc.abstractmethod
    def stream_unary(
        self,
        method: str,
        request_serializer: Optional[SerializingFunction] = None,
        response_deserializer: Optional[DeserializingFunction] = None,
        _registered_method: Optional[bool] = False,
    ) -> StreamUnaryMultiCallable[RequestType, ResponseType]:
        """As `unary_unary`."""

    @abc.abstractmethod
    def stream_stream(
        self,
        method: str,
        request_serializer: Optional[SerializingFunction] = None,
        response_deserializer: Optional[DeserializingFunction] = None,
        _registered_method: Optional[bool] = False,
    ) -> StreamStreamMultiCallable[RequestType, ResponseType]:
        """As `unary_unary`."""
