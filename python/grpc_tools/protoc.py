"""``python -m grpc_tools.protoc``, and ``.proto`` files that can be imported.

Importing this module lets ``import a.b_pb2`` and ``import a.b_pb2_grpc`` find ``a/b.proto`` below
``sys.path`` where no such module was generated. Setting the environment variable
``GRPC_PYTHON_DISABLE_DYNAMIC_STUBS`` before prevents that.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys

# importlib.abc and importlib.resources take longer to import than most files take to compile.
from grpc_tools import _protoc_compiler

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Sequence
    from importlib.abc import Loader, MetaPathFinder
else:
    Loader = MetaPathFinder = object

_PROTO_MODULE_SUFFIX = "_pb2"
_SERVICE_MODULE_SUFFIX = "_pb2_grpc"
_DISABLE_DYNAMIC_STUBS = "GRPC_PYTHON_DISABLE_DYNAMIC_STUBS"


def main(command_arguments: Sequence[str]) -> int:
    """Runs the compiler.

    Args:
        command_arguments: as in ``sys.argv``: the first one is the program's name.

    Returns:
        0, or 1 if anything was wrong; what, was written to the standard error output of the
        process, and no file was written.
    """
    return _protoc_compiler.run_main([os.fsencode(it) for it in command_arguments])


def entrypoint() -> None:
    """Runs the compiler with the arguments of this program, and exits."""
    well_known = _get_resource_file_name("grpc_tools", "_proto")
    sys.exit(main([*sys.argv, f"-I{well_known}"]))


def _get_resource_file_name(package_or_requirement: str, resource_name: str) -> str:
    """Where a file of a package is on disk."""
    package = importlib.import_module(package_or_requirement)
    return os.path.join(os.path.abspath(next(iter(package.__path__))), resource_name)


def _protos(protobuf_path: str) -> types.ModuleType:
    """The module of a file's messages; see `grpc.protos`."""
    _maybe_install_proto_finders()
    return importlib.import_module(_module_name(protobuf_path, _PROTO_MODULE_SUFFIX))


def _services(protobuf_path: str) -> types.ModuleType:
    """The module of a file's services; see `grpc.services`."""
    _protos(protobuf_path)
    return importlib.import_module(_module_name(protobuf_path, _SERVICE_MODULE_SUFFIX))


def _protos_and_services(protobuf_path: str) -> tuple[types.ModuleType, types.ModuleType]:
    """Both modules; see `grpc.protos_and_services`."""
    return _protos(protobuf_path), _services(protobuf_path)


def _module_name(protobuf_path: str, suffix: str) -> str:
    stem = os.path.splitext(protobuf_path)[0]
    parts = stem.replace(os.path.sep, "/").split("/")
    return ".".join(part for part in parts if part not in ("", ".")).replace("-", "_") + suffix


class ProtoLoader(Loader):
    """Makes a module of a ``.proto`` file."""

    def __init__(self, protobuf_path: str, services: bool) -> None:
        self._protobuf_path = protobuf_path
        self._services = services

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Leaves that to the import system."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Compiles the file and runs the result.

        Raises:
            grpc_tools._protoc_compiler.ProtocErrors: if the file cannot be compiled.
        """
        compile_file = (
            _protoc_compiler.get_services if self._services else _protoc_compiler.get_protos
        )
        paths = [os.fsencode(path) for path in sys.path]
        ((path, text),) = compile_file(os.fsencode(self._protobuf_path), paths)
        exec(compile(text, os.fsdecode(path), "exec"), module.__dict__)


class ProtoFinder(MetaPathFinder):
    """Finds the ``.proto`` file of a module that nothing else has."""

    def __init__(self, suffix: str, services: bool) -> None:
        self._suffix = suffix
        self._services = services

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Looks below ``sys.path``, which is where the compiler looks for imports."""
        if not fullname.endswith(self._suffix):
            return None
        *folders, stem = fullname[: -len(self._suffix)].split(".")
        for entry in sys.path:
            found = _find(entry or ".", folders, stem)
            if found is not None:
                loader = ProtoLoader(found, self._services)
                return importlib.machinery.ModuleSpec(fullname, loader)
        return None


def _find(entry: str, folders: list[str], stem: str) -> str | None:
    """The name of the file below `entry`; dashes of a file are underscores of its module."""
    name = f"{stem}.proto"
    folder = os.path.join(entry, *folders)
    if os.path.isfile(os.path.join(folder, name)):
        return "/".join([*folders, name])
    if "_" not in stem or not os.path.isdir(folder):
        return None
    for other in sorted(os.listdir(folder)):
        if other.replace("-", "_") == name:
            return "/".join([*folders, other])
    return None


def _maybe_install_proto_finders() -> None:
    if any(isinstance(finder, ProtoFinder) for finder in sys.meta_path):
        return
    sys.meta_path.extend(
        [
            ProtoFinder(_PROTO_MODULE_SUFFIX, False),
            ProtoFinder(_SERVICE_MODULE_SUFFIX, True),
        ]
    )


if not os.getenv(_DISABLE_DYNAMIC_STUBS):
    _maybe_install_proto_finders()

if __name__ == "__main__":
    entrypoint()
