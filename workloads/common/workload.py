"""What the programs of the cases share. A program says one line for each result, `NAME: RESULT`;
the lines on grpcio and on ferrpc must be the same, so none says a time, a port or an address."""

import concurrent.futures
import contextlib
import os
import threading
import time

import grpc

#: For what answers at once, with room for a machine that is busy.
PATIENCE = 60


def say(name, *what):
    line = f"{name}: {' '.join(str(part) for part in what)}"
    print(line, flush=True)
    # Packages print as well; what is compared goes there.
    if results := os.environ.get("WORKLOAD_RESULTS"):
        with open(results, "a") as file:
            file.write(line.replace("\n", " | ") + "\n")


def attempt(name, call, *errors):
    """Says what a call gives, or how it fails. `errors` are those of the package."""
    try:
        say(name, call())
    except grpc.RpcError as error:
        say(name, error.code().name, error.details())
    except errors as error:
        say(name, type(error).__name__, error)


def until(what, seconds=PATIENCE):
    """Waits for something to hold, and says whether it did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return False


class Echo(grpc.GenericRpcHandler):
    """`/workload.Echo/...`: four kinds of call on bytes, one that fails and one that takes long."""

    def __init__(self):
        self.ended = threading.Semaphore(0)

    def service(self, details):
        name = details.method.rpartition("/")[2]
        kind, handler = {
            "Unary": (grpc.unary_unary_rpc_method_handler, self._unary),
            "Download": (grpc.unary_stream_rpc_method_handler, self._download),
            "Upload": (grpc.stream_unary_rpc_method_handler, self._upload),
            "Both": (grpc.stream_stream_rpc_method_handler, self._both),
            "Fail": (grpc.unary_unary_rpc_method_handler, self._fail),
            "Raise": (grpc.unary_unary_rpc_method_handler, self._raise),
            "Slow": (grpc.unary_unary_rpc_method_handler, self._slow),
        }.get(name, (None, None))
        return kind and kind(handler)

    def _unary(self, request, context):
        return request

    def _download(self, request, context):
        for number in range(int(request)):
            yield b"%d" % number

    def _upload(self, requests, context):
        return b"%d" % sum(len(request) for request in requests)

    def _both(self, requests, context):
        yield from requests

    def _fail(self, request, context):
        context.set_trailing_metadata((("why", "asked"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())

    def _raise(self, request, context):
        raise ValueError("of the handler")

    def _slow(self, request, context):
        over = threading.Event()
        if context.add_callback(over.set):
            over.wait(PATIENCE)
        self.ended.release()
        return b""


@contextlib.contextmanager
def serving(*handlers, interceptors=(), workers=20, add=(), options=()):
    """A server on a free port; the address. `add` are functions that are given the server."""
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    server = grpc.server(pool, handlers=handlers, interceptors=interceptors, options=options)
    for function in add:
        function(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(1).wait()
        pool.shutdown()


def calls(channel):
    """Callables of `Echo` by name."""
    kinds = {
        "Unary": channel.unary_unary,
        "Download": channel.unary_stream,
        "Upload": channel.stream_unary,
        "Both": channel.stream_stream,
        "Fail": channel.unary_unary,
        "Raise": channel.unary_unary,
        "Slow": channel.unary_unary,
    }
    return {name: kind(f"/workload.Echo/{name}") for name, kind in kinds.items()}


def say_every_kind(channel):
    """One call of each kind on `Echo`."""
    echo = calls(channel)
    attempt("unary", lambda: echo["Unary"](b"a"))
    attempt("future", lambda: echo["Unary"].future(b"b").result(PATIENCE))
    attempt("with call", lambda: echo["Unary"].with_call(b"c")[1].code())
    attempt("download", lambda: list(echo["Download"](b"5")))
    attempt("upload", lambda: echo["Upload"](iter([b"12", b"345"])))
    attempt("both", lambda: list(echo["Both"](iter([b"x", b"y"]))))
    attempt("fail", lambda: echo["Fail"](b"as told"))
    attempt("raise", lambda: echo["Raise"](b""))
    attempt("deadline", lambda: echo["Slow"](b"", timeout=0.2))


def say_cancelled(channel):
    """Calls on `Echo` that their caller ends."""
    echo = calls(channel)
    call = echo["Slow"].future(b"")
    call.cancel()
    say("cancelled", call.cancelled(), call.code())
    over = threading.Event()

    def requests():
        yield b"one"
        over.wait(PATIENCE)

    call = echo["Both"](requests())
    say("next", next(call))
    call.cancel()
    attempt("read after cancel", lambda: next(call))
    over.set()
