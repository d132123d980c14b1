"""TLS sessions that are resumed instead of begun anew."""

from __future__ import annotations

import itertools

_NUMBERS = itertools.count(1)


class _Lru:
    """How many sessions are kept, and the number that the option carries. Sessions are shared by
    channels whose credentials are the same: others must not be resumed."""

    __slots__ = ("_shared", "capacity", "number")

    def __init__(self, capacity: int):
        if not isinstance(capacity, int):
            raise TypeError("an integer is required")
        if capacity < 0:
            raise OverflowError("can't convert negative value to size_t")
        self.capacity = capacity
        self.number = next(_NUMBERS)
        self._shared: dict = {}

    def shared(self, pem, make):
        """What `make(capacity)` made for these credentials."""
        if pem not in self._shared:
            self._shared[pem] = make(self.capacity)
        return self._shared[pem]

    def __int__(self) -> int:
        return self.number


class SSLSessionCache:
    """The value of the channel option `grpc.ssl_session_cache`."""

    def __init__(self, cache):
        self._cache = cache

    def __int__(self) -> int:
        return int(self._cache)


def ssl_session_cache_lru(capacity: int) -> SSLSessionCache:
    """A cache of that many TLS sessions; the one unused for longest goes first."""
    return SSLSessionCache(_Lru(capacity))
