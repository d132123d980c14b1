"""Handlers as generated code makes them, the future of a ready channel, versions compared."""

import collections
import logging
import sys
import threading
import time

import grpc
from grpc._grpcio_metadata import __version__ as _API_VERSION

_LOGGER = logging.getLogger(__name__)

_RpcMethodHandler = collections.namedtuple(
    "_RpcMethodHandler",
    (
        "request_streaming",
        "response_streaming",
        "request_deserializer",
        "response_serializer",
        "unary_unary",
        "unary_stream",
        "stream_unary",
        "stream_stream",
    ),
)


class RpcMethodHandler(_RpcMethodHandler, grpc.RpcMethodHandler):
    """A method's handler; a named tuple, whose `_replace` wrappers use."""


class DictionaryGenericHandler(grpc.ServiceRpcHandler):
    """Finds the handlers of one service by their paths."""

    def __init__(self, service, method_handlers):
        self._name = service
        self._method_handlers = {
            f"/{service}/{method}": handler for method, handler in method_handlers.items()
        }

    def service_name(self):
        return self._name

    def service(self, handler_call_details):
        return self._method_handlers.get(handler_call_details.method)


class _ChannelReadyFuture(grpc.Future):
    """Pending until the channel says READY (matured) or somebody cancels; both are final."""

    def __init__(self, channel):
        self._channel = channel
        self._condition = threading.Condition()
        self._matured = False
        self._cancelled = False
        self._done_callbacks = []

    def start(self):
        self._channel.subscribe(self._update, try_to_connect=True)

    def _update(self, connectivity):
        with self._condition:
            if self._cancelled or self._matured:
                return
            if connectivity is not grpc.ChannelConnectivity.READY:
                return
            self._matured = True
        self._finish()

    def _finish(self):
        self._channel.unsubscribe(self._update)
        with self._condition:
            self._condition.notify_all()
            callbacks, self._done_callbacks = self._done_callbacks, None
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                _LOGGER.exception("Exception calling connectivity future done callback!")

    def _wait(self, timeout):
        until = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while not self._cancelled and not self._matured:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise grpc.FutureTimeoutError()
                self._condition.wait(left)
            if self._cancelled:
                raise grpc.FutureCancelledError()

    def cancel(self):
        with self._condition:
            if self._matured:
                return False
            if self._cancelled:
                return True
            self._cancelled = True
        self._finish()
        return True

    def cancelled(self):
        return self._cancelled

    def running(self):
        return not self._cancelled and not self._matured

    def done(self):
        return self._cancelled or self._matured

    def result(self, timeout=None):
        self._wait(timeout)

    def exception(self, timeout=None):
        self._wait(timeout)

    def traceback(self, timeout=None):
        self._wait(timeout)

    def add_done_callback(self, fn):
        with self._condition:
            if self._done_callbacks is not None:
                self._done_callbacks.append(fn)
                return
        fn(self)


def channel_ready_future(channel):
    """See `grpc.channel_ready_future`."""
    future = _ChannelReadyFuture(channel)
    future.start()
    return future


def first_version_is_lower(version1, version2):
    """Whether the first of two versions, `1.85.1` or `1.86.0.dev0`, is the lower one.

    Generated files refuse to be imported when it says so of `grpc.__version__` and the version of
    their generator. To them it never does: a file of a newer generator mostly needs nothing new,
    and where it does, the name that is missing tells what.
    """
    if version1 == _API_VERSION and "GRPC_GENERATED_VERSION" in sys._getframe(1).f_globals:
        return False
    try:
        first, second = _numbers(version1), _numbers(version2)
    except ValueError:
        # A development build calls itself by a word; it is taken for the newest.
        return False
    # As in grpcio, 1.2.3.dev0 comes behind 1.2.3.
    return first[:3] < second[:3] or (first == second[:3] and len(second) > len(first))


def _numbers(version):
    """The numbers of a version; a fourth part counts as 0, whatever it says."""
    parts = version.split(".")
    return [int(part) for part in parts[:3]] + [0] * (len(parts) > 3)
