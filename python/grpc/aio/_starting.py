"""Tasks whose first steps follow at once.

A task is made by asyncio itself, and is its coroutine's from the first step to the last. What costs
time is the way to the first step, which leads through the loop's queue. Here a batch of tasks goes
without: while they are made, the loop's `call_soon` is one that keeps their first steps, which then
run one after the other. One entry of the queue stands for all of them, for the case that one of them
runs the loop.

A loop with a task factory, in debug mode, or with methods that somebody has replaced gets its tasks
in the ordinary way, with nothing left out that might be looked at.
"""

import asyncio
import collections
import sys
import types

_TAKES_CONTEXT = sys.version_info >= (3, 11)


class Batch:
    """Tasks that begin together. As a context manager it is the time in which they are made."""

    def __init__(self, loop):
        self._loop = loop
        self._is_ordinary = not _is_plain(loop)
        self._steps = collections.deque()
        self._then = None
        self._entry = None
        self._making = False

    def __enter__(self):
        if not self._is_ordinary:
            self._loop.call_soon = self._call_soon
        return self

    def __exit__(self, *_):
        if not self._is_ordinary:
            del self._loop.call_soon

    def task(self, coroutine, context, name):
        """A task for a coroutine, with a copy of the `contextvars.Context`."""
        loop = self._loop
        if self._is_ordinary:
            # In this way since Python 3.10 has no other.
            task = context.copy().run(loop.create_task, coroutine)
            task.set_name(name)
            return task
        Task = asyncio.tasks.Task
        self._making = True
        try:
            if _TAKES_CONTEXT:
                return Task(coroutine, loop=loop, name=name, context=context.copy())
            # It copies the context by itself.
            return context.run(Task, coroutine, loop=loop, name=name)
        finally:
            self._making = False

    def begin(self, then):
        """The first steps, and `then()` behind them."""
        self.begin_later(then)
        if not self._is_ordinary:
            # Should a step end the loop, or run it, the others have the entry in the queue.
            entry = self._entry
            self._go_on()
            entry.cancel()

    def begin_later(self, then):
        """The same by the loop's queue."""
        self._then = then
        self._entry = self._loop.call_soon(self._go_on)

    def _go_on(self):
        steps = self._steps
        while steps:
            step, context = steps.popleft()
            context.run(step)
        then, self._then = self._then, None
        if then is not None:
            then()

    def _call_soon(self, callback, *arguments, context=None):
        if arguments or context is None or not self._making:
            # Not a task's: a finalizer or a signal's handler runs at any time; and where an exception
            # comes in between, this stays the loop's.
            loop = self._loop
            return type(loop).call_soon(loop, callback, *arguments, context=context)
        self._steps.append((callback, context))


def _is_plain(loop):
    """Whether nobody would notice."""
    kind = type(loop)
    own = getattr(loop, "__dict__", ())
    return not (
        loop.get_debug()
        or loop.get_task_factory() is not None
        or getattr(loop, "_nest_patched", False)
        or "call_soon" in own
        or "create_task" in own
        # One that can run inside of itself needs the queue of completions meanwhile.
        or not all(_is_as_made(getattr(kind, name)) for name in _METHODS)
    )


def _is_as_made(method):
    """Whether a loop's method is asyncio's or uvloop's own, and not one that was put around it."""
    if type(method) is types.FunctionType:
        return method.__code__.co_filename == _OWN
    return (
        type(method).__name__ == "cython_function_or_method" and method.__module__ == "uvloop.loop"
    )


_METHODS = ("call_soon", "create_task", "run_forever", "run_until_complete")

_OWN = asyncio.BaseEventLoop.run_forever.__code__.co_filename
