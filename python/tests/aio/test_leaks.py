"""A hundred thousand calls of each kind leave nothing behind: client and server in one loop.

Ten thousand in every run of the tests, all of them with `cargo xtask test --soak`.
"""

import json
import os
import pathlib
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("leaking.py")

CALLS = int(os.environ.get("FERRPC_SOAK_CALLS", "10000"))

#: Of a kind, before anything is counted: caches are full then, and the heap has its size.
WARMING = 3000

#: In KiB: what an allocator takes more or less. It is ten bytes for each of a hundred thousand
#: calls, less than the smallest thing that could stay.
ALLOWANCE = 1024

KINDS = [
    "unary",
    "unary that waits",
    "server streaming",
    "client streaming",
    "both ways",
    "cancelled",
]


# The longest, with a hundred thousand calls, takes half a minute.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays_of_calls(kind, run, on_ferrpc):
    # For grpcio, which takes its time, enough to see that it can be kept.
    warming, count = (WARMING, CALLS) if on_ferrpc else (500, 500)
    done = run([sys.executable, PROGRAM, kind, str(warming), str(count)], limit=500)
    # The core of grpcio writes to stderr now and then (a GOAWAY).
    assert (done.returncode, done.stderr if on_ferrpc else "") == (0, ""), done.stderr
    print(f"{count} calls: {done.stdout}")
    more = json.loads(done.stdout)
    assert more["tasks"] <= 0
    assert more["ours"] == {}
    # Caches of the interpreter, of which no call has a part.
    assert more["objects"] < 100
    # After so few calls grpcio's heap has not yet its size.
    assert more["KiB"] < ALLOWANCE or not on_ferrpc
