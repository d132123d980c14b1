"""Calls as programs hold them: futures and streams of responses.

They say that they are from `grpc._channel`, where programs look for them and tracebacks show them.
Each wraps one call of the engine, which knows how it ended; nothing is kept twice but what was
decided here: that a response could not be deserialised, that the program cancelled.
"""

import contextvars
import functools
import logging
import sys
import threading
import time

import grpc
from grpc import _common, _completions
from grpc._call_state import StatedEnd, _RPCState
from grpc._ended import WITH_DEBUG, WITHOUT_DEBUG, End, code_of, debug_error_string
from grpc._enums import StatusCode

_LOGGER = logging.getLogger("grpc._channel")

_CANCELLED = StatusCode.CANCELLED.value[0]
_INTERNAL = StatusCode.INTERNAL.value[0]

#: Seconds that an answer waits for callbacks to begin: those of the channel's other calls come
#: first.
_UNTIL_BEGUN = 1

#: Seconds that it then waits for them to be over.
_UNTIL_OVER = 0.05


class _Telling:
    """What is set when callbacks begin, and when they are over."""

    def __init__(self):
        self.begun = threading.Event()
        self.over = threading.Event()


class _Rendezvous(grpc.RpcError, grpc.RpcContext):
    """A call that runs: its iterator, its `grpc.Call`, its future, and the exception it raises.

    `call` is the engine's (None if it ended before it began), `end` how it ended if that is known.
    Programs make one of an `_RPCState`, for what they test.
    """

    __module__ = "grpc._channel"

    # Whether the end was read behind the last message, rather than heard of.
    _drained = False
    # Whether callbacks wait for the rest to be read.
    _postponed = False
    # To the reader of a stream a call runs until everything was read.
    _is_stream = True
    _looked_at = None
    _operating = None
    # What went wrong with its requests.
    _failures = ()
    # Where the callbacks of its channel run one after the other.
    _lane = None
    # The identity of the thread that runs its callbacks.
    _teller = None
    # What those wait for who answer behind the callbacks.
    _telling = None
    # When somebody first saw that it is over with its callbacks to be called.
    _seen_over = None

    def __init__(self, call, end, deserializer, deadline, response=None):
        if isinstance(call, _RPCState):
            self._looked_at = call
            call, end = None, StatedEnd(call)
        self._engine_call = call
        self._end = end
        self._response_deserializer = deserializer
        self._deadline = deadline
        self._response = response
        self._cancelled = False
        self._lock = threading.RLock()
        self._callbacks = None
        self._tag = None

    # -- the end -----------------------------------------------------------------------------------

    def _known(self):
        """How it ended, if that is known and everything was read; does not wait."""
        if self._end is None:
            end = self._engine_call.drained()
            if end is not None and self._end is None:
                self._end = end
        return self._end

    def _wait(self, timeout=None):
        """How it ended; raises `grpc.FutureTimeoutError` if that takes longer."""
        if self._end is None:
            end = self._engine_call.wait(timeout)
            if end is None:
                raise grpc.FutureTimeoutError()
            if self._end is None:
                self._end = end
            if self._postponed:
                self._resume()
        return self._end

    def _failure(self):
        """What an iterator of requests raised, or their serialiser."""
        return self._failures[0] if self._failures else None

    def _error(self):
        if self._failures and self.__cause__ is None:
            self.__cause__ = self._failures[0]
        return self

    def _fail(self, code, details):
        """Ends it because of something that happened here."""
        with self._lock:
            if self._end is None:
                self._end = End(code, details)
        self._engine_call.cancel(code, details)
        if self._postponed:
            self._resume()

    def _told(self, timeout=None):
        """How it ended, once the callbacks have heard of it; waits, as `_wait` does."""
        end = self._wait(timeout)
        if self._callbacks is not None or self._teller is not None:
            self._after_callbacks(timeout)
        return end

    def _after_callbacks(self, timeout=None):
        """Waits for the callbacks of a call that is over, as grpcio does, but for those that wait
        themselves. Never for long: they may wait for this thread."""
        with self._lock:
            if (self._callbacks is None and self._teller is None) or self._is_let_off():
                return
            if self._callbacks is not None and (self._is_overdue() or self._known() is None):
                return
            if self._telling is None:
                self._telling = _Telling()
            telling = self._telling
            if self._callbacks is None:
                telling.begun.set()
        limit = _UNTIL_BEGUN if timeout is None else min(_UNTIL_BEGUN, max(timeout, 0))
        if telling.begun.wait(limit):
            telling.over.wait(_UNTIL_OVER)

    def _is_let_off(self):
        """Whether this thread must not wait for the callbacks: they wait for it, or the program
        knows of the end because it is its own doing."""
        me = threading.get_ident()
        lane = self._lane
        return self._cancelled or self._teller == me or (lane is not None and lane.runner == me)

    def _is_overdue(self):
        """Whether callbacks could have begun long ago."""
        now = time.monotonic()
        if self._seen_over is None:
            self._seen_over = now
        return now - self._seen_over > _UNTIL_BEGUN

    def _is_over(self):
        """Whether it is over and its callbacks have begun: does not wait."""
        if self._known() is None:
            return False
        with self._lock:
            return self._callbacks is None or self._is_let_off() or self._is_overdue()

    def is_active(self):
        return not self._is_over()

    def time_remaining(self):
        if self._deadline is None:
            return None
        return max(self._deadline - time.time(), 0)

    def cancel(self):
        if self._end is not None:
            return False
        details = "Locally cancelled by application!"
        # The lock, because others may hear of the end before this returns.
        with self._lock:
            if not self._engine_call.cancel(_CANCELLED, details, self._is_stream):
                return False
            self._cancelled = True
        if self._postponed:
            self._resume()
        return True

    def cancelled(self):
        with self._lock:
            return self._cancelled

    def add_callback(self, callback):
        # It runs in the context that its caller has now.
        callback = (callback, contextvars.copy_context())
        with self._lock:
            if self._callbacks is not None:
                self._callbacks.append(callback)
            elif self._known() is not None:
                return False
            else:
                # There may be no thread for it: then it is not waited for either.
                self._tag = _completions.register(self._ended, self._lane)
                self._callbacks = [callback]
                self._engine_call.on_end(self._tag)
        return True

    def _ended(self, _value):
        _completions.forget(self._tag)
        with self._lock:
            # Before the look, since whoever reads the last message looks here behind it.
            self._postponed = True
            if self._known() is None:
                return
            self._postponed = False
            callbacks, self._callbacks = self._callbacks, None
            self._teller = threading.get_ident()
            telling = self._telling
        if telling is not None:
            telling.begun.set()
        try:
            for callback, context in callbacks:
                try:
                    context.run(callback)
                except BaseException as error:
                    # Also what would end the thread: others need it.
                    function = getattr(callback, "func", callback)
                    shown = _common.shown(repr(error))
                    _LOGGER.error("Exception in callback %r: %s", function, shown)
        finally:
            with self._lock:
                self._teller = None
                telling, self._telling = self._telling, None
            if telling is not None:
                telling.over.set()

    def _resume(self):
        """Has the callbacks called that were postponed, if nothing remains to be read."""
        with self._lock:
            if self._postponed and self._known() is not None:
                self._postponed = False
                self._tag = _completions.register(self._ended, self._lane)
                self._engine_call.on_end(self._tag)

    def __del__(self):
        if self._end is None and self._engine_call is not None:
            self._engine_call.cancel(_CANCELLED, "Cancelled upon garbage collection!")

    # -- responses ---------------------------------------------------------------------------------

    def _deserialized(self, message):
        deserializer = self._response_deserializer
        if deserializer is None:
            return message
        try:
            return _common.read(message, deserializer)
        except _common.Unusable as failure:
            self._undeserialized()
            raise self from failure.__cause__

    def _undeserialized(self):
        self._fail(_INTERNAL, "Exception deserializing response!")

    def __iter__(self):
        return self

    def __next__(self):
        return self._next()

    def next(self):
        return self._next()

    def _next(self):
        if self._end is None or self._engine_call is not None:
            message = self._engine_call.next() if not isinstance(self._end, End) else self._end
            if type(message) is bytes:
                if self._postponed:
                    self._resume()
                return self._deserialized(message)
            self._over_with(message)
            if self._callbacks is not None or self._teller is not None:
                self._after_callbacks()
        if self._end.code == 0:
            raise StopIteration
        raise self._error()

    def _over_with(self, end):
        if self._end is None:
            self._end = end
        self._drained = True
        if self._postponed:
            self._resume()

    # -- for programs that drive calls by hand (`grpc._operations`) --------------------------------

    def _read(self):
        """The bytes of the next message; None at the end."""
        message = self._engine_call.next()
        if type(message) is bytes:
            if self._postponed:
                self._resume()
            return message
        self._over_with(message)
        return None

    def _is_complete(self):
        return self._state.code is not None

    def _final(self):
        """How it ended, if there is nothing left to read."""
        end = self._end
        return end if self._drained or self._engine_call is None or type(end) is End else None

    @property
    def _state(self):
        if self._looked_at is None:
            from grpc import _operations

            self._looked_at = _operations.State(self)
        return self._looked_at

    @property
    def _call(self):
        if self._operating is None:
            from grpc import _operations

            self._operating = _operations.Operating(self)
        return self._operating

    # -- copies ------------------------------------------------------------------------------------

    def __reduce__(self):
        end = self._known()
        if end is None:
            raise TypeError("a call that runs can be neither copied nor pickled; its error can")
        end = End.copy(end, self.initial_metadata())
        state = {name: value for name, value in self.__dict__.items() if name not in _OWN}
        state.update(_end=end, _deadline=self._deadline, _cancelled=self._cancelled)
        if self._end.code == 0:
            state["_response"] = self._response
        return _restored, (_pickled_as(type(self)), state)

    # -- looks -------------------------------------------------------------------------------------

    def _repr(self):
        name = type(self).__name__
        end = self._known()
        if end is None:
            return f"<{name} object>"
        code = code_of(end)
        if code is StatusCode.OK:
            return WITHOUT_DEBUG.format(name, code, end.details)
        debug = debug_error_string(end, self.cancelled())
        return WITH_DEBUG.format(name, code, end.details, debug)

    def __repr__(self):
        return self._repr()

    def __str__(self):
        return self._repr()


class _MultiThreadedRendezvous(_Rendezvous, grpc.Call, grpc.Future):
    """A call whose methods wait for what they are asked."""

    __module__ = "grpc._channel"

    def initial_metadata(self):
        if self._engine_call is None:
            return self._end.initial_metadata()
        return self._engine_call.initial_metadata()

    def trailing_metadata(self):
        return self._told().trailing_metadata()

    def code(self):
        return code_of(self._told())

    def details(self):
        return _common.decode(self._told().details)

    def debug_error_string(self):
        return debug_error_string(self._told(), self.cancelled())

    def running(self):
        return not self._is_over()

    def done(self):
        return self._is_over()

    def _settled(self, timeout):
        """Waits; raises FutureCancelledError if the program cancelled it."""
        end = self._told(timeout)
        if self.cancelled():
            raise grpc.FutureCancelledError()
        return end

    def result(self, timeout=None):
        if self._settled(timeout).code == 0:
            return self._response
        raise self._error()

    def exception(self, timeout=None):
        return None if self._settled(timeout).code == 0 else self._error()

    def traceback(self, timeout=None):
        if self._settled(timeout).code == 0:
            return None
        try:
            raise self._error()
        except grpc.RpcError:
            return sys.exc_info()[2]

    def add_done_callback(self, fn):
        if not self.add_callback(functools.partial(fn, self)):
            fn(self)


class _UnaryRendezvous(_MultiThreadedRendezvous):
    """One with a single response, which it reads before it says how it ended."""

    __module__ = "grpc._channel"

    _is_stream = False

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Is held by whoever waits, and so is another than that of the callbacks. It is taken last.
        self._reading = threading.RLock()

    def _wait(self, timeout=None):
        if self._end is not None:
            return self._end
        if not self._reading.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            raise grpc.FutureTimeoutError()
        try:
            while self._end is None:
                message = self._engine_call.next(timeout)
                if message is None:
                    raise grpc.FutureTimeoutError()
                if type(message) is not bytes:
                    self._end = message
                elif self._response is None:
                    self._take(message)
            return self._end
        finally:
            self._reading.release()

    def _known(self):
        if self._end is None and self._engine_call.poll() is not None:
            # Whatever there is to read is there.
            self._wait()
        return self._end

    def _final(self):
        return self._known()

    def _take(self, message):
        deserializer = self._response_deserializer
        if deserializer is None:
            self._response = message
            return
        try:
            self._response = _common.read(message, deserializer)
        except _common.Unusable as failure:
            self.__cause__ = failure.__cause__
            self._end = End(_INTERNAL, "Exception deserializing response!")
            self._engine_call.cancel(self._end.code, self._end.details)

    def _next(self):
        if self._told().code == 0:
            raise StopIteration
        raise self._error()


def _pickled_as(kind):
    """A class that is found under its name."""
    return _MultiThreadedRendezvous if kind is _UnaryRendezvous else kind


def _restored(kind, state):
    """A call that is over, as its copy in another process."""
    rendezvous = kind.__new__(kind)
    _Rendezvous.__init__(rendezvous, None, None, None, None)
    rendezvous.__dict__.update(state)
    return rendezvous


#: The attributes of a call that are of no use to its copies.
_OWN = frozenset(
    (
        "_engine_call",
        "_response_deserializer",
        "_response",
        "_lock",
        "_reading",
        "_callbacks",
        "_tag",
        "_lane",
        "_teller",
        "_telling",
        "_seen_over",
        "_failures",
        "_looked_at",
        "_operating",
        "_postponed",
        "_drained",
    )
)

# To programs it is what grpcio has in its place.
_UnaryRendezvous.__name__ = "_MultiThreadedRendezvous"
_UnaryRendezvous.__qualname__ = "_MultiThreadedRendezvous"
