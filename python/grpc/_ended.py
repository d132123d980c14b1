"""How calls ended, and the error of one that was waited for.

The error says that it is from `grpc._channel`, where programs look for it and tracebacks show it.
"""

import copyreg
import sys

import grpc
from grpc import _common
from grpc._call_state import StatedEnd, of_error
from grpc._enums import StatusCode

_BY_NUMBER = _common.STATUS_CODE_BY_NUMBER

# The texts of calls and errors, of both APIs: name, code, details, and for failures one more.
WITH_DEBUG = (
    "<{} of RPC that terminated with:\n"
    '\tstatus = {}\n\tdetails = "{}"\n\tdebug_error_string = "{}"\n>'
)
WITHOUT_DEBUG = '<{} of RPC that terminated with:\n\tstatus = {}\n\tdetails = "{}"\n>'


def code_of(end):
    """The `grpc.StatusCode` of an end."""
    return _BY_NUMBER.get(end.code, StatusCode.UNKNOWN)


class End:
    """How a call ended, where that was decided here rather than by the engine."""

    message = None
    is_invalid_metadata = False

    def __init__(self, code, details, trailing_metadata=(), initial_metadata=()):
        self.code = code
        self.details = details
        self._trailing_metadata = trailing_metadata
        self._initial_metadata = initial_metadata

    @classmethod
    def copy(cls, end, initial_metadata):
        """One that can be pickled."""
        trailing_metadata = tuple(end.trailing_metadata() or ())
        return cls(end.code, end.details, trailing_metadata, tuple(initial_metadata or ()))

    def initial_metadata(self):
        return self._initial_metadata

    def trailing_metadata(self):
        return self._trailing_metadata


def debug_error_string(end, cancelled=False):
    """What an end says to those who debug; None for a call that its program cancelled."""
    if cancelled:
        return None
    if type(end) is StatedEnd:
        return end.debug_error_string
    if end.code == 0:
        return ""
    return f"{code_of(end).name}:{end.details}"


class _InactiveRpcError(grpc.RpcError, grpc.Call, grpc.Future):
    """What a blocking call raises: over, and its own future."""

    __module__ = "grpc._channel"

    def __init__(self, state):
        """`state` is how the engine's call ended; or a state of a program's own, an `_RPCState` or
        whatever is like one."""
        if type(state.code) is int:
            self._end = state
            self._code = code_of(state)
            self._debug_error_string = debug_error_string(state)
        else:
            self._end = StatedEnd(state)
            self._code = state.code
            self._debug_error_string = state.debug_error_string
        self._details = state.details

    def __reduce__(self):
        end = End.copy(self._end, self._end.initial_metadata())
        # Made without `__init__`, which a subclass may have with other arguments.
        return copyreg.__newobj__, (type(self), end), {**self.__dict__, "_end": end}

    def initial_metadata(self):
        return self._end.initial_metadata()

    def trailing_metadata(self):
        return self._end.trailing_metadata()

    def code(self):
        return self._code

    def details(self):
        return _common.decode(self._details)

    def debug_error_string(self):
        return self._debug_error_string

    @property
    def _state(self):
        return of_error(self)

    def _repr(self):
        name = type(self).__name__
        return WITH_DEBUG.format(name, self._code, self._details, self._debug_error_string)

    def __repr__(self):
        return self._repr()

    def __str__(self):
        return self._repr()

    def cancel(self):
        return False

    def cancelled(self):
        return False

    def running(self):
        return False

    def done(self):
        return True

    def result(self, timeout=None):
        raise self

    def exception(self, timeout=None):
        return self

    def traceback(self, timeout=None):
        try:
            raise self
        except grpc.RpcError:
            return sys.exc_info()[2]

    def add_done_callback(self, fn, timeout=None):
        fn(self)
