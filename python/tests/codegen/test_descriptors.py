"""Descriptor sets: what is parsed from ours and from the official compiler's is the same.

Custom options count as parsed: their fields may be encoded in any order.
"""

import pathlib
import subprocess

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from .conftest import CORPUS


@pytest.fixture(params=CORPUS)
def part(request, corpus):
    return corpus[request.param]


def read(path, known=descriptor_pb2.FileDescriptorSet):
    return known.FromString(path.read_bytes())


def knowing(path):
    """The class of descriptor sets that knows the custom options of a set with all its imports."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    for file in read(path).file:
        if file.name != descriptor_pb2.DESCRIPTOR.name:
            pool.Add(file)
    found = pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet")
    return message_factory.GetMessageClass(found)


def both(compiler, official, part, tmp_path, *flags):
    folder, files = part
    for one, name in ((compiler, "ours"), (official, "theirs")):
        one.make("-I.", *flags, f"-o{tmp_path / name}", *files, cwd=folder)
    official.make("-I.", "--include_imports", f"-o{tmp_path / 'all'}", *files, cwd=folder)
    known = knowing(tmp_path / "all")
    return read(tmp_path / "ours", known), read(tmp_path / "theirs", known)


@pytest.mark.parametrize("flags", [(), ("--include_imports",), ("--retain_options",)])
def test_sets(compiler, official, part, tmp_path, flags):
    ours, theirs = both(compiler, official, part, tmp_path, *flags)
    ours, theirs = ({file.name: file for file in it.file} for it in (ours, theirs))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name], name


def test_every_file_stands_behind_its_imports(compiler, part, tmp_path):
    folder, files = part
    compiler.make("-I.", "--include_imports", f"-o{tmp_path / 'set'}", *files, cwd=folder)
    seen = set()
    for file in read(tmp_path / "set").file:
        assert seen.issuperset(file.dependency), file.name
        seen.add(file.name)


def test_places_and_comments_are_the_same_bytes(compiler, official, part, tmp_path):
    folder, files = part
    found = []
    for one in (compiler, official):
        one.make("-I.", "--include_source_info", f"-o{tmp_path / 'set'}", *files, cwd=folder)
        found.append((tmp_path / "set").read_bytes())
    assert found[0] == found[1]


def test_well_known_files_are_found_without_a_path(compiler, tmp_path):
    (tmp_path / "a.proto").write_text(
        'syntax = "proto3"; import "google/protobuf/any.proto";'
        "message A { google.protobuf.Any any = 1; }"
    )
    compiler.make("-I.", "--include_imports", "-oset", "a.proto", cwd=tmp_path)
    assert [it.name for it in read(tmp_path / "set").file] == [
        "google/protobuf/any.proto",
        "a.proto",
    ]


def test_well_known_files_are_the_official_ones(compiler, official, tmp_path):
    """Ours are in the package's folder as well, where build systems look for them."""
    sets = []
    for one in (compiler, official):
        where = subprocess.run(
            [one.python, "-c", "import grpc_tools; print(grpc_tools.__path__[0])"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        root = pathlib.Path(where) / "_proto"
        files = sorted(str(it.relative_to(root)) for it in root.rglob("*.proto"))
        path = tmp_path / f"set{len(sets)}"
        one.make("-I.", "--retain_options", f"-o{path}", *files, cwd=root)
        sets.append({file.name: file for file in read(path).file})
    ours, theirs = sets
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name], name


_PLUGIN = """#!{python}
import hashlib
import sys
from google.protobuf.compiler import plugin_pb2
request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
response = plugin_pb2.CodeGeneratorResponse(
    supported_features=3, minimum_edition=998, maximum_edition=1001
)
lines = [f"{{it}} is to be generated" for it in request.file_to_generate]
for kind in ("proto_file", "source_file_descriptors"):
    for file in getattr(request, kind):
        digest = hashlib.sha256(file.SerializeToString(deterministic=True)).hexdigest()
        lines.append(f"{{kind}} {{file.name}} {{len(file.source_code_info.location)}} {{digest}}")
response.file.add(name="request", content="\\n".join(lines))
sys.stdout.buffer.write(response.SerializeToString())
"""


def test_plugins_get_the_same_request(compiler, official, oracle_python, tmp_path):
    """Comments of the well-known files, and options that are for sources only, included."""
    (tmp_path / "plugin").write_text(_PLUGIN.format(python=oracle_python))
    (tmp_path / "plugin").chmod(0o755)
    names = ("any", "api", "compiler/plugin", "cpp_features", "go_features", "java_features")
    imports = "".join(f'import "google/protobuf/{name}.proto";\n' for name in names)
    option = "extend google.protobuf.FileOptions { string %s = %d [retention = RETENTION_SOURCE]; }"
    descriptor = 'import "google/protobuf/descriptor.proto";\n'
    (tmp_path / "b.proto").write_text(
        f'edition = "2023";\n{descriptor}{option % ("b", 50001)}\noption (b) = "b";\n'
    )
    (tmp_path / "a.proto").write_text(
        f'edition = "2023";\nimport "b.proto";\n{imports}'
        f'{descriptor}{option % ("a", 50002)}\noption (b) = "a";\noption (a) = "a";\n'
    )
    found = []
    for one, name in ((compiler, "ours"), (official, "theirs")):
        (tmp_path / name).mkdir()
        one.make("-I.", "--plugin=protoc-gen-x=./plugin", f"--x_out={name}", "a.proto", cwd=tmp_path)
        found.append((tmp_path / name / "request").read_text().splitlines())
    assert found[0] == found[1]
