"""The interfaces of the client side: futures, calls, channels and interceptors.

They are abstract: `grpc._channel` and `grpc._interceptor` implement them, and so may anybody else.
Programs decide by `isinstance`, so the inheritance is real.
"""

import abc


class Future(abc.ABC):
    """A computation that may run elsewhere. Methods with a `timeout` in seconds wait that long
    (`None`: without end), and raise `grpc.FutureTimeoutError` when it has passed,
    `grpc.FutureCancelledError` when the computation was cancelled."""

    @abc.abstractmethod
    def cancel(self):
        """Tries to cancel it. True when it will not yield a result because of that."""
        raise NotImplementedError

    @abc.abstractmethod
    def cancelled(self):
        """Whether it was cancelled before it had a result."""
        raise NotImplementedError

    @abc.abstractmethod
    def running(self):
        """Whether it is under way: neither done nor cancelled."""
        raise NotImplementedError

    @abc.abstractmethod
    def done(self):
        """Whether it is over: with a result, with an exception or cancelled."""
        raise NotImplementedError

    @abc.abstractmethod
    def result(self, timeout=None):
        """Waits for the result and returns it; raises the exception it ended with."""
        raise NotImplementedError

    @abc.abstractmethod
    def exception(self, timeout=None):
        """Waits for the end and returns the exception, or None when there is a result."""
        raise NotImplementedError

    @abc.abstractmethod
    def traceback(self, timeout=None):
        """Waits for the end and returns the exception's traceback, or None."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_done_callback(self, fn):
        """Has `fn` called with this future when it is done; at once if it is."""
        raise NotImplementedError


class RpcContext(abc.ABC):
    """What both sides of an RPC can see of it."""

    @abc.abstractmethod
    def is_active(self):
        """Whether the RPC has not ended yet."""
        raise NotImplementedError

    @abc.abstractmethod
    def time_remaining(self):
        """The seconds left to the deadline, a float of at least 0; None without a deadline."""
        raise NotImplementedError

    @abc.abstractmethod
    def cancel(self):
        """Cancels the RPC; without effect once it has ended."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_callback(self, callback):
        """Has `callback`, which takes no argument, called at the RPC's end. False when it has
        ended already: then it is not called."""
        raise NotImplementedError


class Call(RpcContext):
    """An RPC as its caller sees it. All four methods wait for what they return."""

    @abc.abstractmethod
    def initial_metadata(self):
        """The metadata the server sent first: pairs of key and value."""
        raise NotImplementedError

    @abc.abstractmethod
    def trailing_metadata(self):
        """The metadata the server sent with the status: pairs of key and value."""
        raise NotImplementedError

    @abc.abstractmethod
    def code(self):
        """The `grpc.StatusCode` it ended with."""
        raise NotImplementedError

    @abc.abstractmethod
    def details(self):
        """The text that came with the status, a str."""
        raise NotImplementedError


class ClientCallDetails(abc.ABC):
    """What a client interceptor can read, and replace, of a call about to be made.

    Attributes: `method` (str, `/package.Service/Method`), `timeout` (seconds or None), `metadata`,
    `credentials` (`grpc.CallCredentials` or None), `wait_for_ready` (bool or None), `compression`
    (`grpc.Compression` or None). One that is missing from a replacement keeps its old value.
    """


class UnaryUnaryClientInterceptor(abc.ABC):
    """Stands between callers and calls with one request and one response."""

    @abc.abstractmethod
    def intercept_unary_unary(self, continuation, client_call_details, request):
        """Called in place of the call. `continuation(client_call_details, request)` makes it and
        returns an object that is both Call and Future. What is returned must be one too."""
        raise NotImplementedError


class UnaryStreamClientInterceptor(abc.ABC):
    """Stands between callers and calls with one request and a stream of responses."""

    @abc.abstractmethod
    def intercept_unary_stream(self, continuation, client_call_details, request):
        """Called in place of the call. `continuation(client_call_details, request)` makes it and
        returns an object that is both Call and iterator of responses. So must what is returned."""
        raise NotImplementedError


class StreamUnaryClientInterceptor(abc.ABC):
    """Stands between callers and calls with a stream of requests and one response."""

    @abc.abstractmethod
    def intercept_stream_unary(self, continuation, client_call_details, request_iterator):
        """Called in place of the call. `continuation(client_call_details, request_iterator)` makes
        it and returns an object that is both Call and Future. What is returned must be one too."""
        raise NotImplementedError


class StreamStreamClientInterceptor(abc.ABC):
    """Stands between callers and calls with streams in both directions."""

    @abc.abstractmethod
    def intercept_stream_stream(self, continuation, client_call_details, request_iterator):
        """Called in place of the call. `continuation(client_call_details, request_iterator)` makes
        it and returns an object that is both Call and iterator of responses. So must what is
        returned."""
        raise NotImplementedError


class UnaryUnaryMultiCallable(abc.ABC):
    """Calls a method with one request and one response.

    Arguments of each call: `timeout` in seconds; `metadata`, pairs of key and value; `credentials`,
    a `grpc.CallCredentials` for channels that are secure; `wait_for_ready`, whether to wait for a
    connection rather than fail without one; `compression`, a `grpc.Compression`.
    """

    @abc.abstractmethod
    def __call__(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Returns the response. Raises a `grpc.RpcError` which is also the `grpc.Call`."""
        raise NotImplementedError

    @abc.abstractmethod
    def with_call(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Returns a tuple of the response and the `grpc.Call`; raises like `__call__`."""
        raise NotImplementedError

    @abc.abstractmethod
    def future(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Begins the call and returns an object that is both `grpc.Call` and `grpc.Future`."""
        raise NotImplementedError


class UnaryStreamMultiCallable(abc.ABC):
    """Calls a method with one request and a stream of responses; arguments as in
    `grpc.UnaryUnaryMultiCallable`."""

    @abc.abstractmethod
    def __call__(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Begins the call and returns an object that is both `grpc.Call` and iterator of responses.
        To iterate raises a `grpc.RpcError` if the call does not end well."""
        raise NotImplementedError


class StreamUnaryMultiCallable(abc.ABC):
    """Calls a method with a stream of requests, taken from an iterator, and one response; arguments
    as in `grpc.UnaryUnaryMultiCallable`."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Returns the response. Raises a `grpc.RpcError` which is also the `grpc.Call`."""
        raise NotImplementedError

    @abc.abstractmethod
    def with_call(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Returns a tuple of the response and the `grpc.Call`; raises like `__call__`."""
        raise NotImplementedError

    @abc.abstractmethod
    def future(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Begins the call and returns an object that is both `grpc.Call` and `grpc.Future`."""
        raise NotImplementedError


class StreamStreamMultiCallable(abc.ABC):
    """Calls a method with streams in both directions; arguments as in
    `grpc.StreamUnaryMultiCallable`."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        """Begins the call and returns an object that is both `grpc.Call` and iterator of responses.
        To iterate raises a `grpc.RpcError` if the call does not end well."""
        raise NotImplementedError


class Channel(abc.ABC):
    """Where calls are made: the connections to one target. May be used from any thread, and as a
    context manager which closes it.

    The four methods that return multicallables take the method's path (`/package.Service/Method`),
    a function from request to bytes and one from bytes to response. None for either: messages are
    bytes.
    """

    @abc.abstractmethod
    def subscribe(self, callback, try_to_connect=False):
        """Has `callback` called with the present `grpc.ChannelConnectivity` and with each that
        follows, by a thread of the channel's. `try_to_connect`: an idle channel connects."""
        raise NotImplementedError

    @abc.abstractmethod
    def unsubscribe(self, callback):
        """Ends a subscription; one that is unknown is ignored."""
        raise NotImplementedError

    @abc.abstractmethod
    def unary_unary(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        """The `grpc.UnaryUnaryMultiCallable` of a method."""
        raise NotImplementedError

    @abc.abstractmethod
    def unary_stream(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        """The `grpc.UnaryStreamMultiCallable` of a method."""
        raise NotImplementedError

    @abc.abstractmethod
    def stream_unary(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        """The `grpc.StreamUnaryMultiCallable` of a method."""
        raise NotImplementedError

    @abc.abstractmethod
    def stream_stream(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        """The `grpc.StreamStreamMultiCallable` of a method."""
        raise NotImplementedError

    @abc.abstractmethod
    def close(self):
        """Cancels the calls in flight and closes the connections. May be called again."""
        raise NotImplementedError

    def __enter__(self):
        raise NotImplementedError

    def __exit__(self, exc_type, exc_val, exc_tb):
        raise NotImplementedError
