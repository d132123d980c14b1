"""Builds the wheel: maturin's, arranged so that it shares no file with grpcio's.

What maturin puts at the top of a wheel (`grpc`, `grpc_tools`) goes below `ferrpc.packages`. Then
`ferrpc.pth` puts that folder on the path, before the folder that it lies in, whenever Python starts.
`grpc.py` finds the package where no `.pth` is read. docs/decisions/python.md has the reasons.

It is the backend that pyproject.toml names. Sources and editable installs are maturin's own.
"""

import base64
import csv
import hashlib
import io
import os
import zipfile

import maturin
from maturin import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_wheel,
)

__all__ = (
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
)

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Writes the wheel into a folder; returns its name."""
    name = maturin.build_wheel(wheel_directory, config_settings, metadata_directory)
    path = os.path.join(wheel_directory, name)
    arranged = path + ".part"
    arrange(path, arranged)
    os.replace(arranged, path)
    return name


def arrange(source, target):
    """Copies a wheel of maturin's to another file, with its packages where ferrpc has them."""
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        record = next(name for name in old.namelist() if name.endswith(".dist-info/RECORD"))
        rows = []
        moved = set()

        def write(info, data):
            new.writestr(info, data, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            rows.append((info.filename, f"sha256={digest.decode()}", len(data)))

        for info in old.infolist():
            if info.filename == record or info.is_dir():
                continue
            data = old.read(info)
            top = info.filename.split("/")[0]
            if top != "ferrpc" and not top.endswith(".dist-info"):
                moved.add(top)
                info.filename = f"{PACKAGES}/{info.filename}"
            write(info, data)
        for package in sorted(moved):
            write(_info(f"{package}.py"), GATE.format(package=package).encode())
        write(_info("ferrpc.pth"), PATH_LINE.encode())
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (record, "", "")])
        new.writestr(_info(record), text.getvalue(), zipfile.ZIP_DEFLATED)


def _info(name):
    # Its time is the same in each build.
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o100644 << 16
    return info


#: Where the packages lie; `ferrpc/_layout.py` knows it too.
PACKAGES = "ferrpc.packages"

#: Runs at each start of Python in the environment. Without an import of ours, which would take ten
#: times as long; without a name that a function of its own would have to find.
PATH_LINE = (
    'import os, sys; _ferrpc = os.environ.get("FERRPC") != "0" and next(filter(os.path.isdir, '
    f'map("{{}}/{PACKAGES}".format, sys.path)), ""); _ferrpc and _ferrpc not in sys.path and '
    f"sys.path.insert(sys.path.index(_ferrpc[:-{len(PACKAGES) + 1}]), _ferrpc)\n"
)

GATE = '''"""Finds ferrpc's package `{package}` in folders whose `.pth` files Python does not read: those
on PYTHONPATH, and of `pip install --target`. A package of that name has precedence over this file."""

from ferrpc._gate import enter

enter(__name__)
'''
