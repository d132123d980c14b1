"""The names of `grpc` that some 180 packages of PyPI import or read, agents and libraries; they lie
in `used_names.txt`, one a line."""

import importlib
import pathlib

import pytest

NAMES = (pathlib.Path(__file__).parent / "used_names.txt").read_text().split()

#: Each is used by one package alone, which drives grpcio's core with them (grpcalchemy a server of
#: its own, ydb's tests the inside of an asyncio call).
MISSING = {
    "grpc._cython.cygrpc.CompletionQueue",
    "grpc._cython.cygrpc.Server",
    "grpc._server._ServerState",
    "grpc._server._add_generic_handlers",
    "grpc._server._start",
    "grpc._server._stop",
    "grpc.aio._call._StreamResponseMixin",
}


def exists(name):
    """Whether a name can be imported, or read from what can be."""
    parts = name.split(".")
    for at in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:at]))
        except ImportError:
            continue
        try:
            for part in parts[at:]:
                found = getattr(found, part)
        except AttributeError:
            return False
        return True
    return False


# `hasattr` of a name that is elsewhere may warn that its API is experimental.
@pytest.mark.filterwarnings("ignore::grpc.experimental.ExperimentalApiWarning")
def test_names_that_packages_use(on_ferrpc):
    assert len(NAMES) > 250
    missing = {name for name in NAMES if not exists(name)}
    assert missing == (MISSING if on_ferrpc else set())
