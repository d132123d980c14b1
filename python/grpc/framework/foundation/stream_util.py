"""Consumers that change values, hand them to an iterator, or to another thread."""

import logging
import threading

from grpc.framework.foundation import stream

_NO_VALUE = object()
_LOGGER = logging.getLogger(__name__)


class TransformingConsumer(stream.Consumer):
    """Passes on what a function makes of each value."""

    def __init__(self, transformation, downstream):
        self._transformation = transformation
        self._downstream = downstream

    def consume(self, value):
        self._downstream.consume(self._transformation(value))

    def terminate(self):
        self._downstream.terminate()

    def consume_and_terminate(self, value):
        self._downstream.consume_and_terminate(self._transformation(value))


class IterableConsumer(stream.Consumer):
    """Gives its values out to who iterates over it, who waits for them."""

    def __init__(self):
        self._condition = threading.Condition()
        self._values = []
        self._active = True

    def consume(self, value):
        self._take(value, True)

    def terminate(self):
        self._take(_NO_VALUE, False)

    def consume_and_terminate(self, value):
        self._take(value, False)

    def _take(self, value, active):
        with self._condition:
            if not self._active:
                return
            if value is not _NO_VALUE:
                self._values.append(value)
            self._active = active
            self._condition.notify()

    def __iter__(self):
        return self

    def __next__(self):
        return self.next()

    def next(self):
        with self._condition:
            while self._active and not self._values:
                self._condition.wait()
            if self._values:
                return self._values.pop(0)
            raise StopIteration


class ThreadSwitchingConsumer(stream.Consumer):
    """Passes values on from a thread of a pool, so that who gives them never waits. One task runs
    at a time; it ends when there is nothing to pass on."""

    def __init__(self, sink, pool):
        self._lock = threading.Lock()
        self._sink = sink
        self._pool = pool
        self._spinning = False
        self._values = []
        self._active = True

    def consume(self, value):
        self._take(value, False)

    def terminate(self):
        self._take(_NO_VALUE, True)

    def consume_and_terminate(self, value):
        self._take(value, True)

    def _take(self, value, terminate):
        with self._lock:
            if not self._active:
                return
            self._active = not terminate
            self._values.append((value, terminate))
            if self._spinning:
                return
            self._spinning = True
        self._pool.submit(self._spin)

    def _spin(self):
        while True:
            with self._lock:
                if not self._values:
                    self._spinning = False
                    return
                value, terminate = self._values.pop(0)
            try:
                if value is _NO_VALUE:
                    self._sink.terminate()
                elif terminate:
                    self._sink.consume_and_terminate(value)
                else:
                    self._sink.consume(value)
            except Exception:
                _LOGGER.exception("Exception passing a value on!")
