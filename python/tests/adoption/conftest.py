"""Environments that hold ferrpc, grpcio, or both, made without a network: this ferrpc without its
engine, which an import does not need, and a grpcio of two files."""

import importlib.metadata
import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

#: What stands for grpcio's own distributions: versions, of which the last has ferrpc's level.
GRPCIO = ("1.80.0", "1.85.1")
#: A later ferrpc.
LATER = "99.0"
#: Where pip and uv of the tests' environment are.
PROGRAMS = os.path.dirname(sys.executable)


def pytest_collection_modifyitems(items):
    """Environments are made and filled: that takes its time where the machine is busy."""
    for item in items:
        if pathlib.Path(__file__).parent in item.path.parents and not item.get_closest_marker(
            "timeout"
        ):
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def current():
    """The version of the ferrpc that is tested."""
    return importlib.metadata.version("ferrpc")


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory, current):
    """A folder of wheels: two versions of ferrpc, two of grpcio, and packages that ask for it."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    for version in (current, LATER):
        _write_ferrpc(folder, version)
    for version in GRPCIO:
        files = {"grpc/__init__.py": f"__version__ = '{version}'\n", "grpc/_channel.py": "\n"}
        write_wheel(folder, "grpcio", version, files)
        write_wheel(folder, "grpcio-tools", version, {"grpc_tools/__init__.py": "\n"})
    write_wheel(folder, "asker", "1.0", {"asker.py": "import grpc\n"}, ["grpcio>=1.60"])
    write_wheel(folder, "old-asker", "1.0", {"old_asker.py": "\n"}, ["grpcio<1.63,>=1.40"])
    write_wheel(folder, "extra-asker", "1.0", {"extra_asker.py": "\n"}, ["grpcio[protobuf]"])
    write_wheel(folder, "csds-asker", "1.0", {"csds_asker.py": "\n"}, ["grpcio-csds>=1.0"])
    return folder


def _write_ferrpc(folder, version):
    """This ferrpc without its engine and what it depends on, as a version."""
    found = importlib.metadata.distribution("ferrpc")
    files = {}
    for file in found.files:
        engine = file.suffix == ".so"
        if ".." in file.parts or ".dist-info" in file.parts[0] or engine or file.suffix == ".pyc":
            continue
        files[file.as_posix()] = pathlib.Path(file.locate()).read_bytes()
    assert "ferrpc/_layout.py" in files, "ferrpc is to be installed from a wheel"
    write_wheel(folder, "ferrpc", version, files)


def write_wheel(folder, name, version, files, requires=()):
    """Writes a wheel of the given files."""
    stem = f"{name.replace('-', '_')}-{version}"
    lines = "".join(f"Requires-Dist: {it}\n" for it in requires)
    files = {
        **files,
        f"{stem}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}"
        ),
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{stem}.dist-info/RECORD"
    from ferrpc import _shims

    data = {path: it.encode() if isinstance(it, str) else it for path, it in files.items()}
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, content in data.items():
            archive.writestr(path, content)
        archive.writestr(record, _shims._record(data)[record])


class Installation:
    """A fresh virtual environment, and an installer."""

    def __init__(self, folder, installer, wheelhouse):
        self.folder = folder
        self.installer = installer
        self.wheelhouse = wheelhouse
        self.python = folder / "bin/python"
        # Tests change files, which uv would have linked to those of its cache.
        self.uv_settings = {"UV_LINK_MODE": "copy", "UV_CACHE_DIR": f"{wheelhouse}/cache"}
        command = [sys.executable, "-m", "venv", "--without-pip", os.fspath(folder)]
        subprocess.run(command, check=True)
        self.site = next(folder.glob("lib/python*/site-packages"))

    def run(self, *command, status=0, **variables):
        """Runs a command, which has to end with a status (None: any); its result."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PIP_", "UV_", "PYTHON", "FERRPC"))
        }
        done = subprocess.run(
            [os.fspath(it) for it in command],
            env={**environment, **self.uv_settings, **variables},
            # There is no package.
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert status is None or done.returncode == status, (command, done.stdout, done.stderr)
        return done

    def installing(self, action, *arguments, status=0):
        """`pip install`, `uv pip check` and the like, for this environment."""
        if self.installer == "uv":
            command = [f"{PROGRAMS}/uv", "pip", action, "--offline", "--no-config"]
            command += ["--python", self.python]
        else:
            command = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
            command += ["--python", self.python, action]
            command += ["-y"] if action == "uninstall" else []
        if action == "install":
            command += ["--no-index", "--find-links", self.wheelhouse]
        return self.run(*command, *arguments, status=status)

    def install(self, *what, status=0):
        return self.installing("install", *what, status=status)

    def uninstall(self, *what):
        return self.installing("uninstall", *what)

    def check(self):
        """What the installer's `check` complains of."""
        done = self.installing("check", status=None)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def ferrpc(self, *arguments, status=0, **variables):
        """`python -m ferrpc`."""
        return self.run(self.python, "-m", "ferrpc", *arguments, status=status, **variables)

    def grpc(self, **variables):
        """Whose `grpc` a program imports: "ferrpc", a version of grpcio's, or an error's text."""
        done = self.run(self.python, "-c", LOOK, **variables)
        found = json.loads(done.stdout)
        if "error" in found:
            return found["error"]
        if found["file"] == f"{self.site}/ferrpc.packages/grpc/__init__.py":
            return "ferrpc"
        assert found["file"] == f"{self.site}/grpc/__init__.py", found
        return found["version"]

    def versions(self):
        """The installed distributions of ferrpc, grpcio and grpcio-tools, with their versions."""
        found = {}
        for it in importlib.metadata.distributions(path=[str(self.site)]):
            if re.match("ferrpc|grpcio", it.name):
                assert it.name not in found, f"{it.name} twice"
                found[it.name] = it.version
        return found


LOOK = """
import json
try:
    import grpc
    found = {"file": grpc.__file__, "version": grpc.__version__}
except ImportError as error:
    found = {"error": str(error)}
print(json.dumps(found))
"""


@pytest.fixture(params=["pip", "uv"])
def installation(request, tmp_path, wheelhouse):
    """A fresh environment, with pip and with uv."""
    return Installation(tmp_path / "venv", request.param, wheelhouse)


@pytest.fixture
def quick(tmp_path, wheelhouse):
    """A fresh environment, with uv."""
    return Installation(tmp_path / "venv", "uv", wheelhouse)


#: These ask the package index, and take minutes: `cargo xtask test --adoption`.
collect_ignore = []
if not os.environ.get("FERRPC_ADOPTION"):
    collect_ignore = ["test_packages.py", "test_recipes.py"]
