"""Stubs of the beta API over channels of `grpc`."""

import grpc
from grpc import _common
from grpc.beta import _metadata, interfaces
from grpc.framework.common import cardinality
from grpc.framework.foundation import future
from grpc.framework.interfaces.face import face

# Which error, and which kind of abortion, a status is; face.AbortionError for all others.
_ERRORS = {
    grpc.StatusCode.CANCELLED: (face.CancellationError, face.Abortion.Kind.CANCELLED),
    grpc.StatusCode.DEADLINE_EXCEEDED: (face.ExpirationError, face.Abortion.Kind.EXPIRED),
    grpc.StatusCode.UNIMPLEMENTED: (face.LocalError, face.Abortion.Kind.LOCAL_FAILURE),
    grpc.StatusCode.UNKNOWN: (face.RemoteError, face.Abortion.Kind.REMOTE_FAILURE),
}


def _error(call):
    """The beta API's exception for a call that failed."""
    code = call.code()
    kind, _ = _ERRORS.get(code, (face.AbortionError, None))
    return kind(call.initial_metadata(), call.trailing_metadata(), code, call.details())


def _abortion(call):
    code = call.code()
    _, kind = _ERRORS.get(code, (None, face.Abortion.Kind.REMOTE_FAILURE))
    return face.Abortion(
        kind, call.initial_metadata(), call.trailing_metadata(), code, call.details()
    )


class _InvocationProtocolContext(interfaces.GRPCInvocationContext):
    def disable_next_request_compression(self):
        # Compression is chosen for a whole call.
        pass


class Outcome(future.Future):
    """A future of `grpc` with the exceptions of the beta API."""

    def __init__(self, rendezvous):
        self._rendezvous = rendezvous

    def cancel(self):
        return self._rendezvous.cancel()

    def cancelled(self):
        return self._rendezvous.cancelled()

    def running(self):
        return self._rendezvous.running()

    def done(self):
        return self._rendezvous.done()

    def _asked(self, question, timeout):
        try:
            return question(timeout=timeout)
        except grpc.RpcError as error:
            raise _error(error) from None
        except grpc.FutureTimeoutError:
            raise future.TimeoutError() from None
        except grpc.FutureCancelledError:
            raise future.CancelledError() from None

    def result(self, timeout=None):
        return self._asked(self._rendezvous.result, timeout)

    def exception(self, timeout=None):
        error = self._asked(self._rendezvous.exception, timeout)
        return _error(error) if isinstance(error, grpc.RpcError) else error

    def traceback(self, timeout=None):
        return self._asked(self._rendezvous.traceback, timeout)

    def add_done_callback(self, fn):
        self._rendezvous.add_done_callback(lambda _: fn(self))


class _Rendezvous(Outcome, face.Call):
    """A call: its iterator, its `face.Call` and its future."""

    def __iter__(self):
        return self

    def __next__(self):
        return self._next()

    def next(self):
        return self._next()

    def _next(self):
        try:
            return next(self._rendezvous)
        except grpc.RpcError as error:
            raise _error(error) from None

    def is_active(self):
        return self._rendezvous.is_active()

    def time_remaining(self):
        return self._rendezvous.time_remaining()

    def add_abortion_callback(self, abortion_callback):
        """None when it will be called if the call fails, or how the call failed already."""

        def ended():
            if self._rendezvous.code() is not grpc.StatusCode.OK:
                abortion_callback(_abortion(self._rendezvous))

        if self._rendezvous.add_callback(ended):
            return None
        failed = self._rendezvous.code() is not grpc.StatusCode.OK
        return _abortion(self._rendezvous) if failed else None

    def protocol_context(self):
        return _InvocationProtocolContext()

    def initial_metadata(self):
        return _metadata.beta(self._rendezvous.initial_metadata())

    def terminal_metadata(self):
        return _metadata.beta(self._rendezvous.trailing_metadata())

    def code(self):
        return self._rendezvous.code()

    def details(self):
        return self._rendezvous.details()


class _Method:
    """A method of a stub, and what its options say of it."""

    _KINDS = {
        cardinality.Cardinality.UNARY_UNARY: "unary_unary",
        cardinality.Cardinality.UNARY_STREAM: "unary_stream",
        cardinality.Cardinality.STREAM_UNARY: "stream_unary",
        cardinality.Cardinality.STREAM_STREAM: "stream_stream",
    }

    def __init__(self, stub, group, method, kind):
        serializer = stub.request_serializers.get((group, method))
        deserializer = stub.response_deserializers.get((group, method))
        make = getattr(stub.channel, self._KINDS[kind])
        self._transform = stub.metadata_transformer
        self._callable = make(
            _common.fully_qualified_method(group, method), serializer, deserializer
        )

    def _arguments(self, timeout, metadata, protocol_options):
        transformed = self._transform(metadata) if self._transform is not None else metadata
        given = {"timeout": timeout, "metadata": _metadata.unbeta(transformed)}
        if protocol_options is not None:
            given["credentials"] = protocol_options.credentials
            if protocol_options.disable_compression:
                given["compression"] = grpc.Compression.NoCompression
        return given

    def blocking(self, request, timeout, metadata=None, with_call=False, protocol_options=None):
        arguments = self._arguments(timeout, metadata, protocol_options)
        try:
            response, call = self._callable.with_call(request, **arguments)
        except grpc.RpcError as error:
            raise _error(error) from None
        return (response, _Rendezvous(call)) if with_call else response

    def future(self, request, timeout, metadata=None, protocol_options=None):
        arguments = self._arguments(timeout, metadata, protocol_options)
        try:
            return _Rendezvous(self._callable.future(request, **arguments))
        except grpc.RpcError as error:
            raise _error(error) from None

    def inline(self, request, timeout, metadata=None, protocol_options=None):
        arguments = self._arguments(timeout, metadata, protocol_options)
        try:
            return _Rendezvous(self._callable(request, **arguments))
        except grpc.RpcError as error:
            raise _error(error) from None


def _no_events():
    raise NotImplementedError("calls with events are not supported: iterate, or use a future")


class _UnaryUnaryMultiCallable(_Method, face.UnaryUnaryMultiCallable):
    def __call__(self, request, timeout, metadata=None, with_call=False, protocol_options=None):
        return self.blocking(request, timeout, metadata, with_call, protocol_options)

    def event(
        self, request, receiver, abortion_callback, timeout, metadata=None, protocol_options=None
    ):
        _no_events()


class _UnaryStreamMultiCallable(_Method, face.UnaryStreamMultiCallable):
    def __call__(self, request, timeout, metadata=None, protocol_options=None):
        return self.inline(request, timeout, metadata, protocol_options)

    def event(
        self, request, receiver, abortion_callback, timeout, metadata=None, protocol_options=None
    ):
        _no_events()


class _StreamUnaryMultiCallable(_Method, face.StreamUnaryMultiCallable):
    def __call__(
        self, request_iterator, timeout, metadata=None, with_call=False, protocol_options=None
    ):
        return self.blocking(request_iterator, timeout, metadata, with_call, protocol_options)

    def event(self, receiver, abortion_callback, timeout, metadata=None, protocol_options=None):
        _no_events()


class _StreamStreamMultiCallable(_Method, face.StreamStreamMultiCallable):
    def __call__(self, request_iterator, timeout, metadata=None, protocol_options=None):
        return self.inline(request_iterator, timeout, metadata, protocol_options)

    def event(self, receiver, abortion_callback, timeout, metadata=None, protocol_options=None):
        _no_events()


_MULTI_CALLABLES = {
    cardinality.Cardinality.UNARY_UNARY: _UnaryUnaryMultiCallable,
    cardinality.Cardinality.UNARY_STREAM: _UnaryStreamMultiCallable,
    cardinality.Cardinality.STREAM_UNARY: _StreamUnaryMultiCallable,
    cardinality.Cardinality.STREAM_STREAM: _StreamStreamMultiCallable,
}


def _looking_up(kind):
    """A method of the generic stub that returns a multicallable."""

    def multi_callable(self, group, method):
        return self.multi_callable(group, method, kind)

    return multi_callable


def _calling(kind, way):
    """A method of the generic stub that looks a method up and calls it in one of the ways."""

    def call(self, group, method, *arguments, **keywords):
        return getattr(self.multi_callable(group, method, kind), way)(*arguments, **keywords)

    return call


class _GenericStub(face.GenericStub):
    """Calls methods by the names of their group and their own."""

    _UNARY_UNARY = cardinality.Cardinality.UNARY_UNARY
    _UNARY_STREAM = cardinality.Cardinality.UNARY_STREAM
    _STREAM_UNARY = cardinality.Cardinality.STREAM_UNARY
    _STREAM_STREAM = cardinality.Cardinality.STREAM_STREAM

    def __init__(self, channel, metadata_transformer, request_serializers, response_deserializers):
        self.channel = channel
        self.metadata_transformer = metadata_transformer
        self.request_serializers = request_serializers or {}
        self.response_deserializers = response_deserializers or {}

    def multi_callable(self, group, method, kind):
        return _MULTI_CALLABLES[kind](self, group, method, kind)

    unary_unary = _looking_up(_UNARY_UNARY)
    unary_stream = _looking_up(_UNARY_STREAM)
    stream_unary = _looking_up(_STREAM_UNARY)
    stream_stream = _looking_up(_STREAM_STREAM)
    blocking_unary_unary = _calling(_UNARY_UNARY, "blocking")
    blocking_stream_unary = _calling(_STREAM_UNARY, "blocking")
    future_unary_unary = _calling(_UNARY_UNARY, "future")
    future_stream_unary = _calling(_STREAM_UNARY, "future")
    inline_unary_stream = _calling(_UNARY_STREAM, "inline")
    inline_stream_stream = _calling(_STREAM_STREAM, "inline")
    event_unary_unary = _calling(_UNARY_UNARY, "event")
    event_unary_stream = _calling(_UNARY_STREAM, "event")
    event_stream_unary = _calling(_STREAM_UNARY, "event")
    event_stream_stream = _calling(_STREAM_STREAM, "event")

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        return False


class _DynamicStub(face.DynamicStub):
    """Has the methods of one group as attributes."""

    def __init__(self, generic_stub, group, cardinalities):
        self._generic_stub = generic_stub
        self._group = group
        self._cardinalities = cardinalities

    def __getattr__(self, attr):
        kind = self._cardinalities.get(attr)
        if kind is None:
            raise AttributeError(f'_DynamicStub object has no attribute "{attr}"!')
        return self._generic_stub.multi_callable(self._group, attr, kind)

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        return False


def generic_stub(channel, host, metadata_transformer, request_serializers, response_deserializers):
    """See `implementations.generic_stub`. `host` is the channel's affair."""
    return _GenericStub(
        channel, metadata_transformer, request_serializers, response_deserializers
    )


def dynamic_stub(
    channel,
    service,
    cardinalities,
    host,
    metadata_transformer,
    request_serializers,
    response_deserializers,
):
    """See `implementations.dynamic_stub`."""
    stub = generic_stub(
        channel, host, metadata_transformer, request_serializers, response_deserializers
    )
    return _DynamicStub(stub, service, cardinalities)
