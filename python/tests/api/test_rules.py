"""Rules of the code that no compiler knows: nothing is decided by a text, no code of users' runs
under a lock, and rooms do not see each other in circles. See ARCHITECTURE.md."""

import ast
import graphlib
import re

import pytest

pytestmark = pytest.mark.ferrpc_only("its own code")


@pytest.fixture(scope="module")
def modules(repository):
    """The package's modules, by path."""
    package = repository / "python" / "grpc"
    paths = sorted(package.rglob("*.py"))
    assert len(paths) > 80
    return {path.relative_to(package).as_posix(): ast.parse(path.read_text()) for path in paths}


# -- texts -----------------------------------------------------------------------------------------

#: What returns or holds a text that says how something ended.
SAID = {"details", "debug_error_string"}
LOOKS = {"startswith", "endswith", "find", "index", "removeprefix", "removesuffix", "partition"}


def is_said(node):
    """`x.details`, `x.details()`, `details`, `str(error)`."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in ("str", "repr"):
            argument = node.args[0] if node.args else None
            return isinstance(argument, ast.Name) and argument.id in ("error", "exception")
        node = node.func
    name = getattr(node, "attr", getattr(node, "id", None))
    return name in SAID


def decisions(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            is_text = any(
                isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides
            )
            if is_text and any(is_said(side) for side in sides):
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in LOOKS and is_said(node.func.value):
                yield node.lineno


def test_python_decides_nothing_by_a_text(modules):
    assert [(name, line) for name, tree in modules.items() for line in decisions(tree)] == []
    bad = 'x.details() == "late"\n"x" in details\nstr(error).startswith("a")\nx.details() == y\n'
    assert list(decisions(ast.parse(bad))) == [1, 2, 3]


def rust(repository, *crates):
    """Sources without their tests, by path."""
    for crate in crates:
        for path in sorted((repository / "crates" / crate / "src").rglob("*.rs")):
            name = path.relative_to(repository / "crates").as_posix()
            if path.name != "tests.rs":
                yield name, path.read_text().partition("#[cfg(test)]\nmod ")[0]


# -- locks -----------------------------------------------------------------------------------------

LOCK = re.compile(r"(?i)lock$|^_?changed$|^_?condition$")

#: What users give us, by the names that it has here.
USERS = {
    "callback",
    "fn",
    "function",
    "serializer",
    "deserializer",
    "behavior",
    "fetcher",
    "plugin",
}
USERS |= {"handler", "service", "intercept_service", "job", "handle", "sign", "cancel_fn"}


def calls_under_locks(tree):
    for node in ast.walk(tree):
        if not isinstance(node, (ast.With, ast.AsyncWith)):
            continue
        held = [
            getattr(item.context_expr, "attr", getattr(item.context_expr, "id", ""))
            for item in node.items
        ]
        if not any(LOCK.search(name) for name in held):
            continue
        for statement in node.body:
            for inner in ast.walk(statement):
                if isinstance(inner, ast.Call):
                    name = getattr(inner.func, "id", getattr(inner.func, "attr", ""))
                    if name.strip("_") in USERS:
                        yield inner.lineno, name


def test_no_code_of_users_runs_under_a_lock(modules):
    ours = {
        name: tree for name, tree in modules.items() if not name.startswith(("framework/", "beta/"))
    }
    assert [(name, *call) for name, tree in ours.items() for call in calls_under_locks(tree)] == []
    bad = "with self._lock:\n  a = 1\n  for callback in b:\n    callback(a)\n"
    bad += "with file:\n  callback()\n"
    assert list(calls_under_locks(ast.parse(bad))) == [(4, "callback")]


# -- rooms -----------------------------------------------------------------------------------------

USE = re.compile(r"\bcrate::(\{[^;]*\}|\w+)")


def test_the_rooms_of_the_extension_are_no_circle(repository):
    graph = {}
    for name, text in rust(repository, "ferrpc-python"):
        room = name.removeprefix("ferrpc-python/src/").partition("/")[0].removesuffix(".rs")
        seen = graph.setdefault(room, set())
        for used in USE.findall(text):
            names = re.findall(r"\b[a-z]\w*", used) if used.startswith("{") else [used]
            seen.update(names)
    rooms = {room: seen & set(graph) - {room} for room, seen in graph.items() if room != "lib"}
    assert {"client", "server", "aio", "credentials", "fork"} <= set(rooms)
    order = list(graphlib.TopologicalSorter(rooms).static_order())
    assert order.index("server") < order.index("aio")


def test_the_synchronous_modules_do_not_see_asyncio(modules):
    """But for those that hand out its names."""
    doors = {"__init__.py", "experimental/aio.py"}
    for name, tree in modules.items():
        if name.startswith("aio/") or name in doors:
            continue
        for node in ast.walk(tree):
            imported = ""
            if isinstance(node, ast.ImportFrom):
                imported = f"{node.module}.{node.names[0].name}"
            elif isinstance(node, ast.Import):
                imported = node.names[0].name
            assert not imported.startswith("grpc.aio"), f"{name}:{node.lineno}"
