"""A call that begins when its credentials are there."""

import threading
import time
import weakref

from grpc import _asking, _completions, _ferrpc
from grpc._ended import End
from grpc._enums import StatusCode

_INTERNAL = StatusCode.INTERNAL.value[0]
_UNAVAILABLE = StatusCode.UNAVAILABLE.value[0]

LATE = StatusCode.DEADLINE_EXCEEDED.value[0], "Deadline Exceeded"


class DeferredCall:
    """What calls of the engine are to their users, before there is one.

    `begin(metadata)` begins the engine's call with what the credentials said and returns it, or how
    it ended at once. Once it has begun, the methods are the engine's own.
    """

    def __init__(self, begin, timeout):
        # Its owner may take it again: answers can come while garbage is collected.
        self._changed = threading.Condition()
        self._begin = begin
        self._until = None if timeout is None else time.monotonic() + timeout
        self._call = None
        self._end = None
        self._half_closed = False
        self._tags = []
        self._alarm = None

    def ask(self, parts, service_url, method_name):
        """Asks its credentials. A call that nobody wants any more is not kept by that."""
        me = weakref.ref(self)

        def done(metadata, text):
            call = me()
            if call is not None:
                call._answered(metadata, text)

        _asking.ask(parts, service_url, method_name, done)

    def _answered(self, metadata, text):
        with self._changed:
            if self._over() is not None or self._call is not None:
                return
            if text is not None:
                self._settle(End(_UNAVAILABLE, text))
                return
            try:
                begun = self._begin(metadata)
            except Exception as error:
                # Whoever made the call has returned, and would wait for ever.
                self._settle(End(_INTERNAL, f"The call cannot begin: {error}"))
                return
            self._begin = None
            if type(begun) is End or type(begun) is _ferrpc.CallEnd:
                self._settle(begun)
                return
            for name in _METHODS:
                setattr(self, name, getattr(begun, name))
            self._call = begun
            if self._half_closed:
                begun.half_close()
            for tag in self._tags:
                begun.on_end(tag)
            self._disarm()
            self._changed.notify_all()

    def _settle(self, end):
        """It ends without having begun."""
        self._end = end
        self._begin = None
        self._disarm()
        for tag in self._tags:
            _ferrpc.complete(tag)
        self._changed.notify_all()

    def _over(self):
        """How it ended; its deadline is looked at."""
        waits = self._end is None and self._call is None and self._until is not None
        if waits and self._until <= time.monotonic():
            self._settle(End(*LATE))
        return self._end

    def _begun(self, timeout=None):
        """Waits: the engine's call and None, or None and the end; twice None when the time is
        over."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._call is None and self._over() is None:
                now = time.monotonic()
                if until is not None and until <= now:
                    break
                ends = [end for end in (until, self._until) if end is not None]
                self._changed.wait(min(ends) - now if ends else None)
            return self._call, self._end

    def _asked(self, name, timeout):
        began = time.monotonic()
        call, end = self._begun(timeout)
        if call is None:
            return end
        left = None if timeout is None else max(began + timeout - time.monotonic(), 0)
        return getattr(call, name)(left)

    # -- as the engine's calls have them ---------------------------------------------------------

    def next(self, timeout=None):
        return self._asked("next", timeout)

    def wait(self, timeout=None):
        return self._asked("wait", timeout)

    def initial_metadata(self, timeout=None):
        answer = self._asked("initial_metadata", timeout)
        return answer.initial_metadata() if answer is not None and answer is self._end else answer

    def poll(self):
        with self._changed:
            call, end = self._call, self._over()
        return end if call is None else call.poll()

    def drained(self):
        with self._changed:
            call, end = self._call, self._over()
        return end if call is None else call.drained()

    def is_over(self):
        with self._changed:
            call, end = self._call, self._over()
        return end is not None if call is None else call.is_over()

    def send(self, message):
        call, _ = self._begun()
        return False if call is None else call.send(message)

    def half_close(self):
        with self._changed:
            self._half_closed = True
            call = self._call
        if call is not None:
            call.half_close()

    def cancel(self, code, details, unread=False):
        with self._changed:
            call = self._call
            if call is None:
                if self._over() is not None:
                    return False
                self._settle(End(code, details))
                return True
        return call.cancel(code, details, unread)

    def on_end(self, tag):
        with self._changed:
            call, end = self._call, self._over()
            if call is None and end is None:
                self._tags.append(tag)
                self._arm()
                return
        if call is None:
            _ferrpc.complete(tag)
        else:
            call.on_end(tag)

    # -- the deadline of a call that nobody waits for ----------------------------------------------

    def _arm(self):
        if self._alarm is None and self._until is not None:
            me = weakref.ref(self)

            def ring(_):
                call = me()
                if call is not None:
                    with call._changed:
                        call._over()

            self._alarm = _completions.register(ring)
            left = max(self._until - time.monotonic(), 0)
            _ferrpc.complete_later(self._alarm, left)

    def _disarm(self):
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            _completions.forget(alarm)

    def __del__(self):
        self._disarm()


_METHODS = (
    "next",
    "wait",
    "initial_metadata",
    "poll",
    "drained",
    "is_over",
    "send",
    "half_close",
    "cancel",
    "on_end",
)
