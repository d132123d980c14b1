"""The exceptions of the public API."""


class RpcError(Exception):
    """An RPC that did not end well. What is raised by a call is also its `grpc.Call`: it has
    `code()` and `details()`. Raised bare by a servicer context once its RPC has ended."""


class FutureTimeoutError(Exception):
    """A method of a `grpc.Future` waited as long as it was asked to, in vain."""


class FutureCancelledError(Exception):
    """What a `grpc.Future` stands for was cancelled."""
