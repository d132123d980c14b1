"""protoc's command line: flags, errors, and that a failure leaves nothing behind."""

import json
import os
import pathlib
import stat
import subprocess
import sys
import zipfile

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from . import command_lines
from .conftest import TIMEOUT, clean

GOOD = 'syntax = "proto3";\npackage a;\nmessage A { string text = 1; repeated int32 n = 3; }\n'
SERVICE = """syntax = "proto3";
import "a.proto";
service S { rpc M(a.A) returns (a.A); }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.proto").write_text(GOOD)
    (tmp_path / "service.proto").write_text(SERVICE)
    (tmp_path / "odd.name").write_text('syntax = "proto3";\nmessage Odd {}\n')
    (tmp_path / "out").mkdir()
    return tmp_path


def both(compiler, official, folder, *arguments, **more):
    """The same for both; returns what they said."""
    said = []
    for one in (compiler, official):
        done = one.run(*arguments, cwd=folder, **more)
        said.append((done.returncode, done.stdout, done.stderr.decode()))
    return said


@pytest.mark.timeout(1200)
def test_the_table_of_command_lines(compiler, official, repository):
    """What the table says is what the official compiler says, and ours says that or what it gives
    a reason for."""
    table = repository / "testdata/protos/command_line/cases.txt"
    files = repository / "testdata/protos/command_line/files"
    script = pathlib.Path(command_lines.__file__)
    said = []
    for one in (compiler, official):
        done = subprocess.run(
            [one.python, script, table, files],
            capture_output=True,
            check=True,
            timeout=10 * TIMEOUT,
            env=clean(),
        )
        said.append(json.loads(done.stdout))
    ours, theirs = said
    _, cases = command_lines.read(table)
    assert len(cases) > 400
    assert theirs == {case.name: case.said.plain() for case in cases}
    if compiler.python != official.python:
        assert ours == {case.name: (case.otherwise or case.said).plain() for case in cases}


@pytest.mark.parametrize(
    "arguments",
    [
        "--version",
        "-I nosuch -I. --python_out=out a.proto",
        "--python_out=out odd.name",
    ],
)
def test_what_is_said(compiler, official, folder, arguments):
    ours, theirs = both(compiler, official, folder, "-I.", *arguments.split())
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('syntax = "proto3";\nmessage A { Foo x = 1; }\n', "e.proto:2:13: "),
        ('syntax = "proto3";\nmessage A {\n  int32 x 1;\n}\n', "e.proto:3:11: "),
        ('syntax = "proto3";\nimport "nosuch.proto";\n', "e.proto:2:1: "),
        ('syntax = "proto3";\nmessage A {\n  int32 x = 1;\n  int32 y = 1;\n}\n', "e.proto:4:13: "),
    ],
)
def test_errors_have_their_place(compiler, official, folder, text, place):
    (folder / "e.proto").write_text(text)
    for status, _, said in both(compiler, official, folder, "-I.", "--python_out=out", "a.proto", "e.proto"):
        assert status == 1
        assert place in said
        assert os.listdir(folder / "out") == []


def test_the_texts_of_frequent_errors(compiler, official, folder):
    (folder / "e.proto").write_text('syntax = "proto3";\nimport "no.proto";\nmessage A {}\n')
    ours, theirs = both(compiler, official, folder, "-I.", "--python_out=out", "e.proto")
    assert ours == theirs
    (folder / "e.proto").write_text('syntax = "proto3";\nmessage A { Foo x = 1; }\n')
    ours, theirs = both(compiler, official, folder, "-I.", "--python_out=out", "e.proto")
    assert ours == theirs
    ours, theirs = both(
        compiler, official, folder, "-I.", "--error_format=msvs", "--python_out=out", "e.proto"
    )
    assert ours == theirs


STAMP = "google/protobuf/timestamp.proto"


@pytest.mark.parametrize("path", ["-Isub", "-I./sub", "-I. sub/", "-Iv=sub v/", "-Inosuch -Isub"])
@pytest.mark.parametrize(
    "text",
    [
        f'import "{STAMP}";\nmessage A {{ google.protobuf.TimeStamp at = 1; }}\n',
        f'import "{STAMP}";\nmessage A {{}}\n',
        'import "no.proto";\nmessage A {}\n',
        "package p;\nmessage A { Foo x = 1; }\n",
    ],
    ids=["unknown in another package", "unused", "missing", "unknown"],
)
def test_files_have_the_path_that_an_editor_opens(compiler, official, folder, path, text):
    (folder / "sub").mkdir()
    (folder / "sub/e.proto").write_text('syntax = "proto3";\n' + text)
    words = path.split()
    prefix = "" if words[-1].startswith("-") else words.pop()
    arguments = (*words, "--python_out=out", f"{prefix}e.proto")
    ours, theirs = both(compiler, official, folder, *arguments)
    assert ours == theirs
    assert "sub/e.proto:2:" in ours[2] or "sub/e.proto:3:" in ours[2]


def test_a_name_that_two_files_have(compiler, official, folder):
    (folder / "e.proto").write_text(GOOD)
    for status, _, said in both(
        compiler, official, folder, "-I.", "--python_out=out", "a.proto", "e.proto"
    ):
        assert status == 1
        assert 'e.proto:3:9: "a.A" is already defined in file "a.proto".' in said


def test_a_folder_that_is_not_there_is_named_before_the_error(compiler, official, folder):
    for _, _, said in both(compiler, official, folder, "-Inosuch", "--python_out=out", "a.proto"):
        assert said.startswith("nosuch: warning: directory does not exist.\na.proto: File does")


EDITIONS = {
    "e.proto": """// First.
edition = "2023";
package e;
option features.field_presence = IMPLICIT;
message A { int32 a = 1 [features.field_presence = LEGACY_REQUIRED]; A b = 2; }
enum E { option features.enum_type = CLOSED; ONE = 1; }
""",
    "f.proto": """edition = "2024";
package f;
import "e.proto";
// Seen by others.
export message F { e.A a = 1 [features.message_encoding = DELIMITED]; repeated e.E es = 2; }
local message G {}
""",
    "p.proto": """syntax = "proto3";
import "f.proto";
message P { f.F f = 1; }
""",
}


def test_editions_are_compiled(compiler, official, folder):
    for name, text in EDITIONS.items():
        (folder / name).write_text(text)
    sets = []
    for one in (compiler, official):
        said = one.make(
            "-I.", "--include_source_info", "-oset", "--python_out=out", "--pyi_out=out", *EDITIONS, cwd=folder
        )
        assert said == ""
        sets.append((folder / "set").read_bytes())
        assert (folder / "out" / "f_pb2.pyi").is_file()
    assert sets[0] == sets[1]


def test_what_an_edition_hides_is_refused(compiler, official, folder):
    (folder / "f.proto").write_text(EDITIONS["f.proto"])
    (folder / "e.proto").write_text(EDITIONS["e.proto"])
    (folder / "g.proto").write_text(
        'edition = "2023";\nimport "f.proto";\nmessage H { f.G g = 1; optional int32 o = 2; }\n'
    )
    ours, theirs = both(compiler, official, folder, "-I.", "--python_out=out", "g.proto")
    assert ours == theirs
    (folder / "g.proto").write_text('edition = "2023";\nimport "f.proto";\nmessage H { f.G g = 1; }\n')
    ours, theirs = both(compiler, official, folder, "-I.", "--python_out=out", "g.proto")
    assert ours == theirs
    assert "not visible" in ours[2]


def test_unused_imports_are_warned_of(compiler, official, folder):
    (folder / "b.proto").write_text(
        'syntax = "proto3";\n\nimport "a.proto";\nimport "google/protobuf/any.proto";\n'
        "message B { a.A a = 1; }\n"
    )
    for flag, status in (("--error_format=gcc", 0), ("--fatal_warnings", 1)):
        ours, theirs = both(compiler, official, folder, "-I.", "--python_out=out", flag, "b.proto")
        assert ours == theirs
        assert ours[0] == status


@pytest.mark.parametrize(
    "statements",
    [
        'option java_package = "x";',
        "message B { int32 a = 1 [deprecated = true]; }",
        "enum E { option deprecated = true; Z = 0; }",
        "service S { rpc M(B) returns (B) { option deprecated = true; } } message B {}",
        "message B { map<string, int32> m = 1; optional int32 o = 2; }",
        'message B { string j = 1 [json_name = "x"]; }',
        "service S { rpc M(B) returns (B) {} } message B {}",
    ],
)
def test_options_use_the_file_that_defines_them(compiler, official, folder, statements):
    (folder / "b.proto").write_text(
        f'syntax = "proto3";\nimport "google/protobuf/descriptor.proto";\n{statements}\n'
    )
    ours, theirs = both(compiler, official, folder, "-I.", "--python_out=out", "b.proto")
    assert ours == theirs


def test_files_without_syntax(compiler, official, folder):
    (folder / "b.proto").write_text("message B { optional int32 a = 1; }\n")
    (folder / "c.proto").write_text('syntax = "proto3";\nimport "b.proto";\nmessage C { B b = 1; }\n')
    for status, _, said in both(
        compiler, official, folder, "-I.", "--fatal_warnings", "--python_out=out", "c.proto"
    ):
        assert status == 0
        # The official one puts the time and its source's line in front.
        assert "No edition or syntax specified for the proto file: b.proto." in said
        assert "c.proto" not in said


def test_names_are_looked_for_in_visible_files_only(compiler, official, folder):
    """A package of a file that another input imports does not hide one that this input sees."""
    (folder / "core.proto").write_text(
        'syntax = "proto3";\npackage p.config.core;\nmessage D {}\n'
    )
    (folder / "hides.proto").write_text(
        'syntax = "proto3";\npackage p.x.config;\nmessage H {}\n'
    )
    (folder / "uses.proto").write_text(
        'syntax = "proto3";\npackage p.x.v1;\nimport "core.proto";\n'
        "message U { config.core.D d = 1; }\n"
    )
    for files in (["uses.proto"], ["hides.proto", "uses.proto"], ["uses.proto", "hides.proto"]):
        ours, theirs = both(compiler, official, folder, "-I.", "--python_out=out", *files)
        assert ours == theirs
        assert ours[0] == 0, ours[2]


@pytest.mark.ferrpc_only("protoc writes the files of one generator before it looks at the next")
def test_an_output_directory_that_is_not_there_stops_all(compiler, folder):
    done = compiler.run("-I.", "--python_out=out", "--pyi_out=nosuch", "a.proto", cwd=folder)
    assert done.returncode == 1
    assert os.listdir(folder / "out") == []


@pytest.mark.ferrpc_only("grpcio-tools has no such program")
def test_the_program_ferrpc_is_the_same_compiler(folder, run):
    done = run(
        [sys.executable, "-m", "ferrpc", "protoc", f"-I{folder}", f"--python_out={folder / 'out'}"]
        + ["a.proto"]
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir(folder / "out") == ["a_pb2.py"]
    done = run([sys.executable, "-m", "ferrpc", "protoc", "--help"])
    assert done.stdout.startswith("Usage: ferrpc protoc [OPTION] PROTO_FILES")
    done = run([sys.executable, "-m", "ferrpc", "protoc", "nosuch.proto"])
    assert done.returncode == 1


def test_argument_files(compiler, folder):
    (folder / "flags").write_text("-I.\n--python_out=out\na.proto\n")
    compiler.make("@flags", cwd=folder)
    assert os.listdir(folder / "out") == ["a_pb2.py"]


def test_virtual_names(compiler, folder):
    compiler.make(f"-Ix/y={folder}", "--python_out=out", "x/y/a.proto", cwd=folder)
    assert (folder / "out/x/y/a_pb2.py").is_file()


def test_archives(compiler, official, folder):
    for name in ("o.zip", "o.jar"):
        contents = []
        for one in (compiler, official):
            one.make("-I.", f"--python_out={name}", "a.proto", cwd=folder)
            with zipfile.ZipFile(folder / name) as archive:
                assert archive.testzip() is None
                contents.append(sorted(archive.namelist()))
        assert contents[0] == contents[1]


def test_rules_for_make(compiler, official, folder):
    texts = []
    for one in (compiler, official):
        one.make("-I.", "--python_out=out", "--dependency_out=deps", "a.proto", cwd=folder)
        texts.append((folder / "deps").read_text().replace("\\\n", " ").split())
    assert texts[0] == texts[1]


def test_text_to_bytes_and_back(compiler, official, folder):
    text = b'text: "x\\n\\303\\251"\nn: 1\nn: 2\n'
    ours, theirs = both(compiler, official, folder, "-I.", "--encode=a.A", "a.proto", stdin=text)
    assert ours == theirs
    assert ours[1] == b"\n\x04x\n\xc3\xa9\x1a\x02\x01\x02"
    for flags in (["-I.", "--decode=a.A", "a.proto"], ["--decode_raw"]):
        ours, theirs = both(compiler, official, folder, *flags, stdin=ours[1])
        assert ours == theirs
        ours = (0, b"\n\x04x\n\xc3\xa9\x1a\x02\x01\x02", "")


TEXT = b"""
name: "x" count: 3 text: "q" blob: "\\000\\377" big: 1e300 odd: 0.1 mood: GLAD packed: [1, 2]
Part { x: 1 } Parts { mood: SAD } Parts { }
shared { key: "b" value { name: "2" } } shared { key: "a" value { name: "1" } }
[old.top_extension]: 5 [old.Old.nested_extension] { name: "n" } [old.moods]: SAD
left: "l"
"""


def test_text_of_all_kinds_of_fields(compiler, official, corpus):
    folder, files = corpus["edges"]
    ours, theirs = both(
        compiler, official, folder,
        "-I.", "--encode=old.Old", "--deterministic_output", "old.proto", stdin=TEXT,
    )  # fmt: skip
    assert ours == theirs
    assert ours[0] == 0
    encoded = ours[1]
    # As the message it is, as another one, and as none that is known.
    for flag in ("--decode=old.Old", "--decode=old.Note", "--decode_raw"):
        inputs = [] if flag == "--decode_raw" else ["old.proto"]
        ours, theirs = both(compiler, official, folder, "-I.", flag, *inputs, stdin=encoded)
        assert ours == theirs


def test_free_numbers(compiler, official, corpus):
    folder, files = corpus["edges"]
    printed = both(compiler, official, folder, "-I.", "--print_free_field_numbers", *files)
    assert printed[0][:2] == printed[1][:2]
    assert b"old.Old " in printed[0][1]


def test_bytes_that_are_no_message(compiler, official, folder):
    for flags in (["-I.", "--decode=a.A", "a.proto"], ["--decode_raw"]):
        ours, theirs = both(compiler, official, folder, *flags, stdin=b"\x0a\xff")
        assert ours == theirs
        assert ours[0] == 1


@pytest.mark.ferrpc_only("of a file in a set protoc writes another module than of its source")
def test_sets_instead_of_files(compiler, folder):
    compiler.make("-I.", "--include_imports", "-oset", "a.proto", cwd=folder)
    compiler.make("-I.", "--python_out=out", "a.proto", cwd=folder)
    direct = (folder / "out/a_pb2.py").read_text()
    (folder / "elsewhere").mkdir()
    compiler.make(
        "--descriptor_set_in=../set", "--python_out=.", "a.proto", cwd=folder / "elsewhere"
    )
    assert (folder / "elsewhere/a_pb2.py").read_text() == direct
    # And as an import of a file.
    (folder / "elsewhere/b.proto").write_text(
        'syntax = "proto3"; import "a.proto"; message B { a.A a = 1; }'
    )
    compiler.make(
        "-I.", "--descriptor_set_in=../set", "--python_out=.", "b.proto", cwd=folder / "elsewhere"
    )
    assert (folder / "elsewhere/b_pb2.py").is_file()


PLUGIN = """#!{python}
import sys
from google.protobuf.compiler import plugin_pb2
request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
open("request", "wb").write(request.SerializeToString())
if request.parameter == "fail":
    sys.exit(3)
response = plugin_pb2.CodeGeneratorResponse()
if request.parameter == "error":
    response.error = "no, thank you"
elif request.parameter == "insert":
    response.file.add(name="a_pb2.py", insertion_point="module_scope", content="INSERTED = 1\\n")
elif request.parameter == "escape":
    response.file.add(name="../escaped", content="")
else:
    response.file.add(name="x/first.txt", content="one ")
    response.file.add(content="two")
sys.stdout.buffer.write(response.SerializeToString())
"""


@pytest.fixture
def plugin(folder):
    path = folder / "protoc-gen-test"
    path.write_text(PLUGIN.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_plugins(compiler, official, folder, plugin):
    requests = []
    (folder / "b.proto").write_text('syntax = "proto3"; import "a.proto"; message B { a.A a = 1; }')
    for one in (compiler, official):
        one.make(
            "-I.", f"--plugin={plugin}", "--test_out=k=v:out", "--test_opt=w", "b.proto", cwd=folder
        )
        assert (folder / "out/x/first.txt").read_text() == "one two"
        request = plugin_pb2.CodeGeneratorRequest.FromString((folder / "request").read_bytes())
        for file in [*request.proto_file, *request.source_file_descriptors]:
            file.ClearField("source_code_info")
        requests.append(request)
    assert requests[0] == requests[1]
    assert requests[0].parameter == "k=v,w"


def test_plugins_on_the_path(compiler, folder, plugin):
    path = {"PATH": f"{plugin.parent}{os.pathsep}{os.environ['PATH']}"}
    done = compiler.run("-I.", "--test_out=out", "a.proto", cwd=folder, env=path)
    assert done.returncode == 0, done.stderr
    assert (folder / "out/x/first.txt").is_file()


def test_plugins_insert_into_our_files(compiler, folder, plugin):
    compiler.make(
        "-I.", "--python_out=out", f"--plugin={plugin}", "--test_out=insert:out", "a.proto", cwd=folder
    )
    text = (folder / "out/a_pb2.py").read_text()
    assert "INSERTED = 1\n# @@protoc_insertion_point(module_scope)\n" in text


def test_plugins_that_fail(compiler, official, folder, plugin):
    for parameter in ("fail", "error"):
        ours, theirs = both(
            compiler, official, folder,
            "-I.", "--python_out=out", f"--plugin={plugin}", f"--test_out={parameter}:out", "a.proto",
        )  # fmt: skip
        assert ours == theirs
        assert ours[0] == 1
        assert os.listdir(folder / "out") == []
    done = compiler.run("-I.", f"--plugin={plugin}", "--test_out=escape:out", "a.proto", cwd=folder)
    assert done.returncode == 1
    assert not (folder / "escaped").exists()
    done = compiler.run("-I.", "--nosuch_out=out", "a.proto", cwd=folder)
    assert done.returncode == 1
    assert "protoc-gen-nosuch: program not found or is not executable" in done.stderr.decode()


@pytest.mark.ferrpc_only("protoc writes outside of the output directory")
def test_sets_of_others_cannot_break_out(compiler, folder):
    """What would be code, or a path, in generated files."""
    bad = [
        descriptor_pb2.FileDescriptorProto(name="../../x.proto"),
        descriptor_pb2.FileDescriptorProto(name="/tmp/x.proto"),
        descriptor_pb2.FileDescriptorProto(name="x\nimport os\n.proto"),
        descriptor_pb2.FileDescriptorProto(name="x.proto", package="a; import os"),
        descriptor_pb2.FileDescriptorProto(name="x.proto", dependency=["x.proto"]),
        descriptor_pb2.FileDescriptorProto(name="x.proto", public_dependency=[7]),
    ]
    injected = descriptor_pb2.FileDescriptorProto(name="x.proto")
    injected.service.add(name="S:\n    pass\nimport os\nclass T")
    bad.append(injected)
    for file in bad:
        found = descriptor_pb2.FileDescriptorSet(file=[file])
        (folder / "set").write_bytes(found.SerializeToString())
        done = compiler.run(
            "--descriptor_set_in=set", "--python_out=out", "--grpc_python_out=out", file.name,
            cwd=folder,
        )
        assert done.returncode == 1, file
        assert os.listdir(folder / "out") == []
