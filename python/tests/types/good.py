"""A program that is well typed: mypy must find nothing in it. It is not run."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import grpc.experimental
from ferrpc import credentials
from grpc.experimental import session_cache


def reply(request: int, context: grpc.ServicerContext) -> str:
    context.set_trailing_metadata([("key", "value"), ("key-bin", b"value")])
    remaining: float | None = context.time_remaining()
    if remaining is None:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no deadline")
    return str(request)


def replies(requests: Iterator[int], context: grpc.ServicerContext) -> Iterator[str]:
    for request in requests:
        yield reply(request, context)


def encode(value: object) -> bytes:
    return str(value).encode()


class Logging(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, int], Any],
        client_call_details: grpc.ClientCallDetails,
        request: int,
    ) -> Any:
        return continuation(client_call_details, request)

    def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.ClientCallDetails, int], Any],
        client_call_details: grpc.ClientCallDetails,
        request: int,
    ) -> Any:
        return continuation(client_call_details, request)


class Refusing(grpc.ServerInterceptor):
    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        if dict(handler_call_details.invocation_metadata).get("password") is None:
            return None
        return continuation(handler_call_details)


def serve() -> int:
    server = grpc.server(
        futures.ThreadPoolExecutor(4),
        interceptors=[Refusing()],
        options=[("grpc.so_reuseport", 0)],
        compression=grpc.Compression.Gzip,
    )
    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(reply, int, encode),
        "Many": grpc.stream_stream_rpc_method_handler(replies, int, encode),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", handlers),))
    port: int = server.add_insecure_port("localhost:0")
    server.start()
    stopped: bool = server.stop(1.5).wait(2)
    return port if stopped and not server.wait_for_termination(1) else 0


def watched(server: grpc.Server, folder: pathlib.Path) -> grpc.Channel:
    mine = credentials.ssl_server_credentials(folder / "key", "chain", optional_client_auth=False)
    port = server.add_secure_port("localhost:0", mine)
    trust: grpc.ChannelCredentials = credentials.ssl_channel_credentials("roots", interval=0.5)
    return grpc.secure_channel(f"localhost:{port}", trust)


def ask(target: str) -> str:
    cache = session_cache.ssl_session_cache_lru(8)
    options = [("grpc.ssl_session_cache", cache)]
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(), options) as secure:
        channel = grpc.intercept_channel(secure, Logging())
        grpc.channel_ready_future(channel).result(timeout=1)
        one = channel.unary_unary("/s/One", encode, bytes.decode)
        try:
            text: str = one(1, timeout=3, metadata=(("k", "v"),), wait_for_ready=True)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return f"{code.name} {error.details()}"
        again, call = one.with_call(2)
        future = one.future(3)
        future.add_done_callback(lambda done: print(done.result(), done.code()))
        many = channel.stream_stream("/s/Many", encode, bytes.decode)
        stream = many(iter([1, 2]))
        words: list[str] = [word.upper() for word in stream]
        stream.cancel()
        return text + again.upper() + future.result().upper() + call.details() + "".join(words)
