"""`grpc.tools` is `grpc_tools`, where that is installed."""

import importlib
import sys

sys.modules[__name__] = importlib.import_module("grpc_tools")
