"""`python -m ferrpc doctor`: which `grpc` programs import, whether the files are those that were
installed, which packages ask for grpcio, and what to type where something is wrong."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from ferrpc import _installed, _layout, _shims


class Problem(NamedTuple):
    """Something that is wrong."""

    text: str
    #: What to type, or do.
    advice: str
    #: Puts it right; None if that is for the user to do.
    fix: Callable[[], object] | None = None


class Report:
    """What was found."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.problems: list[Problem] = []
        self._look()

    def _look(self) -> None:
        own = _installed.find("ferrpc")
        self.lines.append(f"ferrpc {'of a checkout' if own is None else own.version}")
        if not _layout.wanted():
            self.lines.append("FERRPC=0: this environment asks for grpcio, not for ferrpc")
        for package in _layout.provided().values():
            self._look_at_package(package)
        if own is not None:
            self._look_at_files(own)
        for name in _layout.FAMILY:
            self._look_at_family(name)
        self._look_at_wishes()

    def _look_at_package(self, package: str) -> None:
        folder = _layout.active(package)
        if folder is None:
            self.lines.append(f"{package}: not there")
            if _layout.wanted():
                text = f"{package} cannot be imported"
                self.problems.append(Problem(text, REINSTALL))
            else:
                text = f"FERRPC=0, and there is no {package} but ferrpc's"
                self.problems.append(Problem(text, "unset FERRPC"))
            return
        if _layout.is_active(package):
            self.lines.append(f"{package}: {folder}, of ferrpc")
            return
        name = _installed.owner(folder) or "of no distribution"
        self.lines.append(f"{package}: {folder}, {name}")
        if not _layout.wanted():
            return
        self.problems.append(
            Problem(
                f"programs import a {package} that is not ferrpc's: {folder.parent} stands "
                f"before ferrpc's {_layout.folder()} on Python's path",
                f"python -m ferrpc run PROGRAM, or take {folder.parent} out of "
                f"{_where(os.fspath(folder.parent))}",
            )
        )

    def _look_at_files(self, own: importlib.metadata.Distribution) -> None:
        damage = _installed.damage(own)
        if not damage:
            self.lines.append(f"files of ferrpc: {len(own.files or ())}, as they were installed")
            return
        shown = "; ".join(damage[:SHOWN]) + ("" if len(damage) <= SHOWN else "; ...")
        self.lines.append(f"files of ferrpc: {shown}")
        self.problems.append(
            Problem(f"{len(damage)} files of ferrpc are not those that were installed", REINSTALL)
        )

    def _look_at_family(self, name: str) -> None:
        copies = _installed.copies(name)
        if not copies:
            return
        provided = name in _layout.provided()
        found = copies[0]
        if len({os.path.realpath(str(it.locate_file(""))) for it in copies}) < len(copies):
            versions = ", ".join(sorted(it.version for it in copies))
            text = f"{name} is installed more than once in one folder: {versions}"
            self.problems.append(Problem(text, *self._instead(name)))
            return
        if _installed.is_shim(found):
            self.lines.append(f"{name} {found.version}: a shim, which stands for ferrpc's")
            if not provided:
                text = f"a shim stands for {name}, of which this ferrpc has no module"
                self.problems.append(Problem(text, SHIM, _shims.install))
            elif not found.version.endswith(_shims.version().partition("+")[2]):
                text = f"the shim {name} {found.version} is of another ferrpc"
                self.problems.append(Problem(text, SHIM, _shims.install))
            return
        used = "" if not provided else ", not used" if _layout.wanted() else ", used"
        self.lines.append(f"{name} {found.version}: installed too{used}")
        if provided and _layout.wanted():
            self.lines[-1] += " (FERRPC=0 in the environment has a program use it)"
        damage = _installed.damage(found)
        if damage:
            text = f"{len(damage)} files of {name} {found.version} are not whole: {damage[0]}"
            self.problems.append(Problem(text, *self._instead(name)))

    def _instead(self, name: str) -> tuple[str, Callable[[], object] | None]:
        """The advice and the fix for a distribution that is broken."""
        if name not in _layout.provided():
            return f"pip install --force-reinstall --no-deps {name}", None
        return (
            f"pip uninstall {name}, then {SHIM}",
            lambda: _shims.install(replace=True),
        )

    def _look_at_wishes(self) -> None:
        wishes = _installed.wishes()
        if not wishes:
            return
        self.lines.append("asked for:")
        for wish in wishes:
            found = _installed.find(wish.name)
            has = "not installed" if found is None else found.version
            self.lines.append(f"  {wish.asker}: {wish.name}{wish.versions} ({has})")
            if found is None:
                provided = wish.name in _layout.provided()
                text = f"{wish.asker} asks for {wish.name}, which is not installed"
                if provided:
                    text += ": installers would bring grpcio's, checks of versions fail"
                self.problems.append(
                    Problem(
                        text,
                        SHIM if provided else f"pip install {wish.name}",
                        _shims.install if provided else None,
                    )
                )
            elif wish.is_met(found.version) is False:
                advice = "install another version of either"
                if _installed.is_shim(found):
                    advice = f"{SHIM} --claim VERSION, if it runs with this version's API"
                text = f"{wish.asker} asks for {wish.name}{wish.versions}, there is {has}"
                self.problems.append(Problem(text, advice))


def run(fix: bool) -> int:
    """Prints what was found; `fix` has it put right what can be. 0 if all is well, else 1."""
    report = Report()
    if fix:
        fixes = {problem.advice: problem for problem in report.problems if problem.fix is not None}
        for problem in fixes.values():
            assert problem.fix is not None
            print(f"fixing: {problem.advice}", flush=True)
            try:
                problem.fix()
            except _shims.ShimError as error:
                print(f"not fixed: {error}")
        if fixes:
            importlib.invalidate_caches()
            report = Report()
    for line in report.lines:
        print(line)
    advice: dict[str, None] = {}
    for problem in report.problems:
        print(f"problem: {problem.text}")
        advice[problem.advice] = None
    for text in advice:
        print(f"do: {text}")
    if any(problem.fix for problem in report.problems):
        print("'python -m ferrpc doctor --fix' does what it can of this")
    if not report.problems:
        print("all is well")
    return 1 if report.problems else 0


def _where(folder: str) -> str:
    """What has put a folder onto Python's path."""
    listed = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if os.path.realpath(folder) in map(os.path.realpath, filter(None, listed)):
        return "PYTHONPATH"
    if os.path.realpath(folder) == os.path.realpath(os.getcwd()):
        return "the way: it is the current folder"
    return f"sys.path of {sys.executable}"


#: How many files are named.
SHOWN = 5

SHIM = "python -m ferrpc shim install"
REINSTALL = "install ferrpc again: pip install --force-reinstall --no-deps ferrpc"
