"""`grpc.reflection` is `grpc_reflection`, where that is installed."""

import importlib
import sys

sys.modules[__name__] = importlib.import_module("grpc_reflection")
