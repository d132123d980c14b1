"""The same generated files under every protobuf from 4.21 on, in C and in pure Python."""

import json
import os
import pathlib
import subprocess
import sys
import venv

import pytest

from .conftest import HERE, TIMEOUT, clean, modules

#: The oldest that is supported, and the last of each later major release; the newest one is what
#: all other tests run with.
RELEASES = ["4.21.12", "4.25.8", "5.29.5", "6.33.0"]


@pytest.fixture(scope="session", params=RELEASES)
def old(request, repository):
    """An interpreter with that protobuf and nothing else; kept between runs."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", repository / "target"))
    folder = target / "peers" / f"python-protobuf-{request.param}"
    stamp = folder / "ready"
    python = folder / "bin" / "python"
    if not stamp.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", f"protobuf=={request.param}"],
            check=True,
            timeout=TIMEOUT,
            env=clean(),
        )
        stamp.touch()
    return str(python)


@pytest.fixture(scope="session")
def generated(compiler, corpus, tmp_path_factory):
    folder, files = corpus["edges"]
    out = tmp_path_factory.mktemp("edges")
    compiler.make("-I.", f"--python_out={out}", *files, cwd=folder)
    return out, modules(files, "_pb2")


USE = """
import sys
sys.path.insert(0, sys.argv[1])
from google.protobuf import descriptor_pb2
import kinds_pb2, old_pb2, tagged_pb2

old = old_pb2.Old(name="x", count=3, mood=old_pb2.Old.GLAD)
old.Extensions[old_pb2.top_extension] = 5
old.Extensions[old_pb2.moods].append(old_pb2.Old.SAD)
old.Extensions[old_pb2.Old.nested_extension].name = "y"
old.part.x = 1
old.shared["k"].name = "v"
assert old_pb2.Old.FromString(old.SerializeToString()) == old
assert old_pb2.Old().count == -7 and old_pb2.Old().blob == b"\\0\\377z"

everything = kinds_pb2.Everything(text="t", by_id={3: kinds_pb2.Everything.Inner(name="n")})
everything.maybe = 0
everything.when.GetCurrentTime()
assert everything.WhichOneof("choice") == "when"
read = kinds_pb2.Everything.FromString(everything.SerializeToString())
assert read == everything and read.HasField("maybe") and read.by_id[3].name == "n"

tag = tagged_pb2.Tagged.DESCRIPTOR.GetOptions().Extensions[old_pb2.message_tag]
assert (tag.text, list(tag.numbers), tag.inner.pairs["k"]) == ("message", [1, 2], 1)
field = tagged_pb2.Tagged.DESCRIPTOR.fields_by_name["name"].GetOptions()
assert field.Extensions[old_pb2.field_tag].text == "field"
assert list(field.Extensions[old_pb2.labels]) == ["a", "b"]
copy = descriptor_pb2.DescriptorProto()
tagged_pb2.Tagged.DESCRIPTOR.CopyToProto(copy)
assert [it.name for it in copy.field] == ["name", "number", "pairs"]
"""


@pytest.mark.ferrpc_only("official files refuse older releases than their own")
@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_an_older_protobuf(old, generated, implementation):
    folder, _ = generated
    done = subprocess.run(
        [old, "-W", "error", "-c", USE, folder],
        capture_output=True,
        timeout=TIMEOUT,
        env=clean({"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}),
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_the_newest_protobuf(oracle_python, generated, implementation):
    folder, _ = generated
    done = subprocess.run(
        [oracle_python, "-W", "error", "-c", USE, folder],
        capture_output=True,
        timeout=TIMEOUT,
        env=clean({"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}),
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.ferrpc_only("official files refuse older releases than their own")
@pytest.mark.timeout(TIMEOUT)
def test_names_under_an_older_protobuf(old, generated):
    """What is in the modules does not depend on the release."""
    folder, names = generated
    found = []
    for python in (old, sys.executable):
        done = subprocess.run(
            [python, HERE / "dump.py", folder, *names],
            capture_output=True,
            timeout=TIMEOUT,
            env=clean(),
        )
        assert done.returncode == 0, done.stderr.decode()
        modules_ = json.loads(done.stdout)
        found.append({name: sorted(it["names"]) for name, it in modules_.items()})
    assert found[0] == found[1]
