"""Client interceptors: a channel whose calls go through one, and what calls of that channel yield.

Several are a chain of such channels, the outermost first. Each calls the next by the public
interface of multicallables, so that a channel of any make can be intercepted.

What the `continuation` of an interceptor returns for a call with one response:

```text
    blocking call, response          _UnaryOutcome
    blocking call, RpcError          that error, which is Call and Future too
    blocking call, another exception _FailureOutcome
    future                           the future of the next channel
```
"""

import collections
import sys

import grpc


class _ClientCallDetails(
    collections.namedtuple(
        "_ClientCallDetails",
        ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression"),
    ),
    grpc.ClientCallDetails,
):
    """What interceptors get as their `client_call_details`."""


class _FailureOutcome(grpc.RpcError, grpc.Future, grpc.Call):
    """A call which ended in an exception of an interceptor, or before it began."""

    def __init__(self, exception, traceback):
        super().__init__()
        self._exception = exception
        self._traceback = traceback

    def __reduce__(self):
        # Tracebacks stay where they were made.
        return type(self), (self._exception, None)

    def initial_metadata(self):
        return None

    def trailing_metadata(self):
        return None

    def code(self):
        return grpc.StatusCode.INTERNAL

    def details(self):
        return "Exception raised while intercepting the RPC"

    def cancel(self):
        return False

    def cancelled(self):
        return False

    def is_active(self):
        return False

    def time_remaining(self):
        return None

    def running(self):
        return False

    def done(self):
        return True

    def result(self, ignored_timeout=None):
        raise self._exception

    def exception(self, ignored_timeout=None):
        return self._exception

    def traceback(self, ignored_timeout=None):
        return self._traceback

    def add_callback(self, unused_callback):
        return False

    def add_done_callback(self, fn):
        fn(self)

    def __iter__(self):
        return self

    def __next__(self):
        raise self._exception

    def next(self):
        return self.__next__()


class _UnaryOutcome(grpc.Call, grpc.Future):
    """A call which ended with a response."""

    def __init__(self, response, call):
        self._response = response
        self._call = call

    def initial_metadata(self):
        return self._call.initial_metadata()

    def trailing_metadata(self):
        return self._call.trailing_metadata()

    def code(self):
        return self._call.code()

    def details(self):
        return self._call.details()

    def is_active(self):
        return self._call.is_active()

    def time_remaining(self):
        return self._call.time_remaining()

    def cancel(self):
        return self._call.cancel()

    def add_callback(self, callback):
        return self._call.add_callback(callback)

    def cancelled(self):
        return False

    def running(self):
        return False

    def done(self):
        return True

    def result(self, ignored_timeout=None):
        return self._response

    def exception(self, ignored_timeout=None):
        return None

    def traceback(self, ignored_timeout=None):
        return None

    def add_done_callback(self, fn):
        fn(self)


class _Intercepted:
    """What the four multicallables share. `thunk` makes the next one from a method's path."""

    def __init__(self, thunk, method, interceptor):
        self._thunk = thunk
        self._method = method
        self._interceptor = interceptor
        self._next = None

    def _forward(self, details, old):
        """The next multicallable and its keyword arguments, from the details that an interceptor
        passes on; what they lack is as it was."""
        given = [getattr(details, name, value) for name, value in zip(_FIELDS, old, strict=True)]
        method = given[0]
        if method != self._method:
            # An interceptor redirects this call.
            following = self._thunk(method)
        else:
            following = self._next
            if following is None:
                following = self._next = self._thunk(method)
        return following, dict(zip(_FIELDS[1:], given[1:], strict=True))


class _UnaryResponse(_Intercepted):
    def _blocking(self, intercept, request, details):
        def continuation(new_details, request):
            following, arguments = self._forward(new_details, details)
            try:
                response, call = following.with_call(request, **arguments)
                return _UnaryOutcome(response, call)
            except grpc.RpcError as error:
                return error
            except Exception as error:
                return _FailureOutcome(error, sys.exc_info()[2])

        call = intercept(continuation, details, request)
        return call.result(), call

    def _future(self, intercept, request, details):
        def continuation(new_details, request):
            following, arguments = self._forward(new_details, details)
            return following.future(request, **arguments)

        try:
            return intercept(continuation, details, request)
        except Exception as error:
            return _FailureOutcome(error, sys.exc_info()[2])


class _StreamResponse(_Intercepted):
    def _streaming(self, intercept, request, details):
        def continuation(new_details, request):
            following, arguments = self._forward(new_details, details)
            return following(request, **arguments)

        try:
            return intercept(continuation, details, request)
        except Exception as error:
            return _FailureOutcome(error, sys.exc_info()[2])


class _UnaryUnaryMultiCallable(_UnaryResponse, grpc.UnaryUnaryMultiCallable):
    def __call__(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        response, _ = self.with_call(
            request, timeout, metadata, credentials, wait_for_ready, compression
        )
        return response

    def with_call(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        details = _ClientCallDetails(
            self._method, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._blocking(self._interceptor.intercept_unary_unary, request, details)

    def future(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        details = _ClientCallDetails(
            self._method, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._future(self._interceptor.intercept_unary_unary, request, details)


class _UnaryStreamMultiCallable(_StreamResponse, grpc.UnaryStreamMultiCallable):
    def __call__(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        details = _ClientCallDetails(
            self._method, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._streaming(self._interceptor.intercept_unary_stream, request, details)


class _StreamUnaryMultiCallable(_UnaryResponse, grpc.StreamUnaryMultiCallable):
    def __call__(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        response, _ = self.with_call(
            request_iterator, timeout, metadata, credentials, wait_for_ready, compression
        )
        return response

    def with_call(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        details = _ClientCallDetails(
            self._method, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._blocking(self._interceptor.intercept_stream_unary, request_iterator, details)

    def future(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        details = _ClientCallDetails(
            self._method, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._future(self._interceptor.intercept_stream_unary, request_iterator, details)


class _StreamStreamMultiCallable(_StreamResponse, grpc.StreamStreamMultiCallable):
    def __call__(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        details = _ClientCallDetails(
            self._method, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._streaming(self._interceptor.intercept_stream_stream, request_iterator, details)


class _Channel(grpc.Channel):
    """A channel with one interceptor before it. Tools that trace calls walk the chain by `_channel`
    and `_interceptor`."""

    def __init__(self, channel, interceptor):
        self._channel = channel
        self._interceptor = interceptor

    def subscribe(self, callback, try_to_connect=False):
        self._channel.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback):
        self._channel.unsubscribe(callback)

    def unary_unary(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        def thunk(method):
            return self._channel.unary_unary(
                method, request_serializer, response_deserializer, _registered_method
            )

        if isinstance(self._interceptor, grpc.UnaryUnaryClientInterceptor):
            return _UnaryUnaryMultiCallable(thunk, method, self._interceptor)
        return thunk(method)

    def unary_stream(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        def thunk(method):
            return self._channel.unary_stream(
                method, request_serializer, response_deserializer, _registered_method
            )

        if isinstance(self._interceptor, grpc.UnaryStreamClientInterceptor):
            return _UnaryStreamMultiCallable(thunk, method, self._interceptor)
        return thunk(method)

    def stream_unary(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        def thunk(method):
            return self._channel.stream_unary(
                method, request_serializer, response_deserializer, _registered_method
            )

        if isinstance(self._interceptor, grpc.StreamUnaryClientInterceptor):
            return _StreamUnaryMultiCallable(thunk, method, self._interceptor)
        return thunk(method)

    def stream_stream(
        self,
        method,
        request_serializer=None,
        response_deserializer=None,
        _registered_method=False,
    ):
        def thunk(method):
            return self._channel.stream_stream(
                method, request_serializer, response_deserializer, _registered_method
            )

        if isinstance(self._interceptor, grpc.StreamStreamClientInterceptor):
            return _StreamStreamMultiCallable(thunk, method, self._interceptor)
        return thunk(method)

    def _close(self):
        self._channel.close()

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self._close()
        return False

    def close(self):
        self._close()


def intercept_channel(channel, *interceptors):
    """See `grpc.intercept_channel`."""
    for interceptor in reversed(interceptors):
        if not isinstance(interceptor, _KINDS):
            raise TypeError(
                "interceptor must be grpc.UnaryUnaryClientInterceptor or "
                "grpc.UnaryStreamClientInterceptor or grpc.StreamUnaryClientInterceptor or "
                "grpc.StreamStreamClientInterceptor"
            )
        channel = _Channel(channel, interceptor)
    return channel


class _ServicePipeline:
    """A server's interceptors, the first one outermost."""

    def __init__(self, interceptors):
        self.interceptors = tuple(interceptors)

    def execute(self, thunk, context):
        """The handler for a `grpc.HandlerCallDetails`; behind all interceptors, `thunk(details)`
        looks for it."""
        return self._continuation(thunk, 0)(context)

    def _continuation(self, thunk, index):
        if index == len(self.interceptors):
            return thunk

        def continuation(context):
            following = self._continuation(thunk, index + 1)
            return self.interceptors[index].intercept_service(following, context)

        return continuation


def service_pipeline(interceptors):
    """A server's interceptors as one object; None for none of them."""
    return _ServicePipeline(interceptors) if interceptors else None


_FIELDS = _ClientCallDetails._fields
_KINDS = (
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
)
