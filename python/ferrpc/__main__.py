"""`python -m ferrpc`: the version, and whose `grpc` it is that programs import."""

from __future__ import annotations

import argparse
import sys

import ferrpc


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; the exit status is 0, 1 where the doctor found something, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m ferrpc", description="gRPC with an engine of its own."
    )
    parser.add_argument("--version", action="version", version=f"ferrpc {ferrpc.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("doctor", help="says which grpc is active, and whose files are where")
    chosen = parser.parse_args(arguments)
    if chosen.command == "doctor":
        from ferrpc import _doctor

        return _doctor.run()
    parser.print_help()
    return 2


if __name__ == "__main__":
    sys.exit(main())
