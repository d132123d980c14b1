"""The asyncio half of `both.py`: well typed with types-grpcio, and so with ferrpc's own types. It
is not run."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent import futures
from typing import Any, Generic, NamedTuple, Optional, TypeVar

import grpc

Q = TypeVar("Q")
S = TypeVar("S")


def encode(value: int) -> bytes:
    return str(value).encode()


def decode(value: bytes) -> str:
    return value.decode()


class MyStatus(grpc.Status):
    def __init__(self, details: str) -> None:
        self.code = grpc.StatusCode.ABORTED
        self.details = details
        self.trailing_metadata = (("k", "v"),)


# -- a client ------------------------------------------------------------------------------------


class AioDetails(NamedTuple):
    method: str
    timeout: Optional[float]
    metadata: Optional[grpc.aio.Metadata]
    credentials: Optional[grpc.CallCredentials]
    wait_for_ready: Optional[bool]


class AioCallDetails(AioDetails, grpc.aio.ClientCallDetails):
    pass


class AioUnary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[
            [grpc.aio.ClientCallDetails, Q], Awaitable[grpc.aio.UnaryUnaryCall[Q, S]]
        ],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Q,
    ) -> S | grpc.aio.UnaryUnaryCall[Q, S]:
        metadata = client_call_details.metadata or grpc.aio.Metadata()
        metadata.add("k", "v")
        details = grpc.aio.ClientCallDetails(
            client_call_details.method,
            client_call_details.timeout,
            metadata,
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )
        details = AioCallDetails(details.method, 5, metadata, None, details.wait_for_ready)
        call = await continuation(details, request)
        if await call.code() is grpc.StatusCode.OK:
            return await call
        return call


class AioStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self,
        continuation: Callable[
            [grpc.aio.ClientCallDetails, Q], Awaitable[grpc.aio.UnaryStreamCall[Q, S]]
        ],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Q,
    ) -> AsyncIterator[S] | grpc.aio.UnaryStreamCall[Q, S]:
        return await continuation(client_call_details, request)


class AioUpload(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: Callable[
            [grpc.aio.ClientCallDetails, AsyncIterable[Q] | Iterable[Q]],
            Awaitable[grpc.aio.StreamUnaryCall[Q, S]],
        ],
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: AsyncIterable[Q] | Iterable[Q],
    ) -> S | grpc.aio.StreamUnaryCall[Q, S]:
        return await continuation(client_call_details, request_iterator)


class AioBoth(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self,
        continuation: Callable[
            [grpc.aio.ClientCallDetails, AsyncIterable[Q] | Iterable[Q]],
            Awaitable[grpc.aio.StreamStreamCall[Q, S]],
        ],
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: AsyncIterable[Q] | Iterable[Q],
    ) -> AsyncIterator[S] | grpc.aio.StreamStreamCall[Q, S]:
        return await continuation(client_call_details, request_iterator)


async def numbers() -> AsyncIterator[int]:
    yield 1


async def aio_ask(target: str, trust: grpc.ChannelCredentials) -> str:
    interceptors: list[grpc.aio.ClientInterceptor] = [AioUnary(), AioStream(), AioUpload()]
    plain = grpc.aio.insecure_channel(target, interceptors=[AioBoth()])
    await plain.close(grace=1)
    async with grpc.aio.secure_channel(
        target, trust, (("k", 1),), grpc.Compression.Gzip, interceptors
    ) as channel:
        await channel.channel_ready()
        state = channel.get_state(try_to_connect=True)
        if state is not grpc.ChannelConnectivity.READY:
            await channel.wait_for_state_change(state)
        unary = channel.unary_unary("/s/UU", encode, decode)
        text: str = await unary(1, timeout=5, metadata=(("k", "v"),), wait_for_ready=True)
        call = unary(1, metadata=grpc.aio.Metadata(("k", "v"), ("k-bin", b"v")))
        call.add_done_callback(lambda done: None)
        await call.wait_for_connection()
        received: grpc.aio.Metadata = await call.trailing_metadata()
        text += (await call).upper() + (await call.code()).name + await call.details()
        if not call.done() and not call.cancelled() and (call.time_remaining() or 1) > 0:
            call.cancel()
        stream = channel.unary_stream("/s/US", encode, decode)(1)
        async for word in stream:
            text += word.upper()
        message = await stream.read()
        if message is grpc.aio.EOF:
            text += str(len(grpc.aio.EOF))
        upload = channel.stream_unary("/s/SU", encode, decode)(numbers(), timeout=1)
        text += await upload
        upload = channel.stream_unary("/s/SU", encode, decode)(iter([1]))
        await upload.write(1)
        await upload.done_writing()
        both: grpc.aio.StreamStreamCall[int, str] = channel.stream_stream(
            "/s/SS", encode, decode
        )()
        await both.write(1)
        await both.done_writing()
        words = [word async for word in both]
        value = received["k"]
        first = received.get("k", "default")
        pairs = [f"{key} {each!r}" for key, each in received]
        all_of_them: list[str | bytes] = received.get_all("k")
        received.set_all("k", all_of_them)
        received["k"] = value
        received.delete_all("k")
        del received["k"]
        keys = [key.upper() for key in received.keys()]
        sums = [len(values) for values in received.values()]
        both_ways = {key: values for key, values in received.items()}
        more: grpc.aio.Metadata = received + grpc.aio.Metadata.from_tuple((("a", "b"),))
        size = len(more) + sum(sums) + len(both_ways)
        try:
            await unary(1)
        except grpc.aio.AioRpcError as error:
            text += error.code().name + (error.details() or "") + str(error.debug_error_string())
            pairs += [str(pair) for pair in error.trailing_metadata()]
            text += str(error.initial_metadata().get("k"))
        except (grpc.aio.UsageError, grpc.aio.InternalError, grpc.aio.BaseError) as error:
            text += str(error)
        return text + "".join(words + pairs + keys) + str(first) + str(size)


def make_error() -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.OK, grpc.aio.Metadata(), trailing_metadata=None, details="none"
    )


class AioMyUnary(grpc.aio.UnaryUnaryMultiCallable[Q, S]):
    def __init__(self, inner: grpc.aio.UnaryUnaryMultiCallable[Q, S]) -> None:
        self._inner = inner

    def __call__(
        self,
        request: Q,
        *,
        timeout: float | None = None,
        metadata: grpc.aio.Metadata | Sequence[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryUnaryCall[Q, S]:
        return self._inner(request, timeout=timeout, metadata=metadata)


class AioMyUpload(grpc.aio.StreamUnaryMultiCallable[Q, S]):
    def __init__(self, inner: grpc.aio.StreamUnaryMultiCallable[Q, S]) -> None:
        self._inner = inner

    def __call__(
        self,
        request_iterator: AsyncIterator[Q] | Iterator[Q] | None = None,
        timeout: float | None = None,
        metadata: grpc.aio.Metadata | Sequence[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.StreamUnaryCall[Q, S]:
        return self._inner(request_iterator, timeout, metadata)


class Answered(grpc.aio.UnaryUnaryCall[Q, S], Generic[Q, S]):
    def __init__(self, response: S) -> None:
        self._response = response

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def time_remaining(self) -> float | None:
        return None

    def cancel(self) -> bool:
        return False

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata()

    async def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    async def details(self) -> str:
        return ""

    async def wait_for_connection(self) -> None:
        pass

    def __await__(self) -> Generator[None, None, S]:
        yield None
        return self._response


class Streamed(grpc.aio.UnaryStreamCall[Q, S]):
    async def read(self) -> object | S:
        return grpc.aio.EOF


# -- a server ------------------------------------------------------------------------------------


class AioServicer:
    async def one(self, request: int, context: grpc.aio.ServicerContext[int, str]) -> str:
        metadata = context.invocation_metadata()
        if metadata is not None:
            text = str(metadata.get("k")) + "".join(map(str, metadata.get_all("k")))
            context.set_details(text + "".join(key for key, _ in metadata))
        await context.send_initial_metadata((("k", "v"),))
        context.set_trailing_metadata(grpc.aio.Metadata(("k", "v")))
        context.set_code(grpc.StatusCode.OK)
        context.set_compression(grpc.Compression.Gzip)
        context.disable_next_message_compression()
        left: float = context.time_remaining()
        code: grpc.StatusCode = context.code()
        sent: grpc.aio.Metadata = context.trailing_metadata()
        identities: Iterable[bytes] | None = context.peer_identities()
        properties: Mapping[str, Iterable[bytes]] = context.auth_context()
        if context.done() or context.cancelled() or left < 0 or code is grpc.StatusCode.ABORTED:
            await context.abort(grpc.StatusCode.ABORTED, "left", (("k", "v"),))
        if sent is None or not properties:
            await context.abort_with_status(MyStatus("none"))
        key: str | None = context.peer_identity_key()
        return context.peer() + context.details() + str(identities) + str(key)

    async def both(
        self, requests: AsyncIterator[int], context: grpc.aio.ServicerContext[int, str]
    ) -> AsyncIterator[str]:
        async for request in requests:
            yield str(request)

    async def by_hand(
        self, requests: AsyncIterator[int], context: grpc.aio.ServicerContext[int, str]
    ) -> None:
        request = await context.read()
        await context.write(str(request + 1))


class AioGuard(grpc.aio.ServerInterceptor):
    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Q, S] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Q, S] | None:
        return await continuation(handler_call_details)


async def aio_serve(servicer: AioServicer) -> bool:
    handlers = {
        "UU": grpc.unary_unary_rpc_method_handler(servicer.one, int, str.encode),
        "SS": grpc.stream_stream_rpc_method_handler(servicer.both, int, str.encode),
        "Hand": grpc.stream_stream_rpc_method_handler(servicer.by_hand, int, str.encode),
    }
    server: grpc.aio.Server = grpc.aio.server(
        futures.ThreadPoolExecutor(4),
        handlers=[grpc.method_handlers_generic_handler("s", handlers)],
        interceptors=[AioGuard()],
        options=[("grpc.so_reuseport", 0)],
        maximum_concurrent_rpcs=None,
        compression=grpc.Compression.Gzip,
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("s", handlers)])
    server.add_registered_method_handlers("s", handlers)
    server.add_insecure_port("[::]:0")
    server.add_secure_port("[::]:0", grpc.insecure_server_credentials())
    await server.start()
    await server.stop(grace=None)
    return await server.wait_for_termination(timeout=1)


def main() -> None:
    grpc.aio.init_grpc_aio()
    asyncio.run(aio_serve(AioServicer()))
    grpc.aio.shutdown_grpc_aio()
