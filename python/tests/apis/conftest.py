"""The scripted peers of the suite: a program in Rust, told over its standard input what to play."""

import json
import os
import pathlib
import subprocess

import pytest

from .scenarios import FOLDER


class Peer:
    def __init__(self, program):
        self._process = subprocess.Popen(
            [program, FOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.root = json.loads(self._process.stdout.readline())["root"].encode()

    def ask(self, **command):
        """The answer to a command; see `crates/ferrpc-testing/src/bin/api_peer.rs`."""
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)


@pytest.fixture(scope="session")
def peer(repository):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", repository / "target"))
    subprocess.run(
        ["cargo", "build", "--quiet", "--workspace", "--all-features", "--bin", "api_peer"],
        cwd=repository,
        env={**os.environ, "CARGO_TARGET_DIR": str(target)},
        check=True,
        timeout=1200,
    )
    peer = Peer(target / "debug" / "api_peer")
    yield peer
    peer.close()
