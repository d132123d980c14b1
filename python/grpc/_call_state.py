"""The state of a call as programs know it from grpcio (`grpc._channel._RPCState`): they read it
from calls and errors, and make errors of it in their tests.

    state = grpc._channel._RPCState((), (), (), StatusCode.NOT_FOUND, "none")
    grpc._channel._InactiveRpcError(state)
"""

import threading

from grpc._enums import StatusCode

_UNKNOWN = StatusCode.UNKNOWN.value[0]


class _RPCState:
    """How far a call has come.

    Attributes: `code`, a `grpc.StatusCode`, or None while the call runs; `details`, a str;
    `initial_metadata` and `trailing_metadata`, pairs or None; `debug_error_string`; `cancelled`;
    `response`, the last one; `due`, `callbacks` and `condition`, which mean nothing here.
    """

    __module__ = "grpc._channel"

    def __init__(self, due, initial_metadata, trailing_metadata, code, details):
        self.condition = threading.Condition()
        self.due = set(due)
        self.initial_metadata = initial_metadata
        self.trailing_metadata = trailing_metadata
        self.code = code
        self.details = details
        self.debug_error_string = None
        self.cancelled = False
        self.callbacks = []
        self.response = None


class StatedEnd:
    """How a call ended by what a state says, whatever made it; read anew each time."""

    message = None

    def __init__(self, state):
        self._state = state

    @property
    def code(self):
        code = self._state.code
        return code.value[0] if isinstance(code, StatusCode) else _UNKNOWN

    @property
    def details(self):
        return self._state.details

    @property
    def debug_error_string(self):
        return self._state.debug_error_string

    def initial_metadata(self):
        return self._state.initial_metadata

    def trailing_metadata(self):
        return self._state.trailing_metadata


def of_error(error):
    """The state of an `_InactiveRpcError`."""
    state = _RPCState(
        (), error.initial_metadata(), error.trailing_metadata(), error._code, error.details()
    )
    state.debug_error_string = error._debug_error_string
    return state
