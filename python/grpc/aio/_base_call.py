"""The interfaces of calls.

Programs decide by `isinstance`, and packages subclass them: the inheritance is real.
"""

from abc import ABCMeta, abstractmethod
from collections.abc import AsyncIterator, Generator
from typing import Any, Generic, Optional, Union

import grpc
from grpc.aio._metadata import Metadata
from grpc.aio._typing import DoneCallbackType, EOFType, RequestType, ResponseType

__all__ = "Call", "RpcContext", "UnaryStreamCall", "UnaryUnaryCall"


class RpcContext(metaclass=ABCMeta):
    """What both sides of an RPC can see of it. Nothing here waits."""

    @abstractmethod
    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    @abstractmethod
    def done(self) -> bool:
        """Whether it is over."""

    @abstractmethod
    def time_remaining(self) -> Optional[float]:
        """The seconds left to the deadline, at least 0; None without a deadline."""

    @abstractmethod
    def cancel(self) -> bool:
        """Cancels it; False, and without effect, if it is over."""

    @abstractmethod
    def add_done_callback(self, callback: DoneCallbackType) -> None:
        """Has `callback` called with this object at the RPC's end."""


class Call(RpcContext):
    """An RPC as its caller sees it."""

    @abstractmethod
    async def initial_metadata(self) -> Metadata:
        """Waits for what the server sent first."""

    @abstractmethod
    async def trailing_metadata(self) -> Metadata:
        """Waits for the end: what the server sent with the status."""

    @abstractmethod
    async def code(self) -> grpc.StatusCode:
        """Waits for the end: the status code."""

    @abstractmethod
    async def details(self) -> str:
        """Waits for the end: the status's text."""

    @abstractmethod
    async def wait_for_connection(self) -> None:
        """Waits until the RPC is on its way; raises `AioRpcError` if it ended before."""


class UnaryUnaryCall(Generic[RequestType, ResponseType], Call):
    """One request, one response: awaiting it gives the response."""

    @abstractmethod
    def __await__(self) -> Generator[Any, None, ResponseType]:
        """The response; raises `AioRpcError` if there is none, `CancelledError` if cancelled."""


class UnaryStreamCall(Generic[RequestType, ResponseType], Call):
    """One request, a stream of responses: by `async for`, or by `read`, not by both."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[ResponseType]:
        """The responses; raises `AioRpcError` at the end if that was none with OK."""

    @abstractmethod
    async def read(self) -> Union[EOFType, ResponseType]:
        """The next response; `grpc.aio.EOF` after the last."""


class StreamUnaryCall(Generic[RequestType, ResponseType], Call):
    """A stream of requests, one response: awaiting it gives the response."""

    @abstractmethod
    async def write(self, request: RequestType) -> None:
        """Sends a request once there is room for it."""

    @abstractmethod
    async def done_writing(self) -> None:
        """No more requests follow. It may be said again."""

    @abstractmethod
    def __await__(self) -> Generator[Any, None, ResponseType]:
        """The response; raises `AioRpcError` if there is none, `CancelledError` if cancelled."""


class StreamStreamCall(Generic[RequestType, ResponseType], Call):
    """A stream each way, independent of each other."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[ResponseType]:
        """The responses; raises `AioRpcError` at the end if that was none with OK."""

    @abstractmethod
    async def read(self) -> Union[EOFType, ResponseType]:
        """The next response; `grpc.aio.EOF` after the last."""

    @abstractmethod
    async def write(self, request: RequestType) -> None:
        """Sends a request once there is room for it."""

    @abstractmethod
    async def done_writing(self) -> None:
        """No more requests follow. It may be said again."""
