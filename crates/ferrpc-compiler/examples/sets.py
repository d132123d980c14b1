"""Descriptor sets of many files by protoc, for comparisons: the input is that of ``sets.rs``."""

import os
import sys

from grpc_tools import protoc


def main():
    for line in sys.stdin:
        out, names, directories = line.rstrip("\n").split("\t")
        # protoc prints to the descriptor, and ends the process for some faults.
        child = os.fork()
        if child == 0:
            said = os.open(out + ".err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 2)
            arguments = ["protoc", "--include_imports", "--include_source_info"]
            arguments += [f"-I{it}" for it in directories.split(":")]
            status = protoc.main([*arguments, f"--descriptor_set_out={out}", *names.split(",")])
            os._exit(1 if status else 0)
        os.waitpid(child, 0)


main()
