"""Calls as programs hold them."""

from grpc.aio._errors import AioRpcError

__all__ = "AioRpcError", "Call", "StreamStreamCall", "StreamUnaryCall", "UnaryStreamCall", "UnaryUnaryCall"
