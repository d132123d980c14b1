"""Dagster's code server as a process, asked over gRPC by its client."""

import os
import pathlib
import socket
import subprocess
import sys

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient
from dagster._serdes import deserialize_value
from workload import attempt, say, until

_CODE = '''
import dagster


@dagster.op
def one():
    return 1


@dagster.job
def work():
    one()


@dagster.asset
def thing():
    return 2


definitions = dagster.Definitions(jobs=[work], assets=[thing])
'''


def _port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def main():
    pathlib.Path("user_code.py").write_text(_CODE)
    port = _port()
    line = [sys.executable, "-m", "dagster", "api", "grpc", "--python-file", "user_code.py"]
    line += ["--host", "127.0.0.1", "--port", str(port), "--heartbeat", "--heartbeat-timeout", "30"]
    environment = dict(os.environ, DAGSTER_HOME=os.getcwd(), DAGSTER_DISABLE_TELEMETRY="1")
    server = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL)
    client = DagsterGrpcClient(port=port, host="127.0.0.1")

    def answers():
        try:
            return client.ping("a") is not None
        except DagsterUserCodeUnreachableError:
            return False

    say("answers", until(answers))
    say("ping", client.ping("echo")["echo"])
    say("health", client.health_check_query())
    listed = deserialize_value(client.list_repositories())
    say("repositories", [one.attribute for one in listed.repository_symbols])
    say("server id", bool(client.get_server_id()))
    reply = deserialize_value(client.shutdown_server())
    say("shut down", reply.success)
    say("ends", server.wait(60))
    attempt("gone", lambda: client.ping("x"), DagsterUserCodeUnreachableError)


main()
