"""Keepalive and age: the flags, the options, and a client that holds a connection."""

import threading
import time

from stubs import empty_pb2, grpc, messages_pb2, test_pb2_grpc


def add_flags(parser):
    parser.add_argument("--keepalive", type=int, metavar="SECONDS", help="ping so often")
    parser.add_argument("--max-age", type=int, metavar="SECONDS", help="of a connection (server)")
    parser.add_argument("--hold", type=int, metavar="SECONDS", help="hold a connection (client)")


def options(flags):
    found = []
    if flags.keepalive is not None:
        interval = flags.keepalive * 1000
        found += [
            ("grpc.keepalive_time_ms", interval),
            ("grpc.keepalive_timeout_ms", 2000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", interval),
            ("grpc.http2.max_ping_strikes", 2),
        ]
    if flags.max_age is not None:
        found.append(("grpc.max_connection_age_ms", flags.max_age * 1000))
    return found


def hold(channel, flags):
    """With --keepalive a silent stream, then silence; else calls. None may notice anything."""
    states = []
    channel.subscribe(states.append)
    stub = test_pb2_grpc.TestServiceStub(channel)
    if flags.keepalive is None:
        end = time.monotonic() + flags.hold
        count = 0
        while time.monotonic() < end:
            stub.EmptyCall(empty_pb2.Empty(), timeout=10)
            count += 1
            time.sleep(0.005)
        print(f"ok hold: {count} calls", flush=True)
        return True
    stub.EmptyCall(empty_pb2.Empty(), timeout=10)
    go_on = threading.Event()

    def requests():
        go_on.wait()
        parameters = [messages_pb2.ResponseParameters(size=1)]
        yield messages_pb2.StreamingOutputCallRequest(response_parameters=parameters)

    responses = stub.FullDuplexCall(requests())
    time.sleep(flags.hold)
    go_on.set()
    got = len(list(responses))
    time.sleep(flags.hold)
    stub.EmptyCall(empty_pb2.Empty(), timeout=10)
    kept = states[states.index(grpc.ChannelConnectivity.READY) :]
    if got != 1 or kept != [grpc.ChannelConnectivity.READY]:
        print(f"FAIL hold: {got} responses, states {kept}", flush=True)
        return False
    print("ok hold: one connection", flush=True)
    return True
