"""`python -m ferrpc`, and the program `ferrpc`: the compiler, and how to live beside grpcio."""

from __future__ import annotations

import argparse
import os
import sys

import ferrpc


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; the exit status is 0, 1 where the doctor found something, the compiler refused
    a file or something could not be done, 2 for wrong usage."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["protoc"]:
        # Before argparse sees flags that are not for it.
        from grpc_tools import _protoc_compiler

        return _protoc_compiler.run_main([os.fsencode(it) for it in ["ferrpc protoc", *given[1:]]])
    parser = _parser()
    # The flags of a program are not ours, from the program's name or its `-m` on.
    ours, program = _cut(given) if given[:1] in (["run"], ["bench-me"]) else (given, [])
    chosen = parser.parse_args(ours)
    if chosen.command == "doctor":
        from ferrpc import _doctor

        return _doctor.run(chosen.fix)
    if chosen.command == "shim":
        return _shim(chosen)
    if chosen.command in ("run", "bench-me") and program:
        from ferrpc import _trial

        if chosen.command == "run":
            return _trial.run(program)
        return _trial.bench(program, chosen.rounds)
    (parser if chosen.command is None else chosen.parser).print_help()
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ferrpc", description="gRPC with an engine of its own."
    )
    parser.add_argument("--version", action="version", version=f"ferrpc {ferrpc.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    about = "says which grpc is active, whose files are where, and what to do"
    doctor = commands.add_parser("doctor", help=about, description=f"Doctor {about}.")
    doctor.add_argument("--fix", action="store_true", help="does what it can of that")

    commands.add_parser("protoc", help="compiles .proto files, with the flags of protoc")

    about = "metadata for resolvers and checks: ferrpc stands for grpcio and its family"
    shim = commands.add_parser("shim", help=about, description=about)
    actions = shim.add_subparsers(dest="action", metavar="ACTION", required=True)
    install = actions.add_parser("install", help="writes it into this environment")
    install.add_argument(
        "--replace", action="store_true", help="uninstalls grpcio's own first, by pip or uv"
    )
    actions.add_parser("remove", help="takes it out of this environment")
    wheels = actions.add_parser("wheels", help="writes it as wheels, with constraints.txt")
    wheels.add_argument("folder", metavar="DIR")
    wheels.add_argument(
        "--with-ferrpc", action="store_true", help="writes this ferrpc as a wheel, too"
    )
    for action in (install, wheels):
        action.add_argument(
            "--claim",
            metavar="VERSION",
            help="the version of grpcio to claim, for packages that ask for an older one",
        )
    actions.add_parser("status", help="says what is there")

    about = "runs a program on ferrpc where grpcio is installed, too"
    usage = "%(prog)s (FILE.py | -m MODULE | PROGRAM) ..."
    run = commands.add_parser("run", help=about, usage=usage, description=about)
    run.set_defaults(parser=run)

    about = "runs a program with grpcio and with ferrpc; prints time, CPU and memory"
    usage = "%(prog)s [--rounds N] (FILE.py | -m MODULE | PROGRAM) ..."
    bench = commands.add_parser("bench-me", help=about, usage=usage, description=about)
    bench.set_defaults(parser=bench)
    bench.add_argument(
        "--rounds", type=_positive, default=3, metavar="N", help="runs with each (default: 3)"
    )
    return parser


def _cut(given: list[str]) -> tuple[list[str], list[str]]:
    """What is ours of the arguments of `run` and `bench-me`, and the program's command."""
    end = 1
    while end < len(given) and given[end].startswith("--"):
        if given[end] == "--":
            return given[:end], given[end + 1 :]
        end += 2 if given[end] == "--rounds" else 1
    if given[end : end + 1] == ["-h"]:
        end += 1
    return given[:end], given[end:]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _shim(chosen: argparse.Namespace) -> int:
    from ferrpc import _shims

    try:
        if chosen.action == "install":
            lines = _shims.install(chosen.claim, chosen.replace)
        elif chosen.action == "remove":
            lines = _shims.remove()
        elif chosen.action == "wheels":
            lines = _shims.wheels(chosen.folder, chosen.claim, chosen.with_ferrpc)
        else:
            lines = _shims.status()
    except _shims.ShimError as error:
        print(f"ferrpc shim: {error}", file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
