"""Calls as programs hold them. What they do is in `_calling`, `_receiving` and `_sending`."""

from grpc.aio import _base_call
from grpc.aio._calling import Call
from grpc.aio._errors import AioRpcError
from grpc.aio._receiving import StreamResponse, UnaryResponse
from grpc.aio._sending import StreamRequest
from grpc.aio._typing import RequestType, ResponseType

__all__ = (
    "AioRpcError",
    "Call",
    "StreamStreamCall",
    "StreamUnaryCall",
    "UnaryStreamCall",
    "UnaryUnaryCall",
)


class UnaryUnaryCall(
    UnaryResponse[RequestType, ResponseType],
    _base_call.UnaryUnaryCall[RequestType, ResponseType],
):
    """A call with one request and one response."""


class UnaryStreamCall(
    StreamResponse[RequestType, ResponseType],
    _base_call.UnaryStreamCall[RequestType, ResponseType],
):
    """A call with one request and a stream of responses."""


class StreamUnaryCall(
    StreamRequest[RequestType, ResponseType],
    UnaryResponse[RequestType, ResponseType],
    _base_call.StreamUnaryCall[RequestType, ResponseType],
):
    """A call with a stream of requests and one response."""


class StreamStreamCall(
    StreamRequest[RequestType, ResponseType],
    StreamResponse[RequestType, ResponseType],
    _base_call.StreamStreamCall[RequestType, ResponseType],
):
    """A call with a stream each way."""
