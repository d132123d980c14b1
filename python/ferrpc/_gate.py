"""How `grpc.py`, beside this package, finds the package `grpc` where `ferrpc.pth` was not read."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

from ferrpc import _layout


def enter(name: str) -> None:
    """Puts ferrpc's package into the place of the module of that name, which is being imported. With
    FERRPC=0 it is the next one on the path. Raises ModuleNotFoundError where there is none."""
    home = str(_layout.folder())
    path = [home]
    if not _layout.wanted():
        own = {os.path.realpath(it) for it in (home, os.path.dirname(home))}
        path = [it for it in sys.path if os.path.realpath(it) not in own]
    spec = PathFinder.find_spec(name, path)
    if spec is None or spec.loader is None:
        reason = "FERRPC=0 asks for grpcio's, which is not installed"
        if _layout.wanted():
            reason = f"{home} lacks it: install ferrpc again"
        raise ModuleNotFoundError(f"No module named {name!r}: {reason}", name=name)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
