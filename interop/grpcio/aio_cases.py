"""The interop cases on grpc.aio."""

import asyncio

import harness
from cases import GZIP, YES, body_size, simple, streaming
from common import ECHO_INITIAL, ECHO_TRAILING, payload
from harness import BIG, MANY, check, check_echo, check_equal, check_status
from stubs import empty_pb2, grpc, messages_pb2, test_pb2_grpc

END = grpc.aio.EOF


class Peer:
    """A server under test, and the time one case may take."""

    def __init__(self, channel):
        self.test = test_pb2_grpc.TestServiceStub(channel)
        self.absent = test_pb2_grpc.UnimplementedServiceStub(channel)
        self.limit = harness.Limit()

    def timeout(self):
        return self.limit.left()


async def sizes_of(replies):
    return [body_size(reply) async for reply in replies]


async def expect_error(waiting, code, message=None):
    try:
        await waiting
    except grpc.RpcError as error:
        check_status(error.code(), error.details(), code, message)
    else:
        raise harness.Failure(f"status OK instead of {code}")


async def empty_unary(peer):
    reply = await peer.test.EmptyCall(empty_pb2.Empty(), timeout=peer.timeout())
    check_equal(reply, empty_pb2.Empty(), "reply")


async def unary_of(peer, size, response_size):
    reply = await peer.test.UnaryCall(simple(size, response_size), timeout=peer.timeout())
    check_equal(body_size(reply), response_size, "size")


async def large_unary(peer):
    await unary_of(peer, 271828, 314159)


async def big_unary(peer):
    await unary_of(peer, BIG, BIG)


async def input_sum(peer, sizes):
    requests = (messages_pb2.StreamingInputCallRequest(payload=payload(size)) for size in sizes)
    reply = await peer.test.StreamingInputCall(requests, timeout=peer.timeout())
    check_equal(reply.aggregated_payload_size, sum(sizes), "sum")


async def client_streaming(peer):
    await input_sum(peer, [27182, 8, 1828, 45904])


async def output_sizes(peer, sizes):
    replies = peer.test.StreamingOutputCall(streaming(0, *sizes), timeout=peer.timeout())
    check_equal(await sizes_of(replies), sizes, "sizes")


async def server_streaming(peer):
    await output_sizes(peer, [31415, 9, 2653, 58979])


async def ping_pong(peer):
    call = peer.test.FullDuplexCall(timeout=peer.timeout())
    for size, wanted in [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)]:
        await call.write(streaming(size, wanted))
        reply = await call.read()
        check(reply is not END, "the replies ended early")
        check_equal(body_size(reply), wanted, "size")
    await call.done_writing()
    check(await call.read() is END, "a reply after the last")
    check_status(await call.code(), await call.details(), grpc.StatusCode.OK)


async def empty_stream(peer):
    call = peer.test.FullDuplexCall(timeout=peer.timeout())
    await call.done_writing()
    check_equal(await sizes_of(call), [], "replies")


async def custom_metadata(peer):
    metadata = (
        (ECHO_INITIAL, harness.ECHO_INITIAL_VALUE),
        (ECHO_TRAILING, harness.ECHO_TRAILING_VALUE),
    )
    call = peer.test.UnaryCall(
        simple(271828, 314159), metadata=metadata, timeout=peer.timeout()
    )
    check_equal(body_size(await call), 314159, "size")
    check_echo(await call.initial_metadata(), await call.trailing_metadata())

    requests = iter([streaming(271828, 314159)])
    call = peer.test.FullDuplexCall(requests, metadata=metadata, timeout=peer.timeout())
    check_equal(await sizes_of(call), [314159], "sizes")
    check_echo(await call.initial_metadata(), await call.trailing_metadata())


async def status_code_and_message(peer):
    status = messages_pb2.EchoStatus(code=2, message=harness.STATUS_MESSAGE)
    wanted = grpc.StatusCode.UNKNOWN, harness.STATUS_MESSAGE
    request = messages_pb2.SimpleRequest(response_status=status)
    await expect_error(peer.test.UnaryCall(request, timeout=peer.timeout()), *wanted)
    requests = iter([messages_pb2.StreamingOutputCallRequest(response_status=status)])
    call = peer.test.FullDuplexCall(requests, timeout=peer.timeout())
    await expect_error(sizes_of(call), *wanted)


async def special_status_message(peer):
    status = messages_pb2.EchoStatus(code=2, message=harness.SPECIAL_STATUS_MESSAGE)
    request = messages_pb2.SimpleRequest(response_status=status)
    await expect_error(
        peer.test.UnaryCall(request, timeout=peer.timeout()),
        grpc.StatusCode.UNKNOWN,
        harness.SPECIAL_STATUS_MESSAGE,
    )


async def unimplemented_method(peer):
    call = peer.test.UnimplementedCall(empty_pb2.Empty(), timeout=peer.timeout())
    await expect_error(call, grpc.StatusCode.UNIMPLEMENTED)


async def unimplemented_service(peer):
    call = peer.absent.UnimplementedCall(empty_pb2.Empty(), timeout=peer.timeout())
    await expect_error(call, grpc.StatusCode.UNIMPLEMENTED)


async def expect_cancelled(call, waiting):
    check(call.cancel(), "the call was over before it was cancelled")
    try:
        await waiting
    except asyncio.CancelledError:
        pass
    else:
        raise harness.Failure("the call went on after it was cancelled")
    check_status(await call.code(), await call.details(), grpc.StatusCode.CANCELLED)


async def cancel_after_begin(peer):
    # A connection first: a call that never left the client proves nothing about the server.
    await empty_unary(peer)
    call = peer.test.StreamingInputCall(timeout=peer.timeout())
    await call.wait_for_connection()
    await expect_cancelled(call, call)
    await empty_unary(peer)


async def cancel_after_first_response(peer):
    call = peer.test.FullDuplexCall(timeout=peer.timeout())
    await call.write(streaming(27182, 31415))
    reply = await call.read()
    check(reply is not END, "the replies ended early")
    check_equal(body_size(reply), 31415, "size")
    await expect_cancelled(call, call.read())


async def timeout_on_sleeping_server(peer):
    # A connection first, or else the deadline would pass while connecting.
    await empty_unary(peer)
    call = peer.test.FullDuplexCall(timeout=0.001)
    try:
        # The stream stays open and the reply is far off, so only the deadline can end the call.
        await call.write(streaming(27182, 31415, interval_us=5_000_000))
    except (grpc.RpcError, asyncio.InvalidStateError):
        # The deadline may pass during the write; the status tells.
        pass
    check_status(await call.code(), await call.details(), grpc.StatusCode.DEADLINE_EXCEEDED)


async def many_messages(peer):
    requests = (streaming(0, 8) for _ in range(MANY))
    sizes = await sizes_of(peer.test.FullDuplexCall(requests, timeout=peer.timeout()))
    check(sizes == [8] * MANY, f"{len(sizes)} replies, {sum(sizes)} bytes")
    await input_sum(peer, [8] * MANY)
    await output_sizes(peer, [8] * MANY)


async def gzip(peer):
    size = 100_000
    reply = await peer.test.UnaryCall(
        simple(size, size, response_compressed=YES, expect_compressed=YES),
        compression=GZIP,
        timeout=peer.timeout(),
    )
    check_equal(body_size(reply), size, "size")
    requests = (streaming(size, size, compressed=YES) for _ in range(3))
    call = peer.test.FullDuplexCall(requests, compression=GZIP, timeout=peer.timeout())
    check_equal(await sizes_of(call), [size] * 3, "sizes")


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
