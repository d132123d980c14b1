"""Servers of the beta API over servers of `grpc`."""

import threading
from concurrent import futures

import grpc
from grpc import _common
from grpc.beta import _metadata, interfaces
from grpc.framework.common import cardinality, style
from grpc.framework.foundation import abandonment, stream
from grpc.framework.interfaces.face import face

_DEFAULT_POOL_SIZE = 8


class _ServerProtocolContext(interfaces.GRPCServicerContext):
    def __init__(self, servicer_context):
        self._servicer_context = servicer_context

    def peer(self):
        return self._servicer_context.peer()

    def disable_next_response_compression(self):
        self._servicer_context.disable_next_message_compression()


class _FaceServicerContext(face.ServicerContext):
    """A context of `grpc` as handlers of the beta API know it."""

    def __init__(self, servicer_context):
        self._servicer_context = servicer_context

    def is_active(self):
        return self._servicer_context.is_active()

    def time_remaining(self):
        return self._servicer_context.time_remaining()

    def add_abortion_callback(self, abortion_callback):
        raise NotImplementedError("add_abortion_callback no longer supported server-side!")

    def cancel(self):
        self._servicer_context.cancel()

    def protocol_context(self):
        return _ServerProtocolContext(self._servicer_context)

    def invocation_metadata(self):
        return _metadata.beta(self._servicer_context.invocation_metadata())

    def initial_metadata(self, initial_metadata):
        self._servicer_context.send_initial_metadata(_metadata.unbeta(initial_metadata))

    def terminal_metadata(self, terminal_metadata):
        self._servicer_context.set_trailing_metadata(_metadata.unbeta(terminal_metadata))

    def code(self, code):
        self._servicer_context.set_code(code)

    def details(self, details):
        self._servicer_context.set_details(details)


class _Responses(stream.Consumer):
    """Takes what a handler of events gives and hands it to the thread that serves the call. May be
    called like a function, too: with a response, or with None at the end."""

    def __init__(self, context):
        self._condition = threading.Condition()
        self._values = []
        self._terminated = False
        if not context.add_callback(self.terminate):
            self.terminate()

    def consume(self, value):
        self._take([value], False)

    def terminate(self):
        self._take([], True)

    def consume_and_terminate(self, value):
        self._take([value], True)

    def __call__(self, value):
        if value is None:
            self.terminate()
        else:
            self.consume(value)

    def _take(self, values, terminate):
        with self._condition:
            if not self._terminated:
                self._values += values
                self._terminated = terminate
                self._condition.notify_all()

    def __iter__(self):
        return self

    def __next__(self):
        with self._condition:
            while not self._values and not self._terminated:
                self._condition.wait()
            if not self._values:
                raise StopIteration
            return self._values.pop(0)


def _inline(behavior):
    def adapted(argument, context):
        try:
            return behavior(argument, _FaceServicerContext(context))
        except abandonment.Abandoned:
            # Nothing is wrong; the call has ended or the handler has said how it is to.
            return None

    return adapted


def _event_unary(behavior):
    def adapted(argument, context):
        responses = _Responses(context)
        behavior(argument, responses, _FaceServicerContext(context))
        return next(responses, None)

    return adapted


def _event_stream(behavior):
    def adapted(argument, context):
        responses = _Responses(context)
        behavior(argument, responses, _FaceServicerContext(context))
        return responses

    return adapted


def _fed(behavior):
    """A handler that is given an iterator of requests, from one that returns their consumer."""

    def adapted(requests, responses, context):
        consumer = behavior(responses, context)

        def feed():
            try:
                for request in requests:
                    consumer.consume(request)
            except grpc.RpcError:
                # The call is over, which the context has told the handler.
                return
            consumer.terminate()

        threading.Thread(target=feed, daemon=True).start()

    return adapted


_KINDS = {
    cardinality.Cardinality.UNARY_UNARY: ("unary_unary", grpc.unary_unary_rpc_method_handler),
    cardinality.Cardinality.UNARY_STREAM: ("unary_stream", grpc.unary_stream_rpc_method_handler),
    cardinality.Cardinality.STREAM_UNARY: ("stream_unary", grpc.stream_unary_rpc_method_handler),
    cardinality.Cardinality.STREAM_STREAM: ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def _method_handler(implementation, deserializer, serializer):
    """The handler for `grpc` of a `face.MethodImplementation`."""
    name, make = _KINDS[implementation.cardinality]
    if implementation.style is style.Service.INLINE:
        return make(_inline(getattr(implementation, f"{name}_inline")), deserializer, serializer)
    behavior = getattr(implementation, f"{name}_event")
    if name.startswith("stream"):
        behavior = _fed(behavior)
    adapt = _event_stream if name.endswith("stream") else _event_unary
    return make(adapt(behavior), deserializer, serializer)


class _GenericRpcHandler(grpc.GenericRpcHandler):
    def __init__(self, implementations, multi_implementation, deserializers, serializers):
        self._implementations = {
            _common.fully_qualified_method(group, method): _method_handler(
                implementation,
                deserializers.get((group, method)),
                serializers.get((group, method)),
            )
            for (group, method), implementation in implementations.items()
        }
        self._multi_implementation = multi_implementation

    def service(self, handler_call_details):
        path = handler_call_details.method
        handler = self._implementations.get(path)
        if handler is not None or self._multi_implementation is None:
            return handler
        group, _, method = path[1:].rpartition("/")
        serve = self._multi_implementation.service

        def behavior(requests, context):
            responses = _Responses(context)

            def named(responses, context):
                return serve(group, method, responses, context)

            try:
                _fed(named)(requests, responses, _FaceServicerContext(context))
            except face.NoSuchMethodError:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
            return responses

        return grpc.stream_stream_rpc_method_handler(behavior)


class _Server(interfaces.Server):
    def __init__(self, grpc_server):
        self._grpc_server = grpc_server

    def add_insecure_port(self, address):
        return self._grpc_server.add_insecure_port(address)

    def add_secure_port(self, address, server_credentials):
        return self._grpc_server.add_secure_port(address, server_credentials)

    def start(self):
        self._grpc_server.start()

    def stop(self, grace):
        return self._grpc_server.stop(grace)

    def __enter__(self):
        self._grpc_server.start()
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self._grpc_server.stop(None)
        return False


def server(
    service_implementations,
    multi_method_implementation,
    request_deserializers,
    response_serializers,
    thread_pool,
    thread_pool_size,
):
    """See `implementations.server`."""
    handler = _GenericRpcHandler(
        service_implementations,
        multi_method_implementation,
        request_deserializers or {},
        response_serializers or {},
    )
    if thread_pool is None:
        thread_pool = futures.ThreadPoolExecutor(thread_pool_size or _DEFAULT_POOL_SIZE)
    return _Server(grpc.server(thread_pool, handlers=(handler,)))
