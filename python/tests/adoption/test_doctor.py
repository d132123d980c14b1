"""What `python -m ferrpc doctor` says of an environment, and what it puts right."""

import shutil
import sys

import pytest

from .conftest import PROGRAMS

pytestmark = pytest.mark.ferrpc_only("it is ferrpc that looks out for grpcio")


def problems(done):
    """What the doctor found, without the advice."""
    lines = done.stdout.splitlines()
    found = [line.removeprefix("problem: ") for line in lines if line.startswith("problem: ")]
    assert (done.returncode == 0) == (lines[-1] == "all is well") == (not found), done.stdout
    return found


def look(here, *arguments, **variables):
    done = here.ferrpc("doctor", *arguments, status=None, **variables)
    assert done.stderr == ""
    return done


def test_all_is_well(quick, current):
    quick.install("ferrpc")
    quick.install("ferrpc==" + current)
    done = look(quick)
    assert problems(done) == []
    folder = quick.site / "ferrpc.packages"
    lines = done.stdout.splitlines()
    assert lines[0] == f"ferrpc {current}"
    assert f"grpc: {folder}/grpc, of ferrpc" in lines
    assert f"grpc_tools: {folder}/grpc_tools, of ferrpc" in lines


def test_grpcio_beside_it_is_no_problem(quick, current):
    quick.install(f"ferrpc=={current}", "grpcio")
    done = look(quick)
    assert problems(done) == []
    assert "grpcio 1.85.1: installed too, not used (FERRPC=0 in the environment" in done.stdout
    done = look(quick, FERRPC="0")
    assert "FERRPC=0: this environment asks for grpcio" in done.stdout
    assert f"grpc: {quick.site}/grpc, grpcio 1.85.1" in done.stdout.splitlines()
    assert "grpcio 1.85.1: installed too, used" in done.stdout
    assert problems(done) == ["FERRPC=0, and there is no grpc_tools but ferrpc's"]


def test_a_package_that_asks_for_grpcio(quick, current):
    quick.install(f"ferrpc=={current}")
    quick.install("--no-deps", "asker")
    # So it is without anything that reads versions.
    found = problems(look(quick))
    consequence = "installers would bring grpcio's, checks of versions fail"
    assert found == [f"asker 1.0 asks for grpcio, which is not installed: {consequence}"]
    assert "do: python -m ferrpc shim install\n" in look(quick).stdout
    done = look(quick, "--fix")
    assert done.stdout.startswith("fixing: python -m ferrpc shim install\n")
    assert problems(done) == []
    assert f"  asker 1.0: grpcio>=1.60 (1.85.1+ferrpc.{current})" in done.stdout.splitlines()
    assert quick.check() == ""


def test_a_package_that_asks_for_what_ferrpc_has_not(quick, current):
    quick.install(f"ferrpc=={current}")
    quick.install("--no-deps", "csds-asker")
    package = quick.site / "ferrpc.packages/grpc_csds/__init__.py"
    if not package.exists():
        done = look(quick)
        assert problems(done) == ["csds-asker 1.0 asks for grpcio-csds, which is not installed"]
        assert "do: pip install grpcio-csds" in done.stdout.splitlines()
        package.parent.mkdir()
        package.touch()
    assert "do: python -m ferrpc shim install" in look(quick).stdout.splitlines()
    assert problems(look(quick, "--fix")) == []


def test_a_package_that_asks_for_another_version(quick, current, tmp_path):
    quick.install(f"ferrpc=={current}")
    quick.install("--no-deps", "old-asker")
    quick.ferrpc("shim", "install")
    # It takes a reader of versions to see it: `packaging`, or pip's.
    folder = tmp_path / "path"
    folder.mkdir()
    import packaging

    shutil.copytree(packaging.__path__[0], folder / "packaging")
    found = problems(look(quick, PYTHONPATH=str(folder)))
    assert found == [f"old-asker 1.0 asks for grpcio<1.63,>=1.40, there is 1.85.1+ferrpc.{current}"]
    assert "old-asker" in quick.check()
    quick.ferrpc("shim", "install", "--claim", "1.62.3")
    assert problems(look(quick, PYTHONPATH=str(folder))) == []
    assert quick.check() == ""


def test_another_grpc_on_the_path(quick, current, tmp_path):
    quick.install(f"ferrpc=={current}")
    folder = tmp_path / "path"
    (folder / "grpc").mkdir(parents=True)
    (folder / "grpc/__init__.py").write_text("__version__ = '1.0'\n")
    done = look(quick, PYTHONPATH=str(folder))
    assert f"grpc: {folder}/grpc, of no distribution" in done.stdout.splitlines()
    assert len(problems(done)) == 1
    assert problems(done)[0].startswith("programs import a grpc that is not ferrpc's")
    assert f"do: python -m ferrpc run PROGRAM, or take {folder} out of PYTHONPATH" in done.stdout


def test_files_that_are_not_whole(quick, current):
    quick.install(f"ferrpc=={current}", "grpcio")
    ours = quick.site / "ferrpc.packages/grpc"
    whole = (ours / "health.py").read_bytes()
    (ours / "health.py").write_text("changed = True\n")
    (ours / "tools.py").unlink()
    (quick.site / "grpc/__init__.py").unlink()
    done = look(quick)
    assert (
        "files of ferrpc: ferrpc.packages/grpc/health.py was changed; "
        "ferrpc.packages/grpc/tools.py is missing" in done.stdout.splitlines()
    )
    assert problems(done) == [
        "2 files of ferrpc are not those that were installed",
        "1 files of grpcio 1.85.1 are not whole: grpc/__init__.py is missing",
    ]
    quick.install("--reinstall", "--no-deps", f"ferrpc=={current}")
    assert (ours / "health.py").read_bytes() == whole
    # grpcio's goes, by uv.
    done = look(quick, "--fix", PATH=PROGRAMS)
    assert problems(done) == []
    assert quick.versions()["grpcio"] == f"1.85.1+ferrpc.{current}"


def test_shims_of_another_ferrpc(quick, current):
    quick.install("ferrpc==99.0")
    quick.ferrpc("shim", "install")
    quick.install(f"ferrpc=={current}")
    assert problems(look(quick)) == [
        f"the shim {name} 1.85.1+ferrpc.99.0 is of another ferrpc"
        for name in ("grpcio", "grpcio-tools")
    ]
    assert problems(look(quick, "--fix")) == []


def test_a_distribution_that_is_there_twice(quick, current):
    quick.install(f"ferrpc=={current}", "grpcio==1.85.1")
    shutil.copytree(quick.site / "grpcio-1.85.1.dist-info", quick.site / "grpcio-1.80.0.dist-info")
    metadata = quick.site / "grpcio-1.80.0.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("1.85.1", "1.80.0"))
    found = problems(look(quick))
    assert found == ["grpcio is installed more than once in one folder: 1.80.0, 1.85.1"]


def test_the_version(run):
    import ferrpc

    done = run([sys.executable, "-m", "ferrpc", "--version"])
    assert done.stdout == f"ferrpc {ferrpc.__version__}\n"
    assert ferrpc.__version__[0].isdigit()
    assert run([sys.executable, "-m", "ferrpc", "nonsense"]).returncode == 2
