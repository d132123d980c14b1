"""What a call raises when it did not end well.

It says that it is from `grpc.aio._call`, where programs look for it and tracebacks show it.
"""

from __future__ import annotations

from typing import Any, Optional

import grpc
from grpc._ended import WITH_DEBUG
from grpc.aio._metadata import Metadata


class AioRpcError(grpc.RpcError):
    """An RPC that ended with another code than OK. Its methods do not wait."""

    __module__ = "grpc.aio._call"

    def __init__(
        self,
        code: grpc.StatusCode,
        initial_metadata: Optional[Metadata] = None,
        trailing_metadata: Optional[Metadata] = None,
        details: Optional[str] = None,
        debug_error_string: Optional[str] = None,
    ) -> None:
        super().__init__()
        self._code = code
        self._details = details
        self._initial_metadata = initial_metadata
        self._trailing_metadata = trailing_metadata
        self._debug_error_string = debug_error_string

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> Optional[str]:
        return self._details

    def initial_metadata(self) -> Optional[Metadata]:
        return self._initial_metadata

    def trailing_metadata(self) -> Optional[Metadata]:
        return self._trailing_metadata

    def debug_error_string(self) -> Optional[str]:
        return self._debug_error_string

    def _repr(self) -> str:
        return WITH_DEBUG.format(
            type(self).__name__, self._code, self._details, self._debug_error_string
        )

    def __repr__(self) -> str:
        return self._repr()

    def __str__(self) -> str:
        return self._repr()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self._code,
            self._initial_metadata,
            self._trailing_metadata,
            self._details,
            self._debug_error_string,
        )
