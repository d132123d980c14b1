"""The interop cases on grpcio's synchronous client."""

import queue

import harness
from common import ECHO_INITIAL, ECHO_TRAILING, payload
from harness import BIG, MANY, check, check_echo, check_equal, check_status
from stubs import empty_pb2, grpc, messages_pb2, test_pb2_grpc

GZIP = grpc.Compression.Gzip
YES = messages_pb2.BoolValue(value=True)


class Peer:
    """A server under test, and the time one case may take."""

    def __init__(self, channel):
        self.test = test_pb2_grpc.TestServiceStub(channel)
        self.absent = test_pb2_grpc.UnimplementedServiceStub(channel)
        self.limit = harness.Limit()

    def timeout(self):
        return self.limit.left()


class Requests:
    """A request stream that stays open until it is ended."""

    def __init__(self):
        self._queue = queue.SimpleQueue()

    def send(self, request):
        self._queue.put(request)

    def end(self):
        self._queue.put(None)

    def __iter__(self):
        return iter(self._queue.get, None)


def simple(size, response_size, **more):
    return messages_pb2.SimpleRequest(
        payload=payload(size), response_size=response_size, **more
    )


def streaming(size, *response_sizes, **parameters):
    return messages_pb2.StreamingOutputCallRequest(
        payload=payload(size),
        response_parameters=[
            messages_pb2.ResponseParameters(size=wanted, **parameters)
            for wanted in response_sizes
        ],
    )


def body_size(response):
    return len(response.payload.body)


def expect_error(call, code, message=None):
    """`call` makes an RPC and waits for its end."""
    try:
        call()
    except grpc.RpcError as error:
        check_status(error.code(), error.details(), code, message)
    else:
        raise harness.Failure(f"status OK instead of {code}")


def empty_unary(peer):
    reply = peer.test.EmptyCall(empty_pb2.Empty(), timeout=peer.timeout())
    check_equal(reply, empty_pb2.Empty(), "reply")


def unary_of(peer, size, response_size):
    reply = peer.test.UnaryCall(simple(size, response_size), timeout=peer.timeout())
    check_equal(body_size(reply), response_size, "size")


def large_unary(peer):
    unary_of(peer, 271828, 314159)


def big_unary(peer):
    unary_of(peer, BIG, BIG)


def input_sum(peer, sizes):
    requests = (messages_pb2.StreamingInputCallRequest(payload=payload(size)) for size in sizes)
    reply = peer.test.StreamingInputCall(requests, timeout=peer.timeout())
    check_equal(reply.aggregated_payload_size, sum(sizes), "sum")


def client_streaming(peer):
    input_sum(peer, [27182, 8, 1828, 45904])


def output_sizes(peer, sizes):
    replies = peer.test.StreamingOutputCall(streaming(0, *sizes), timeout=peer.timeout())
    check_equal([body_size(reply) for reply in replies], list(sizes), "sizes")


def server_streaming(peer):
    output_sizes(peer, (31415, 9, 2653, 58979))


def ping_pong(peer):
    requests = Requests()
    try:
        replies = peer.test.FullDuplexCall(iter(requests), timeout=peer.timeout())
        for size, wanted in [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)]:
            requests.send(streaming(size, wanted))
            check_equal(body_size(next(replies)), wanted, "size")
    finally:
        requests.end()
    check_equal(list(replies), [], "replies after the last")


def empty_stream(peer):
    replies = peer.test.FullDuplexCall(iter(()), timeout=peer.timeout())
    check_equal(list(replies), [], "replies")


def custom_metadata(peer):
    metadata = [
        (ECHO_INITIAL, harness.ECHO_INITIAL_VALUE),
        (ECHO_TRAILING, harness.ECHO_TRAILING_VALUE),
    ]
    reply, call = peer.test.UnaryCall.with_call(
        simple(271828, 314159), metadata=metadata, timeout=peer.timeout()
    )
    check_equal(body_size(reply), 314159, "size")
    check_echo(call.initial_metadata(), call.trailing_metadata())

    requests = iter([streaming(271828, 314159)])
    replies = peer.test.FullDuplexCall(requests, metadata=metadata, timeout=peer.timeout())
    check_equal([body_size(reply) for reply in replies], [314159], "sizes")
    check_echo(replies.initial_metadata(), replies.trailing_metadata())


def status_code_and_message(peer):
    status = messages_pb2.EchoStatus(code=2, message=harness.STATUS_MESSAGE)
    wanted = grpc.StatusCode.UNKNOWN, harness.STATUS_MESSAGE
    request = messages_pb2.SimpleRequest(response_status=status)
    expect_error(lambda: peer.test.UnaryCall(request, timeout=peer.timeout()), *wanted)
    requests = [messages_pb2.StreamingOutputCallRequest(response_status=status)]
    expect_error(
        lambda: list(peer.test.FullDuplexCall(iter(requests), timeout=peer.timeout())), *wanted
    )


def special_status_message(peer):
    status = messages_pb2.EchoStatus(code=2, message=harness.SPECIAL_STATUS_MESSAGE)
    request = messages_pb2.SimpleRequest(response_status=status)
    expect_error(
        lambda: peer.test.UnaryCall(request, timeout=peer.timeout()),
        grpc.StatusCode.UNKNOWN,
        harness.SPECIAL_STATUS_MESSAGE,
    )


def unimplemented_method(peer):
    expect_error(
        lambda: peer.test.UnimplementedCall(empty_pb2.Empty(), timeout=peer.timeout()),
        grpc.StatusCode.UNIMPLEMENTED,
    )


def unimplemented_service(peer):
    expect_error(
        lambda: peer.absent.UnimplementedCall(empty_pb2.Empty(), timeout=peer.timeout()),
        grpc.StatusCode.UNIMPLEMENTED,
    )


def cancel_after_begin(peer):
    # A connection first: a call that never left the client proves nothing about the server.
    empty_unary(peer)
    requests = Requests()
    call = peer.test.StreamingInputCall.future(iter(requests), timeout=peer.timeout())
    check(call.cancel(), "the call was over before it was cancelled")
    requests.end()
    check(call.cancelled(), "the call does not know that it is cancelled")
    check_status(call.code(), call.details(), grpc.StatusCode.CANCELLED)
    empty_unary(peer)


def cancel_after_first_response(peer):
    requests = Requests()
    try:
        replies = peer.test.FullDuplexCall(iter(requests), timeout=peer.timeout())
        requests.send(streaming(27182, 31415))
        check_equal(body_size(next(replies)), 31415, "size")
        replies.cancel()
        expect_error(lambda: next(replies), grpc.StatusCode.CANCELLED)
    finally:
        requests.end()


def timeout_on_sleeping_server(peer):
    # A connection first, or else the deadline would pass while connecting.
    empty_unary(peer)
    requests = Requests()
    # The stream stays open and the reply is far off, so only the deadline can end the call.
    requests.send(streaming(27182, 31415, interval_us=5_000_000))
    try:
        replies = peer.test.FullDuplexCall(iter(requests), timeout=0.001)
        expect_error(lambda: next(replies), grpc.StatusCode.DEADLINE_EXCEEDED)
    finally:
        requests.end()


def many_messages(peer):
    requests = (streaming(0, 8) for _ in range(MANY))
    replies = peer.test.FullDuplexCall(requests, timeout=peer.timeout())
    sizes = [body_size(reply) for reply in replies]
    check(sizes == [8] * MANY, f"{len(sizes)} replies, {sum(sizes)} bytes")
    input_sum(peer, [8] * MANY)
    output_sizes(peer, [8] * MANY)


def gzip(peer):
    size = 100_000
    reply = peer.test.UnaryCall(
        simple(size, size, response_compressed=YES, expect_compressed=YES),
        compression=GZIP,
        timeout=peer.timeout(),
    )
    check_equal(body_size(reply), size, "size")
    requests = (streaming(size, size, compressed=YES) for _ in range(3))
    replies = peer.test.FullDuplexCall(requests, compression=GZIP, timeout=peer.timeout())
    check_equal([body_size(reply) for reply in replies], [size] * 3, "sizes")


CASES = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_streaming,
        server_streaming,
        ping_pong,
        empty_stream,
        custom_metadata,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
        cancel_after_begin,
        cancel_after_first_response,
        timeout_on_sleeping_server,
        big_unary,
        many_messages,
        gzip,
    )
}
