"""Coroutines whose first step needs no turn of the loop.

Most handlers end in their first step. It is run at once, with a task that stands by as the current
one; if the coroutine then waits for something, the same task goes on with it:

                       first step ends
        +------------------------------------------+
        v                                          |
    stands by --> current task of a first step ----+
                       |  waits for something        |  somebody has kept it, or cancelled it
                       v                             v
                  the coroutine's task               retired

Whoever asks for the current task gets one that is the coroutine's to its end.
"""

import asyncio
import collections.abc
import sys
import weakref

_enter_task = asyncio.tasks._enter_task
_leave_task = asyncio.tasks._leave_task

# There is no first thing to wait for.
_NOTHING = object()


class Steps:
    """Runs coroutines in one loop."""

    def __init__(self, loop):
        # Weak, because what the loop holds holds this.
        self._loop = weakref.ref(loop)
        self._stands_by = None

    def start(self, coroutine, context, name):
        """Runs the first step in a `contextvars.Context`. Returns the task that goes on, or None if
        the coroutine has ended. To be called in a callback of the loop."""
        loop = self._loop()
        driver = self._stands_by or _Driver(loop, context)
        self._stands_by = None
        task = driver.task
        before = sys.getrefcount(task), weakref.getweakrefcount(task)
        try:
            _enter_task(loop, task)
        except RuntimeError:
            # A loop that runs inside of a task: that one is the current, and stays it.
            self._stands_by = driver
            return context.run(loop.create_task, coroutine)
        try:
            waits_for = context.run(coroutine.send, None)
        except (StopIteration, asyncio.CancelledError):
            pass
        except BaseException:
            driver.retire()
            raise
        else:
            driver.go_on(coroutine, context, waits_for)
            task.set_name(name)
            return task
        finally:
            _leave_task(loop, task)
        if (sys.getrefcount(task), weakref.getweakrefcount(task)) == before and driver.is_unused():
            self._stands_by = driver
        else:
            driver.retire()
        return None

    def close(self):
        """Nothing more is started."""
        driver, self._stands_by = self._stands_by, None
        if driver is not None:
            driver.retire()


class _Driver(collections.abc.Coroutine):
    """What a task drives: nothing at first, then a coroutine that has made its first step."""

    def __init__(self, loop, context):
        self._gate = loop.create_future()
        self._coroutine = None
        self._run = None
        self._waits_for = _NOTHING
        self._retired = False
        self.task = context.run(loop.create_task, self)
        # That it stands by to the loop's end is not worth a word.
        self.task._log_destroy_pending = False

    def is_unused(self):
        """Whether nobody has cancelled the task while it was current."""
        return not (self._gate.cancelled() or getattr(self.task, "_must_cancel", False))

    def go_on(self, coroutine, context, waits_for):
        """The task is now the coroutine's."""
        self._coroutine = coroutine
        self._run = context.run
        self._waits_for = waits_for
        if getattr(waits_for, "_asyncio_future_blocking", None):
            # Others may wait for it too before the task does.
            waits_for._asyncio_future_blocking = False
        self.task._log_destroy_pending = True
        self._open()

    def retire(self):
        """The task ends."""
        self._retired = True
        self._open()
        # A cycle of the two otherwise.
        self.task = None

    def _open(self):
        if not self._gate.done():
            self._gate.set_result(None)

    def send(self, value):
        """See `collections.abc.Coroutine`."""
        coroutine = self._coroutine
        if coroutine is None:
            if self._retired:
                raise StopIteration
            return _blocking(self._gate)
        waits_for = self._waits_for
        if waits_for is not _NOTHING:
            self._waits_for = _NOTHING
            self.task = None
            return _blocking(waits_for)
        return self._run(coroutine.send, value)

    def throw(self, *error):
        """See `collections.abc.Coroutine`."""
        coroutine = self._coroutine
        self.task = None
        if coroutine is None:
            self._retired = True
            raise error[0]
        self._waits_for = _NOTHING
        return self._run(coroutine.throw, *error)

    def close(self):
        """See `collections.abc.Coroutine`."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self):
        return self

    def __getattr__(self, name):
        # cr_frame and so on: what a task shows of itself is the coroutine's.
        if name.startswith("cr_") and self._coroutine is not None:
            return getattr(self._coroutine, name)
        raise AttributeError(name)


def _blocking(waits_for):
    """The same, marked as what is waited for; where that is impossible the task says so."""
    if getattr(waits_for, "_asyncio_future_blocking", None) is not None:
        waits_for._asyncio_future_blocking = True
    return waits_for
