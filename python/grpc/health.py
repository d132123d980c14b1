"""`grpc.health` is `grpc_health`, where it is installed."""

import sys

import grpc_health

sys.modules[__name__] = grpc_health
