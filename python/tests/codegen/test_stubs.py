"""Type stubs: the names of protoc's, taken by mypy, and with the types that programs see."""

import ast
import subprocess
import sys

import pytest

from .conftest import CORPUS, TIMEOUT, clean


def names(path):
    """Every name of a stub file with its place, and what parameters constructors have."""
    found = set()

    def walk(body, scope):
        for node in body:
            if isinstance(node, ast.ClassDef):
                found.add(f"{scope}{node.name}")
                walk(node.body, f"{scope}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                found.add(f"{scope}{node.name}({', '.join(it.arg for it in node.args.args)})")
            elif isinstance(node, ast.AnnAssign):
                found.add(f"{scope}{node.target.id}")
            elif isinstance(node, ast.Assign) and not node.targets[0].id.startswith("_"):
                found.add(f"{scope}{node.targets[0].id}")
            elif isinstance(node, ast.ImportFrom):
                found.update(it.name for it in node.names if it.asname == it.name)

    walk(ast.parse(path.read_text()).body, "")
    return found


def types(path):
    """The annotations of fields, as protoc writes them."""
    tree = ast.parse(path.read_text())
    return {
        ast.unparse(node.target): ast.unparse(node.annotation)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
    }


def docstrings(path):
    """The docstrings of a module's classes and methods, each line without its indentation: the
    official generator drops it."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name != "__init__":
            lines = [line.strip() for line in (ast.get_docstring(node) or "").strip().splitlines()]
            found[node.name] = lines
    return found


def test_comments_become_docstrings(compiler, official, repository, tmp_path):
    found = []
    for one in (compiler, official):
        out = tmp_path / str(len(found))
        out.mkdir()
        protos = repository / "testdata" / "protos" / "python"
        one.make("-I.", f"--grpc_python_out={out}", "documented.proto", cwd=protos)
        found.append(docstrings(out / "documented_pb2_grpc.py"))
    ours, theirs = found
    for name in ("ServiceStub", "ServiceServicer", "Service", "M", "N", "Q", "AloneServicer"):
        if "Missing" in theirs[name]:
            continue
        assert ours[name] == theirs[name], name


@pytest.fixture(scope="module", params=CORPUS)
def generated(request, compiler, official, corpus, tmp_path_factory):
    folder, files = corpus[request.param]
    outs = []
    for one in (compiler, official):
        out = tmp_path_factory.mktemp(request.param)
        one.make("-I.", f"--pyi_out={out}", *files, cwd=folder)
        outs.append(out)
    return outs


def test_names(generated, on_ferrpc):
    ours, theirs = generated
    files = [str(it.relative_to(theirs)) for it in sorted(theirs.rglob("*.pyi"))]
    assert files == [str(it.relative_to(ours)) for it in sorted(ours.rglob("*.pyi"))]
    for file in files:
        try:
            wanted = names(theirs / file)
        except SyntaxError:
            # Names that are keywords: theirs is no Python.
            if on_ferrpc:
                names(ours / file)
            continue
        found = names(ours / file)
        assert wanted <= found, file
        # Names that a public import brings from further away are there as well, as they are when
        # the module is loaded.
        assert found == wanted or file in PUBLIC_IMPORTS, (file, found - wanted)


PUBLIC_IMPORTS = ("importer_pb2.pyi", "pkg/sub/my_file_pb2.pyi")


def test_types_of_fields(generated):
    ours, theirs = generated
    for path in sorted(theirs.rglob("*.pyi")):
        try:
            wanted = types(path)
        except SyntaxError:
            continue
        found = types(ours / path.relative_to(theirs))
        for name, annotation in wanted.items():
            if name == "Extensions" or name.endswith("_FIELD_NUMBER") or name not in found:
                # Those that are missing are imported; `test_names` looks after them.
                continue
            # A name that means something else inside the class is named in another way.
            plain = found[name].replace("_builtins.", "").replace("_module_", "")
            assert plain == annotation or "_words_pb2" in annotation, (path, name)


@pytest.fixture(params=["published", "own"])
def typed_python(request, oracle_python):
    """An interpreter whose environment has the published types of grpcio, and ours with its own."""
    return oracle_python if request.param == "published" else sys.executable


def mypy(python, folder, *files):
    """What mypy says of files; the environment has the published types of protobuf."""
    done = subprocess.run(
        [
            python, "-m", "mypy", "--strict", "--namespace-packages",
            "--explicit-package-bases",
            "--cache-dir", folder / ".cache", *files,
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=clean({"MYPYPATH": str(folder)}),
    )
    return done.stdout + done.stderr


@pytest.mark.ferrpc_only("the official stubs are not for strict settings")
@pytest.mark.parametrize("part", ["edges", "rust"])
def test_mypy_takes_them(compiler, typed_python, corpus, tmp_path, part):
    folder, files = corpus[part]
    compiler.make(
        "-I.", f"--pyi_out={tmp_path}", f"--grpc_python_out=pyi_out:{tmp_path}", *files, cwd=folder
    )
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.pyi"))
    assert found
    assert "Success: no issues found" in mypy(typed_python, tmp_path, *found)


USE = """
import grpc
import grpc.aio
import kinds_pb2 as pb
import kinds_pb2_grpc as stubs

sync = stubs.KindsStub(grpc.insecure_channel(""))
reveal_type(sync.One(pb.Everything()))
for inner in sync.Many(pb.Everything()):
    reveal_type(inner)


async def run() -> None:
    stub = stubs.KindsStub(grpc.aio.insecure_channel(""))
    reveal_type(await stub.One(pb.Everything()))
    async for inner in stub.Many(pb.Everything()):
        reveal_type(inner)


def annotated(sync: stubs.KindsStub, other: "stubs.KindsStub[grpc.aio.Channel]") -> None:
    reveal_type(sync.Gather)
    reveal_type(other.Gather)


sync.One(3)
"""


@pytest.mark.ferrpc_only("the official generators write no types for services")
def test_stubs_know_requests_and_responses(compiler, typed_python, corpus, tmp_path):
    folder, files = corpus["edges"]
    compiler.make(
        "-I.", f"--pyi_out={tmp_path}", f"--grpc_python_out=pyi_out:{tmp_path}", *files, cwd=folder
    )
    (tmp_path / "use.py").write_text(USE)
    said = mypy(typed_python, tmp_path, "use.py").splitlines()
    said = [line for line in said if line.startswith("use.py:")]
    empty, inner = "empty_pb2.Empty", "kinds_pb2.Everything.Inner"
    expected = [
        (8, empty), (10, inner), (15, empty), (17, inner),
        (21, "grpc.StreamUnaryMultiCallable["), (22, "grpc.aio"), (25, "incompatible type"),
    ]
    for line, text in expected:
        assert any(it.startswith(f"use.py:{line}:") and text in it for it in said), (line, said)
    assert sum("error" in it for it in said) == 1, said
