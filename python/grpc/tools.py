"""`grpc.tools` is `grpc_tools`, under the name it had long ago."""

import sys

import grpc_tools

sys.modules[__name__] = grpc_tools
