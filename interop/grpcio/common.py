"""What the programs of this peer share: limits, metadata, messages, the tutorial's answer."""

from stubs import example_pb2, grpc, messages_pb2

OPTIONS = [
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
]
SERVER_OPTIONS = [
    *OPTIONS,
    # Without it a second server would quietly share a taken port.
    ("grpc.so_reuseport", 0),
    # Level "low" is gzip if the client accepts it. Asking for gzip by name, as a handler can, uses
    # it even for clients that do not. Messages that nobody wants compressed opt out.
    ("grpc.default_compression_level", 1),
]

ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"

CALLERS = ("java", "py", "rust", "go", "node")
CODES = {code.value[0]: code for code in grpc.StatusCode}


def split_address(address):
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise ValueError(f"not HOST:PORT: {address}")
    return host, int(port)


def payload(size):
    return messages_pb2.Payload(body=bytes(size))


def echoed(invocation_metadata):
    """The metadata a server sends back: initial, then trailing."""
    initial = [(k, v) for k, v in invocation_metadata if k == ECHO_INITIAL]
    trailing = [(k, v) for k, v in invocation_metadata if k == ECHO_TRAILING]
    return initial, trailing


def answer(request):
    for caller in CALLERS:
        if request.request1 == f"{caller}-request1":
            text = f"res1-{caller}-client->py-server"
            return example_pb2.Result(result1=text, result2=text)
    return example_pb2.Result(result1="f1", result2="fn1")


def wanted_code(status):
    return CODES.get(status.code, grpc.StatusCode.UNKNOWN)
