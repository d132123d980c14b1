"""How errors look: plain for programs, with the line and colours for people."""

import os
import pty
import subprocess

import pytest

from .conftest import TIMEOUT, clean

_FILE = """syntax = "proto3";
message A {
  Nothing n = 1;
  int32 a 2;
  google.protobuf.Timestamp t = 3;
}
"""


@pytest.mark.parametrize("form", ["gcc", "msvs"])
def test_formats_for_programs(compiler, official, tmp_path, form):
    (tmp_path / "a.proto").write_text(_FILE)
    lines = []
    for one in (compiler, official):
        done = one.run("-I.", f"--error_format={form}", "-oset", "a.proto", cwd=tmp_path)
        assert done.returncode == 1
        lines.append(done.stderr.decode())
    assert lines[0] == lines[1]


def on_terminal(compiler, folder, **environment):
    """What is written to standard error, which is a terminal."""
    ours, theirs = pty.openpty()
    line = [compiler.python, "-m", "grpc_tools.protoc", "-I.", "-oset", "a.proto"]
    environment = clean({"TERM": "xterm", "NO_COLOR": "", **environment})
    try:
        done = subprocess.run(line, cwd=folder, stderr=theirs, env=environment, timeout=TIMEOUT)
        assert done.returncode == 1
    finally:
        os.close(theirs)
    written = b""
    try:
        while more := os.read(ours, 4096):
            written += more
    except OSError:
        # Nobody has the other end any more.
        pass
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


@pytest.mark.ferrpc_only("protoc writes the same to a terminal as to a file")
def test_people_see_the_line(compiler, tmp_path):
    (tmp_path / "a.proto").write_text(_FILE)
    coloured = on_terminal(compiler, tmp_path)
    assert "\x1b[1;31m^\x1b[0m" in coloured
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_terminal(compiler, tmp_path, **environment) == (
            "a.proto:4:11: Missing field number.\n"
            "    int32 a 2;\n"
            "            ^\n"
            "  help: found 2\n"
        )
    (tmp_path / "a.proto").write_text(_FILE.replace("a 2", "a = 2"))
    assert on_terminal(compiler, tmp_path, NO_COLOR="1") == (
        'a.proto:3:3: "Nothing" is not defined.\n'
        "    Nothing n = 1;\n"
        "    ^\n"
        'a.proto:5:3: "google.protobuf.Timestamp" is not defined.\n'
        "    google.protobuf.Timestamp t = 3;\n"
        "    ^\n"
        '  help: add: import "google/protobuf/timestamp.proto";\n'
    )
