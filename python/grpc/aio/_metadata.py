"""Metadata as a mapping of keys to several values each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import (
    Collection,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Sequence,
    ValuesView,
)
from typing import Any, Optional, TypeVar, Union, overload

MetadataKey = str
MetadataValue = Union[str, bytes]
MetadatumType = tuple[str, Union[str, bytes]]
_Default = TypeVar("_Default")
MetadataType = Union["Metadata", Sequence[MetadatumType]]


class Metadata(Collection):  # type: ignore[type-arg]
    """Pairs of a key and a value, of which several may have the same key.

    By its key one gets the first of the values; `get_all` has all of them. Iteration yields pairs,
    those of one key together, and `len` counts them.
    """

    def __init__(self, *args: MetadatumType) -> None:
        self._metadata: OrderedDict[str, list[MetadataValue]] = OrderedDict()
        for key, value in args:
            self.add(key, value)

    @classmethod
    def from_tuple(cls, raw_metadata: Optional[Iterable[MetadatumType]]) -> Metadata:
        """From pairs; None stands for none."""
        return cls(*raw_metadata) if raw_metadata else cls()

    @classmethod
    def _create(cls, raw_metadata: Union[None, Metadata, Iterable[MetadatumType]]) -> Metadata:
        """The same object if it is metadata, else metadata of these pairs."""
        return raw_metadata if isinstance(raw_metadata, cls) else cls.from_tuple(raw_metadata)

    def add(self, key: MetadataKey, value: MetadataValue) -> None:
        """Adds a value behind those that the key has."""
        self._metadata.setdefault(key, []).append(value)

    def __len__(self) -> int:
        return sum(map(len, self._metadata.values()))

    def __getitem__(self, key: MetadataKey) -> MetadataValue:
        values = self._metadata[key]
        if not values:
            raise KeyError(key)
        return values[0]

    def __setitem__(self, key: MetadataKey, value: MetadataValue) -> None:
        """Replaces the first of the key's values."""
        values = self._metadata.setdefault(key, [])
        values[:1] = [value]

    def __delitem__(self, key: MetadataKey) -> None:
        """Removes the first of the key's values."""
        values = self.get_all(key)
        if not values:
            raise KeyError(repr(key))
        del values[0]
        if not values:
            del self._metadata[key]

    def delete_all(self, key: MetadataKey) -> None:
        """Removes the key; raises KeyError where there is none."""
        del self._metadata[key]

    def __iter__(self) -> Iterator[tuple[MetadataKey, MetadataValue]]:
        for key, values in self._metadata.items():
            for value in values:
                yield key, value

    def keys(self) -> KeysView[MetadataKey]:
        return KeysView(self._metadata)

    def values(self) -> ValuesView[list[MetadataValue]]:
        return ValuesView(self._metadata)

    def items(self) -> ItemsView[MetadataKey, list[MetadataValue]]:
        return ItemsView(self._metadata)

    @overload
    def get(self, key: MetadataKey, default: None = None) -> Optional[MetadataValue]: ...

    @overload
    def get(self, key: MetadataKey, default: _Default) -> Union[MetadataValue, _Default]: ...

    def get(self, key: MetadataKey, default: Any = None) -> Any:
        """The first of the key's values, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def get_all(self, key: MetadataKey) -> list[MetadataValue]:
        """All of the key's values, in their order."""
        return self._metadata.get(key, [])

    def set_all(self, key: MetadataKey, values: list[MetadataValue]) -> None:
        """Replaces all of the key's values."""
        self._metadata[key] = values

    def __contains__(self, key: object) -> bool:
        return key in self._metadata

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, self.__class__):
            return self._metadata == other._metadata
        if isinstance(other, tuple):
            return tuple(self) == other
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Metadata:
        if isinstance(other, (self.__class__, tuple)):
            return Metadata(*self, *other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({tuple(self)!r})"
