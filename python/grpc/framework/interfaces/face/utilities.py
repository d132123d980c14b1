"""Makes `face.MethodImplementation`s."""

import collections

from grpc.framework.common import cardinality, style
from grpc.framework.interfaces.face import face

_FUNCTIONS = (
    "unary_unary_inline",
    "unary_stream_inline",
    "stream_unary_inline",
    "stream_stream_inline",
    "unary_unary_event",
    "unary_stream_event",
    "stream_unary_event",
    "stream_stream_event",
)


class _MethodImplementation(
    face.MethodImplementation,
    collections.namedtuple("_MethodImplementation", ("cardinality", "style", *_FUNCTIONS)),
):
    """An implementation of which one function is not None."""


def _implementation(kind, service, behavior):
    style_name = "inline" if service is style.Service.INLINE else "event"
    name = f"{kind.name.lower()}_{style_name}"
    functions = dict.fromkeys(_FUNCTIONS)
    functions[name] = behavior
    return _MethodImplementation(kind, service, **functions)


def unary_unary_inline(behavior):
    """`behavior` takes the request and a context and returns the response."""
    return _implementation(
        cardinality.Cardinality.UNARY_UNARY, style.Service.INLINE, behavior
    )


def unary_stream_inline(behavior):
    """`behavior` takes the request and a context and returns an iterator of responses."""
    return _implementation(
        cardinality.Cardinality.UNARY_STREAM, style.Service.INLINE, behavior
    )


def stream_unary_inline(behavior):
    """`behavior` takes an iterator of requests and a context and returns the response."""
    return _implementation(
        cardinality.Cardinality.STREAM_UNARY, style.Service.INLINE, behavior
    )


def stream_stream_inline(behavior):
    """`behavior` takes an iterator of requests and a context and returns an iterator of
    responses."""
    return _implementation(
        cardinality.Cardinality.STREAM_STREAM, style.Service.INLINE, behavior
    )


def unary_unary_event(behavior):
    """`behavior` takes the request, a consumer of the response and a context."""
    return _implementation(
        cardinality.Cardinality.UNARY_UNARY, style.Service.EVENT, behavior
    )


def unary_stream_event(behavior):
    """`behavior` takes the request, a consumer of responses and a context."""
    return _implementation(
        cardinality.Cardinality.UNARY_STREAM, style.Service.EVENT, behavior
    )


def stream_unary_event(behavior):
    """`behavior` takes a consumer of the response and a context, and
    returns a consumer of requests."""
    return _implementation(
        cardinality.Cardinality.STREAM_UNARY, style.Service.EVENT, behavior
    )


def stream_stream_event(behavior):
    """`behavior` takes a consumer of responses and a context, and
    returns a consumer of requests."""
    return _implementation(
        cardinality.Cardinality.STREAM_STREAM, style.Service.EVENT, behavior
    )
