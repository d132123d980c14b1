"""Names of types that annotations in other packages use."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, Union

RequestType = TypeVar("RequestType")
ResponseType = TypeVar("ResponseType")

SerializingFunction = Callable[[Any], bytes]
DeserializingFunction = Callable[[bytes], Any]
MetadataType = Sequence[tuple[str, Union[str, bytes]]]
ChannelArgumentType = tuple[str, Any]
DoneCallbackType = Callable[[Any], None]
NullaryCallbackType = Callable[[], None]
RequestIterableType = Iterable[Any]
ResponseIterableType = Iterable[Any]
UserTag = Callable[[Any], bool]
IntegratedCallFactory = Callable[..., Any]
ServerTagCallbackType = tuple[Any, Sequence[Callable[[], None]]]
ServerCallbackTag = Callable[[Any], ServerTagCallbackType]
ArityAgnosticMethodHandler = Union[
    Callable[[RequestType, Any, Callable[[ResponseType], None]], Any],
    Callable[[RequestType, Any], Any],
    Callable[[Iterator[RequestType], Any], Any],
]
