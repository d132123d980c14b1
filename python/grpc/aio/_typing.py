"""Names of types that annotations in other packages use."""

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import Any, TypeVar, Union

from grpc._cython.cygrpc import _EOF
from grpc.aio._metadata import Metadata, MetadataKey, MetadataType, MetadataValue, MetadatumType

RequestType = TypeVar("RequestType")
ResponseType = TypeVar("ResponseType")
SerializerInputType_contra = TypeVar("SerializerInputType_contra", contravariant=True)
DeserializerOutputType_co = TypeVar("DeserializerOutputType_co", covariant=True)

SerializingFunction = Callable[[Any], bytes]
DeserializingFunction = Callable[[bytes], Any]
ChannelArgumentType = Sequence[tuple[str, Any]]
EOFType = _EOF
DoneCallbackType = Callable[[Any], None]
RequestIterableType = Union[Iterable[Any], AsyncIterable[Any]]
ResponseIterableType = AsyncIterable[Any]

__all__ = (
    "ChannelArgumentType",
    "DeserializerOutputType_co",
    "DeserializingFunction",
    "DoneCallbackType",
    "EOFType",
    "Metadata",
    "MetadataKey",
    "MetadataType",
    "MetadataValue",
    "MetadatumType",
    "RequestIterableType",
    "RequestType",
    "ResponseIterableType",
    "ResponseType",
    "SerializerInputType_contra",
    "SerializingFunction",
)
