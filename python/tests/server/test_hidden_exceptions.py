"""What callers learn of exceptions that handlers raise: all, or nothing where the server says
so."""

import grpc
import pytest

pytestmark = pytest.mark.ferrpc_only("grpcio always tells callers")

Code = grpc.StatusCode

SECRET = "/etc/secrets/key"
HIDE = [("ferrpc.hide_exceptions", 1)]


def raises(request, context):
    raise ValueError(SECRET)


def breaks_off(request, context):
    yield b"1"
    raise ValueError(SECRET)


def aborts(request, context):
    context.abort(Code.NOT_FOUND, "no such thing")


def says(request, context):
    context.set_details("my own words")
    raise ValueError(SECRET)


def refuses(message):
    raise ValueError(SECRET)


UNREADABLE = grpc.unary_unary_rpc_method_handler(raises, request_deserializer=refuses)
UNWRITABLE = grpc.unary_unary_rpc_method_handler(
    lambda request, context: request, response_serializer=refuses
)

SYNC = {"/s/UU": raises, "/s/US": breaks_off, "/s/UUaborts": aborts, "/s/UUsays": says}
SYNC |= {"/s/UUin": UNREADABLE, "/s/UUout": UNWRITABLE}


def ends_of(serve, **arguments):
    """How the calls end, and what is seen of the secret."""
    ends = serve(SYNC, **arguments)
    return {path: ends.fails(path, "us" if "US" in path else "uu") for path in SYNC}


def check(hidden, shown, caplog):
    for path, (code, details) in hidden.items():
        assert code is shown[path][0] and SECRET not in details, path
    assert any(SECRET in details for _, details in shown.values())
    assert hidden["/s/UUaborts"] == shown["/s/UUaborts"] == (Code.NOT_FOUND, "no such thing")
    assert SECRET in caplog.text


def test_synchronous_servers(serve, caplog, monkeypatch):
    shown = ends_of(serve)
    caplog.clear()
    hidden = ends_of(serve, options=HIDE)
    check(hidden, shown, caplog)
    assert hidden["/s/UU"] == (Code.UNKNOWN, "Exception calling application")
    assert hidden["/s/US"] == (Code.UNKNOWN, "Exception iterating responses")
    assert hidden["/s/UUsays"][1] == "my own words"
    monkeypatch.setenv("FERRPC_HIDE_EXCEPTIONS", "1")
    assert ends_of(serve) == hidden
    assert ends_of(serve, options=[("ferrpc.hide_exceptions", 0)]) == shown
    monkeypatch.setenv("FERRPC_HIDE_EXCEPTIONS", "0")
    assert ends_of(serve) == shown
