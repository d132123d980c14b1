"""The server of these tests: what it is to do stands in the metadata of the call.

Prints its port, and ends with its standard input.
"""

import sys
import time
from concurrent import futures

import grpc


def obey(context):
    """Does what the metadata asks for before the answer."""
    for key, value in context.invocation_metadata():
        if key == "x-initial":
            context.send_initial_metadata((("initial", value), ("initial-bin", b"\x00\xff")))
        elif key == "x-trailing":
            context.set_trailing_metadata((("trailing", value), ("trailing-bin", b"\x00\xff")))
        elif key == "x-sleep":
            time.sleep(float(value))
        elif key == "x-details":
            context.set_details(value)
        elif key == "x-tell":
            told = dict(context.invocation_metadata())
            context.set_trailing_metadata((("told", str(told.get(value))),))
        elif key == "x-fail":
            context.abort(grpc.StatusCode.NOT_FOUND, value)


def echo(request, context):
    obey(context)
    return request


def stream(request, context):
    """As many messages as the request says, each its number."""
    obey(context)
    for number in range(int(request)):
        yield b"%d" % number
        for key, value in context.invocation_metadata():
            if key == "x-pause":
                time.sleep(float(value))
            elif key == "x-fail-after" and number + 1 == int(value):
                context.abort(grpc.StatusCode.ABORTED, "enough")


def collect(requests, context):
    obey(context)
    return b",".join(requests)


def chat(requests, context):
    """An echo, that ends behind as many messages as the metadata says."""
    obey(context)
    last = dict(context.invocation_metadata()).get("x-end-after")
    for number, request in enumerate(requests):
        yield request
        if last is not None and number + 1 == int(last):
            return


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Stream": grpc.unary_stream_rpc_method_handler(stream),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    handler = grpc.method_handlers_generic_handler("test.Client", HANDLERS)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
