"""`python -m ferrpc run` and `bench-me`: a program on ferrpc where grpcio is installed, and on
both."""

from __future__ import annotations

import filecmp
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from ferrpc import _layout


class Cost(NamedTuple):
    """What a run took."""

    seconds: float
    #: Of the program and of all processes that it has waited for, in user and kernel.
    cpu_seconds: float
    #: The largest resident size of one of these processes.
    memory_bytes: int


def command(given: list[str]) -> list[str]:
    """The command of what stands behind `run`: a file of Python's, `-m` and a module, or a program
    of this environment or of PATH. Raises FileNotFoundError."""
    first = given[0]
    if first.startswith("-") or first.endswith(".py") or os.path.isdir(first):
        return [sys.executable, *given]
    if os.sep in first and os.access(first, os.X_OK):
        return given
    own = os.path.dirname(sys.executable)
    program = shutil.which(first, path=os.pathsep.join((own, os.environ.get("PATH", os.defpath))))
    if program is None:
        raise FileNotFoundError(f"no program {first!r} beside {sys.executable} or on PATH")
    return [program, *given[1:]]


def environment() -> dict[str, str]:
    """The environment of a program, and of all that it starts, which uses ferrpc."""
    changed = {**os.environ, "FERRPC": "1"}
    if not all(map(_layout.is_active, _layout.provided().values())):
        # Where no `.pth` of ours is read, or something else stands before it.
        path = (str(_layout.folder()), os.environ.get("PYTHONPATH"))
        changed["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return changed


def run(given: list[str]) -> int:
    """Becomes the program. Returns 127 if there is none."""
    try:
        found = command(given)
    except FileNotFoundError as error:
        print(f"ferrpc run: {error}", file=sys.stderr)
        return 127
    if _layout.wanted():
        changed = environment()
    else:
        changed = dict(os.environ)
        print("ferrpc run: FERRPC=0, so this runs without ferrpc", file=sys.stderr)
    sys.stdout.flush()
    os.execvpe(found[0], found, changed)


def bench(given: list[str], rounds: int) -> int:
    """Runs a command with both by turns, and prints the median of what each took. 0; 1 if a run
    fails or there is no grpcio; 127 if there is no such program."""
    try:
        found = command(given)
    except FileNotFoundError as error:
        print(f"ferrpc bench-me: {error}", file=sys.stderr)
        return 127
    sides = {"grpcio": {**os.environ, "FERRPC": "0"}, "ferrpc": environment()}
    names = {}
    for side, changed in sides.items():
        # In a folder without a `grpc` of its own.
        done = subprocess.run(
            [sys.executable, "-c", WHO], env=changed, cwd="/", capture_output=True, text=True
        )
        if done.returncode != 0 or (side in done.stdout) != (side == "ferrpc"):
            print(f"ferrpc bench-me: programs find no {side} here", file=sys.stderr)
            print(INSTALL if side == "grpcio" else done.stderr, file=sys.stderr)
            return 1
        names[side] = f"{side} {done.stdout.split()[0]}"
    names["ferrpc"] = "ferrpc"
    costs: dict[str, list[Cost]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {side: os.path.join(folder, side) for side in sides}
        for _ in range(rounds):
            for side, changed in sides.items():
                cost, status = _measure(found, changed, outputs[side])
                if status != 0:
                    print(f"ferrpc bench-me: with {side} it ended with {status}:", file=sys.stderr)
                    with open(f"{outputs[side]}.err", errors="replace") as errors:
                        print(errors.read()[-SHOWN:], file=sys.stderr)
                    return 1
                costs[side].append(cost)
        same = filecmp.cmp(outputs["grpcio"], outputs["ferrpc"], shallow=False)
    print(f"{'':<16}{'time':>12}{'CPU':>12}{'memory':>12}")
    for side, measured in costs.items():
        middle = Cost(*map(statistics.median, zip(*measured, strict=True)))
        print(
            f"{names[side]:<16}{middle.seconds:>10.2f} s{middle.cpu_seconds:>10.2f} s"
            f"{middle.memory_bytes / MIB:>8.0f} MiB"
        )
    print(f"median of {rounds}; memory is that of the largest process")
    if not same:
        print("what the program printed was not the same with both")
    return 0


def _measure(found: list[str], changed: dict[str, str], output: str) -> tuple[Cost, int]:
    """Runs it once, its output in a file; what it took, and how it ended."""
    began = time.monotonic()
    with open(output, "wb") as written, open(f"{output}.err", "wb") as errors:
        child = subprocess.Popen(
            found, env=changed, stdin=subprocess.DEVNULL, stdout=written, stderr=errors
        )
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB)
    return cost, child.returncode


#: Says which `grpc` there is.
WHO = "import grpc; print(grpc.__version__, grpc.__file__)"

INSTALL = "install it: 'python -m ferrpc shim remove', then 'pip install grpcio'"

KIB = 1024
MIB = 1024 * 1024
#: How much of what a program said is shown when it failed, in characters.
SHOWN = 2000
