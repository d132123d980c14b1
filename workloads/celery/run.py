"""Prefork workers of celery call over a channel that their parent made, used or unused, with
threads' futures and without."""

import os
import pathlib
import subprocess
import sys

from workload import Echo, say, serving

_TASKS = '''
import os
import celery
import grpc

app = celery.Celery("tasks", broker="filesystem://", backend="file://results")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
app.conf.worker_max_tasks_per_child = 7
channel = grpc.insecure_channel(os.environ["ADDRESS"])
unary = channel.unary_unary("/workload.Echo/Unary")
if os.environ["USED"] == "yes":
    unary(b"before the fork", timeout=30)

# At times the first call of a child ends with "Wrong file descriptor generation" on grpcio.
retried = {"autoretry_for": (grpc.RpcError,), "max_retries": 5, "default_retry_delay": 0.2}


@app.task(**retried)
def call(text):
    return unary(text.encode(), timeout=30).decode()


@app.task(**retried)
def futures(count):
    calls = [unary.future(b"%d" % number, timeout=30) for number in range(count)]
    return [one.result().decode() for one in calls]
'''


def run(used, address):
    folder = pathlib.Path(used)
    for name in ("queue", "results"):
        (folder / name).mkdir(parents=True)
    (folder / "tasks.py").write_text(_TASKS)
    environment = dict(os.environ, ADDRESS=address, USED=used, C_FORCE_ROOT="1")
    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2"]
    worker += ["--pool", "prefork", "--loglevel", "error", "--without-gossip", "--without-mingle"]
    asking = """
import tasks
calls = [tasks.call.delay(str(number)) for number in range(20)]
groups = [tasks.futures.delay(10) for _ in range(5)]
print(sorted(int(call.get(timeout=60)) for call in calls))
print([group.get(timeout=60) for group in groups])
"""
    running = subprocess.Popen(worker, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        asked = dict(environment, USED="no")
        line = [sys.executable, "-c", asking]
        done = subprocess.run(line, cwd=folder, env=asked, capture_output=True, text=True)
        for text in done.stdout.splitlines():
            say(f"used before the fork {used}", text)
        if done.returncode:
            sys.stderr.write(done.stderr)
    finally:
        running.terminate()
        say("worker ends", running.wait(60))


with serving(Echo()) as address:
    # In a process of its own, so that nothing of gRPC's is in this one's children.
    run("no", address)
    run("yes", address)
