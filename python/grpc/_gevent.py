"""The engine for programs of gevent: the same objects, but what may wait is done by a thread of a
pool while the greenlet that asked gives way to others."""

import gevent
import gevent.threadpool

from grpc import _channel, _completions, _ferrpc, _serving
from grpc._enums import StatusCode

_CANCELLED = StatusCode.CANCELLED.value[0]

#: Each call that is waited for holds a thread; they are started when they are needed. gevent's own
#: pool has ten, which ten waiting calls would take from the rest of the program.
_MOST_THREADS = 1000

_pool = None


def _apply(function, *arguments, **keywords):
    return _pool.apply(function, arguments, keywords)


class _Proxy:
    """Has what another object has."""

    __slots__ = ("_inner",)

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)


def _waiting(name, proxy=None):
    """A method that waits by the pool; what it returns is given to `proxy`, unless it is None."""

    def method(self, *arguments, **keywords):
        result = _apply(getattr(self._inner, name), *arguments, **keywords)
        return result if proxy is None or result is None else proxy(result)

    return method


# -- the client's engine --------------------------------------------------------------------------


class _Call(_Proxy):
    __slots__ = ()

    next = _waiting("next")
    initial_metadata = _waiting("initial_metadata")
    wait = _waiting("wait")
    send = _waiting("send")


class _WholeEnd:
    """The end of a unary call, with its response and initial metadata."""

    def __init__(self, call, end, message):
        self.code = end.code
        self.details = end.details
        self.trailing_metadata = end.trailing_metadata
        self.initial_metadata = call.initial_metadata
        self.message = message


class _Channel(_Proxy):
    __slots__ = ()

    close = _waiting("close")

    def __init__(self, *arguments):
        super().__init__(_ferrpc.ClientChannel(*arguments))

    def start(self, *arguments):
        call = self._inner.start(*arguments)
        return _Call(call) if type(call) is _ferrpc.ClientCall else call

    def unary(self, method, request, timeout, metadata, wait_for_ready, compression, whole):
        call = self.start(method, request, timeout, metadata, wait_for_ready, compression, True)
        if type(call) is not _Call:
            return call
        message = None
        try:
            while type(end := call.next()) is bytes:
                message = end
        except BaseException:
            # The greenlet was killed, or has other things to do.
            call.cancel(_CANCELLED, "Cancelled by the end of its greenlet")
            raise
        if end.code == 0 and message is not None and not whole:
            return message
        return _WholeEnd(call, end, message)


# -- the server's engine --------------------------------------------------------------------------


class _ServerCall(_Proxy):
    __slots__ = ()

    receive = _waiting("receive")
    send = _waiting("send")


class _Drain(_Proxy):
    __slots__ = ()

    take = _waiting("take", _ServerCall)


class _Server(_Proxy):
    __slots__ = ()

    next_task = _waiting("next_task")

    def __init__(self, *arguments):
        super().__init__(_ferrpc.Server(*arguments))

    def begin(self, lane):
        return _Drain(self._inner.begin(lane))


# -- in place of the usual ones -------------------------------------------------------------------


class _Greenlet:
    """As much of a thread as the completions need."""

    def __init__(self, target):
        self._greenlet = gevent.spawn(target)

    def is_alive(self):
        return not self._greenlet.dead

    def join(self, timeout):
        self._greenlet.join(timeout)


def _take_completion(me):
    happened = _ferrpc.take_completion(me, False)
    return _apply(_ferrpc.take_completion, me) if happened == () else happened


def install():
    """From now on channels and servers are made for gevent."""
    global _pool
    _pool = gevent.threadpool.ThreadPool(_MOST_THREADS)
    _channel.new_engine = _Channel
    _serving.new_engine = _Server
    _completions.take = _take_completion
    _completions.start = _Greenlet
