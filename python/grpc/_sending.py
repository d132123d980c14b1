"""How a call's requests are sent: by a thread of its own, as fast as the server takes them."""

import contextvars
import logging
import queue
import threading

from grpc import _common
from grpc._enums import StatusCode

_LOGGER = logging.getLogger("grpc._channel")

_UNKNOWN = StatusCode.UNKNOWN.value[0]
_INTERNAL = StatusCode.INTERNAL.value[0]

SERIALIZING = "Exception serializing request!"
_ITERATING = "Exception iterating requests!"

#: Seconds between two looks whether the call is over, where requests come from a queue: first, and
#: at most. In between, each is as long as the wait before it.
_SHORTEST_LOOK = 0.005
_LONGEST_LOOK = 5

_CALLABLE_ITERATOR = type(iter(int, 1))


def start(request_iterator, call, serializer, failures):
    """Starts the thread. The iterator sees the context variables of its caller."""
    threading.Thread(
        target=contextvars.copy_context().run,
        args=(_send_all, request_iterator, call, serializer, failures),
        name="grpc-requests",
        daemon=True,
    ).start()


def _send_all(request_iterator, call, serializer, failures):
    """Sends what the iterator yields. What goes wrong ends the call, and is in `failures`."""
    try:
        for request in _stoppable(request_iterator, call):
            try:
                message = _common.written(request, serializer)
            except _common.Unusable as failure:
                error = failure.__cause__ or _no_bytes(None)
                _fail(call, failures, error, _INTERNAL, SERIALIZING)
                return
            if not isinstance(message, bytes):
                _fail(call, failures, _no_bytes(message), _INTERNAL, SERIALIZING)
                return
            if not call.send(message):
                return
    except BaseException as error:
        # Whatever it is: an upload that broke off must not look whole.
        _LOGGER.exception(_ITERATING)
        _fail(call, failures, error, _UNKNOWN, _ITERATING)
        return
    call.half_close()


def _no_bytes(message):
    return TypeError(f"a request serialised to {type(message)}, not to bytes")


def _fail(call, failures, error, code, details):
    # First, since whoever waits looks for it once the call is over.
    failures.append(error)
    if not call.cancel(code, details):
        failures.clear()


def _stoppable(request_iterator, call):
    """The requests. Those of `iter(queue.get, sentinel)` end with the call, where a thread that
    waits in `get` would stay for ever."""
    get, sentinel = _queue_of(request_iterator)
    if get is None:
        return _as_iterator(request_iterator)
    return _taken(get, sentinel, call)


def _as_iterator(request_iterator):
    # Has only to have `__next__`.
    while True:
        try:
            request = next(request_iterator)
        except StopIteration:
            return
        yield request


def _queue_of(request_iterator):
    if type(request_iterator) is not _CALLABLE_ITERATOR:
        return None, None
    arguments = request_iterator.__reduce__()[1]
    if len(arguments) != 2:
        # It has come to its end.
        return None, None
    get, sentinel = arguments
    owner = getattr(get, "__self__", None)
    is_queue = type(owner) is queue.SimpleQueue or (
        isinstance(owner, queue.Queue) and getattr(get, "__func__", None) is queue.Queue.get
    )
    return (get, sentinel) if is_queue and get == owner.get else (None, None)


def _taken(get, sentinel, call):
    wait = _SHORTEST_LOOK
    while True:
        try:
            request = get(timeout=wait)
        except queue.Empty:
            if call.is_over():
                return
            wait = min(2 * wait, _LONGEST_LOOK)
            continue
        if sentinel is request or sentinel == request:
            return
        yield request
