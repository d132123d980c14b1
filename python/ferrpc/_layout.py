"""Where ferrpc's packages lie, what they stand for, and which installation this is."""

from __future__ import annotations

import importlib.machinery
import os
import pathlib
import re
import runpy

#: The distributions of grpcio's family, with the package that each has.
FAMILY = {
    "grpcio": "grpc",
    "grpcio-tools": "grpc_tools",
    "grpcio-status": "grpc_status",
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
    "grpcio-channelz": "grpc_channelz",
    "grpcio-testing": "grpc_testing",
    "grpcio-admin": "grpc_admin",
    "grpcio-csds": "grpc_csds",
}


def folder() -> pathlib.Path:
    """The folder of `grpc` and what is like it; in a checkout it is the one of `ferrpc` as well."""
    site = pathlib.Path(__file__).parents[1]
    packages = site / "ferrpc.packages"
    return packages if packages.is_dir() else site


def wanted() -> bool:
    """Whether the environment asks for ferrpc's packages: FERRPC=0 is for grpcio's."""
    return os.environ.get("FERRPC") != "0"


def provided() -> dict[str, str]:
    """The distributions of grpcio's family whose package this ferrpc has, with the package."""
    found = folder()
    return {
        name: package
        for name, package in FAMILY.items()
        if (found / package / "__init__.py").is_file()
    }


def api_version() -> str:
    """The version of grpcio whose API ferrpc has. `grpc` itself may be another one here."""
    version = runpy.run_path(str(folder() / "grpc/_grpcio_metadata.py"))["__version__"]
    assert isinstance(version, str)
    return version


def active(package: str) -> pathlib.Path | None:
    """The folder of the package that programs import; None if they find none."""
    spec = importlib.machinery.PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    origin = pathlib.Path(spec.origin)
    if origin == pathlib.Path(__file__).parents[1] / f"{package}.py":
        # The file that finds ours, or the next one.
        return folder() / package if wanted() else None
    return origin.parent


def is_active(package: str) -> bool:
    """Whether it is ferrpc's package that programs import."""
    found = active(package)
    return found is not None and os.path.realpath(found) == os.path.realpath(folder() / package)


def normal(name: str) -> str:
    """A distribution's name as indexes have it: `grpcio-tools` for `grpcio_tools`."""
    return re.sub(r"[-_.]+", "-", name).lower()
