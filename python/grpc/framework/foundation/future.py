"""The interface of futures from before `grpc.Future`."""

import abc


class TimeoutError(Exception):
    """A wait took as long as it was allowed to, in vain."""


class CancelledError(Exception):
    """What was waited for was cancelled."""


class Future(abc.ABC):
    """As `grpc.Future`, with the exceptions of this module."""

    @abc.abstractmethod
    def cancel(self):
        """Tries to cancel; whether it did."""
        raise NotImplementedError

    @abc.abstractmethod
    def cancelled(self):
        """Whether it was cancelled."""
        raise NotImplementedError

    @abc.abstractmethod
    def running(self):
        """Whether it is under way."""
        raise NotImplementedError

    @abc.abstractmethod
    def done(self):
        """Whether it is over."""
        raise NotImplementedError

    @abc.abstractmethod
    def result(self, timeout=None):
        """Waits for the result, or raises the exception."""
        raise NotImplementedError

    @abc.abstractmethod
    def exception(self, timeout=None):
        """Waits for the end and returns the exception or None."""
        raise NotImplementedError

    @abc.abstractmethod
    def traceback(self, timeout=None):
        """Waits for the end and returns the exception's traceback or None."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_done_callback(self, fn):
        """Has `fn` called with this future when it is done."""
        raise NotImplementedError
