"""Interceptors: their interfaces, and the calls that run through those of a channel."""

from grpc.aio._call import StreamStreamCall, StreamUnaryCall, UnaryStreamCall, UnaryUnaryCall
from grpc.aio._intercepted import (
    InterceptedCall,
    InterceptedStreamStreamCall,
    InterceptedStreamUnaryCall,
    InterceptedUnaryStreamCall,
    InterceptedUnaryUnaryCall,
    StreamStreamCallResponseIterator,
    UnaryStreamCallResponseIterator,
    UnaryUnaryCallResponse,
)
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
    "InterceptedCall",
    "InterceptedStreamStreamCall",
    "InterceptedStreamUnaryCall",
    "InterceptedUnaryStreamCall",
    "InterceptedUnaryUnaryCall",
    "ServerInterceptor",
    "StreamStreamCall",
    "StreamStreamCallResponseIterator",
    "StreamStreamClientInterceptor",
    "StreamUnaryCall",
    "StreamUnaryClientInterceptor",
    "UnaryStreamCall",
    "UnaryStreamCallResponseIterator",
    "UnaryStreamClientInterceptor",
    "UnaryUnaryCall",
    "UnaryUnaryCallResponse",
    "UnaryUnaryClientInterceptor",
)
