"""`python -m ferrpc shim`: metadata that says that grpcio and its family are installed.

Packages ask for a distribution `grpcio`. Where there is none, resolvers bring it, `pip check`
complains, and version checks fail. A shim is such a distribution without a file but its own: its
version is the one of grpcio whose API ferrpc has, followed by ferrpc's own (`1.85.1+ferrpc.0.1.0`).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import io
import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Iterator

from ferrpc import _installed, _layout


class ShimError(Exception):
    """It cannot be done; the text says why, and what to do."""


def version(claimed: str | None = None) -> str:
    """The version of the shims: of grpcio's API, or one that is claimed instead."""
    public = _layout.api_version() if claimed is None else claimed
    if not re.fullmatch(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?", public):
        raise ShimError(f"{public!r} is no version as grpcio has them, 1.62.3 for instance")
    own = re.sub(r"[^A-Za-z0-9]+", ".", importlib.metadata.version("ferrpc"))
    return f"{public}+ferrpc.{own}"


def install(claimed: str | None = None, replace: bool = False) -> list[str]:
    """Writes the shims beside ferrpc's own metadata, and removes those that are not up to date.
    Returns lines of what was done. Where a distribution of grpcio's own is installed it stays,
    unless it is to be replaced. Raises ShimError."""
    site = _site()
    wanted = version(claimed)
    own = {name: _own(name) for name in _layout.provided()}
    rivals = [name for name, found in own.items() if found is not None]
    lines = []
    if rivals and replace:
        if not _installed.uninstall(rivals):
            raise ShimError(f"uninstall these yourself, then try again: {' '.join(rivals)}")
        lines = [f"{name}: uninstalled" for name in rivals]
        rivals = []
    remove()
    try:
        for name in _layout.provided():
            if name in rivals:
                found = own[name]
                assert found is not None
                lines.append(
                    f"{name}: {found.version} itself is installed, and stays (--replace has it "
                    "uninstalled)"
                )
                continue
            _write(site, name, wanted)
            lines.append(f"{name}: {wanted}")
    except OSError as error:
        raise ShimError(f"{site} cannot be written: {error}") from error
    return lines


def remove() -> list[str]:
    """Removes all shims that are found; returns lines of what was done. Raises ShimError."""
    lines = []
    for name in _layout.FAMILY:
        for found in _installed.copies(name):
            if not _installed.is_shim(found):
                continue
            # Read from the files that are to go.
            line = f"{name}: {found.version} is removed"
            try:
                _delete(found)
            except OSError as error:
                raise ShimError(f"{name} cannot be removed: {error}") from error
            lines.append(line)
    return lines


def wheels(folder: str, claimed: str | None = None, ferrpc: bool = False) -> list[str]:
    """Writes the shims as wheels into a folder, with `constraints.txt` for resolvers; `ferrpc` has
    this installation of ferrpc written as a wheel, too. Returns the files' names."""
    wanted = version(claimed)
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    names = []
    constraints = []
    for name in _layout.provided():
        files = _files(name, wanted)
        names.append(f"{_stem(name, wanted)}-py3-none-any.whl")
        _pack(target / names[-1], {path: text.encode() for path, text in files.items()})
        constraints.append(f"{name}=={wanted}\n")
    if ferrpc:
        names.append(_pack_own(target))
        constraints.append(f"ferrpc=={importlib.metadata.version('ferrpc')}\n")
    names.append("constraints.txt")
    (target / names[-1]).write_text("".join(constraints))
    return names


def status() -> list[str]:
    """Lines of what is installed of grpcio's family, and whose it is."""
    wanted = version()
    provided = _layout.provided()
    lines = []
    for name, package in _layout.FAMILY.items():
        found = _installed.find(name)
        if found is None:
            state = "not installed"
        elif not _installed.is_shim(found):
            state = f"{found.version}, not ferrpc's"
        else:
            state = f"{found.version}, a shim"
        if name not in provided:
            state += f" (ferrpc has no {package}, and does not stand for it)"
        elif found is None or (_installed.is_shim(found) and found.version != wanted):
            state += f" ('shim install' makes it {wanted})"
        lines.append(f"{name}: {state}")
    return lines


def _own(name: str) -> importlib.metadata.Distribution | None:
    """The distribution of that name that is no shim."""
    return next((it for it in _installed.copies(name) if not _installed.is_shim(it)), None)


def _site() -> pathlib.Path:
    found = _installed.find("ferrpc")
    if found is None:
        raise ShimError("ferrpc itself is not installed in this environment")
    return pathlib.Path(str(found.locate_file("")))


def _stem(name: str, wanted: str) -> str:
    return f"{name.replace('-', '_')}-{wanted}"


def _files(name: str, wanted: str) -> dict[str, str]:
    """The metadata: paths and texts, but for RECORD."""
    # Of any version: who has gone back to an older ferrpc is not to get the newer one again.
    needed = ["ferrpc"]
    extras = ""
    if name == "grpcio":
        # As grpcio has it.
        extras = "Provides-Extra: protobuf\n"
        needed.append(f'grpcio-tools>={wanted.partition("+")[0]}; extra == "protobuf"')
    lines = "".join(f"Requires-Dist: {it}\n" for it in needed)
    folder = f"{_stem(name, wanted)}.dist-info"
    return {
        f"{folder}/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {wanted}\n"
            f"Summary: Says that ferrpc stands for {name}; it has no files but this metadata.\n"
            f"{extras}{lines}"
        ),
        # uv calls a distribution without it broken.
        f"{folder}/WHEEL": WHEEL,
    }


def _write(site: pathlib.Path, name: str, wanted: str) -> None:
    files = _files(name, wanted)
    files[f"{_stem(name, wanted)}.dist-info/INSTALLER"] = "ferrpc\n"
    files.update(_record({path: text.encode() for path, text in files.items()}))
    for path, text in files.items():
        target = site / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)


def _delete(distribution: importlib.metadata.Distribution) -> None:
    # A shim has nothing outside of this folder.
    folders = {file.parts[0] for file in distribution.files or ()}
    for folder in folders:
        if folder.endswith(".dist-info"):
            shutil.rmtree(str(distribution.locate_file(folder)))


def _record(files: dict[str, bytes]) -> dict[str, str]:
    """The path and the text of RECORD."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow((path, f"sha256={digest}", len(data)))
    folder = next(path for path in files if path.endswith(".dist-info/METADATA")).split("/")[0]
    rows.writerow((f"{folder}/RECORD", "", ""))
    return {f"{folder}/RECORD": text.getvalue()}


def _pack(target: pathlib.Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        record = {path: text.encode() for path, text in _record(files).items()}
        for path, data in {**files, **record}.items():
            # Its time is the same in each build.
            info = zipfile.ZipInfo(path)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)


def _pack_own(target: pathlib.Path) -> str:
    """Writes this installation of ferrpc as a wheel; returns its name. Raises ShimError."""
    found = _installed.find("ferrpc")
    damaged = ["it has no metadata"] if found is None else _installed.damage(found)
    if found is None or damaged:
        raise ShimError(f"this installation of ferrpc is no good: {damaged[0]}")
    files = dict(_own_files(found))
    if "ferrpc/_layout.py" not in files:
        raise ShimError(
            "ferrpc is installed in place, from a checkout: 'pip wheel .' makes a wheel"
        )
    tags = re.findall(r"^Tag: (.*)$", found.read_text("WHEEL") or "", re.MULTILINE)
    name = f"ferrpc-{found.version}-{tags[0]}.whl"
    _pack(target / name, files)
    return name


def _own_files(found: importlib.metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    for file in found.files or ():
        # Installers have written the others.
        written = file.suffix == ".pyc" or file.parts[0] == ".." or os.path.isabs(file)
        if not written and file.name not in NOT_IN_WHEELS:
            yield file.as_posix(), pathlib.Path(str(file.locate())).read_bytes()


NOT_IN_WHEELS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")

WHEEL = "Wheel-Version: 1.0\nGenerator: ferrpc\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
