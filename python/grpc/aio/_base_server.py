"""The interfaces of servers and of what handlers see of their calls."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, NoReturn, Optional

import grpc
from grpc.aio._metadata import MetadataType
from grpc.aio._typing import DoneCallbackType, RequestType, ResponseType


class Server(abc.ABC):
    """Serves RPCs on the event loop it was made on."""

    @abc.abstractmethod
    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]
    ) -> None:
        """Adds handlers, which are asked for each RPC, the first first."""

    def add_registered_method_handlers(self, service_name: Any, method_handlers: Any) -> None:
        """Adds the handlers of a service, by the names of its methods."""

    @abc.abstractmethod
    def add_insecure_port(self, address: str) -> int:
        """Listens on `address` without security; the port's number. To be called before `start`."""

    @abc.abstractmethod
    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Listens on `address`; the port's number. To be called before `start`."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Begins to serve. Once only."""

    @abc.abstractmethod
    async def stop(self, grace: Optional[float]) -> None:
        """No more RPCs; those that run have `grace` seconds (None: no time), then they are
        cancelled. Returns when all are over."""

    @abc.abstractmethod
    async def wait_for_termination(self, timeout: Optional[float] = None) -> bool:
        """Waits until the server has stopped, at most `timeout` seconds. False if it has."""


class ServicerContext(Generic[RequestType, ResponseType], abc.ABC):
    """An RPC as its handler sees it."""

    @abc.abstractmethod
    async def read(self) -> RequestType:
        """The next request; `grpc.aio.EOF` after the last."""

    @abc.abstractmethod
    async def write(self, message: ResponseType) -> None:
        """Sends a response."""

    @abc.abstractmethod
    async def send_initial_metadata(self, initial_metadata: MetadataType) -> None:
        """Sends the initial metadata now, rather than with the first response."""

    @abc.abstractmethod
    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: MetadataType = ()
    ) -> NoReturn:
        """Ends the RPC with this status, and the handler by an exception."""

    @abc.abstractmethod
    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """As `abort`, with what is in `status`."""

    @abc.abstractmethod
    def set_trailing_metadata(self, trailing_metadata: MetadataType) -> None:
        """What is sent with the status."""

    @abc.abstractmethod
    def invocation_metadata(self) -> Optional[MetadataType]:
        """What the client sent first."""

    @abc.abstractmethod
    def set_code(self, code: grpc.StatusCode) -> None:
        """The code the RPC will end with."""

    @abc.abstractmethod
    def set_details(self, details: str) -> None:
        """The text the RPC will end with."""

    @abc.abstractmethod
    def set_compression(self, compression: grpc.Compression) -> None:
        """How responses are compressed; to be called before the first of them."""

    @abc.abstractmethod
    def disable_next_message_compression(self) -> None:
        """The next response is not compressed."""

    @abc.abstractmethod
    def peer(self) -> str:
        """The client's address."""

    @abc.abstractmethod
    def peer_identities(self) -> Optional[Iterable[bytes]]:
        """Who the client has proved to be; None if it has not."""

    @abc.abstractmethod
    def peer_identity_key(self) -> Optional[str]:
        """The property of `auth_context` that identifies the client; None without one."""

    @abc.abstractmethod
    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What is known of the connection's security."""

    def time_remaining(self) -> float:
        """The seconds left to the deadline."""
        raise NotImplementedError

    def trailing_metadata(self) -> MetadataType:
        """What was set to be sent with the status."""
        raise NotImplementedError

    def code(self) -> grpc.StatusCode:
        """The code that was set."""
        raise NotImplementedError

    def details(self) -> str:
        """The text that was set."""
        raise NotImplementedError

    def add_done_callback(self, callback: DoneCallbackType) -> None:
        """Has `callback` called with this object at the RPC's end."""

    def cancelled(self) -> bool:
        """Whether the RPC was cancelled."""
        raise NotImplementedError

    def done(self) -> bool:
        """Whether the RPC is over."""
        raise NotImplementedError
