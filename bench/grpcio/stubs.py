"""The generated modules, found where `build` put them."""

import pkgutil

import grpc

# The interop protos live in grpc/testing, and Python would look for that inside grpcio's own
# package, which has no such part.
grpc.__path__ = pkgutil.extend_path(grpc.__path__, "grpc")

import test_service_pb2 as example_pb2  # noqa: E402
import test_service_pb2_grpc as example_pb2_grpc  # noqa: E402
from grpc.testing import empty_pb2, messages_pb2, test_pb2, test_pb2_grpc  # noqa: E402

__all__ = [
    "empty_pb2",
    "example_pb2",
    "example_pb2_grpc",
    "grpc",
    "messages_pb2",
    "test_pb2",
    "test_pb2_grpc",
]
