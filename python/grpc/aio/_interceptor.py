"""Interceptors: their interfaces, and the calls that run through those of a channel."""

from grpc.aio._interceptor_api import (
    ClientCallDetails,
    ClientInterceptor,
    ServerInterceptor,
    StreamStreamClientInterceptor,
    StreamUnaryClientInterceptor,
    UnaryStreamClientInterceptor,
    UnaryUnaryClientInterceptor,
)

__all__ = (
    "ClientCallDetails",
    "ClientInterceptor",
    "ServerInterceptor",
    "StreamStreamClientInterceptor",
    "StreamUnaryClientInterceptor",
    "UnaryStreamClientInterceptor",
    "UnaryUnaryClientInterceptor",
)
