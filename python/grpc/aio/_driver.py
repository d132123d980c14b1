"""A channel's connections in the hands of its event loop.

    loop: socket readable --> Connection.pump --> engine --> queue --> callbacks of calls
          there is something to send --> engine --> queue --> Driver, which pumps

The engine says when it is to be pumped, whoever's doing that is: nothing here has to think of it.
Where a loop cannot wait for sockets, the channel's own thread does the work; what happens comes
through the loop's queue then, too.
"""

import os

from grpc import _ferrpc
from grpc.aio import _loop

_READ = _ferrpc.IoInterest.READ
_WRITE = _ferrpc.IoInterest.WRITE
_AGAIN = _ferrpc.IoInterest.AGAIN
_OVER = _ferrpc.IoInterest.OVER
_LOOK = _ferrpc.IoInterest.LOOK
_FILLED = _ferrpc.IoInterest.FILLED


class Driver:
    """Of one channel in one loop. Made and used in the loop's thread."""

    def __init__(self, channel, loop):
        self.channel = channel
        self.loop = loop
        self.events = _loop.of(loop)
        #: The running calls, by their tags: weak references that can be called with an event.
        self.calls = {}
        #: Those that somebody waits for, which are kept alive.
        self.waited = {}
        #: Those that go on without anybody who holds them.
        self.held = {}
        #: What those wait for who wait for another state.
        self.watching = set()
        self._connections = []
        self._tag = self.events.register(self._announced)
        self.engine = _ferrpc.LoopChannel(channel, self.events.queue, self._tag)
        if self._can_wait():
            self.engine.drive()
        self.events.at_close(self._lost)

    def _can_wait(self):
        try:
            self.events.queue.fileno()
        except OSError:
            return False
        return True

    def living(self):
        """The calls that run, as far as somebody can ask them."""
        calls = [reference() for reference in list(self.calls.values())]
        return [call for call in calls if call is not None]

    def end(self):
        """Cancels the calls and closes the connections. In the loop."""
        for call in self.living():
            call.cancel()
        # Before the sockets are left, so that what is cancelled is said.
        self.close()
        self.channel.close()
        for waiter in list(self.watching):
            if not waiter.done():
                waiter.set_result(None)

    def may_run_inside(self):
        """What is called next, in one of the loop's callbacks, may run the loop. `nest_asyncio`
        allows that, and marks the loop. A handle cannot run inside of itself: others are needed."""
        if getattr(self.loop, "_nest_patched", False):
            self.events.read_anew()
            for connection in self._connections:
                connection.read_anew()

    def close(self):
        """Leaves the connections to the channel's own thread. In the loop."""
        self.events.not_at_close(self._lost)
        self.events.forget(self._tag)
        self.engine.stop_driving()
        for connection in list(self._connections):
            connection.close()

    def _announced(self, _what):
        """There is a connection to adopt, or one has something to do."""
        while (adopted := self.engine.adopt()) is not None:
            try:
                self._connections.append(_Connection(self, adopted))
            except OSError:
                # No more descriptors: the channel's own thread does it.
                adopted.close()
        for connection in self._connections.copy():
            connection.pump(0, by_loop=False)

    def forget_connection(self, connection):
        self._connections.remove(connection)

    def _lost(self):
        # The loop is closed, in whichever thread this is: its calls have nobody to wait for them.
        self.engine.stop_driving()
        for connection in list(self._connections):
            connection.abandon()
        self._connections.clear()
        self.waited.clear()
        self.held.clear()
        for reference in list(self.calls.values()):
            call = reference()
            if call is not None:
                call._lost()
        self.calls.clear()
        self.channel.close()


class _Connection:
    """One socket that the loop waits for."""

    __slots__ = (
        "_driver",
        "_due",
        "_engine",
        "_looking",
        "_reading",
        "_socket",
        "_timer",
        "_writing",
        "over",
    )

    def __init__(self, driver, engine):
        self._driver = driver
        self._engine = engine
        self._socket = engine.socket()
        self._reading = self._writing = self._looking = False
        self._timer = None
        self._due = 0.0
        self.over = False
        self._wait_for(_READ)

    def pump(self, what, by_loop=True):
        """Does what there is to do, called by the loop itself or in a callback of its events."""
        if self.over:
            return
        bits, after = self._engine.pump(what)
        if bits & _FILLED:
            bits ^= _FILLED
            self._driver.events.drain(False, by_loop)
            if self.over:
                return
        if bits & _LOOK:
            bits ^= _LOOK
            if not self._looking:
                self._looking = True
                self._driver.loop.call_soon(self._look)
        if bits != _READ or self._writing or not self._reading:
            if bits & _OVER:
                self.close()
                return
            self._wait_for(bits)
        if after is not None:
            self._wake_after(after)

    def _look(self):
        """An answer may be about to come: in each turn of the loop, which so does not sleep."""
        self._looking = False
        self.pump(_READ | _LOOK)

    def _wait_for(self, bits):
        loop = self._driver.loop
        reading, writing = bool(bits & _READ), bool(bits & _WRITE)
        if reading != self._reading:
            self._reading = reading
            if reading:
                loop.add_reader(self._socket, self.pump, _READ)
            else:
                loop.remove_reader(self._socket)
        if writing != self._writing:
            self._writing = writing
            if writing:
                loop.add_writer(self._socket, self.pump, _WRITE)
            else:
                loop.remove_writer(self._socket)
        if bits & _AGAIN:
            loop.call_soon(self.pump, _READ)

    def read_anew(self):
        """By another handle of the loop's."""
        if self._reading:
            self._driver.loop.add_reader(self._socket, self.pump, _READ)

    def _wake_after(self, seconds):
        """At the latest. A timer that is set is left until it is due: times mostly move on."""
        loop = self._driver.loop
        due = loop.time() + seconds
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_at(due, self._timed)

    def _timed(self):
        self._timer = None
        self.pump(0)

    def close(self):
        """In the loop."""
        if self.over:
            return
        self._wait_for(0)
        if self._timer is not None:
            self._timer.cancel()
        self.abandon()
        self._driver.forget_connection(self)

    def abandon(self):
        """In any thread."""
        if not self.over:
            self.over = True
            os.close(self._socket)
            self._engine.close()
