"""grpcio as a load client of the bench: sync in threads, or asyncio in tasks.

As many calls are in flight on a connection as --shape says; one line of JSON. The flags are those
of the other load clients, `bench/README.md` has them.
"""

import argparse
import asyncio
import itertools
import json
import sys
import threading
import time

from answers import OPTIONS
from stubs import example_pb2, example_pb2_grpc, grpc, messages_pb2, test_pb2_grpc


class Stubs:
    def __init__(self, channel):
        self.example = example_pb2_grpc.TestServiceStub(channel)
        self.test = test_pb2_grpc.TestServiceStub(channel)


class Wrong(Exception):
    pass


def small_request():
    return example_pb2.Request(request1="rust-request1", request2="rust-request2")


def check_small(result):
    if result.result1 != result.result2 or not result.result1.startswith("res1-rust-client->"):
        raise Wrong(f"answered {result.result1!r} and {result.result2!r}")


def simple(size):
    payload = messages_pb2.Payload(body=bytes(size))
    return messages_pb2.SimpleRequest(payload=payload, response_size=size)


def asking(replies, size, payload):
    wanted = messages_pb2.ResponseParameters(size=size)
    return messages_pb2.StreamingOutputCallRequest(
        response_parameters=[wanted] * replies,
        payload=messages_pb2.Payload(body=bytes(payload)),
    )


def requests(messages, size):
    return (asking(1, size, size) for _ in range(messages))


def check_size(reply, size):
    if len(reply.payload.body) != size:
        raise Wrong(f"a message of {len(reply.payload.body)} bytes, {size} were asked for")


def check_count(came, messages):
    if came != messages:
        raise Wrong(f"{came} messages came, {messages} were asked for")


def call(stubs, options):
    size, metadata = options.payload, options.entries
    if options.mode == "unary":
        if size == 0:
            check_small(stubs.example.method(small_request(), metadata=metadata))
        else:
            check_size(stubs.test.UnaryCall(simple(size), metadata=metadata), size)
        return
    if options.mode == "server-stream":
        request = asking(options.messages, size, 0)
        replies = stubs.test.StreamingOutputCall(request, metadata=metadata)
    else:
        replies = stubs.test.FullDuplexCall(requests(options.messages, size), metadata=metadata)
    came = 0
    for reply in replies:
        check_size(reply, size)
        came += 1
    check_count(came, options.messages)


async def aio_call(stubs, options):
    size, metadata = options.payload, options.entries
    if options.mode == "unary":
        if size == 0:
            check_small(await stubs.example.method(small_request(), metadata=metadata))
        else:
            check_size(await stubs.test.UnaryCall(simple(size), metadata=metadata), size)
        return
    if options.mode == "server-stream":
        request = asking(options.messages, size, 0)
        replies = stubs.test.StreamingOutputCall(request, metadata=metadata)
    else:
        replies = stubs.test.FullDuplexCall(requests(options.messages, size), metadata=metadata)
    came = 0
    async for reply in replies:
        check_size(reply, size)
        came += 1
    check_count(came, options.messages)


def load(clients, options, calls):
    """Threads that make `calls` calls; what each took, in seconds."""
    left = itertools.count(1)
    times, failures = [], []

    def caller(stubs):
        try:
            while next(left) <= calls:
                start = time.perf_counter()
                call(stubs, options)
                times.append(time.perf_counter() - start)
        except (Wrong, grpc.RpcError) as error:
            failures.append(error)

    if options.connections * options.streams == 1:
        caller(clients[0])
    else:
        threads = [
            threading.Thread(target=caller, args=(stubs,))
            for stubs in clients
            for _ in range(options.streams)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    return times


async def aio_load(clients, options, calls):
    left = itertools.count(1)
    times = []

    async def caller(stubs):
        while next(left) <= calls:
            start = time.perf_counter()
            await aio_call(stubs, options)
            times.append(time.perf_counter() - start)

    await asyncio.gather(*(caller(s) for s in clients for _ in range(options.streams)))
    return times


def sync_main(options):
    channels = [
        grpc.insecure_channel(options.connect, options=channel_options(options, number))
        for number in range(options.connections)
    ]
    for channel in channels:
        grpc.channel_ready_future(channel).result(timeout=10)
    clients = [Stubs(channel) for channel in channels]
    load(clients, options, options.warm_up)
    begin = Stopwatch()
    times = load(clients, options, options.calls)
    begin.report(options, times)


async def aio_main(options):
    channels = [
        grpc.aio.insecure_channel(options.connect, options=channel_options(options, number))
        for number in range(options.connections)
    ]
    for channel in channels:
        await asyncio.wait_for(channel.channel_ready(), 10)
    clients = [Stubs(channel) for channel in channels]
    await aio_load(clients, options, options.warm_up)
    begin = Stopwatch()
    times = await aio_load(clients, options, options.calls)
    begin.report(options, times)
    for channel in channels:
        await channel.close()


def channel_options(options, number):
    # Channels with the same options would share a connection.
    return [*OPTIONS, *options.option, ("bench.number", number)]


class Stopwatch:
    def __init__(self):
        self.start = time.perf_counter()
        self.cpu = time.process_time()

    def report(self, options, times):
        seconds = time.perf_counter() - self.start
        cpu = (time.process_time() - self.cpu) * 1e6
        times.sort()
        calls = len(times)
        messages = calls * (1 if options.mode == "unary" else options.messages)
        figures = {
            "calls": calls,
            "seconds": round(seconds, 4),
            "calls_per_s": round(calls / seconds, 1),
            "cpu_us_per_call": round(cpu / calls, 3),
            "p50_us": round(times[calls // 2] * 1e6, 1),
            "p99_us": round(times[min(calls * 99 // 100, calls - 1)] * 1e6, 1),
            "messages_per_s": round(messages / seconds, 1),
            "cpu_us_per_message": round(cpu / messages, 4),
            "mb_per_s": round(messages * options.payload / seconds / 1e6, 2),
        }
        print(json.dumps(figures), flush=True)


def shape(text):
    connections, _, streams = text.partition("x")
    return int(connections), int(streams)


def option(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(text)
    return name, int(value)


def main():
    parser = argparse.ArgumentParser(prog="client")
    parser.add_argument("--connect", required=True, metavar="HOST:PORT")
    parser.add_argument("--shape", type=shape, default=(1, 1), metavar="CxS")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--warm-up", type=int)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--payload", type=int, default=0)
    parser.add_argument("--mode", choices=("unary", "server-stream", "bidi"), default="unary")
    parser.add_argument("--metadata", type=int, default=0)
    parser.add_argument("--option", type=option, action="append", default=[], metavar="NAME=N")
    parser.add_argument("--aio", action="store_true", help="asyncio in place of threads")
    parser.add_argument("--uvloop", action="store_true", help="with --aio: on uvloop")
    options = parser.parse_args()
    options.connections, options.streams = options.shape
    if min(*options.shape, options.calls) < 1:
        parser.error("--shape and --calls must be at least 1")
    if options.warm_up is None:
        options.warm_up = -(-options.calls // 10)
    options.entries = [(f"x-bench-{n}", f"value of {n}") for n in range(options.metadata)] or None
    try:
        if not options.aio:
            sync_main(options)
        elif options.uvloop:
            import uvloop

            uvloop.run(aio_main(options))
        else:
            asyncio.run(aio_main(options))
    except (Wrong, grpc.RpcError) as error:
        sys.exit(f"client: {error}")


if __name__ == "__main__":
    main()
