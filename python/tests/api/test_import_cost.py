"""That importing is cheap, by what is loaded; how long it takes is measured by the bench."""

import subprocess
import sys

import pytest

#: Modules that a program which only imports grpc does not pay for.
UNWANTED = ("asyncio", "concurrent.futures", "ctypes", "importlib.metadata", "inspect", "socket")


@pytest.mark.ferrpc_only("grpcio loads asyncio and its extension module")
def test_what_is_loaded_with_grpc():
    code = (
        "import sys; before = set(sys.modules); import grpc; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = done.stdout.split()
    assert "grpc._enums" in loaded
    assert not [name for name in loaded if name.startswith(UNWANTED)]
    own = [name for name in loaded if name.startswith("grpc")]
    assert len(own) <= 12, own
