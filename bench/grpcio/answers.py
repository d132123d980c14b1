"""What the servers share: limits, the tutorial's answer, replies of a size."""

from stubs import example_pb2, messages_pb2

# A payload of 16 MiB fits.
MESSAGE_LIMIT = 17 << 20
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
]
SERVER_OPTIONS = [
    *OPTIONS,
    # Without it a second server would quietly share a taken port.
    ("grpc.so_reuseport", 0),
]

CALLERS = {f"{caller}-request1": caller for caller in ("java", "py", "rust", "go", "node")}


def answer(request):
    caller = CALLERS.get(request.request1)
    if caller is None:
        return example_pb2.Result(result1="f1", result2="fn1")
    text = f"res1-{caller}-client->py-server"
    return example_pb2.Result(result1=text, result2=text)


def simple(request):
    return messages_pb2.SimpleResponse(payload=payload(request.response_size))


def replies(request):
    for wanted in request.response_parameters:
        yield messages_pb2.StreamingOutputCallResponse(payload=payload(wanted.size))


def payload(size):
    return messages_pb2.Payload(body=bytes(size))
