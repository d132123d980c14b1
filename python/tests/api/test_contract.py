"""The numbers that the package and its engine agree on stand in the engine alone."""

import ast
import importlib

import grpc
import pytest

pytestmark = pytest.mark.ferrpc_only("its own code")

#: What programs know has numbers of its own, which are compared below.
PUBLIC = {"_enums.py", "experimental/__init__.py", "_cython/cygrpc.py"}


def contract():
    """The engine's numbers, by class and name."""
    from grpc import _ferrpc

    found = {}
    for name, kind in vars(_ferrpc).items():
        if isinstance(kind, type):
            numbers = {key: value for key, value in vars(kind).items() if type(value) is int}
            if numbers := {key: value for key, value in numbers.items() if key.isupper()}:
                found[name] = numbers
    return found


def numbers(enumeration):
    def number(member):
        return member.value[0] if isinstance(member.value, tuple) else int(member.value)

    return {name: number(member) for name, member in enumeration.__members__.items()}


def test_public_enumerations_have_the_numbers_of_the_engine():
    from grpc import _ferrpc
    from grpc._cython import cygrpc
    from grpc.experimental import PrivateKeySignatureAlgorithm

    engine = contract()
    assert numbers(grpc.StatusCode) == dict(_ferrpc.STATUS_CODES)
    assert {name.upper(): value for name, value in numbers(cygrpc.StatusCode).items()} == dict(
        _ferrpc.STATUS_CODES
    )
    assert numbers(grpc.ChannelConnectivity) == engine["Connectivity"]
    assert numbers(grpc.LocalConnectionType) == engine["LocalConnection"]
    assert numbers(PrivateKeySignatureAlgorithm) == engine["SignatureNumber"]
    spelled = {name.replace("_", ""): value for name, value in engine["Compression"].items()}
    assert {name.upper(): value for name, value in numbers(grpc.Compression).items()} == spelled


def sources(repository):
    package = repository / "python" / "grpc"
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name not in PUBLIC:
            yield name, ast.parse(path.read_text())


def copies(tree, names):
    """What looks like a number of the engine's: a constant of that name, a status given as one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Constant, ast.BinOp)):
            if isinstance(node.value, ast.Constant) and type(node.value.value) is not int:
                continue
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id.strip("_") in names:
                    yield node.lineno, target.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_status = node.func.attr in ("finish", "cancel", "_fail", "_finish", "_abort", "End")
            if is_status and node.args and isinstance(node.args[0], ast.Constant):
                if type(node.args[0].value) is int:
                    yield node.lineno, node.func.attr


def test_nothing_is_copied(repository):
    engine = contract()
    names = {name for numbers in engine.values() for name in numbers} | set(
        grpc.StatusCode.__members__
    )
    found = [(name, *copy) for name, tree in sources(repository) for copy in copies(tree, names)]
    assert found == []
    bad = ast.parse("_ENDED = 0\n_NOBODY_ASKS = 2**32 - 1\ncall.finish(2, '', None)\n_NEW = 'x'\n")
    assert [line for line, _ in copies(bad, names)] == [1, 2, 3]


def test_each_kind_of_number_is_read(repository):
    read = set()
    for _, tree in sources(repository):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
                if isinstance(node.value.value, ast.Name) and node.value.value.id == "_ferrpc":
                    read.add((node.value.attr, node.attr))
    engine = contract()
    compared = {"Connectivity", "Compression", "LocalConnection", "SignatureNumber"}
    kinds = {kind for kind, name in read if name in engine.get(kind, ())}
    assert kinds | compared == set(engine)
    for kind, name in read:
        assert kind not in engine or name in engine[kind], f"the engine has no {kind}.{name}"


def test_the_modules_that_read_them_can_be_imported():
    for name in ("aio._driver", "aio._server", "_serving", "_signing"):
        importlib.import_module(f"grpc.{name}")
