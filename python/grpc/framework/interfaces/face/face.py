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


class UnaryUnaryMultiCallable(abc.ABC):
    """Calls a method with one request and one response."""

    @abc.abstractmethod
    def __call__(self, request, timeout, metadata=None, with_call=False, protocol_options=None):
        raise NotImplementedError

    @abc.abstractmethod
    def future(self, request, timeout, metadata=None, protocol_options=None):
        raise NotImplementedError

    @abc.abstractmethod
    def event(
        self, request, receiver, abortion_callback, timeout, metadata=None, protocol_options=None
    ):
        raise NotImplementedError


class UnaryStreamMultiCallable(abc.ABC):
    """Calls a method with one request and a stream of responses."""

    @abc.abstractmethod
    def __call__(self, request, timeout, metadata=None, protocol_options=None):
        raise NotImplementedError

    @abc.abstractmethod
    def event(
        self, request, receiver, abortion_callback, timeout, metadata=None, protocol_options=None
    ):
        raise NotImplementedError


class StreamUnaryMultiCallable(abc.ABC):
    """Calls a method with a stream of requests and one response."""

    @abc.abstractmethod
    def __call__(
        self, request_iterator, timeout, metadata=None, with_call=False, protocol_options=None
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def future(self, request_iterator, timeout, metadata=None, protocol_options=None):
        raise NotImplementedError

    @abc.abstractmethod
    def event(self, receiver, abortion_callback, timeout, metadata=None, protocol_options=None):
        raise NotImplementedError


class StreamStreamMultiCallable(abc.ABC):
    """Calls a method with streams in both directions."""

    @abc.abstractmethod
    def __call__(self, request_iterator, timeout, metadata=None, protocol_options=None):
        raise NotImplementedError

    @abc.abstractmethod
    def event(self, receiver, abortion_callback, timeout, metadata=None, protocol_options=None):
        raise NotImplementedError


class ResponseReceiver(abc.ABC):
    """Is given what comes back from a call made with events."""

    @abc.abstractmethod
    def initial_metadata(self, initial_metadata):
        raise NotImplementedError

    @abc.abstractmethod
    def response(self, response):
        raise NotImplementedError

    @abc.abstractmethod
    def complete(self, terminal_metadata, code, details):
        raise NotImplementedError


class MethodImplementation(abc.ABC):
    """A method's implementation; `grpc.framework.interfaces.face.utilities` makes them.

    Attributes: `cardinality`, `style`, and one function, as these two say: `unary_unary_inline` to
    `stream_stream_event`, the others being None.
    """


class MultiMethodImplementation(abc.ABC):
    """Answers for any method."""

    @abc.abstractmethod
    def service(self, group, method, response_consumer, context):
        """Returns a consumer of requests; raises `NoSuchMethodError`."""
        raise NotImplementedError


class GenericStub(abc.ABC):
    """Calls methods by name: blocking, by future, by iterators (inline) or by events."""

    @abc.abstractmethod
    def blocking_unary_unary(
        self,
        group,
        method,
        request,
        timeout,
        metadata=None,
        with_call=False,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def future_unary_unary(
        self,
        group,
        method,
        request,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def inline_unary_stream(
        self,
        group,
        method,
        request,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def blocking_stream_unary(
        self,
        group,
        method,
        request_iterator,
        timeout,
        metadata=None,
        with_call=False,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def future_stream_unary(
        self,
        group,
        method,
        request_iterator,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def inline_stream_stream(
        self,
        group,
        method,
        request_iterator,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def event_unary_unary(
        self,
        group,
        method,
        request,
        receiver,
        abortion_callback,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def event_unary_stream(
        self,
        group,
        method,
        request,
        receiver,
        abortion_callback,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def event_stream_unary(
        self,
        group,
        method,
        receiver,
        abortion_callback,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def event_stream_stream(
        self,
        group,
        method,
        receiver,
        abortion_callback,
        timeout,
        metadata=None,
        protocol_options=None,
    ):
        raise NotImplementedError

    @abc.abstractmethod
    def unary_unary(self, group, method):
        raise NotImplementedError

    @abc.abstractmethod
    def unary_stream(self, group, method):
        raise NotImplementedError

    @abc.abstractmethod
    def stream_unary(self, group, method):
        raise NotImplementedError

    @abc.abstractmethod
    def stream_stream(self, group, method):
        raise NotImplementedError


class DynamicStub(abc.ABC):
    """Has the methods of one group as attributes, each a multicallable."""
