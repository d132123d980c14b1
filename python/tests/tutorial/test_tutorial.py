"""The tutorial, carried out: files are saved, commands run in order in one shell, and what it says
they print is looked for in what they print.

The word behind a fence's language is the name of a file, or for `sh` the programs that a block
needs besides the ones the tutorial asks for; `elsewhere` is for what CI runs as a step of its own.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import warnings

import pytest

LANGUAGES = ["tutorial.md", "tutorial.zh-CN.md"]
FENCE = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.M | re.S)
#: Seconds: it compiles programs in five languages.
LIMIT = 1500

pytestmark = pytest.mark.ferrpc_only("the tutorial begins with the installation of ferrpc")


def blocks(repository, name="tutorial.md"):
    return FENCE.findall((repository / "docs" / name).read_text(encoding="utf-8"))


def test_both_languages_say_the_same(repository):
    english, chinese = (blocks(repository, name) for name in LANGUAGES)
    assert english == chinese
    headings = [
        re.findall(r"^#+ (\d*)", (repository / "docs" / name).read_text(encoding="utf-8"), re.M)
        for name in LANGUAGES
    ]
    assert headings[0] == headings[1]


def test_its_proto_is_the_one_of_all_programs(repository):
    (proto,) = (text for language, _, text in blocks(repository) if language == "proto")
    shared = (repository / "testdata/protos/test_service.proto").read_text(encoding="utf-8")
    without_comments = re.sub(r"^//[^\n]*\n", "", shared, flags=re.M)
    assert proto == without_comments


def test_what_is_run_elsewhere_is_run_by_ci(repository):
    commands = [
        text.strip()
        for language, words, text in blocks(repository)
        if (language, words) == ("sh", "elsewhere")
    ]
    assert commands == ["cargo xtask demo"]
    assert 'Step {\n        name: "demo"' in (repository / "xtask/src/ci.rs").read_text()


@pytest.mark.timeout(LIMIT + 20)
def test_every_command_works(repository, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # What the demo has built, or will ask for, is built once.
    peers = repository / "target/peers"
    peers.mkdir(parents=True, exist_ok=True)
    (tmp_path / "peers").symlink_to(peers)
    script, expected, missing = ["set -em", "trap 'kill $(jobs -p) 2>&- || true' EXIT"], [], []
    wanted = True
    for language, words, text in blocks(repository):
        text = text.replace("50051", port)
        if language == "sh":
            needs = [] if words == "elsewhere" else words.split()
            absent = [tool for tool in needs if shutil.which(tool) is None]
            missing += absent
            wanted = words != "elsewhere" and not absent
            if wanted:
                script.append(text)
        elif language == "text":
            if wanted:
                expected += text.splitlines()
        else:
            (tmp_path / words).write_text(text, encoding="utf-8")
    if missing:
        assert "FERRPC_REQUIRE_ALL" not in os.environ, f"missing: {missing}"
        warnings.warn(f"left out for want of {', '.join(missing)}", stacklevel=1)
    process = subprocess.Popen(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "FERRPC": str(repository),
            # As quick to build as for the other tests; what is installed is the same.
            "MATURIN_PEP517_ARGS": "--profile dev",
            "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(repository / "target")),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LIMIT)
    finally:
        # With job control each command is a group; the server is the one that may be left.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output
    said = output.splitlines()
    for line in expected:
        assert line in said, f"{line!r} was not said:\n{output}"
        said.remove(line)
