"""ferrpc beside grpcio: `FERRPC=0`, `python -m ferrpc run`, `bench-me`, and folders on
PYTHONPATH."""

import importlib.metadata
import pathlib

import pytest

pytestmark = pytest.mark.ferrpc_only("grpcio has no such thing")

WHO = "import grpc, sys; print(grpc.__file__)\n"


@pytest.fixture
def both(quick, current):
    """An environment with ferrpc and grpcio."""
    quick.install(f"ferrpc=={current}", "grpcio==1.80.0")
    return quick


@pytest.fixture
def apart(quick, current, wheelhouse, tmp_path):
    """An environment with grpcio, which a ferrpc in a folder of its own leaves as it is; the
    folder."""
    quick.install("grpcio==1.80.0")
    folder = tmp_path / "trial"
    quick.install("--target", folder, f"ferrpc=={current}")
    return quick, folder


def test_ferrpc_is_used_unless_the_environment_says_no(both):
    assert both.grpc() == "ferrpc"
    assert both.grpc(FERRPC="1") == both.grpc(FERRPC="") == "ferrpc"
    assert both.grpc(FERRPC="0") == "1.80.0"


def test_nothing_is_loaded_when_python_starts(both):
    done = both.run(both.python, "-c", "import sys; print(*sys.modules)")
    assert not [name for name in done.stdout.split() if name.startswith(("ferrpc", "grpc"))]


def test_a_nearer_grpc_has_precedence(both, tmp_path):
    """The path is Python's: ferrpc stands before the folder that it is installed in, and not before
    those that the user has put there."""
    nearer = tmp_path / "nearer/grpc"
    nearer.mkdir(parents=True)
    (nearer / "__init__.py").touch()
    done = both.run(both.python, "-c", WHO, PYTHONPATH=str(nearer.parent))
    assert done.stdout == f"{nearer}/__init__.py\n"
    (both.folder / "app.py").write_text(WHO)
    done = both.ferrpc("run", "app.py", PYTHONPATH=str(nearer.parent))
    assert done.stdout == f"{both.site}/ferrpc.packages/grpc/__init__.py\n"


def test_a_folder_on_the_path(apart):
    here, folder = apart
    assert here.grpc() == "1.80.0"
    ours = f"{folder}/ferrpc.packages/grpc/__init__.py\n"
    path = {"PYTHONPATH": str(folder)}
    assert here.run(here.python, "-c", WHO, **path).stdout == ours
    code = "import grpc, grpc._enums, pickle; print(pickle.loads(pickle.dumps(grpc.StatusCode.OK)))"
    assert here.run(here.python, "-c", code, **path).stdout == "StatusCode.OK\n"
    done = here.run(here.python, "-c", WHO, FERRPC="0", **path)
    assert done.stdout == f"{here.site}/grpc/__init__.py\n"
    done = here.run(here.python, "-c", "import grpc_tools", status=1, FERRPC="0", **path)
    assert done.stderr.endswith(
        "ModuleNotFoundError: No module named 'grpc_tools': FERRPC=0 asks for grpcio's, which is "
        "not installed\n"
    )
    done = here.ferrpc("doctor", **path)
    assert f"grpc: {folder}/ferrpc.packages/grpc, of ferrpc\n" in done.stdout
    assert "grpcio 1.80.0: installed too, not used" in done.stdout


def test_a_package_run_by_its_name(apart):
    """`python -m grpc_tools.protoc`, where it is `grpc_tools.py` that finds the package."""
    here, folder = apart
    (folder / "ferrpc.packages/grpc_tools/said.py").write_text("print(__name__, __package__)\n")
    done = here.run(here.python, "-m", "grpc_tools.said", PYTHONPATH=str(folder))
    assert done.stdout == "__main__ grpc_tools\n"


PROGRAM = """
import multiprocessing, subprocess, sys
import grpc

def who():
    print("process", grpc.__file__, flush=True)

if __name__ == "__main__":
    print("arguments", *sys.argv[1:], flush=True)
    print("program", grpc.__file__, flush=True)
    for method in ("fork", "spawn", "forkserver"):
        process = multiprocessing.get_context(method).Process(target=who)
        process.start()
        process.join()
    subprocess.run([sys.executable, "-c", "import grpc; print('child', grpc.__file__)"], check=True)
"""


@pytest.mark.parametrize("kind", ["both", "apart"])
@pytest.mark.parametrize("form", ["file", "module", "program"])
def test_a_program_and_its_children(request, kind, form):
    folder = None
    if kind == "both":
        here = request.getfixturevalue("both")
    else:
        here, folder = request.getfixturevalue("apart")
    (here.folder / "app.py").write_text(PROGRAM)
    script = here.folder / "bin/the-app"
    script.write_text(f"#!{here.python}\n{PROGRAM}")
    script.chmod(0o755)
    command = {"file": ["app.py"], "module": ["-m", "app"], "program": ["the-app"]}[form]
    variables = {} if folder is None else {"PYTHONPATH": str(folder)}
    done = here.ferrpc("run", *command, "--flag", "-x", **variables)
    ours = f"{folder or here.site}/ferrpc.packages/grpc/__init__.py"
    lines = done.stdout.splitlines()
    assert lines[0] == "arguments --flag -x"
    assert lines[1:] == [f"program {ours}", *[f"process {ours}"] * 3, f"child {ours}"]


def test_going_back(both):
    (both.folder / "app.py").write_text(WHO)
    done = both.ferrpc("run", "app.py", FERRPC="0")
    assert done.stdout == f"{both.site}/grpc/__init__.py\n"
    assert done.stderr == "ferrpc run: FERRPC=0, so this runs without ferrpc\n"


def test_what_run_returns(both):
    (both.folder / "app.py").write_text("raise SystemExit(7)\n")
    both.ferrpc("run", "app.py", status=7)
    done = both.ferrpc("run", "no-such-program", status=127)
    assert done.stderr.startswith("ferrpc run: no program 'no-such-program' beside ")
    assert both.ferrpc("run", status=2).stdout.startswith("usage: python -m ferrpc run ")
    done = both.ferrpc("run", "-c", "import sys; print(sys.argv)", "--help")
    assert done.stdout == "['-c', '--help']\n"


def test_what_a_program_costs(both):
    (both.folder / "app.py").write_text("import grpc, sys; print(sys.argv[1:])\n")
    done = both.ferrpc("bench-me", "--rounds", "2", "app.py", "--rounds", "x")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["time", "CPU", "memory"]
    assert lines[1][:2] == ["grpcio", "1.80.0"]
    assert lines[2][0] == "ferrpc"
    for line in lines[1:3]:
        assert line[-5::2] == ["s", "s", "MiB"]
        assert float(line[-6]) > 0 and float(line[-4]) > 0 and float(line[-2]) > 1
    assert done.stdout.splitlines()[3:] == ["median of 2; memory is that of the largest process"]

    (both.folder / "app.py").write_text(WHO)
    done = both.ferrpc("bench-me", "--rounds", "1", "app.py")
    assert done.stdout.endswith("what the program printed was not the same with both\n")


def test_costs_that_cannot_be_measured(both):
    code = "import os, sys; sys.exit('on ferrpc' if os.environ['FERRPC'] == '1' else 0)"
    done = both.ferrpc("bench-me", "-c", code, status=1)
    assert "with ferrpc it ended with 1:\non ferrpc" in done.stderr
    both.uninstall("grpcio")
    done = both.ferrpc("bench-me", "-c", "pass", status=1)
    assert done.stderr.startswith("ferrpc bench-me: programs find no grpcio here\n")


def test_where_the_wheel_has_its_files(both):
    """None at a place where grpcio has one."""
    installed = {path.name for path in both.site.iterdir()}
    assert {"ferrpc", "ferrpc.pth", "grpc.py", "grpc_tools.py"} <= installed
    line = (both.site / "ferrpc.pth").read_text()
    assert line.startswith("import ") and line.count("\n") == 1
    ferrpc, grpcio = (
        {it.as_posix() for it in importlib.metadata.Distribution.at(folder).files}
        for folder in map(pathlib.Path, sorted(both.site.glob("[fg]*rpc*.dist-info")))
    )
    assert "grpc.py" in ferrpc and "grpc/__init__.py" in grpcio
    assert not ferrpc & grpcio
