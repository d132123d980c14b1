"""`python -m ferrpc doctor`: pip lets two distributions own one folder without a word. This says
which `grpc` is imported, which distributions own its files, and what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from importlib.machinery import ModuleSpec

#: The packages whose names ferrpc shares, with the distribution that has them otherwise.
PACKAGES = {"grpc": "grpcio", "grpc_tools": "grpcio-tools"}


def run() -> int:
    """Prints what was found. 0 if all is well, else 1."""
    print(f"ferrpc {importlib.metadata.version('ferrpc')}")
    complaints = []
    for package, rival in PACKAGES.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            print(f"{package}: not there")
            complaints.append(f"{package} cannot be imported: install ferrpc again")
            continue
        folder = os.path.dirname(spec.origin)
        active = "ferrpc" if _is_ours(package, spec) else f"{rival}, or something else"
        print(f"{package}: {folder}, of {active}")
        if active != "ferrpc":
            complaints.append(f"programs import a {package} that is not ferrpc's")
        rival_version = _version(rival)
        if rival_version is None:
            continue
        print(f"  {rival} {rival_version} is installed too")
        if _owns(rival, folder):
            complaints.append(
                f"{rival} and ferrpc share {folder}: 'pip uninstall ferrpc {rival}', then install "
                "the one you want"
            )
    for complaint in complaints:
        print(f"problem: {complaint}")
    if not complaints:
        print("all is well")
    return 1 if complaints else 0


def _is_ours(package: str, spec: ModuleSpec) -> bool:
    assert spec.origin is not None
    name = f"{package}/{os.path.basename(spec.origin)}"
    for file in importlib.metadata.files("ferrpc") or ():
        if file.as_posix() == name and os.path.realpath(str(file.locate())) == os.path.realpath(
            spec.origin
        ):
            # The file is where ferrpc put it; who wrote it last shows in its size.
            return file.size is None or file.size == os.path.getsize(spec.origin)
    # Installed in place, for development: the engine lies beside it.
    return os.path.exists(os.path.join(os.path.dirname(spec.origin), "_ferrpc.abi3.so"))


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _owns(distribution: str, folder: str) -> bool:
    files = importlib.metadata.files(distribution) or ()
    prefix = os.path.realpath(folder) + os.sep
    return any(os.path.realpath(str(file.locate())).startswith(prefix) for file in files)
