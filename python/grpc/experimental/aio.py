"""The asyncio API under the name it had before it was `grpc.aio`."""

from grpc.aio import *  # noqa: F403
from grpc.aio import __all__ as __all__
