"""The type stubs: equal to what they describe, and of use to those who have mypy read them."""

import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).parent

pytestmark = pytest.mark.timeout(300)

OWN = pytest.mark.ferrpc_only("grpcio has no types of its own")


@OWN
def test_stubs_say_what_is_there(run, tmp_path):
    done = run(
        [sys.executable, "-m", "mypy.stubtest", "grpc", "ferrpc"]
        + ["--mypy-config-file", HERE / "stubtest.ini", "--allowlist", HERE / "allowlist.txt"]
        + ["--ignore-unused-allowlist"],
        limit=290,
        MYPY_CACHE_DIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def mypy(run, tmp_path, name):
    return run(
        [sys.executable, "-m", "mypy", "--strict", "--warn-unreachable", "--config-file="]
        + ["--hide-error-context", "--no-error-summary", HERE / name],
        limit=290,
        MYPY_CACHE_DIR=str(tmp_path),
    )


@pytest.mark.parametrize("name", ["both.py", "both_aio.py"])
def test_a_program_that_passes_with_types_grpcio(run, tmp_path, name):
    # With grpcio it is types-grpcio that is asked.
    done = mypy(run, tmp_path, name)
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


@OWN
def test_a_good_program_passes(run, tmp_path):
    done = mypy(run, tmp_path, "good.py")
    assert (done.stdout, done.returncode) == ("", 0), done.stderr


@OWN
def test_mistakes_are_found(run, tmp_path):
    done = mypy(run, tmp_path, "bad.py")
    found = {
        (int(match[1]), match[2])
        for match in re.finditer(r"bad\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.M)
    }
    lines = (HERE / "bad.py").read_text().splitlines()
    wanted = {
        (number, line.rpartition("  # ")[2])
        for number, line in enumerate(lines, 1)
        if "  # " in line
    }
    assert found == wanted, done.stdout
