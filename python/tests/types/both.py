"""A program that is well typed with types-grpcio, and so with ferrpc's own types. It is not run.

It calls, subclasses and implements all that types-grpcio knows of `grpc`; `both_aio.py` does so
with `grpc.aio`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, TypeVar, Union

import grpc

if TYPE_CHECKING:
    from grpc import _CallFuture, _CallIterator, _Metadata, _Options

Q = TypeVar("Q")
S = TypeVar("S")
Pairs = tuple[tuple[str, Union[str, bytes]], ...]


def encode(value: int) -> bytes:
    return str(value).encode()


def decode(value: bytes) -> str:
    return value.decode()


# -- a client --------------------------------------------------------------------------------------


def credentials(plugin: grpc.AuthMetadataPlugin) -> list[grpc.ChannelCredentials]:
    token: grpc.CallCredentials = grpc.access_token_call_credentials("t")
    asked = grpc.metadata_call_credentials(plugin, name="plugin")
    ssl = grpc.ssl_channel_credentials(b"roots", private_key=b"key", certificate_chain=b"chain")
    return [
        ssl,
        grpc.ssl_channel_credentials(),
        grpc.local_channel_credentials(),
        grpc.local_channel_credentials(grpc.LocalConnectionType.UDS),
        grpc.alts_channel_credentials(["account"]),
        grpc.compute_engine_channel_credentials(token),
        grpc.xds_channel_credentials(ssl),
        grpc.composite_channel_credentials(ssl, token),
        grpc.composite_channel_credentials(ssl, grpc.composite_call_credentials(token, asked)),
        grpc.ChannelCredentials(None),
    ]


class Plugin(grpc.AuthMetadataPlugin):
    def __call__(
        self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback
    ) -> None:
        text: str = context.service_url + context.method_name
        callback((("k", text),), None)
        callback((), ValueError("no"))


class Callback(grpc.AuthMetadataPluginCallback):
    def __call__(self, metadata: Pairs, error: Exception | None) -> None:
        pass


class Details(NamedTuple):
    method: str
    timeout: Optional[float]
    metadata: Optional[Pairs]
    credentials: Optional[grpc.CallCredentials]
    wait_for_ready: Optional[bool]
    compression: Optional[grpc.Compression]


class CallDetails(Details, grpc.ClientCallDetails):
    pass


class PlainDetails(grpc.ClientCallDetails):
    def __init__(self, base: grpc.ClientCallDetails) -> None:
        self.method = base.method
        self.timeout = base.timeout
        self.metadata = (base.metadata or ()) + (("k", "v"),)
        self.credentials = base.credentials
        self.wait_for_ready = base.wait_for_ready
        self.compression = base.compression


class Everything(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Q], _CallFuture[S]],
        client_call_details: grpc.ClientCallDetails,
        request: Q,
    ) -> _CallFuture[S]:
        call = continuation(PlainDetails(client_call_details), request)
        call.add_done_callback(lambda done: None)
        return call

    def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Q], _CallIterator[S]],
        client_call_details: grpc.ClientCallDetails,
        request: Q,
    ) -> _CallIterator[S]:
        return continuation(client_call_details, request)

    def intercept_stream_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Iterator[Q]], _CallFuture[S]],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Q],
    ) -> _CallFuture[S]:
        return continuation(client_call_details, request_iterator)

    def intercept_stream_stream(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Iterator[Q]], _CallIterator[S]],
        client_call_details: grpc.ClientCallDetails,
        request_iterator: Iterator[Q],
    ) -> _CallIterator[S]:
        return continuation(client_call_details, request_iterator)


class Loose(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        details = CallDetails(
            client_call_details.method,
            client_call_details.timeout,
            client_call_details.metadata,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
            client_call_details.compression,
        )
        return continuation(details, request)


def ask(target: str, trust: grpc.ChannelCredentials, options: _Options) -> str:
    compression = grpc.Compression.Gzip
    with grpc.insecure_channel(target, options, compression) as plain:
        plain.subscribe(print, try_to_connect=True)
        plain.unsubscribe(print)
    channel: grpc.Channel = grpc.secure_channel(
        target, trust, [("grpc.keepalive_time_ms", 1000), ("grpc.lb_policy_name", "pick_first")]
    )
    channel = grpc.intercept_channel(channel, Everything(), Loose())
    ready: grpc.Future[None] = grpc.channel_ready_future(channel)
    ready.result(timeout=5)
    metadata: _Metadata = (("k", "v"), ("k-bin", b"v"))
    unary = channel.unary_unary("/s/UU", encode, decode)
    text: str = unary(1, 5.0, metadata, grpc.access_token_call_credentials("t"), True, compression)
    text = unary(1, timeout=1, metadata=metadata, wait_for_ready=None)
    answer, call = unary.with_call(1, metadata=(("k", "v"),))
    text += answer.upper() + call.details()
    future = unary.future(1)
    failure: Exception | None = future.exception(timeout=1)
    running: bool = future.running() or future.done() or future.cancelled() or future.cancel()
    text += future.result(1).upper() + str(failure) + str(running) + str(future.traceback())
    code: grpc.StatusCode = future.code()
    left: float = future.time_remaining()
    stream = channel.unary_stream("/s/US", encode, decode)(1, timeout=2)
    for word in stream:
        text += word.upper()
    text += next(stream) + str(stream.cancel()) + str(stream.add_callback(lambda: None))
    requests = iter([1, 2])
    total: str = channel.stream_unary("/s/SU", encode, decode)(requests)
    total, call = channel.stream_unary("/s/SU", encode, decode).with_call(requests)
    later = channel.stream_unary("/s/SU", encode, decode).future(requests)
    words: list[str] = list(channel.stream_stream("/s/SS", encode, decode)(requests))
    raw: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/s/UU")
    channel.close()
    return text + total + later.result() + "".join(words) + code.name + str(left) + str(raw(b""))


def errors(channel: grpc.Channel) -> str:
    try:
        channel.unary_unary("/s/UU", encode, decode)(1)
    except grpc.FutureTimeoutError as late:
        return str(late)
    except grpc.FutureCancelledError as cancelled:
        return str(cancelled)
    except grpc.RpcError as error:
        number, name = error.code().value
        value: bytes = b""
        for pair in error.trailing_metadata():
            name += pair.key
            value += pair.value
        if error.code() is grpc.StatusCode.NOT_FOUND or error.code() == grpc.StatusCode.OK:
            return name + (error.details() or "") + str(number)
    return ""


class MyError(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "mine"

    def initial_metadata(self) -> list[str]:
        return []

    def debug_error_string(self) -> None:
        return None


class MyFuture(grpc.Future[S]):
    def __init__(self, value: S) -> None:
        self._value = value

    def add_done_callback(self, fn: Callable[[grpc.Future[S]], None]) -> None:
        fn(self)

    def cancel(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def exception(self, timeout: float | None = None) -> Exception | None:
        return None

    def result(self, timeout: float | None = None) -> S:
        return self._value

    def running(self) -> bool:
        return False

    def traceback(self, timeout: float | None = None) -> None:
        return None


class MyCall(grpc.Call):
    def add_callback(self, callback: Callable[[], None]) -> bool:
        callback()
        return True

    def cancel(self) -> bool:
        return True

    def is_active(self) -> bool:
        return True

    def time_remaining(self) -> float:
        return 1.0

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    def details(self) -> str:
        return ""

    def initial_metadata(self) -> Pairs:
        return ()

    def trailing_metadata(self) -> Pairs:
        return ()


class MyUnary(grpc.UnaryUnaryMultiCallable[Q, S]):
    def __init__(self, inner: grpc.UnaryUnaryMultiCallable[Q, S]) -> None:
        self._inner = inner

    def __call__(
        self,
        request: Q,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> S:
        return self._inner(request, timeout, metadata, credentials, wait_for_ready, compression)

    def future(
        self,
        request: Q,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> _CallFuture[S]:
        return self._inner.future(request, timeout, metadata)

    def with_call(
        self,
        request: Q,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[S, grpc.Call]:
        return self._inner.with_call(request)


class MyChannel(grpc.Channel):
    def __init__(self, inner: grpc.Channel) -> None:
        self._inner = inner

    def close(self) -> None:
        self._inner.close()

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False
    ) -> None:
        self._inner.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        self._inner.unsubscribe(callback)

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], S] | None = None,
    ) -> grpc.UnaryUnaryMultiCallable[Q, S]:
        return MyUnary(self._inner.unary_unary(method, request_serializer, response_deserializer))

    def unary_stream(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], S] | None = None,
    ) -> grpc.UnaryStreamMultiCallable[Q, S]:
        return self._inner.unary_stream(method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], S] | None = None,
    ) -> grpc.StreamUnaryMultiCallable[Q, S]:
        return self._inner.stream_unary(method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Callable[[Q], bytes] | None = None,
        response_deserializer: Callable[[bytes], S] | None = None,
    ) -> grpc.StreamStreamMultiCallable[Q, S]:
        return self._inner.stream_stream(method, request_serializer, response_deserializer)


# -- a server --------------------------------------------------------------------------------------


class MyStatus(grpc.Status):
    def __init__(self, details: str) -> None:
        self.code = grpc.StatusCode.ABORTED
        self.details = details
        self.trailing_metadata = (("k", "v"),)


class Servicer:
    def one(self, request: int, context: grpc.ServicerContext) -> str:
        for key, value in context.invocation_metadata():
            context.set_details(f"{key} {value!r}")
        context.send_initial_metadata((("k", "v"),))
        context.set_trailing_metadata(context.invocation_metadata())
        context.set_code(grpc.StatusCode.OK)
        context.set_compression(grpc.Compression.Deflate)
        context.disable_next_message_compression()
        left: float = context.time_remaining()
        who = context.peer() + (context.peer_identity_key() or "") + str(left)
        identities: Iterable[bytes] = context.peer_identities() or ()
        properties: Mapping[str, bytes] = context.auth_context()
        if not context.is_active() or not context.add_callback(lambda: None):
            context.cancel()
            context.abort(grpc.StatusCode.CANCELLED, "left")
        if not properties:
            context.abort_with_status(MyStatus("none"))
        return who + str(list(identities)) + str(context.trailing_metadata())

    def many(
        self, requests: Iterator[int], context: grpc.ServicerContext
    ) -> Iterator[str]:
        for request in requests:
            yield self.one(request, context)

    async def later(self, request: int, context: grpc.aio.ServicerContext[int, str]) -> str:
        return str(request)


class Generic_(grpc.GenericRpcHandler):
    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[int, str] | None:
        if handler_call_details.method == "/s/UU":
            return grpc.unary_unary_rpc_method_handler(Servicer().one, int, str.encode)
        return None


class Named(grpc.ServiceRpcHandler):
    def service_name(self) -> str:
        return "s"

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        return None


class Handler(grpc.RpcMethodHandler[Q, S]):
    def __init__(self, base: grpc.RpcMethodHandler[Q, S]) -> None:
        self.request_streaming = base.request_streaming
        self.response_streaming = base.response_streaming
        self.request_deserializer = base.request_deserializer
        self.response_serializer = base.response_serializer
        self.unary_unary = base.unary_unary
        self.unary_stream = base.unary_stream
        self.stream_unary = base.stream_unary
        self.stream_stream = base.stream_stream


class Guard(grpc.ServerInterceptor):
    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Q, S] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Q, S] | None:
        metadata = dict(handler_call_details.invocation_metadata)
        handler = continuation(handler_call_details)
        return None if handler is None or "k" not in metadata else Handler(handler)


def server_credentials() -> list[grpc.ServerCredentials]:
    pairs = [(b"key", b"chain")]
    config: grpc.ServerCertificateConfiguration = grpc.ssl_server_certificate_configuration(
        pairs, root_certificates=b"roots"
    )
    return [
        grpc.ssl_server_credentials(pairs, b"roots", require_client_auth=True),
        grpc.dynamic_ssl_server_credentials(config, lambda: config, True),
        grpc.local_server_credentials(grpc.LocalConnectionType.LOCAL_TCP),
        grpc.alts_server_credentials(),
        grpc.xds_server_credentials(grpc.insecure_server_credentials()),
    ]


def serve(servicer: Servicer) -> threading.Event:
    handlers = {
        "UU": grpc.unary_unary_rpc_method_handler(
            servicer.one, request_deserializer=int, response_serializer=str.encode
        ),
        "Later": grpc.unary_unary_rpc_method_handler(servicer.later, int, str.encode),
        "SS": grpc.stream_stream_rpc_method_handler(servicer.many, int, str.encode),
        "US": grpc.unary_stream_rpc_method_handler(lambda r, c: iter(["a"]), int, str.encode),
        "SU": grpc.stream_unary_rpc_method_handler(lambda r, c: "a", int, str.encode),
    }
    generic = grpc.method_handlers_generic_handler("s", handlers)
    server: grpc.Server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=4),
        handlers=[generic, Generic_(), Named()],
        interceptors=[Guard()],
        options=(("grpc.so_reuseport", 0),),
        maximum_concurrent_rpcs=5,
        compression=grpc.Compression.NoCompression,
        xds=False,
    )
    server.add_generic_rpc_handlers((generic,))
    server.add_registered_method_handlers("s", handlers)
    port: int = server.add_insecure_port("[::]:0")
    port += server.add_secure_port("[::]:0", server_credentials()[0])
    server.start()
    over: bool = server.wait_for_termination(timeout=port)
    return server.stop(None if over else 1.5)


class MyContext(grpc.ServicerContext):
    def abort(self, code: grpc.StatusCode, details: str) -> Any:
        raise grpc.RpcError

    def abort_with_status(self, status: grpc.Status) -> Any:
        raise grpc.RpcError

    def add_callback(self, callback: Callable[[], None]) -> bool:
        return False

    def auth_context(self) -> Mapping[str, bytes]:
        return {}

    def cancel(self) -> bool:
        return False

    def invocation_metadata(self) -> Pairs:
        return ()

    def is_active(self) -> bool:
        return True

    def peer(self) -> str:
        return ""

    def peer_identities(self) -> Iterable[bytes] | None:
        return None

    def peer_identity_key(self) -> str | None:
        return None

    def send_initial_metadata(self, initial_metadata: Pairs) -> None:
        pass

    def set_code(self, code: grpc.StatusCode) -> None:
        pass

    def set_details(self, details: str) -> None:
        pass

    def set_trailing_metadata(self, trailing_metadata: Pairs) -> None:
        pass

    def time_remaining(self) -> float:
        return 1.0

    def trailing_metadata(self) -> Pairs:
        return ()

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    def details(self) -> str:
        return ""


def modules(path: str) -> list[ModuleType]:
    messages, services = grpc.protos_and_services(path)
    return [grpc.protos(path), grpc.services(path), messages, services]


def other(path: str) -> str:
    state: grpc.ChannelConnectivity = grpc.ChannelConnectivity.READY
    number: int = grpc.Compression.Gzip.value
    return grpc.__version__ + state.name + str(number) + path
