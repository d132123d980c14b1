"""What the tests of the compiler share: the one that is tested, the official one, and their input.

On the environment with real grpcio both are the official one, which shows that the tests hold.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT = 120


class Compiler:
    """``python -m grpc_tools.protoc`` of an interpreter."""

    def __init__(self, python):
        self.python = python

    def run(self, *arguments, cwd, stdin=b"", env=None):
        """Runs it; the result has the status and what was written, as bytes."""
        return subprocess.run(
            [self.python, "-m", "grpc_tools.protoc", *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            timeout=TIMEOUT,
            env=clean(env),
        )

    def make(self, *arguments, cwd):
        """Runs it and expects that nothing is wrong; returns what it said."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr.decode()
        return done.stderr.decode()


def clean(more=None):
    """The environment without what changes how Python or protobuf work."""
    dropped = ("PYTHONPATH", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, **(more or {})}


@pytest.fixture(scope="session")
def compiler():
    """The compiler that is tested."""
    return Compiler(sys.executable)


@pytest.fixture(scope="session")
def official(oracle_python):
    """grpcio-tools."""
    return Compiler(oracle_python)


@pytest.fixture(scope="session")
def corpus(repository):
    """Folders of ``.proto`` files, each with the files of it that are compiled."""
    protos = repository / "testdata" / "protos"
    # A type of it has the name of the method that uses it, which protoc does not look behind; and
    # keywords, of which the official generator makes syntax errors.
    odd = ("no_package.proto", "clashes.proto")
    rust = [it for it in files_below(protos / "codegen") if it not in odd]
    found = {
        "edges": (protos / "python", files_below(protos / "python")),
        "tutorial": (protos, ["test_service.proto", *files_below(protos / "grpc", protos)]),
        "rust": (protos / "codegen", rust),
    }
    google = importlib.util.find_spec("google.rpc")
    assert google is not None, "googleapis-common-protos is not installed"
    root = pathlib.Path(list(google.submodule_search_locations)[0]).parents[1]
    names = ("api", "cloud", "logging", "longrunning", "rpc", "type")
    listed = [it for name in names for it in files_below(root / "google" / name, root)]
    found["googleapis"] = (root, listed)
    return found


def files_below(folder, root=None):
    return sorted(str(path.relative_to(root or folder)) for path in folder.rglob("*.proto"))


def modules(files, suffix):
    """The names of the modules that are generated for files."""
    stems = (name.removesuffix(".proto").replace("-", "_").replace("/", ".") for name in files)
    return [stem + suffix for stem in stems]


CORPUS = ("edges", "tutorial", "rust", "googleapis")
