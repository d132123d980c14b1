"""The threads of this process that run callbacks: of calls that end, of channels that change.

    engine --tag, value--> queue --> leader: runs one callback after the other
                             \\-----> standby: takes over when the leader's callback takes long

There are two threads, from the first callback that somebody asks for until the interpreter ends. A
leader whose callback takes long or waits loses the lead, and is no longer needed once it returns:
the standby goes on with the queue and starts the next standby. So no callback delays another, but
for those of its own lane, which run one after the other: programs need no locks in them.
"""

import atexit
import collections
import itertools
import logging
import os
import threading
import time

from grpc import _ferrpc

_LOGGER = logging.getLogger("grpc._channel")

#: Seconds that the interpreter's end waits for callbacks that run.
_LAST_WAIT = 1


def _start_thread(target):
    thread = threading.Thread(target=target, name="grpc-callbacks", daemon=True)
    thread.start()
    return thread


# How these threads are started and wait; otherwise in programs of gevent.
start = _start_thread
take = _ferrpc.take_completion

# Never held while anything else is called.
_lock = threading.Lock()
_handlers = {}
_tags = itertools.count(1)
_workers = itertools.count(1)
_threads = []
_stops_at_exit = False
_generation = 0


class Lane:
    """Handlers that run one after the other, in the order in which things happened: those of a
    channel's calls, those of its connectivity."""

    __slots__ = ("_generation", "_waiting", "runner")

    def __init__(self):
        self._generation = _generation
        # Made when somebody first has to wait: most channels have no callbacks.
        self._waiting = None
        #: The identity of the thread that runs one of them, or None.
        self.runner = None

    def run(self, tag, value, worker):
        """Runs the tag's handler, or leaves that to the thread which runs another of the lane."""
        with _lock:
            if self._generation != _generation:
                # What ran at the fork runs in the parent.
                self._generation = _generation
                self._waiting = None
                self.runner = None
            if self.runner is not None:
                if self._waiting is None:
                    self._waiting = collections.deque()
                self._waiting.append((tag, value))
                return
            self.runner = threading.get_ident()
        # Not before: another thread could be here first with what happened later.
        _ferrpc.completion_begins(worker)
        while True:
            _call(tag, value)
            with _lock:
                if not self._waiting:
                    self.runner = None
                    return
                tag, value = self._waiting.popleft()


def register(handler, lane=None):
    """A tag for the engine; `handler` is called with each value that comes with it, until `forget`.
    It is kept alive meanwhile. One without a lane must be quick."""
    tag = next(_tags)
    restore(tag, handler, lane)
    return tag


def restore(tag, handler, lane=None):
    """The same for a tag there was: in the child of a fork no handler is left."""
    global _stops_at_exit
    _handlers[tag] = (handler, lane)
    if _threads:
        return
    with _lock:
        if _threads:
            return
        _threads.append(None)
    try:
        _threads[0] = start(_run)
    except BaseException:
        _threads.clear()
        forget(tag)
        raise
    if not _stops_at_exit:
        _stops_at_exit = True
        atexit.register(_stop)


def soon(function, lane):
    """Has `function` called, once. Raises RuntimeError if there can be no thread for it."""

    def run(_):
        forget(tag)
        function()

    tag = register(run, lane)
    _ferrpc.complete(tag)


def forget(tag):
    """No more values for this tag."""
    _handlers.pop(tag, None)


def _run():
    me = next(_workers)
    while (happened := take(me)) is not None:
        tag, value, is_alone = happened
        if is_alone:
            _start_standby()
        handler = _handlers.get(tag)
        if handler is None:
            continue
        lane = handler[1]
        del handler
        if lane is None:
            _call(tag, value)
        else:
            lane.run(tag, value, me)
        del lane


def _call(tag, value):
    handler = _handlers.get(tag)
    if handler is None:
        return
    try:
        handler[0](value)
    except BaseException:
        # Also what would end the thread: others need it.
        _LOGGER.exception("Exception in a callback!")


def _start_standby():
    try:
        thread = start(_run)
    except RuntimeError:
        # No more threads, or the interpreter ends: callbacks wait for each other then.
        _LOGGER.debug("No standby for callbacks", exc_info=True)
        return
    with _lock:
        _threads[:] = [known for known in _threads if known is None or known.is_alive()]
        _threads.append(thread)


def _stop():
    _ferrpc.stop_completions()
    # A callback that does not return must not keep the interpreter.
    until = time.monotonic() + _LAST_WAIT
    for thread in list(_threads):
        if thread is not None:
            thread.join(timeout=max(until - time.monotonic(), 0))


def _forked():
    global _lock, _generation
    _lock = threading.Lock()
    _generation += 1
    _threads.clear()
    _handlers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
