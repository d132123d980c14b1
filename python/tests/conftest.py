"""What all Python tests share. Every test runs on real grpcio first, the oracle, and then on
ferrpc; `cargo xtask test` does both. What makes sense on one of them alone says so with its reason:

    @pytest.mark.ferrpc_only("grpcio hangs here")
"""

import importlib.metadata
import os
import pathlib
import signal
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTOS = ROOT / "testdata" / "protos"


def _distributions():
    found = set()
    for name in ("ferrpc", "grpcio"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
    return found


ACTIVE = _distributions()


def pytest_configure(config):
    if len(ACTIVE) != 1:
        raise pytest.UsageError(f"one gRPC is to be tested at a time, here are {sorted(ACTIVE)}")
    if "ferrpc" in ACTIVE:
        # grpcio has threads of its own that end in a traceback; ours shall not.
        config.addinivalue_line(
            "filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning"
        )


def pytest_collection_modifyitems(config, items):
    here = next(iter(ACTIVE))
    for item in items:
        for mark in item.iter_markers():
            if mark.name not in ("ferrpc_only", "grpcio_only"):
                continue
            if not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: {mark.name} needs its reason")
            if mark.name != f"{here}_only":
                item.add_marker(pytest.mark.skip(reason=f"{mark.name}: {mark.args[0]}"))


def pytest_terminal_summary(terminalreporter):
    """A line that `cargo xtask test` reads."""
    stats = terminalreporter.stats
    count = {name: len(stats.get(name, ())) for name in ("passed", "failed", "error", "skipped")}
    elsewhere = sum("_only: " in str(report.longrepr) for report in stats.get("skipped", ()))
    count["skipped"] -= elsewhere
    words = " ".join(f"{name}={number}" for name, number in count.items())
    terminalreporter.write_line(f"tally on {next(iter(ACTIVE))}: {words} elsewhere={elsewhere}")


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(settings):
    """A test that swallows its alarm hears it again: what asyncio.run does on its way out may wait
    as the test did."""
    result = yield
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, 10)
    return result


@pytest.fixture(scope="session")
def on_ferrpc():
    """Whether it is ferrpc that is tested."""
    return "ferrpc" in ACTIVE


@pytest.fixture(scope="session")
def repository():
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def oracle_python():
    """The interpreter of an environment with real grpcio and grpcio-tools."""
    if "grpcio" in ACTIVE:
        return sys.executable
    python = os.environ.get("FERRPC_ORACLE_PYTHON")
    if not python:
        pytest.fail(
            "FERRPC_ORACLE_PYTHON names no interpreter with grpcio ('cargo xtask test' does)"
        )
    return python


@pytest.fixture(scope="session")
def run():
    """Runs a program and returns its result, with text in stdout and stderr. It has 60 seconds; a
    variable given as None is taken out of its environment."""

    def run(command, limit=60, **variables):
        environment = {**os.environ, **variables}
        environment = {name: value for name, value in environment.items() if value is not None}
        return subprocess.run(
            [os.fspath(part) for part in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
        )

    return run


@pytest.fixture(scope="session")
def official_stubs(tmp_path_factory, oracle_python, run):
    """A folder with the modules of all test protos as the official generators write them."""
    folder = tmp_path_factory.mktemp("official")
    protos = ["test_service.proto"]
    protos += [f"grpc/testing/{name}.proto" for name in ("empty", "messages", "test")]
    done = run(
        [oracle_python, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"--python_out={folder}"]
        + [f"--grpc_python_out={folder}", *protos]
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def own_stubs(tmp_path_factory, run):
    """A folder with the same modules as the `grpc_tools` that is tested writes them."""
    folder = tmp_path_factory.mktemp("own")
    done = run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"--python_out={folder}"]
        + [f"--grpc_python_out={folder}", "test_service.proto"]
    )
    assert done.returncode == 0, done.stderr
    return folder
