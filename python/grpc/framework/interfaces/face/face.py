"""The interfaces of the beta API: errors, contexts and calls. What abstract methods take is what
`grpc.beta` had them take."""

import abc
import collections
import enum


class NoSuchMethodError(Exception):
    """A method is not implemented.

    Attributes: `group` and `method`, its name in two parts.
    """

    def __init__(self, group, method):
        super().__init__()
        self.group = group
        self.method = method

    def __repr__(self):
        return f"face.NoSuchMethodError({self.group}, {self.method})"


class Abortion(
    collections.namedtuple(
        "Abortion", ("kind", "initial_metadata", "terminal_metadata", "code", "details")
    )
):
    """How a call was ended before its time."""

    @enum.unique
    class Kind(enum.Enum):
        """Who or what ended it."""

        CANCELLED = "cancelled"
        EXPIRED = "expired"
        LOCAL_SHUTDOWN = "local shutdown"
        REMOTE_SHUTDOWN = "remote shutdown"
        NETWORK_FAILURE = "network failure"
        LOCAL_FAILURE = "local failure"
        REMOTE_FAILURE = "remote failure"


class AbortionError(Exception):
    """A call was ended before its time.

    Attributes: `initial_metadata`, `terminal_metadata`, `code`, `details`, each as far as known.
    """

    def __init__(self, initial_metadata, terminal_metadata, code, details):
        super().__init__()
        self.initial_metadata = initial_metadata
        self.terminal_metadata = terminal_metadata
        self.code = code
        self.details = details

    def __str__(self):
        return f'{type(self).__name__}(code={self.code}, details="{self.details}")'


class CancellationError(AbortionError):
    """It was cancelled."""


class ExpirationError(AbortionError):
    """Its time was up."""


class LocalShutdownError(AbortionError):
    """This side shut down."""


class RemoteShutdownError(AbortionError):
    """The other side shut down."""


class NetworkError(AbortionError):
    """The network failed."""


class LocalError(AbortionError):
    """This side failed."""


class RemoteError(AbortionError):
    """The other side failed."""


class RpcContext(abc.ABC):
    """What both sides can see of a call."""

    @abc.abstractmethod
    def is_active(self):
        raise NotImplementedError

    @abc.abstractmethod
    def time_remaining(self):
        raise NotImplementedError

    @abc.abstractmethod
    def add_abortion_callback(self, abortion_callback):
        raise NotImplementedError

    @abc.abstractmethod
    def cancel(self):
        raise NotImplementedError

    @abc.abstractmethod
    def protocol_context(self):
        raise NotImplementedError


class Call(RpcContext):
    """A call as its caller sees it."""

    @abc.abstractmethod
    def initial_metadata(self):
        raise NotImplementedError

    @abc.abstractmethod
    def terminal_metadata(self):
        raise NotImplementedError

    @abc.abstractmethod
    def code(self):
        raise NotImplementedError

    @abc.abstractmethod
    def details(self):
        raise NotImplementedError


class ServicerContext(RpcContext):
    """A call as its handler sees it."""

    @abc.abstractmethod
    def invocation_metadata(self):
        raise NotImplementedError

    @abc.abstractmethod
    def initial_metadata(self, initial_metadata):
        raise NotImplementedError

    @abc.abstractmethod
    def terminal_metadata(self, terminal_metadata):
        raise NotImplementedError

    @abc.abstractmethod
    def code(self, code):
        raise NotImplementedError

    @abc.abstractmethod
    def details(self, details):
        raise NotImplementedError
