"""`grpc_tools` from programs: `main`, dynamic stubs, and the command of setuptools."""

import json
import os
import subprocess
import sys

import pytest

from .conftest import TIMEOUT, clean

PROTO = """syntax = "proto3";
package dyn;
import "more/dashed.proto";
message Hello { more.Name name = 1; }
service Greeter { rpc Greet(Hello) returns (more.Name); }
"""
MORE = 'syntax = "proto3";\npackage more;\nmessage Name { string text = 1; }\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "hello.proto").write_text(PROTO)
    (tmp_path / "more" / "dashed.proto").write_text(MORE)
    (tmp_path / "bad.proto").write_text('syntax = "proto3";\nmessage A { Foo x = 1; }\n')
    return tmp_path


def run(folder, program, **env):
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=clean(env),
    )
    assert done.returncode == 0, done.stderr
    return done


def test_dynamic_stubs(folder):
    done = run(
        folder,
        """if True:
        import grpc
        protos, services = grpc.protos_and_services("hello.proto")
        hello = protos.Hello()
        hello.name.text = "x"
        assert protos.Hello.FromString(hello.SerializeToString()) == hello
        print(protos.__name__, services.__name__, services.GreeterStub.__name__)
        assert grpc.protos("hello.proto") is protos
        assert grpc.services("hello.proto") is services
        """,
    )
    assert done.stdout.split() == ["hello_pb2", "hello_pb2_grpc", "GreeterStub"]
    assert not list(folder.rglob("*_pb2*.py"))


def test_plain_imports_find_files(folder):
    run(
        folder,
        """if True:
        import grpc_tools.protoc
        import hello_pb2_grpc, more.dashed_pb2
        assert more.dashed_pb2.Name(text="x").text == "x"
        """,
    )


@pytest.mark.ferrpc_only("grpcio-tools does not find the file that is imported")
def test_names_with_dashes(folder):
    (folder / "more/dashed.proto").rename(folder / "more/dash-ed.proto")
    (folder / "hello.proto").write_text(PROTO.replace("dashed", "dash-ed"))
    run(
        folder,
        """if True:
        import grpc
        import more
        assert grpc.protos("hello.proto").Hello(name={"text": "x"}).name.text == "x"
        assert grpc.protos("more/dash-ed.proto").Name.__module__ == "more.dash_ed_pb2"
        """,
    )


def test_they_can_be_turned_off(folder):
    run(
        folder,
        """if True:
        import grpc_tools.protoc
        try:
            import hello_pb2
        except ModuleNotFoundError:
            pass
        else:
            raise SystemExit("it was found")
        """,
        GRPC_PYTHON_DISABLE_DYNAMIC_STUBS="1",
    )


def test_dynamic_stubs_that_cannot_be_made(folder):
    done = run(
        folder,
        """if True:
        import grpc
        from grpc_tools import _protoc_compiler
        try:
            grpc.protos("bad.proto")
        except _protoc_compiler.ProtocErrors as error:
            print(error)
        try:
            grpc.protos("nosuch.proto")
        except ModuleNotFoundError as error:
            print(error)
        """,
    )
    assert done.stdout.splitlines() == [
        'bad.proto:1:12 error: "Foo" is not defined.',
        "No module named 'nosuch_pb2'",
    ]


def test_main_uses_the_streams_of_the_process(folder):
    done = run(
        folder,
        """if True:
        import io, sys
        from grpc_tools import protoc
        sys.stdout = sys.stderr = io.StringIO()
        status = protoc.main(["protoc", "-I.", "--python_out=.", "bad.proto"])
        assert status == 1 and not sys.stderr.getvalue()
        assert protoc.main(["protoc", "--version"]) == 0
        """,
    )
    assert done.stderr == 'bad.proto:2:13: "Foo" is not defined.\n'
    assert done.stdout == "libprotoc 35.1\n"


def test_main_takes_the_arguments_as_they_are(folder):
    """Only the command adds the folder of the well-known types."""
    done = run(
        folder,
        """if True:
        import json, os
        from grpc_tools import protoc
        status = protoc.main(["protoc", "--python_out=.", "hello.proto"])
        print(json.dumps([status, sorted(os.listdir("."))]))
        """,
    )
    status, files = json.loads(done.stdout)
    assert status == 0
    assert "hello_pb2.py" in files


def test_the_command_of_setuptools(folder):
    os.remove(folder / "bad.proto")
    run(
        folder,
        """if True:
        from grpc_tools import command
        command.build_package_protos(".", strict_mode=True)
        """,
    )
    names = {str(it.relative_to(folder)) for it in folder.rglob("*_pb2*")}
    stems = ("hello_pb2", "more/dashed_pb2")
    assert names == {f"{it}{end}" for it in stems for end in (".py", ".pyi", "_grpc.py")}


def test_the_command_in_both_modes(folder):
    done = run(
        folder,
        """if True:
        from grpc_tools import command
        command.build_package_protos(".")
        try:
            command.build_package_protos(".", True)
        except Exception as error:
            print(type(error).__name__, str(error)[:23])
        assert command.BuildPackageProtos.user_options[0][0] == "strict-mode"
        """,
    )
    assert done.stdout.startswith("Exception error: ['grpc_tools.pro")
    assert "warning: [" in done.stderr
    assert (folder / "hello_pb2.py").exists()
