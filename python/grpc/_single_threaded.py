"""A stream of responses that is read without any thread but its reader's.

It says that it is from `grpc._channel`, as those in `grpc._rendezvous` do.
"""

import sys

import grpc
from grpc import _common
from grpc._ended import End, code_of, debug_error_string
from grpc._rendezvous import _CANCELLED, _Rendezvous


class _SingleThreadedRendezvous(_Rendezvous, grpc.Call, grpc.Future):
    """A stream of responses that uses its reader's thread only: what is known at its end cannot be
    had before."""

    __module__ = "grpc._channel"

    def _over(self, what):
        if self._end is None:
            from grpc.experimental import UsageError

            raise UsageError(what)
        return self._end

    def _known(self):
        return self._end

    def initial_metadata(self):
        if self._engine_call is None:
            return self._end.initial_metadata()
        return self._engine_call.initial_metadata()

    def trailing_metadata(self):
        end = self._over("Cannot get trailing metadata until RPC is completed.")
        return end.trailing_metadata()

    def code(self):
        end = self._over("Cannot get code until RPC is completed.")
        return code_of(end)

    def details(self):
        return _common.decode(self._over("Cannot get details until RPC is completed.").details)

    def debug_error_string(self):
        end = self._over("Cannot get debug error string until RPC is completed.")
        return debug_error_string(end, self.cancelled())

    def cancel(self):
        cancelled = super().cancel()
        if cancelled:
            self._end = End(_CANCELLED, "Locally cancelled by application!")
            if self._postponed:
                self._resume()
        return cancelled

    def running(self):
        return self._end is None

    def done(self):
        return self._end is not None

    def _settled(self, name):
        end = self._over(
            f"_SingleThreadedRendezvous only supports {name}() when the RPC is complete."
        )
        if self.cancelled():
            raise grpc.FutureCancelledError()
        return end

    def result(self, timeout=None):
        if self._settled("result").code == 0:
            return self._response
        raise self

    def exception(self, timeout=None):
        return None if self._settled("exception").code == 0 else self

    def traceback(self, timeout=None):
        if self._settled("traceback").code == 0:
            return None
        try:
            raise self
        except grpc.RpcError:
            return sys.exc_info()[2]

    def add_done_callback(self, fn):
        self._over(
            "_SingleThreadedRendezvous only supports add_done_callback() when the RPC is complete."
        )
        fn(self)
