"""Every order of installing, upgrading, downgrading and uninstalling ferrpc, grpcio and the shims:
what is installed decides which `grpc` programs import, however it came there, and all files are
whole."""

import importlib.metadata
import os
from collections import deque
from typing import NamedTuple

import pytest

from .conftest import GRPCIO, LATER, PROGRAMS, Installation

pytestmark = pytest.mark.ferrpc_only("it is ferrpc that is installed beside grpcio")


class State(NamedTuple):
    """The version of ferrpc; that of grpcio, or the version of the ferrpc that shims it."""

    ferrpc: str | None
    grpcio: str | None
    shim: str | None = None


# Each says what becomes of a state; with an environment it does it.


def _install_ferrpc(version, before, to=None):
    if to is not None:
        to.install(f"ferrpc=={version}")
    return before._replace(ferrpc=version)


def _install_grpcio(version, before, to=None):
    if to is not None:
        to.install(f"grpcio=={version}")
    if before.shim is not None and version == GRPCIO[-1]:
        # That is what the shim is.
        return _bring_back(before)
    return before._replace(grpcio=version, shim=None)


def _bring_back(before):
    """A shim without its ferrpc has resolvers bring the newest."""
    return before if before.ferrpc or not before.shim else before._replace(ferrpc=LATER)


def steps(current, upgrades, shims):
    """The steps by name; with those from version to version, and those of shims."""

    def uninstall_ferrpc(before, to=None):
        if before.ferrpc is None:
            return None
        if to is not None:
            to.uninstall("ferrpc")
        return before._replace(ferrpc=None)

    def uninstall_grpcio(before, to=None):
        if before.grpcio is None and before.shim is None:
            return None
        if to is not None:
            to.uninstall("grpcio")
        return before._replace(grpcio=None, shim=None)

    def install_asker(before, to=None):
        """The ordinary resolver brings grpcio where none is known."""
        if to is not None:
            to.install("asker")
            assert "asker" not in to.check()
            to.uninstall("asker")
        if before.grpcio is None and before.shim is None:
            return before._replace(grpcio=GRPCIO[-1])
        return _bring_back(before)

    def install_shim(before, to=None):
        if before.ferrpc is None:
            return None
        if to is not None:
            to.ferrpc("shim", "install")
        return before if before.grpcio else before._replace(shim=before.ferrpc)

    def remove_shim(before, to=None):
        if before.ferrpc is None:
            return None
        if to is not None:
            to.ferrpc("shim", "remove")
        return before._replace(shim=None)

    def replace_by_shim(before, to=None):
        if before.ferrpc is None or before.grpcio is None:
            return None
        if to is not None:
            # Whichever of pip and uv is found.
            to.ferrpc("shim", "install", "--replace", PATH=PROGRAMS)
        return before._replace(grpcio=None, shim=before.ferrpc)

    found = [uninstall_ferrpc, uninstall_grpcio, install_asker]
    found += [install_shim, remove_shim, replace_by_shim] if shims else []
    named = {it.__name__: it for it in found}
    for version in (current, LATER) if upgrades else (current,):
        named[f"install ferrpc {version}"] = lambda *it, version=version: _install_ferrpc(
            version, *it
        )
    for version in GRPCIO if upgrades else GRPCIO[-1:]:
        named[f"install grpcio {version}"] = lambda *it, version=version: _install_grpcio(
            version, *it
        )
    return named


def walk(start, named):
    """Names of steps, so that each is taken once from each state that can be reached."""
    left = {}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        if state in left:
            continue
        left[state] = {name for name, it in named.items() if it(state) is not None}
        queue.extend(named[name](state) for name in sorted(left[state]))
    at = start
    while any(left.values()):
        # The shortest way to a step that was not taken yet.
        ways = deque([(at, ())])
        seen = {at}
        while True:
            state, way = ways.popleft()
            if left[state]:
                way = (*way, sorted(left[state])[0])
                break
            for name in sorted(it for it in named if named[it](state) is not None):
                after = named[name](state)
                if after not in seen:
                    seen.add(after)
                    ways.append((after, (*way, name)))
        for name in way:
            left[at].discard(name)
            yield name
            at = named[name](at)


def look(state, here, taken, closely):
    """That an environment is in a state."""
    from ferrpc import _installed

    versions = here.versions()
    shim = None if state.shim is None else f"{GRPCIO[-1]}+ferrpc.{state.shim}"
    wanted = {"ferrpc": state.ferrpc, "grpcio": state.grpcio or shim}
    found = {name: versions.get(name) for name in wanted}
    assert found == wanted, taken
    for distribution in importlib.metadata.distributions(path=[str(here.site)]):
        assert _installed.damage(distribution) == [], (distribution.name, taken)
    missing = "No module named 'grpc'"
    asked = f"{missing}: FERRPC=0 asks for grpcio's, which is not installed"
    without = state.grpcio or (asked if state.ferrpc else missing)
    if closely:
        assert here.grpc(FERRPC="0") == without, taken
    assert here.grpc() == ("ferrpc" if state.ferrpc else without), taken


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "long"),
    [
        ("uv", True),
        # A second and more for each step.
        ("pip", bool(os.environ.get("FERRPC_ADOPTION"))),
    ],
)
def test_every_order(tmp_path, wheelhouse, current, kind, long):
    here = Installation(tmp_path / "venv", kind, wheelhouse)
    named = steps(current, upgrades=long, shims=long)
    state = State(None, None)
    taken = []
    seen = set()
    for name in walk(state, named):
        taken.append(name)
        after = named[name](state)
        named[name](state, here)
        state = after
        look(state, here, taken[-6:], closely=state not in seen)
        seen.add(state)
    assert set(taken) == set(named)
    assert len(taken) > (80 if long else 15)
