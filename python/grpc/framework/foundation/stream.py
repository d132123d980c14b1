"""Consumers of values that come one after the other."""

import abc


class Consumer(abc.ABC):
    """Takes values until it is told that there are no more."""

    @abc.abstractmethod
    def consume(self, value):
        """Takes a value."""
        raise NotImplementedError

    @abc.abstractmethod
    def terminate(self):
        """There are no more values."""
        raise NotImplementedError

    @abc.abstractmethod
    def consume_and_terminate(self, value):
        """Takes the last value."""
        raise NotImplementedError
