# The types of the public API. What passes with types-grpcio passes with these, and some more.
# Interfaces are generic over requests and responses here; when the program runs they take no
# parameters, so write `"grpc.Future[Reply]"` in quotes.

import abc
import enum
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from types import ModuleType, TracebackType
from typing import (
    Any,
    Generic,
    NamedTuple,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

from typing_extensions import Self

from . import aio as aio

__version__: str

_T = TypeVar("_T")
_TRequest = TypeVar("_TRequest")
_TResponse = TypeVar("_TResponse")
_Value = TypeVar("_Value", covariant=True)

_Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
# Any iterable of pairs. Programs that implement these interfaces say less, each its own.
_MetadataArgument: TypeAlias = Any
_OptionKeyValue: TypeAlias = tuple[str, Any]
_Options: TypeAlias = Sequence[_OptionKeyValue]
_Serializer: TypeAlias = Callable[[_T], bytes]
_Deserializer: TypeAlias = Callable[[bytes], _T]

# Enumerations

@enum.unique
class StatusCode(enum.Enum):
    OK = (0, "ok")
    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")

@enum.unique
class ChannelConnectivity(enum.Enum):
    IDLE = (0, "idle")
    CONNECTING = (1, "connecting")
    READY = (2, "ready")
    TRANSIENT_FAILURE = (3, "transient failure")
    SHUTDOWN = (4, "shutdown")

@enum.unique
class Compression(enum.IntEnum):
    NoCompression = 0
    Deflate = 1
    Gzip = 2

@enum.unique
class LocalConnectionType(enum.Enum):
    UDS = 0
    LOCAL_TCP = 1

# Exceptions

class _Metadatum(NamedTuple):
    key: str
    value: Any

class RpcError(Exception):
    # What a call raises is a Call too; these spare users the cast.
    def code(self) -> StatusCode: ...
    def details(self) -> str | Any: ...  # None where programs make one without
    def initial_metadata(self) -> Any: ...
    def trailing_metadata(self) -> tuple[_Metadatum, ...]: ...
    def debug_error_string(self) -> Any: ...

class FutureTimeoutError(Exception): ...
class FutureCancelledError(Exception): ...

# What both sides share

class Future(abc.ABC, Generic[_Value]):
    @abc.abstractmethod
    def cancel(self) -> bool: ...
    @abc.abstractmethod
    def cancelled(self) -> bool: ...
    @abc.abstractmethod
    def running(self) -> bool: ...
    @abc.abstractmethod
    def done(self) -> bool: ...
    @abc.abstractmethod
    def result(self, timeout: float | None = None) -> _Value: ...
    @abc.abstractmethod
    def exception(self, timeout: float | None = None) -> Exception | None: ...
    @abc.abstractmethod
    def traceback(self, timeout: float | None = None) -> Any: ...
    @abc.abstractmethod
    def add_done_callback(self, fn: Callable[[Future[_Value]], None]) -> None: ...

class RpcContext(abc.ABC):
    @abc.abstractmethod
    def is_active(self) -> bool: ...
    @abc.abstractmethod
    def time_remaining(self) -> float | Any: ...  # None without a deadline
    @abc.abstractmethod
    def cancel(self) -> Any: ...
    @abc.abstractmethod
    def add_callback(self, callback: Callable[[], None]) -> bool: ...

# The client side

class Call(RpcContext):
    @abc.abstractmethod
    def initial_metadata(self) -> _Metadata: ...
    @abc.abstractmethod
    def trailing_metadata(self) -> _Metadata: ...
    @abc.abstractmethod
    def code(self) -> StatusCode: ...
    @abc.abstractmethod
    def details(self) -> str: ...

class _CallFuture(Call, Future[_Value], metaclass=abc.ABCMeta):
    @abc.abstractmethod
    def add_done_callback(self, fn: Callable[[Self], object]) -> None: ...

class _CallIterator(Call, Generic[_Value], metaclass=abc.ABCMeta):
    def __iter__(self) -> Iterator[_Value]: ...
    def __next__(self) -> _Value: ...

class ClientCallDetails(abc.ABC):
    method: str
    timeout: float | None
    metadata: _Metadata | None
    credentials: CallCredentials | None
    wait_for_ready: bool | None
    compression: Compression | None

# Interceptors that programs write are generic by their methods, or are for messages of one type, or
# of any: all of them pass.

class UnaryUnaryClientInterceptor(abc.ABC):
    @abc.abstractmethod
    def intercept_unary_unary(
        self,
        continuation: Callable[[ClientCallDetails, Any], Any],
        client_call_details: ClientCallDetails,
        request: Any,
    ) -> Any: ...

class UnaryStreamClientInterceptor(abc.ABC):
    @abc.abstractmethod
    def intercept_unary_stream(
        self,
        continuation: Callable[[ClientCallDetails, Any], Any],
        client_call_details: ClientCallDetails,
        request: Any,
    ) -> Any: ...

class StreamUnaryClientInterceptor(abc.ABC):
    @abc.abstractmethod
    def intercept_stream_unary(
        self,
        continuation: Callable[[ClientCallDetails, Any], Any],
        client_call_details: ClientCallDetails,
        request_iterator: Any,
    ) -> Any: ...

class StreamStreamClientInterceptor(abc.ABC):
    @abc.abstractmethod
    def intercept_stream_stream(
        self,
        continuation: Callable[[ClientCallDetails, Any], Any],
        client_call_details: ClientCallDetails,
        request_iterator: Any,
    ) -> Any: ...

class UnaryUnaryMultiCallable(abc.ABC, Generic[_TRequest, _TResponse]):
    @abc.abstractmethod
    def __call__(
        self,
        request: _TRequest,
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> _TResponse: ...
    @abc.abstractmethod
    def with_call(
        self,
        request: _TRequest,
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> tuple[_TResponse, Call]: ...
    @abc.abstractmethod
    def future(
        self,
        request: _TRequest,
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> _CallFuture[_TResponse]: ...

class UnaryStreamMultiCallable(abc.ABC, Generic[_TRequest, _TResponse]):
    @abc.abstractmethod
    def __call__(
        self,
        request: _TRequest,
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> _CallIterator[_TResponse]: ...

class StreamUnaryMultiCallable(abc.ABC, Generic[_TRequest, _TResponse]):
    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Iterator[_TRequest],
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> _TResponse: ...
    @abc.abstractmethod
    def with_call(
        self,
        request_iterator: Iterator[_TRequest],
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> tuple[_TResponse, Call]: ...
    @abc.abstractmethod
    def future(
        self,
        request_iterator: Iterator[_TRequest],
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> _CallFuture[_TResponse]: ...

class StreamStreamMultiCallable(abc.ABC, Generic[_TRequest, _TResponse]):
    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Iterator[_TRequest],
        timeout: float | None = None,
        metadata: _MetadataArgument = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> _CallIterator[_TResponse]: ...

class Channel(abc.ABC):
    @abc.abstractmethod
    def subscribe(
        self, callback: Callable[[ChannelConnectivity], None], try_to_connect: bool = False
    ) -> None: ...
    @abc.abstractmethod
    def unsubscribe(self, callback: Callable[[ChannelConnectivity], None]) -> None: ...
    @abc.abstractmethod
    def unary_unary(
        self,
        method: str,
        request_serializer: _Serializer[_TRequest] | None = None,
        response_deserializer: _Deserializer[_TResponse] | None = None,
    ) -> UnaryUnaryMultiCallable[_TRequest, _TResponse]: ...
    @abc.abstractmethod
    def unary_stream(
        self,
        method: str,
        request_serializer: _Serializer[_TRequest] | None = None,
        response_deserializer: _Deserializer[_TResponse] | None = None,
    ) -> UnaryStreamMultiCallable[_TRequest, _TResponse]: ...
    @abc.abstractmethod
    def stream_unary(
        self,
        method: str,
        request_serializer: _Serializer[_TRequest] | None = None,
        response_deserializer: _Deserializer[_TResponse] | None = None,
    ) -> StreamUnaryMultiCallable[_TRequest, _TResponse]: ...
    @abc.abstractmethod
    def stream_stream(
        self,
        method: str,
        request_serializer: _Serializer[_TRequest] | None = None,
        response_deserializer: _Deserializer[_TResponse] | None = None,
    ) -> StreamStreamMultiCallable[_TRequest, _TResponse]: ...
    @abc.abstractmethod
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None: ...

_Interceptor: TypeAlias = (
    UnaryUnaryClientInterceptor
    | UnaryStreamClientInterceptor
    | StreamUnaryClientInterceptor
    | StreamStreamClientInterceptor
)

def insecure_channel(
    target: str, options: _Options | None = None, compression: Compression | None = None
) -> Channel: ...
def secure_channel(
    target: str,
    credentials: ChannelCredentials,
    options: _Options | None = None,
    compression: Compression | None = None,
) -> Channel: ...
def intercept_channel(channel: Channel, *interceptors: _Interceptor) -> Channel: ...
def channel_ready_future(channel: Channel) -> Future[None]: ...

# The server side

class Status(abc.ABC):
    code: StatusCode
    details: str
    trailing_metadata: _MetadataArgument

class ServicerContext(RpcContext):
    @abc.abstractmethod
    def invocation_metadata(self) -> _Metadata: ...
    @abc.abstractmethod
    def peer(self) -> str: ...
    @abc.abstractmethod
    def peer_identities(self) -> Iterable[bytes] | None: ...
    @abc.abstractmethod
    def peer_identity_key(self) -> str | None: ...
    @abc.abstractmethod
    def auth_context(self) -> Mapping[str, Any]: ...  # lists of bytes
    def set_compression(self, compression: Compression) -> None: ...
    @abc.abstractmethod
    def send_initial_metadata(self, initial_metadata: _MetadataArgument) -> None: ...
    @abc.abstractmethod
    def set_trailing_metadata(self, trailing_metadata: _MetadataArgument) -> None: ...
    def trailing_metadata(self) -> _MetadataArgument: ...
    @abc.abstractmethod
    def abort(self, code: StatusCode, details: str) -> NoReturn: ...
    @abc.abstractmethod
    def abort_with_status(self, status: Status) -> NoReturn: ...
    @abc.abstractmethod
    def set_code(self, code: StatusCode) -> None: ...
    @abc.abstractmethod
    def set_details(self, details: str) -> None: ...
    def code(self) -> Any: ...  # a StatusCode, None before it is set
    def details(self) -> Any: ...  # bytes, None before they are set
    def disable_next_message_compression(self) -> None: ...

class RpcMethodHandler(abc.ABC, Generic[_TRequest, _TResponse]):
    request_streaming: bool
    response_streaming: bool
    request_deserializer: _Deserializer[_TRequest] | None
    response_serializer: _Serializer[_TResponse] | None
    unary_unary: Callable[[_TRequest, ServicerContext], _TResponse] | None
    unary_stream: Callable[[_TRequest, ServicerContext], Iterator[_TResponse]] | None
    stream_unary: Callable[[Iterator[_TRequest], ServicerContext], _TResponse] | None
    stream_stream: Callable[[Iterator[_TRequest], ServicerContext], Iterator[_TResponse]] | None

@runtime_checkable
class HandlerCallDetails(Protocol):
    method: str
    invocation_metadata: _Metadata

class GenericRpcHandler(abc.ABC):
    @abc.abstractmethod
    def service(
        self, handler_call_details: HandlerCallDetails
    ) -> RpcMethodHandler[Any, Any] | None: ...

class ServiceRpcHandler(GenericRpcHandler):
    @abc.abstractmethod
    def service_name(self) -> str: ...

class ServerInterceptor(abc.ABC):
    @abc.abstractmethod
    def intercept_service(
        self,
        continuation: Callable[[HandlerCallDetails], RpcMethodHandler[Any, Any] | None],
        handler_call_details: HandlerCallDetails,
    ) -> RpcMethodHandler[Any, Any] | None: ...

class Server(abc.ABC):
    @abc.abstractmethod
    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[GenericRpcHandler]
    ) -> None: ...
    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, RpcMethodHandler[Any, Any]]
    ) -> None: ...
    @abc.abstractmethod
    def add_insecure_port(self, address: str) -> int: ...
    @abc.abstractmethod
    def add_secure_port(self, address: str, server_credentials: ServerCredentials) -> int: ...
    @abc.abstractmethod
    def start(self) -> None: ...
    @abc.abstractmethod
    def stop(self, grace: float | None) -> threading.Event: ...
    def wait_for_termination(self, timeout: float | None = None) -> bool: ...

def server(
    thread_pool: Executor,
    handlers: Sequence[GenericRpcHandler] | None = None,
    interceptors: Sequence[ServerInterceptor] | None = None,
    options: _Options | None = None,
    maximum_concurrent_rpcs: int | None = None,
    compression: Compression | None = None,
    xds: bool = False,
) -> Server: ...

# A function, a coroutine function, a generator: of one request or of many, and a context of either
# API.
_Behaviour: TypeAlias = Callable[..., Any]

def unary_unary_rpc_method_handler(
    behavior: _Behaviour,
    request_deserializer: _Deserializer[_TRequest] | None = None,
    response_serializer: _Serializer[_TResponse] | None = None,
) -> RpcMethodHandler[_TRequest, _TResponse]: ...
def unary_stream_rpc_method_handler(
    behavior: _Behaviour,
    request_deserializer: _Deserializer[_TRequest] | None = None,
    response_serializer: _Serializer[_TResponse] | None = None,
) -> RpcMethodHandler[_TRequest, _TResponse]: ...
def stream_unary_rpc_method_handler(
    behavior: _Behaviour,
    request_deserializer: _Deserializer[_TRequest] | None = None,
    response_serializer: _Serializer[_TResponse] | None = None,
) -> RpcMethodHandler[_TRequest, _TResponse]: ...
def stream_stream_rpc_method_handler(
    behavior: _Behaviour,
    request_deserializer: _Deserializer[_TRequest] | None = None,
    response_serializer: _Serializer[_TResponse] | None = None,
) -> RpcMethodHandler[_TRequest, _TResponse]: ...
def method_handlers_generic_handler(
    service: str, method_handlers: Mapping[str, RpcMethodHandler[Any, Any]]
) -> GenericRpcHandler: ...

# Credentials

class ChannelCredentials:
    def __init__(self, credentials: Any) -> None: ...

class CallCredentials:
    def __init__(self, credentials: Any) -> None: ...

class ServerCredentials:
    def __init__(self, credentials: Any) -> None: ...

class ServerCertificateConfiguration:
    def __init__(self, certificate_configuration: Any) -> None: ...

class AuthMetadataContext(abc.ABC):
    service_url: str
    method_name: str

class AuthMetadataPluginCallback(abc.ABC):
    def __call__(self, metadata: _MetadataArgument, error: Exception | None) -> None: ...

class AuthMetadataPlugin(abc.ABC):
    def __call__(
        self, context: AuthMetadataContext, callback: AuthMetadataPluginCallback
    ) -> None: ...

_CertificateChainPair: TypeAlias = tuple[bytes, bytes]

def ssl_channel_credentials(
    root_certificates: bytes | None = None,
    private_key: bytes | None = None,
    certificate_chain: bytes | None = None,
) -> ChannelCredentials: ...
def xds_channel_credentials(
    fallback_credentials: ChannelCredentials | None = None,
) -> ChannelCredentials: ...
def local_channel_credentials(
    local_connect_type: LocalConnectionType = LocalConnectionType.LOCAL_TCP,
) -> ChannelCredentials: ...
def alts_channel_credentials(
    service_accounts: Sequence[str] | None = None,
) -> ChannelCredentials: ...
def compute_engine_channel_credentials(
    call_credentials: CallCredentials,
) -> ChannelCredentials: ...
def composite_channel_credentials(
    channel_credentials: ChannelCredentials, *call_credentials: CallCredentials
) -> ChannelCredentials: ...
def metadata_call_credentials(
    metadata_plugin: AuthMetadataPlugin
    | Callable[[AuthMetadataContext, AuthMetadataPluginCallback], object],
    name: str | None = None,
) -> CallCredentials: ...
def access_token_call_credentials(access_token: str) -> CallCredentials: ...
def composite_call_credentials(*call_credentials: CallCredentials) -> CallCredentials: ...
def ssl_server_credentials(
    private_key_certificate_chain_pairs: Sequence[_CertificateChainPair],
    root_certificates: bytes | None = None,
    require_client_auth: bool = False,
) -> ServerCredentials: ...
def ssl_server_certificate_configuration(
    private_key_certificate_chain_pairs: Sequence[_CertificateChainPair],
    root_certificates: bytes | None = None,
) -> ServerCertificateConfiguration: ...
def dynamic_ssl_server_credentials(
    initial_certificate_configuration: ServerCertificateConfiguration,
    certificate_configuration_fetcher: Callable[[], ServerCertificateConfiguration | None],
    require_client_authentication: bool = False,
) -> ServerCredentials: ...
def local_server_credentials(
    local_connect_type: LocalConnectionType = LocalConnectionType.LOCAL_TCP,
) -> ServerCredentials: ...
def alts_server_credentials() -> ServerCredentials: ...
def insecure_server_credentials() -> ServerCredentials: ...
def xds_server_credentials(fallback_credentials: ServerCredentials) -> ServerCredentials: ...

# Modules made from .proto files while the program runs

def protos(protobuf_path: str) -> ModuleType: ...
def services(protobuf_path: str) -> ModuleType: ...
def protos_and_services(protobuf_path: str) -> tuple[ModuleType, ModuleType]: ...

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
