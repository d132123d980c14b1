"""The samples of docs/security.md: they are Python, and what they name is there."""

import ast
import importlib
import inspect
import re

import pytest

#: Names that the samples import, or take for granted.
MODULES = ("grpc", "ferrpc.credentials", "grpc.experimental")

pytestmark = pytest.mark.ferrpc_only("grpcio has no ferrpc.credentials")


@pytest.fixture(scope="module")
def samples(repository):
    text = (repository / "docs" / "security.md").read_text()
    found = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(found) >= 6
    return [ast.parse(sample) for sample in found]


def names(tree):
    """The dotted names in a sample that begin with a module, and its imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            module = next((each for each in MODULES if dotted.startswith(each + ".")), None)
            if module is not None and re.fullmatch(r"[\w.]+", dotted):
                yield dotted
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def resolve(dotted):
    parts = dotted.split(".")
    found = importlib.import_module(parts[0])
    for at, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:at]))
        found = getattr(found, part)
    return found


def test_what_samples_name_is_there(samples):
    named = {dotted for sample in samples for dotted in names(sample)}
    assert {"grpc.ssl_server_credentials", "ferrpc.credentials.ssl_server_credentials"} <= named
    for dotted in sorted(named):
        resolve(dotted)


def test_samples_call_functions_as_they_are(samples):
    for call in (node for sample in samples for node in ast.walk(sample)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if not ast.unparse(call.func).startswith(MODULES):
            continue
        keywords = {keyword.arg: None for keyword in call.keywords}
        inspect.signature(resolve(ast.unparse(call.func))).bind(*call.args, **keywords)
