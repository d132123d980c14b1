"""The server on grpcio's thread pool."""

import argparse
import signal
import sys
import threading
from concurrent import futures

import lifetime
import tls
from common import SERVER_OPTIONS, answer, echoed, payload, split_address, wanted_code
from stubs import (
    empty_pb2,
    example_pb2_grpc,
    grpc,
    messages_pb2,
    test_pb2_grpc,
)


class Example(example_pb2_grpc.TestServiceServicer):
    def method(self, request, context):
        return answer(request)


class Test(test_pb2_grpc.TestServiceServicer):
    # UnimplementedCall is inherited: the generated one answers UNIMPLEMENTED.

    def EmptyCall(self, request, context):
        return empty_pb2.Empty()

    def UnaryCall(self, request, context):
        initial, trailing = echoed(context.invocation_metadata())
        context.send_initial_metadata(initial)
        context.set_trailing_metadata(trailing)
        end_if_asked(request, context)
        if not request.response_compressed.value:
            context.disable_next_message_compression()
        return messages_pb2.SimpleResponse(payload=payload(request.response_size))

    CacheableUnaryCall = UnaryCall

    def StreamingInputCall(self, requests, context):
        total = sum(len(request.payload.body) for request in requests)
        return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=total)

    def StreamingOutputCall(self, request, context):
        yield from responses(request, context, gone(context))
        end_if_asked(request, context)

    def FullDuplexCall(self, requests, context):
        initial, trailing = echoed(context.invocation_metadata())
        context.send_initial_metadata(initial)
        context.set_trailing_metadata(trailing)
        ended = gone(context)
        for request in requests:
            yield from responses(request, context, ended)
            end_if_asked(request, context)

    def HalfDuplexCall(self, requests, context):
        ended = gone(context)
        for request in list(requests):
            yield from responses(request, context, ended)


def gone(context):
    """An event set when the call is over, so that a pause does not outlive it."""
    event = threading.Event()
    if not context.add_callback(event.set):
        event.set()
    return event


def responses(request, context, ended):
    for parameters in request.response_parameters:
        if parameters.interval_us > 0 and ended.wait(parameters.interval_us / 1e6):
            return
        if not parameters.compressed.value:
            context.disable_next_message_compression()
        yield messages_pb2.StreamingOutputCallResponse(payload=payload(parameters.size))


def end_if_asked(request, context):
    if request.response_status.code:
        context.abort(wanted_code(request.response_status), request.response_status.message)


def main():
    parser = argparse.ArgumentParser(prog="server")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    tls.add_flags(parser)
    lifetime.add_flags(parser)
    flags = parser.parse_args()
    address = flags.listen
    try:
        host, _ = split_address(address)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16), options=SERVER_OPTIONS + lifetime.options(flags)
    )
    test_pb2_grpc.add_TestServiceServicer_to_server(Test(), server)
    example_pb2_grpc.add_TestServiceServicer_to_server(Example(), server)
    try:
        port = tls.server_port(server, address, flags)
    except RuntimeError as error:
        sys.exit(f"server: cannot listen on {address}: {error}")
    server.start()
    print(f"listening on {host}:{port}", flush=True)
    if sys.stdin is None:
        server.wait_for_termination()
    else:
        sys.stdin.buffer.read()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
