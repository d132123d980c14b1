"""The one thread of this process that runs callbacks: of calls that end, of channels that change.

It starts when somebody first asks for a callback, and ends with the interpreter. Callbacks run one
after the other.
"""

import atexit
import itertools
import logging
import os
import threading

from grpc import _ferrpc

_LOGGER = logging.getLogger("grpc._channel")



def _start_thread(target):
    thread = threading.Thread(target=target, name="grpc-callbacks", daemon=True)
    thread.start()
    return thread


# How that thread is started and waits; otherwise in programs of gevent.
start = _start_thread
take = _ferrpc.take_completions

_lock = threading.Lock()
_handlers = {}
_tags = itertools.count(1)
_thread = None


def register(handler):
    """A tag for the engine; `handler` is called with each value that comes with it, until `forget`.
    It is kept alive meanwhile."""
    tag = next(_tags)
    restore(tag, handler)
    return tag


def restore(tag, handler):
    """The same for a tag there was: in the child of a fork no handler is left."""
    global _thread
    with _lock:
        _handlers[tag] = handler
        if _thread is None:
            _thread = start(_run)
            atexit.register(_stop, _thread)


def forget(tag):
    """No more values for this tag."""
    _handlers.pop(tag, None)


def _run():
    while (happened := take()) is not None:
        for tag, value in happened:
            handler = _handlers.get(tag)
            if handler is None:
                continue
            try:
                handler(value)
            except Exception:
                _LOGGER.exception("Exception in a callback!")
            del handler


def _stop(thread):
    _ferrpc.stop_completions()
    # A callback that does not return must not keep the interpreter.
    thread.join(timeout=1)


def _forked():
    global _lock, _thread
    _ferrpc.forked()
    _lock = threading.Lock()
    _thread = None
    _handlers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
