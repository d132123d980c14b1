"""Measures ``grpc_tools.protoc`` of this interpreter: ``python measure.py FOLDER REPEATS FILE...``.

Compiles the files of FOLDER in one call to messages and stubs, in this process, REPEATS times, and
prints a line of JSON: the seconds of each call, and the process's peak of resident memory in MiB
beyond what it had before the first.
"""

import json
import pathlib
import resource
import sys
import tempfile
import time

from grpc_tools import protoc


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder, repeats, *files):
    # Into memory where there is such a folder: else most of the time is the file system's.
    memory = pathlib.Path("/dev/shm")
    place = memory if memory.is_dir() else pathlib.Path(folder).parent
    with tempfile.TemporaryDirectory(dir=place) as out:
        arguments = [
            "protoc",
            f"-I{folder}",
            # The well-known types, as `python -m grpc_tools.protoc` adds them.
            f"-I{pathlib.Path(protoc.__file__).parent / '_proto'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            *files,
        ]
        if len(files) > 1000:
            # As build systems pass them.
            listed = pathlib.Path(out, "files")
            listed.write_text("\n".join(files))
            arguments[5:] = [f"@{listed}"]
        before, seconds = peak(), []
        for _ in range(int(repeats)):
            begun = time.perf_counter()
            status = protoc.main(arguments)
            seconds.append(time.perf_counter() - begun)
            assert status == 0
        made = len(list(pathlib.Path(out).rglob("*_pb2*.py")))
        assert made == 2 * len(files), made
    print(json.dumps({"seconds": seconds, "peak": peak() - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
