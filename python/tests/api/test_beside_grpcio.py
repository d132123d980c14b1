"""One environment, two distributions: what is said at import, and by `python -m ferrpc doctor`."""

import pathlib
import shutil
import sys

import grpc
import pytest

pytestmark = pytest.mark.ferrpc_only("it is ferrpc that looks out for grpcio")


def test_the_doctor_finds_nothing(run):
    done = run([sys.executable, "-m", "ferrpc", "doctor"])
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "all is well")
    assert f"grpc: {pathlib.Path(grpc.__file__).parent}, of ferrpc" in lines


def test_the_doctor_finds_another_grpc(run, tmp_path):
    (tmp_path / "grpc").mkdir()
    (tmp_path / "grpc/__init__.py").write_text("__version__ = '1.0'\n")
    done = run([sys.executable, "-m", "ferrpc", "doctor"], PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert f"grpc: {tmp_path}/grpc, of grpcio, or something else" in done.stdout
    assert "problem: programs import a grpc that is not ferrpc's" in done.stdout


def test_the_doctor_finds_shared_files(run, tmp_path):
    folder = pathlib.Path(grpc.__file__).parent
    metadata = tmp_path / "grpcio-1.85.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: grpcio\nVersion: 1.85.1\n")
    (metadata / "RECORD").write_text(f"{folder}/__init__.py,,\n")
    done = run([sys.executable, "-m", "ferrpc", "doctor"], PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "grpcio 1.85.1 is installed too" in done.stdout
    assert (
        f"problem: grpcio and ferrpc share {folder}: 'pip uninstall ferrpc grpcio'" in done.stdout
    )


def test_shared_files_are_reported_at_import(run, tmp_path):
    copy = tmp_path / "grpc"
    shutil.copytree(pathlib.Path(grpc.__file__).parent, copy)
    command = [sys.executable, "-c", "import grpc; print(grpc.__file__)"]
    done = run(command, PYTHONPATH=str(tmp_path))
    assert (done.stdout, done.stderr) == (f"{copy}/__init__.py\n", "")

    (copy / "_cython/_credentials").mkdir()
    (copy / "_cython/_credentials/roots.pem").write_text("")
    done = run(command, PYTHONPATH=str(tmp_path))
    assert done.stdout == f"{copy}/__init__.py\n"
    assert done.stderr.count("RuntimeWarning: grpcio and ferrpc are both installed") == 1
    assert done.stderr.startswith("<string>:1: RuntimeWarning"), done.stderr


def test_the_version(run):
    import ferrpc

    done = run([sys.executable, "-m", "ferrpc", "--version"])
    assert done.stdout == f"ferrpc {ferrpc.__version__}\n"
    assert ferrpc.__version__[0].isdigit()
    assert run([sys.executable, "-m", "ferrpc", "nonsense"]).returncode == 2
