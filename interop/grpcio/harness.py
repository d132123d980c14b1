"""Around the cases: arguments, time limits, checks, the lines printed."""

import argparse
import time

import lifetime
import tls
from common import split_address
from stubs import grpc

LIMIT_SECONDS = 30
ECHO_INITIAL_VALUE = "test_initial_metadata_value"
ECHO_TRAILING_VALUE = b"\xab\xab\xab"
STATUS_MESSAGE = "test status message"
SPECIAL_STATUS_MESSAGE = (
    "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"
)
# The whole message, with its tags and lengths, stays under 4 MiB.
BIG = (4 << 20) - 64
MANY = 10_000


class Failure(Exception):
    """A case that did not go as it should."""


class Limit:
    """What is left of a case's time; every call of the case gets it as its deadline."""

    def __init__(self):
        self._end = time.monotonic() + LIMIT_SECONDS

    def left(self):
        return max(self._end - time.monotonic(), 0.001)


def check(true, reason):
    if not true:
        raise Failure(reason)


def check_equal(found, wanted, what):
    check(found == wanted, f"{what}: {found!r} instead of {wanted!r}")


def check_status(code, message, wanted_code, wanted_message=None):
    check(code == wanted_code, f"status {code} ({message!r}) instead of {wanted_code}")
    if wanted_message is not None:
        check_equal(message, wanted_message, "status message")


def check_echo(initial, trailing):
    check_equal(dict(initial or ()).get("x-grpc-test-echo-initial"), ECHO_INITIAL_VALUE, "initial")
    check_equal(
        dict(trailing or ()).get("x-grpc-test-echo-trailing-bin"), ECHO_TRAILING_VALUE, "trailing"
    )


def reason_of(error):
    """One line, not too long, whatever went wrong."""
    if isinstance(error, grpc.RpcError):
        reason = f"RPC ended with {error.code()}: {error.details()!r}"
    elif isinstance(error, Failure):
        reason = str(error)
    else:
        reason = f"{type(error).__name__}: {error}"
    return " ".join(reason.splitlines())[:300]


def arguments(prog, cases):
    """The address, either the cases to run or the caller to be (the other None), the flags."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("--connect", required=True, metavar="HOST:PORT")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--case", metavar="CASE[,CASE...]")
    what.add_argument("--as", dest="caller", metavar="CALLER")
    tls.add_flags(parser)
    lifetime.add_flags(parser)
    parsed = parser.parse_args()
    try:
        split_address(parsed.connect)
    except ValueError as error:
        parser.error(str(error))
    if parsed.caller is not None:
        return parsed.connect, None, parsed.caller, parsed
    if parsed.case is None:
        if parsed.hold is None:
            parser.error("one of --case, --as and --hold is needed")
        return parsed.connect, None, None, parsed
    names = list(cases) if parsed.case == "all" else parsed.case.split(",")
    for name in names:
        if name not in cases:
            parser.error(f"no such case: {name}")
    return parsed.connect, names, None, parsed
