"""Distributions as they are installed: whose files are whole, who asks for which version."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution
from typing import Any, NamedTuple

from ferrpc import _layout


class Wish(NamedTuple):
    """What an installed distribution asks for."""

    #: Who asks, with its version.
    asker: str
    #: The name of what it asks for, and the versions, as they stand in its metadata.
    name: str
    versions: str

    def is_met(self, version: str) -> bool | None:
        """Whether a version will do; None if this environment has nothing that can tell."""
        specifiers = _packaging("specifiers")
        if specifiers is None or not self.versions:
            return None if self.versions else True
        return bool(specifiers.SpecifierSet(self.versions).contains(version, prereleases=True))


def find(name: str) -> Distribution | None:
    """The distribution that metadata of that name is read from first; None if there is none."""
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def copies(name: str) -> list[Distribution]:
    """All distributions of a name, of which programs see the first."""
    return list(importlib.metadata.distributions(name=name))


def is_shim(distribution: Distribution) -> bool:
    """Whether it is metadata of ours."""
    return "+ferrpc." in distribution.version


def damage(distribution: Distribution) -> list[str]:
    """Its files that are not as they were installed: missing, or of another hash."""
    found = []
    for file in distribution.files or ():
        if file.suffix == ".pyc":
            continue
        path = str(file.locate())
        try:
            if file.hash is None:
                os.stat(path)
                continue
            with open(path, "rb") as opened:
                digest = hashlib.new(file.hash.mode, opened.read())
        except OSError:
            found.append(f"{file} is missing")
            continue
        written = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if written != file.hash.value:
            found.append(f"{file} was changed")
    return found


def owner(folder: os.PathLike[str]) -> str | None:
    """Whose file `__init__.py` of a folder is: a name and a version; None if no one's."""
    target = os.path.realpath(os.path.join(folder, "__init__.py"))
    tail = target.rsplit(os.sep, 2)[-2:]
    for distribution in importlib.metadata.distributions():
        for file in distribution.files or ():
            if list(file.parts[-2:]) == tail and os.path.realpath(str(file.locate())) == target:
                return f"{distribution.name} {distribution.version}"
    return None


def wishes() -> list[Wish]:
    """Who asks for a distribution of grpcio's family, grpcio's own packages included."""
    found = []
    seen = set()
    for distribution in importlib.metadata.distributions():
        name = _layout.normal(distribution.name or "")
        if name in seen:
            continue
        seen.add(name)
        if name == "ferrpc" or is_shim(distribution):
            continue
        for text in distribution.requires or ():
            asked = _requirement(text)
            if asked is not None and asked[0] in _layout.FAMILY:
                found.append(Wish(f"{distribution.name} {distribution.version}", *asked))
    return sorted(found)


def _requirement(text: str) -> tuple[str, str] | None:
    """The name and the versions of a requirement; None where its marker does not hold here."""
    requirements = _packaging("requirements")
    if requirements is not None:
        requirement = requirements.Requirement(text)
        marker = requirement.marker
        if marker is not None and not marker.evaluate({"extra": ""}):
            return None
        return _layout.normal(requirement.name), str(requirement.specifier)
    plain, _, marker = text.partition(";")
    matched = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^)]*)", plain)
    if matched is None or "extra" in marker:
        return None
    return _layout.normal(matched[1]), matched[2].strip()


def _packaging(module: str) -> Any:
    """A module of `packaging`, or of pip's copy of it; None if there is neither."""
    for package in ("packaging", "pip._vendor.packaging"):
        try:
            return importlib.import_module(f"{package}.{module}")
        except ImportError:
            continue
    return None


def installer() -> list[str] | None:
    """The beginning of a command of pip's or uv's for this environment: the one that has installed
    ferrpc, if it is here. None if neither is."""
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else None
    program = shutil.which("uv")
    uv = None if program is None else [program, "pip"]
    ferrpc = find("ferrpc")
    by_uv = ferrpc is not None and (ferrpc.read_text("INSTALLER") or "").strip() == "uv"
    return (uv or pip) if by_uv else (pip or uv)


def uninstall(names: list[str]) -> bool:
    """Has pip or uv uninstall distributions; whether that went well."""
    command = installer()
    if command is None:
        return False
    command = [*command, "uninstall", "--quiet", *names]
    command += ["-y"] if command[1] == "-m" else ["--python", sys.executable]
    return subprocess.run(command, stdin=subprocess.DEVNULL).returncode == 0
