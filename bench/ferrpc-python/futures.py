"""So many futures in flight from one thread, on whichever `grpc` is installed; one line of JSON.

The blocking calls and the streams are measured with `bench/grpcio/client.py`, which runs unchanged
on ferrpc. Needs the generated modules of `bench/grpcio/build` on PYTHONPATH.
"""

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(1, str(pathlib.Path(__file__).parents[1] / "grpcio"))

from client import Stopwatch, Stubs, check_small, grpc, small_request


def load(stubs, calls, in_flight):
    """Makes the calls in batches that are awaited in order; what each batch took, in seconds."""
    times = []
    for _ in range(calls // in_flight):
        start = time.perf_counter()
        futures = [stubs.example.method.future(small_request()) for _ in range(in_flight)]
        for future in futures:
            check_small(future.result())
        times.append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser(prog="futures")
    parser.add_argument("--connect", required=True, metavar="HOST:PORT")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=100)
    options = parser.parse_args()
    options.mode, options.payload = "unary", 0
    channel = grpc.insecure_channel(options.connect)
    grpc.channel_ready_future(channel).result(timeout=10)
    stubs = Stubs(channel)
    load(stubs, options.calls // 10, options.in_flight)
    begin = Stopwatch()
    times = load(stubs, options.calls, options.in_flight)
    seconds, cpu = time.perf_counter() - begin.start, time.process_time() - begin.cpu
    times.sort()
    calls = len(times) * options.in_flight
    figures = {
        "calls": calls,
        "seconds": round(seconds, 4),
        "calls_per_s": round(calls / seconds, 1),
        "cpu_us_per_call": round(cpu * 1e6 / calls, 3),
        "p50_batch_us": round(times[len(times) // 2] * 1e6, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
