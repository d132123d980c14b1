"""`python -m ferrpc`, and the program `ferrpc`: the compiler, and whose `grpc` programs import."""

from __future__ import annotations

import argparse
import os
import sys

import ferrpc


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; the exit status is 0, 1 where the doctor found something or the compiler
    refused a file, 2 for wrong usage."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["protoc"]:
        # Before argparse sees flags that are not for it.
        from grpc_tools import _protoc_compiler

        return _protoc_compiler.run_main([os.fsencode(it) for it in ["ferrpc protoc", *given[1:]]])
    parser = argparse.ArgumentParser(
        prog="python -m ferrpc", description="gRPC with an engine of its own."
    )
    parser.add_argument("--version", action="version", version=f"ferrpc {ferrpc.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("doctor", help="says which grpc is active, and whose files are where")
    commands.add_parser("protoc", help="compiles .proto files, with the flags of protoc")
    chosen = parser.parse_args(given)
    if chosen.command == "doctor":
        from ferrpc import _doctor

        return _doctor.run()
    parser.print_help()
    return 2


if __name__ == "__main__":
    sys.exit(main())
