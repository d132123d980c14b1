"""What the engine tells an event loop: one queue for each loop, drained in one callback.

    engine's threads --> LoopQueue (grpc._ferrpc) --> _Reader, in the loop --> callbacks by tag

The queue's descriptor is one more that the loop waits for. Where a loop cannot wait for one, a
thread of its own waits for the queue and wakes the loop. A loop does not say when it is closed, but
it forgets its readers: whatever belongs to it hears of that through `at_close`.
"""

import asyncio
import collections
import itertools
import os
import threading
import weakref

from grpc import _ferrpc

# Batches that are taken in one callback, before others of the loop have their turn.
_ROUNDS = 4

_lock = threading.Lock()
_known = weakref.WeakKeyDictionary()


def current():
    """The `Events` of the running loop. Raises RuntimeError if none runs in this thread."""
    return of(asyncio.get_running_loop())


def of(loop):
    """The `Events` of a loop; made with the first question. May be asked in any thread."""
    events = _known.get(loop)
    if events is None:
        with _lock:
            events = _known.get(loop)
            if events is None:
                events = _known[loop] = Events(loop)
    return events


class Events:
    """What happens in the engine, for the objects of one loop.

    `queue` is for the engine: `queue.push(tag, what)` there makes the callback of `tag` be called
    with `what` here. Made by `of`.
    """

    def __init__(self, loop):
        self.closed = False
        self._callbacks = {}
        self._tags = itertools.count(1)
        self._at_close = set()
        self._left = None
        # Weak: that only the loop holds it tells of the loop's end.
        self._reader = None
        self._draining = False
        self._afterwards = collections.deque()
        # Weak, because the loop is what keeps these events.
        self._loop = weakref.ref(loop)
        reader = _Reader()
        try:
            self.queue = _ferrpc.LoopQueue(True)
            _call_in(loop, loop.add_reader, self.queue.fileno(), reader)
            reader.events = self
            self._reader = weakref.ref(reader)
        except (NotImplementedError, OSError):
            self.queue = _ferrpc.LoopQueue(False)
            weakref.finalize(loop, self.close).atexit = False
            threading.Thread(
                target=_wake, args=(self.queue, self._loop, self), name="grpc-aio", daemon=True
            ).start()
        self.queue.set_soon(weakref.WeakMethod(self.drain_soon))

    def register(self, callback):
        """A tag; `callback(what)` is called in the loop for each entry that has it."""
        tag = next(self._tags)
        self._callbacks[tag] = callback
        return tag

    def forget(self, tag):
        """No more entries for this tag."""
        self._callbacks.pop(tag, None)

    def at_close(self, callback):
        """`callback()` is called, in any thread, when the loop is closed or gone."""
        if self.closed:
            callback()
        else:
            self._at_close.add(callback)

    def not_at_close(self, callback):
        """Takes a callback of `at_close` back."""
        self._at_close.discard(callback)

    def afterwards(self, callback):
        """Calls `callback()` once: behind the entries that are being handled, in the loop's next
        turn at the latest. To be called in the loop."""
        if not self._afterwards:
            self._loop().call_soon(self._run_afterwards)
        self._afterwards.append(callback)

    def drain_soon(self):
        """Takes what there is in the loop's next turn. May be called in any thread."""
        loop = self._loop()
        if loop is None or self.closed:
            return
        if asyncio._get_running_loop() is loop:
            loop.call_soon(self.drain, False)
        else:
            loop.call_soon_threadsafe(self.drain, False)

    def drain(self, rung, by_loop=True):
        """Takes what there is. To be called in the loop; with `by_loop` by the loop itself, which
        may run inside of one of these callbacks and then has to get on."""
        loop = self._loop()
        within = self._draining
        if (within and not by_loop) or self.closed or loop is None:
            return
        drain = self.queue.drain
        callbacks = self._callbacks
        self._draining = True
        try:
            for _ in range(_ROUNDS):
                left = self._left
                if left is None:
                    entries = drain(rung)
                    rung = False
                    if not entries:
                        return
                    left = self._left = iter(entries)
                for tag, what in left:
                    callback = callbacks.get(tag)
                    if callback is not None:
                        try:
                            callback(what)
                        except Exception as error:
                            _report(loop, callback, error)
                if self._left is left:
                    self._left = None
                if self._afterwards:
                    self._run_afterwards()
            loop.call_soon(self.drain, False)
        except BaseException:
            # It ends the loop, most likely. If not, what is left has its turn.
            loop.call_soon(self.drain, False)
            raise
        finally:
            self._draining = within

    def read_anew(self):
        """By other handles of the loop's."""
        reader = self._reader and self._reader()
        if reader is not None:
            self._loop().add_reader(self.queue.fileno(), reader)
        # The queue rings no more while it is being drained.
        self._loop().call_soon(self.drain, False)

    def close(self):
        """The loop is gone."""
        if self.closed:
            return
        self.closed = True
        self.queue.close()
        self._callbacks.clear()
        self._afterwards.clear()
        while self._at_close:
            try:
                self._at_close.pop()()
            except Exception:
                # In the child of a fork, or while the interpreter ends: nothing is left to end.
                pass

    def _run_afterwards(self):
        while self._afterwards:
            callback = self._afterwards.popleft()
            try:
                callback()
            except Exception as error:
                _report(self._loop(), callback, error)


class _Reader:
    """Is called when the queue's descriptor is readable. Only the loop holds it."""

    events = None

    def __call__(self):
        self.events.drain(True)

    def __del__(self):
        if self.events is not None:
            self.events.close()


def _report(loop, callback, error):
    loop.call_exception_handler(
        {"message": f"Exception in {callback!r} of grpc.aio", "exception": error}
    )


def _call_in(loop, function, *arguments):
    """Calls a function in the loop: now, unless another thread runs it."""
    if loop.is_running() and asyncio._get_running_loop() is not loop:
        loop.call_soon_threadsafe(function, *arguments)
    else:
        function(*arguments)


def _wake(queue, loop_of, events):
    """Waits for a queue in place of a loop that cannot."""
    while queue.wait():
        loop = loop_of()
        try:
            loop.call_soon_threadsafe(events.drain, False)
        except (AttributeError, RuntimeError):
            # It is gone, or closed.
            events.close()
        del loop


def _forked():
    global _lock, _known
    _lock = threading.Lock()
    _known = weakref.WeakKeyDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
