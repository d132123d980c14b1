"""Call credentials of a call: those of its channel and its own, asked before it begins.

Plugins run on threads of their own (`grpc._asking`); their answers come through the loop. Until then
a call's engine is an `AskingCall`. What need not be asked, an access token, is sent at once.
"""

import weakref

from grpc import _asking, _authorization, _credentials, _ferrpc
from grpc._cython.cygrpc import UsageError
from grpc._enums import StatusCode

_UNAUTHENTICATED = StatusCode.UNAUTHENTICATED.value[0]
_UNAVAILABLE = StatusCode.UNAVAILABLE.value[0]
_DEADLINE_EXCEEDED = StatusCode.DEADLINE_EXCEEDED.value[0]

# The events of a call.
_ENDED = 0
_RECEIVED = 1
_ROOM = 2


def of_call(channel, method, credentials):
    """How a call with these credentials (None: none of its own) begins; None without any."""
    parts = channel._call_credentials
    if credentials is not None:
        if not channel._is_secure:
            # What they say would go over the wire for all to read.
            raise UsageError("Call credentials are only valid on secure channels")
        parts = (*parts, *_credentials.for_call(credentials._credentials))
    return Authorization(channel, method, parts) if parts else None


class Authorization:
    """Begins one call."""

    def __init__(self, channel, method, parts):
        self._channel = channel
        self._method = method
        self._parts = parts

    def start(self, method, request, timeout, metadata, *arguments):
        """As the engine's `start`."""
        from grpc.aio._call import End

        channel = self._channel
        if not channel._is_secure:
            return End(_UNAUTHENTICATED, _authorization._INSECURE)
        driver = channel._driven()
        metadata = () if metadata is None else tuple(metadata)
        known = _asking.known(self._parts)
        if known is not None:
            return driver.engine.start(method, request, timeout, (*metadata, *known), *arguments)
        loop, began = driver.loop, driver.loop.time()

        def begin(said):
            left = None if timeout is None else timeout - (loop.time() - began)
            return driver.engine.start(method, request, left, (*metadata, *said), *arguments)

        # The last but one of them is the tag by which the loop knows the call.
        call = AskingCall(driver, begin, timeout, arguments[-2])
        context = _authorization.context(channel._channel.authority, self._method)
        call.ask(self._parts, *context)
        return call


class AskingCall:
    """What the engine's calls are to `grpc.aio._call`, before there is one. In the loop's thread."""

    def __init__(self, driver, begin, timeout, tag):
        self._driver = driver
        self._begin = begin
        self._tag = tag
        self._end = None
        self._unsent = None
        self._half_closed = False
        self._timer = None
        if timeout is not None:
            self._timer = driver.loop.call_later(max(timeout, 0), _expired, weakref.ref(self))

    def ask(self, parts, service_url, method_name):
        loop, me = self._driver.loop, weakref.ref(self)

        def done(metadata, text):
            try:
                loop.call_soon_threadsafe(_answered, me, metadata, text)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                pass

        _asking.ask(parts, service_url, method_name, done)

    def _begun(self, engine):
        for name in _METHODS:
            setattr(self, name, getattr(engine, name))
        if self._unsent is not None:
            engine.send(self._unsent)
            self._unsent = None
        if self._half_closed:
            engine.half_close()
        self._stop()
        # Who waits asks the engine now.
        self._tell(_RECEIVED)
        self._tell(_ROOM)
        self._driver.soon()

    def _settle(self, end):
        self._end = end
        self._stop()
        self._tell(_ENDED)

    def _stop(self):
        self._begin = None
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self, what):
        callback = self._driver.events._callbacks.get(self._tag)
        if callback is not None:
            callback(what)

    def take(self):
        return self._end

    end = next = take

    def initial_metadata(self):
        return None if self._end is None else ()

    def is_started(self):
        return None if self._end is None else False

    def send(self, message):
        self._unsent = message
        return self.send_again()

    def send_again(self):
        return None if self._end is None else False

    def half_close(self):
        self._half_closed = True

    def cancel(self, code, details):
        from grpc.aio._call import End

        if self._end is not None:
            return False
        self._end = End(code, details)
        self._stop()
        return True


def _answered(me, metadata, text):
    from grpc.aio._call import End

    call = me()
    if call is None or call._begin is None:
        return
    if text is not None:
        call._settle(End(_UNAVAILABLE, text))
        return
    engine = call._begin(metadata)
    if type(engine) is _ferrpc.LoopCall:
        call._begun(engine)
    else:
        call._settle(engine)


def _expired(me):
    from grpc.aio._call import End

    call = me()
    if call is not None and call._begin is not None:
        call._settle(End(_DEADLINE_EXCEEDED, "Deadline Exceeded"))


_METHODS = (
    "take",
    "end",
    "next",
    "initial_metadata",
    "is_started",
    "send",
    "send_again",
    "half_close",
    "cancel",
)
