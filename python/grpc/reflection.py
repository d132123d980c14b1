"""`grpc.reflection` is `grpc_reflection`, where it is installed."""

import sys

import grpc_reflection

sys.modules[__name__] = grpc_reflection
