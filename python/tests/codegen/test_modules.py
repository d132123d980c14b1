"""Generated modules: names and behaviour are those of the official generators'."""

import json
import subprocess

import pytest

from .conftest import CORPUS, HERE, TIMEOUT, clean, modules

#: The official generator writes Python that is none for these names; and nothing can import
#: `grpc.testing.x_pb2` where `grpc` is a package.
LEFT_OUT = ("pkg/class/words.proto", "importer.proto", "grpc/testing")


@pytest.fixture(scope="module", params=CORPUS)
def generated(request, compiler, official, corpus, tmp_path_factory):
    """A folder of each, and the files that both can generate."""
    folder, files = corpus[request.param]
    outs = []
    for one in (compiler, official):
        out = tmp_path_factory.mktemp(request.param)
        one.make("-I.", f"--python_out={out}", f"--grpc_python_out={out}", *files, cwd=folder)
        outs.append(out)
    return *outs, files


def dump(python, folder, names, implementation="upb"):
    done = subprocess.run(
        [python, HERE / "dump.py", folder, *names],
        capture_output=True,
        timeout=TIMEOUT,
        env=clean({"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}),
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def sensible(files):
    return [name for name in files if not name.startswith(LEFT_OUT)]


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_messages(generated, oracle_python, implementation):
    ours, theirs, files = generated
    names = modules(sensible(files), "_pb2")
    found = dump(oracle_python, ours, names, implementation)
    wanted = dump(oracle_python, theirs, names, implementation)
    for name in names:
        assert found[name]["names"] == wanted[name]["names"], name
        assert found[name]["options"] == wanted[name]["options"], name
        assert found[name]["nested"] == wanted[name]["nested"], name
        assert found[name]["file"] == wanted[name]["file"], name


def test_services(generated, oracle_python):
    ours, theirs, files = generated
    names = modules(sensible(files), "_pb2_grpc")
    found = dump(oracle_python, ours, names, "python")
    wanted = dump(oracle_python, theirs, names, "python")
    for name in names:
        # What the official file imports to compare versions, and for a warning it never gives.
        unused = {"warnings", "first_version_is_lower"}
        assert set(found[name]["names"]) - unused == set(wanted[name]["names"]) - unused, name
        assert found[name]["services"] == wanted[name]["services"], name


@pytest.mark.ferrpc_only("the official generator writes syntax errors for these names")
def test_names_that_are_keywords(compiler, corpus, oracle_python, tmp_path):
    folder, files = corpus["edges"]
    compiler.make(
        "-I.", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}", *files, cwd=folder
    )
    names = ["pkg.class.words_pb2", "pkg.class.words_pb2_grpc", "importer_pb2_grpc"]
    found = dump(oracle_python, tmp_path, names, "python")
    service = found["pkg.class.words_pb2_grpc"]["services"]["lambda"]
    assert service["stub"] == {
        "Unary": "/pkg.class.lambda/Unary",
        "from": "/pkg.class.lambda/from",
    }
    assert service["calls"]["/pkg.class.lambda/from"][:3] == [
        "unary_unary",
        ["pkg.class.Words", "SerializeToString"],
        ["pkg.class.def", "FromString"],
    ]
    assert list(service["registered"]["pkg.class.lambda"]) == ["Unary", "from"]
    assert service["methods"]["from"]["servicer"] == "(request, context)"
    assert service["methods"]["from"]["seen"][1] == "Method not implemented!"
    assert "lambda" in found["pkg.class.words_pb2_grpc"]["names"]
    assert {"None", "def", "print"} <= found["pkg.class.words_pb2"]["names"].keys()
    dump(oracle_python, tmp_path, modules(["importer.proto"], "_pb2"), "upb")


@pytest.mark.ferrpc_only("the official generator writes syntax errors for these names")
def test_names_that_differ_in_case(compiler, repository, oracle_python, tmp_path):
    folder = repository / "testdata/protos/codegen"
    out = f"--python_out=pyi_out:{tmp_path}", f"--grpc_python_out=pyi_out:{tmp_path}"
    compiler.make("-I.", *out, "clashes.proto", cwd=folder)
    found = dump(oracle_python, tmp_path, ["clashes_pb2", "clashes_pb2_grpc"], "python")
    assert {"FooBar", "Foo_Bar", "Self", "self"} <= found["clashes_pb2"]["names"].keys()
    service = found["clashes_pb2_grpc"]["services"]["Clashes"]
    assert service["stub"] == {"Get": "/clashes.Clashes/Get", "get": "/clashes.Clashes/get"}
    assert service["calls"]["/clashes.Clashes/get"][1:3] == [
        ["clashes.self", "SerializeToString"],
        ["clashes.Foo_Bar.while", "FromString"],
    ]


@pytest.mark.ferrpc_only("relative imports are ours")
def test_relative_imports(compiler, corpus, oracle_python, tmp_path):
    folder, files = corpus["edges"]
    out = tmp_path / "some" / "package"
    out.mkdir(parents=True)
    compiler.make(
        "-I.",
        f"--python_out=relative_imports:{out}",
        f"--grpc_python_out=relative_imports:{out}",
        *files,
        cwd=folder,
    )
    names = [f"some.package.{it}" for suffix in ("_pb2", "_pb2_grpc") for it in modules(files, suffix)]
    found = dump(oracle_python, tmp_path, names, "python")
    assert found["some.package.kinds_pb2"]["names"]["Empty"] == [
        "class",
        "some.package.kinds_pb2",
        "Empty",
        "kinds.v1.Empty",
    ]
    assert found["some.package.importer_pb2"]["names"].keys() >= {"Shared", "Words", "SharedKind"}


def test_grpc_1_0(compiler, official, corpus, oracle_python, tmp_path):
    """The stubs stand in the messages' module as well, with the beta API's."""
    folder, _ = corpus["edges"]
    found = []
    for one in (compiler, official):
        out = tmp_path / str(len(found))
        out.mkdir()
        files = ["kinds.proto", "pkg/sub/my-file.proto", "pkg/sub/shared.proto"]
        one.make("-I.", f"--python_out={out}", *files, "pkg/class/words.proto", cwd=folder)
        one.make(
            "-I.", f"--python_out={out}", f"--grpc_python_out=grpc_1_0:{out}", "kinds.proto",
            cwd=folder,
        )
        text = (out / "kinds_pb2.py").read_text()
        line = next(it for it in text.splitlines() if "(module_scope)" in it)
        assert line == "# @@protoc_insertion_point(module_scope)"
        names = {
            line.split("(")[0].split(":")[0].split()[1]
            for line in text.splitlines()
            if line.strip().startswith(("class ", "def "))
        }
        found.append(names)
    assert found[0] == found[1]
    assert "beta_create_Kinds_server" in found[0]
