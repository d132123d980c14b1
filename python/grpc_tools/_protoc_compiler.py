"""The compiler's doors, with the names that grpcio-tools has for them."""

from __future__ import annotations

import os

from grpc import _ferrpc

_LINE = r"(?P<file>[^:\n]+):(?:(?P<line>\d+):(?P<column>\d+):)?\s?(?P<message>.*)"


class ProtocError(Exception):
    """One thing that is wrong with a ``.proto`` file.

    Attributes:
        filename (str): the file, as imports name it.
        line (int): its line, from 0; 0 too if it is not known.
        column (int): its column, from 0; 0 too if it is not known.
        message (str): what is wrong.
    """

    def __init__(self, filename: str, line: int, column: int, message: str) -> None:
        super().__init__(filename, line, column, message)
        self.filename = filename
        self.line = line
        self.column = column
        self.message = message

    def __repr__(self) -> str:
        return (
            f"ProtocError(filename={self.filename!r}, line={self.line}, "
            f"column={self.column}, message={self.message!r})"
        )

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}:{self.column} error: {self.message}"


class ProtocWarning(Warning):
    """Something about a ``.proto`` file that is worth a look; see `ProtocError`."""

    def __init__(self, filename: str, line: int, column: int, message: str) -> None:
        super().__init__(filename, line, column, message)
        self.filename = filename
        self.line = line
        self.column = column
        self.message = message

    __repr__ = Warning.__repr__

    def __str__(self) -> str:
        return f"{self.filename}:{self.line}:{self.column} warning: {self.message}"


class ProtocErrors(Exception):
    """A ``.proto`` file cannot be compiled."""

    def __init__(self, errors: list[ProtocError]) -> None:
        super().__init__(errors)
        self._errors = errors

    def errors(self) -> list[ProtocError]:
        """All that is wrong, in the order it was found."""
        return self._errors

    def __repr__(self) -> str:
        return f"ProtocErrors[{', '.join(map(repr, self._errors))}]"

    def __str__(self) -> str:
        return "\n".join(map(str, self._errors))


def run_main(arguments: list[bytes]) -> int:
    """Runs the compiler with a program's arguments and returns its exit status."""
    return _ferrpc.protoc([os.fsdecode(argument) for argument in arguments])


def get_protos(protobuf_path: bytes, include_paths: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Returns the module of a file's messages: a list of one path and its content.

    Raises:
        ProtocErrors: if the file, or one that it imports, cannot be compiled.
    """
    return _modules(protobuf_path, include_paths, "_pb2", False)


def get_services(protobuf_path: bytes, include_paths: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Returns the module of a file's services; see `get_protos`."""
    return _modules(protobuf_path, include_paths, "_pb2_grpc", True)


def _modules(
    protobuf_path: bytes, include_paths: list[bytes], suffix: str, services: bool
) -> list[tuple[bytes, bytes]]:
    name = os.fsdecode(protobuf_path)
    # An empty entry of sys.path is the current directory.
    paths = [os.fsdecode(path) or "." for path in include_paths]
    text, report = _ferrpc.python_module(name, paths, services)
    if text is None:
        raise ProtocErrors(_errors(name, report or ""))
    path = os.path.splitext(name)[0].replace("-", "_") + suffix + ".py"
    return [(os.fsencode(path), text.encode())]


def _errors(name: str, report: str) -> list[ProtocError]:
    import re

    errors = []
    for line in report.splitlines():
        match = re.match(_LINE, line)
        if match is None:
            errors.append(ProtocError(name, 0, 0, line))
        else:
            place = int(match["line"] or 1) - 1, int(match["column"] or 1) - 1
            errors.append(ProtocError(match["file"], *place, match["message"]))
    return errors
