"""The names of the public API: what is there, of which shape, and what importing it does."""

import enum
import importlib
import logging
import pickle
import subprocess
import sys

import grpc
import pytest


def test_all_is_importable():
    namespace = {}
    exec("from grpc import *", namespace)
    del namespace["__builtins__"]
    assert set(namespace) == set(grpc.__all__)
    assert len(grpc.__all__) == len(set(grpc.__all__)) == 64


def test_version():
    assert grpc.__version__ == "1.85.1"
    from grpc import _grpcio_metadata

    assert _grpcio_metadata.__version__ == "1.85.1"


def test_status_codes_are_tuples_of_number_and_text():
    assert [(code.name, code.value) for code in sorted(grpc.StatusCode, key=lambda c: c.value)] == [
        ("OK", (0, "ok")),
        ("CANCELLED", (1, "cancelled")),
        ("UNKNOWN", (2, "unknown")),
        ("INVALID_ARGUMENT", (3, "invalid argument")),
        ("DEADLINE_EXCEEDED", (4, "deadline exceeded")),
        ("NOT_FOUND", (5, "not found")),
        ("ALREADY_EXISTS", (6, "already exists")),
        ("PERMISSION_DENIED", (7, "permission denied")),
        ("RESOURCE_EXHAUSTED", (8, "resource exhausted")),
        ("FAILED_PRECONDITION", (9, "failed precondition")),
        ("ABORTED", (10, "aborted")),
        ("OUT_OF_RANGE", (11, "out of range")),
        ("UNIMPLEMENTED", (12, "unimplemented")),
        ("INTERNAL", (13, "internal")),
        ("UNAVAILABLE", (14, "unavailable")),
        ("DATA_LOSS", (15, "data loss")),
        ("UNAUTHENTICATED", (16, "unauthenticated")),
    ]
    assert str(grpc.StatusCode.NOT_FOUND) == "StatusCode.NOT_FOUND"
    assert not issubclass(grpc.StatusCode, int)


def test_other_enumerations():
    states = {state.name: state.value for state in grpc.ChannelConnectivity}
    assert states == {
        "IDLE": (0, "idle"),
        "CONNECTING": (1, "connecting"),
        "READY": (2, "ready"),
        "TRANSIENT_FAILURE": (3, "transient failure"),
        "SHUTDOWN": (4, "shutdown"),
    }
    assert issubclass(grpc.Compression, enum.IntEnum)
    assert list(grpc.Compression) == [0, 1, 2]
    assert {kind.name: kind.value for kind in grpc.LocalConnectionType} == {
        "UDS": 0,
        "LOCAL_TCP": 1,
    }


@pytest.mark.parametrize(
    "member",
    [grpc.StatusCode.OK, grpc.ChannelConnectivity.READY, grpc.Compression.Gzip],
    ids=str,
)
def test_members_can_be_pickled(member):
    assert pickle.loads(pickle.dumps(member)) is member


def test_exceptions():
    for name in ("RpcError", "FutureTimeoutError", "FutureCancelledError"):
        kind = getattr(grpc, name)
        assert kind.__mro__ == (kind, Exception, BaseException, object)
        assert kind.__module__ == "grpc" and kind.__qualname__ == name


@pytest.mark.parametrize("name", [name for name in grpc.__all__ if name[0].isupper()])
def test_classes_say_that_they_are_of_grpc(name):
    assert getattr(grpc, name).__module__ == "grpc"


def test_a_protocol_for_details_of_calls():
    class Details:
        method = "/s/m"
        invocation_metadata = ()

    assert isinstance(Details(), grpc.HandlerCallDetails)
    assert not isinstance(object(), grpc.HandlerCallDetails)


def test_concrete_methods_of_interfaces():
    class Server(grpc.Server):
        add_generic_rpc_handlers = add_insecure_port = add_secure_port = start = stop = print

    assert Server().add_registered_method_handlers("s", {}) is None
    with pytest.raises(NotImplementedError):
        Server().wait_for_termination()
    with pytest.raises(NotImplementedError):
        grpc.AuthMetadataPlugin()(None, None)
    with pytest.raises(TypeError):
        grpc.Channel()


CHILD = """
import sys, threading, logging
root, known = list(logging.root.handlers), set(logging.root.manager.loggerDict)
import grpc
assert threading.active_count() == 1, threading.enumerate()
assert logging.root.handlers == root
print([type(handler).__name__ for handler in logging.getLogger("grpc").handlers])
logging.getLogger("grpc._channel").error("nobody asked")
grpc.aio, grpc._common, grpc._cython.cygrpc
"""


def test_importing_is_silent_and_starts_nothing():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("['NullHandler']\n", "", 0)


@pytest.mark.ferrpc_only("grpcio loads its extension module and grpc.aio")
def test_importing_loads_little():
    code = (
        "import sys, grpc; "
        "print([name for name in ('asyncio', 'grpc._ferrpc', 'grpc._channel', 'inspect',"
        " 'concurrent.futures') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_old_name_of_grpc_tools():
    code = "import grpc, grpc.tools as old, grpc_tools; assert old is grpc_tools"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_handlers_are_named_tuples():
    handler = grpc.unary_stream_rpc_method_handler(1, 2, 3)
    assert isinstance(handler, grpc.RpcMethodHandler) and isinstance(handler, tuple)
    assert repr(handler) == (
        "RpcMethodHandler(request_streaming=False, response_streaming=True, request_deserializer=2,"
        " response_serializer=3, unary_unary=None, unary_stream=1, stream_unary=None,"
        " stream_stream=None)"
    )
    assert handler._replace(unary_stream=9).unary_stream == 9
    assert grpc.stream_stream_rpc_method_handler(1).stream_stream == 1
    assert grpc.stream_unary_rpc_method_handler(1)[:2] == (True, False)
    assert grpc.unary_unary_rpc_method_handler(1)[:2] == (False, False)


def test_generic_handlers_look_up_by_path():
    handler = grpc.unary_unary_rpc_method_handler(1)
    generic = grpc.method_handlers_generic_handler("a.S", {"M": handler})
    assert isinstance(generic, grpc.ServiceRpcHandler)
    assert generic.service_name() == "a.S"

    class Details:
        method = "/a.S/M"

    assert generic.service(Details()) is handler
    Details.method = "/a.S/N"
    assert generic.service(Details()) is None


def test_logger_has_one_handler():
    assert [type(h) for h in logging.getLogger("grpc").handlers] == [logging.NullHandler]


def test_asyncio_is_there():
    assert importlib.import_module("grpc.aio") is grpc.aio and hasattr(grpc, "aio")
    experimental = importlib.import_module("grpc.experimental.aio")
    assert experimental.insecure_channel is grpc.aio.insecure_channel
    assert all(hasattr(grpc.aio, name) for name in grpc.aio.__all__)
    assert len(grpc.aio.__all__) == 33


def test_names_that_are_not_there():
    assert not hasattr(grpc, "nothing")
    with pytest.raises(ImportError):
        importlib.import_module("grpc.nothing")
