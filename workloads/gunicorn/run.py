"""gunicorn's workers call over channels: made in the worker, or in the master before the fork."""

import os
import pathlib
import signal
import subprocess
import sys
import urllib.request

from workload import PATIENCE, Echo, say, serving, until

_APPLICATION = '''
import os
if os.environ["WORKER"] == "gevent":
    import gevent.monkey
    gevent.monkey.patch_all()
    import grpc.experimental.gevent
    grpc.experimental.gevent.init_gevent()
import grpc

channel = grpc.insecure_channel(os.environ["ADDRESS"])
unary = channel.unary_unary("/workload.Echo/Unary")
download = channel.unary_stream("/workload.Echo/Download")
if os.environ["USED"] == "yes":
    unary(b"in the master", timeout=30)


def application(environment, start):
    body = unary(environment["PATH_INFO"].encode(), timeout=30)
    body += b" %d" % len(list(download(b"100", timeout=30)))
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]
'''


def run(worker, preload, used, address):
    name = f"{worker}{' preload' if preload else ''}{' used' if used == 'yes' else ''}"
    folder = pathlib.Path(name.replace(" ", "-"))
    folder.mkdir()
    (folder / "app.py").write_text(_APPLICATION)
    environment = dict(os.environ, ADDRESS=address, USED=used, WORKER=worker)
    line = [sys.executable, "-m", "gunicorn", "app", "--worker-class", worker, "--workers", "2"]
    line += ["--bind", "127.0.0.1:0", "--log-level", "info", "--graceful-timeout", "20"]
    line += ["--threads", "4"] * (worker == "gthread") + ["--preload"] * preload
    log = open(folder / "log", "wb")  # noqa: SIM115 (for as long as it runs)
    running = subprocess.Popen(line, cwd=folder, env=environment, stderr=log)
    try:
        said = folder / "log"
        until(lambda: "Listening at" in said.read_text())
        until(lambda: said.read_text().count("Booting worker") >= 2)
        url = said.read_text().split("Listening at: ")[1].split()[0]
        answers = []
        for number in range(20):
            with urllib.request.urlopen(f"{url}/{number}", timeout=PATIENCE) as answer:
                answers.append(answer.read().decode())
        say(name, sum(text == f"/{number} 100" for number, text in enumerate(answers)))
    finally:
        running.send_signal(signal.SIGTERM)
        # On grpcio the last one ends only with its graceful timeout, at times.
        say(f"{name} ends", running.wait(PATIENCE))
        log.close()
        errors = [line for line in (folder / "log").read_text().splitlines() if "ERROR" in line]
        say(f"{name} errors", len(errors))


with serving(Echo()) as address:
    run("sync", False, "no", address)
    run("sync", True, "no", address)
    run("sync", True, "yes", address)
    run("gthread", False, "no", address)
    run("gthread", True, "yes", address)
    run("gevent", False, "no", address)
    run("gevent", True, "no", address)
