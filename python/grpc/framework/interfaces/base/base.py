"""Interfaces below `face`: operations between two ends. Nothing in this package implements them."""

import abc
import enum


class NoSuchMethodError(Exception):
    """A method is not implemented.

    Attributes: `code` and `details`, what its caller is to be told, or None.
    """

    def __init__(self, code, details):
        super().__init__()
        self.code = code
        self.details = details


class Outcome:
    """How an operation ended: `kind`, and `code` and `details` of the other side, if known."""

    @enum.unique
    class Kind(enum.Enum):
        """Who or what ended it."""

        COMPLETED = "completed"
        CANCELLED = "cancelled"
        EXPIRED = "expired"
        LOCAL_SHUTDOWN = "local shutdown"
        REMOTE_SHUTDOWN = "remote shutdown"
        RECEPTION_FAILURE = "reception failure"
        TRANSMISSION_FAILURE = "transmission failure"
        LOCAL_FAILURE = "local failure"
        REMOTE_FAILURE = "remote failure"


class Completion(abc.ABC):
    """What ends a stream: `terminal_metadata`, `code` and `message`."""


class OperationContext(abc.ABC):
    """An operation as those who take part in it see it."""

    @abc.abstractmethod
    def outcome(self):
        raise NotImplementedError

    @abc.abstractmethod
    def add_termination_callback(self, callback):
        raise NotImplementedError

    @abc.abstractmethod
    def time_remaining(self):
        raise NotImplementedError

    @abc.abstractmethod
    def cancel(self):
        raise NotImplementedError

    @abc.abstractmethod
    def fail(self, exception):
        raise NotImplementedError


class Operator(abc.ABC):
    """Is given what comes from the other end."""

    @abc.abstractmethod
    def advance(self, initial_metadata=None, payload=None, completion=None, allowance=None):
        raise NotImplementedError


class ProtocolReceiver(abc.ABC):
    """Is given the protocol's own context."""

    @abc.abstractmethod
    def context(self, protocol_context):
        raise NotImplementedError


class Subscription(abc.ABC):
    """What is wanted of an operation."""

    @enum.unique
    class Kind(enum.Enum):
        """Nothing, to hear of its end, or everything."""

        NONE = "none"
        TERMINATION_ONLY = "termination only"
        FULL = "full"


class Servicer(abc.ABC):
    """Serves operations."""

    @abc.abstractmethod
    def service(self, group, method, context, output_operator):
        raise NotImplementedError


class End(abc.ABC):
    """One side of operations."""

    @abc.abstractmethod
    def start(self):
        raise NotImplementedError

    @abc.abstractmethod
    def stop(self, grace):
        raise NotImplementedError

    @abc.abstractmethod
    def operate(
        self,
        group,
        method,
        subscription,
        timeout,
        initial_metadata=None,
        payload=None,
        completion=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def operation_stats(self):
        raise NotImplementedError

    @abc.abstractmethod
    def add_idle_action(self, action):
        raise NotImplementedError
