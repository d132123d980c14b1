"""A channel in the event loops that use it.

    Channel --- Drivers --+-- Driver of one loop --- grpc._ferrpc.AioChannel, a connection
                          +-- Driver of another --- one more

A loop cannot send for another, which may be blocked, stopped or in a thread of its own. So each has
a channel of the engine's. Most programs have one loop.
"""

import asyncio
import os
import threading
import warnings
import weakref

from grpc import _ferrpc
from grpc.aio._driver import Driver

# One for all: those of channels could be held at a fork, for ever. No code of users runs under it,
# but what collects garbage may take it again.
_lock = threading.RLock()


class Drivers:
    """Those of one channel. `made_of` are the arguments of the engine's channels."""

    def __init__(self, made_of):
        self._made_of = made_of
        #: The engine's channel for the first loop.
        self.first = _ferrpc.AioChannel(*made_of)
        loop = asyncio._get_running_loop()
        # Weak: a channel may outlive the loop that it was made in.
        self._made_in = _nothing if loop is None else weakref.ref(loop)
        self._last = None
        self._all = []

    @property
    def loop(self):
        """The one of the channel's making, else the first, else the one that will run; or None."""
        loop = self._made_in()
        if loop is not None:
            return loop
        return self._all[0].loop if self._all else _set_loop()

    def of_this_loop(self):
        """The driver of the running loop, or of the one that will run. Raises RuntimeError."""
        driver = self._last
        if driver is not None and not driver.events.closed:
            running = asyncio._get_running_loop()
            if driver.loop is running or running is None:
                return driver
        return self._find(asyncio._get_running_loop() or self.loop)

    def known(self):
        """The driver of the running loop, if there is one."""
        running = asyncio._get_running_loop()
        return next((driver for driver in self._all if driver.loop is running), None)

    def _find(self, loop):
        if loop is None:
            raise RuntimeError("There is no event loop, neither a running nor a set one")
        if loop.is_closed():
            raise RuntimeError("Event loop is closed")
        with _lock:
            self._all = [driver for driver in self._all if not driver.events.closed]
            for driver in self._all:
                if driver.loop is loop:
                    break
            else:
                is_first = self._last is None
                channel = self.first if is_first else _ferrpc.AioChannel(*self._made_of)
                driver = Driver(channel, loop)
                self._all.append(driver)
            self._last = driver
            return driver

    def close(self):
        """Ends the calls of all loops, those of the running one at once."""
        running = asyncio._get_running_loop()
        # Loops that have stopped are not kept by a channel that has no more use for them.
        drivers, self._all, self._last = self._all, [], None
        for driver in drivers:
            try:
                if driver.loop is running or not driver.loop.is_running():
                    # One that does not run may never do so again.
                    driver.end()
                else:
                    driver.loop.call_soon_threadsafe(driver.end)
            except RuntimeError:
                # It is closed, and its calls are over.
                driver.channel.close()
        if all(driver.channel is not self.first for driver in drivers):
            self.first.close()

    def forget(self):
        """Leaves the connections to the engine, in any thread: nobody calls any more."""
        for driver in self._all:
            if driver.events.closed:
                continue
            try:
                if driver.loop.is_running():
                    driver.loop.call_soon_threadsafe(driver.close)
                else:
                    # It may never run again, and would be kept with its sockets.
                    driver.close()
            except RuntimeError:
                # The loop was closed this moment.
                pass


def _nothing():
    return None


def _set_loop():
    """The loop that was set for this thread, which may be made by that question; or None."""
    with warnings.catch_warnings():
        # Newer versions of Python would rather not be asked.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.get_event_loop_policy().get_event_loop()
        except RuntimeError:
            return None


def _forked():
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
