"""Compiling the ``.proto`` files of a package while it is built, with setuptools."""

from __future__ import annotations

import os
import sys

import setuptools

from grpc_tools import protoc


def build_package_protos(package_root: str, strict_mode: bool = False) -> None:
    """Compiles each ``.proto`` file below a directory, to modules beside it.

    Args:
        package_root: the directory; imports are looked for from there.
        strict_mode: whether a file that cannot be compiled ends it. Otherwise a warning is
            written to ``sys.stderr``, and the others are compiled.

    Raises:
        Exception: in strict mode, with the command that failed.
    """
    well_known = protoc._get_resource_file_name("grpc_tools", "_proto")
    for root, _, names in os.walk(package_root):
        for name in names:
            if not name.endswith(".proto"):
                continue
            command = [
                "grpc_tools.protoc",
                f"--proto_path={package_root}",
                f"--proto_path={well_known}",
                f"--python_out={package_root}",
                f"--pyi_out={package_root}",
                f"--grpc_python_out={package_root}",
                os.path.join(root, name),
            ]
            if protoc.main(command) == 0:
                continue
            if strict_mode:
                raise Exception(f"error: {command} failed")
            sys.stderr.write(f"warning: {command} failed")


class BuildPackageProtos(setuptools.Command):
    """A command of ``setup.py``: compiles below ``package_dir['']``."""

    description = "build grpc protobuf modules"
    user_options = [
        ("strict-mode", "s", "exit with non-zero value if the proto compiling fails."),
    ]

    def initialize_options(self) -> None:
        """Sets the defaults."""
        self.strict_mode = False

    def finalize_options(self) -> None:
        """There is nothing to work out."""

    def run(self) -> None:
        """Compiles; see `build_package_protos`."""
        build_package_protos(self.distribution.package_dir[""], self.strict_mode)
