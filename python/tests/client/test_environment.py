"""What the environment says: each script has a process of its own."""

import os
import subprocess
import sys
import textwrap

import pytest


def run(script, target, environment=None):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GRPC_") and "proxy" not in name.lower()
    }
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), target],
        env=kept | (environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_default_timeout_is_for_simple_calls_alone(target):
    """Those of `grpc.experimental`; the others have none."""
    done = run(
        """
        import sys, grpc
        slow = [("x-sleep", "0.6")]
        channel = grpc.insecure_channel(sys.argv[1])
        print(channel.unary_unary("/test.Client/Echo")(b"a", metadata=slow))
        print(channel.unary_unary("/test.Client/Echo").future(b"b", metadata=slow).result())
        print(list(channel.unary_stream("/test.Client/Stream")(b"1", metadata=slow)))
        print(channel.stream_unary("/test.Client/Collect")(iter([b"c"]), metadata=slow))
        import grpc.experimental
        try:
            grpc.experimental.unary_unary(
                b"", sys.argv[1], "/test.Client/Echo", insecure=True, metadata=slow
            )
        except grpc.RpcError as error:
            print(error.code())
        """,
        target,
        {"GRPC_PYTHON_DEFAULT_TIMEOUT_SECONDS": "0.3"},
    )
    assert done.stdout == "b'a'\nb'b'\n[b'0']\nb'c'\nStatusCode.DEADLINE_EXCEEDED\n"


# -- lines on stderr ------------------------------------------------------------------------------

CALL = """
import sys, grpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    channel.unary_unary("/test.Client/Echo")(b"", timeout=20)
"""

FAIL = """
import sys, grpc
with grpc.insecure_channel("localhost:1") as channel:
    try:
        channel.unary_unary("/test.Client/Echo")(b"", timeout=20)
    except grpc.RpcError:
        pass
"""


@pytest.mark.parametrize("environment", [{}, {"GRPC_VERBOSITY": "none", "GRPC_TRACE": "all"}])
@pytest.mark.parametrize("script", [CALL, FAIL])
def test_nothing_is_said_unasked(target, script, environment):
    assert run(script, target, environment).stderr == ""


@pytest.mark.parametrize(
    "environment",
    [{"GRPC_TRACE": "connectivity_state", "GRPC_VERBOSITY": "debug"}, {"GRPC_TRACE": "all"}],
)
def test_connectivity_is_shown(target, environment):
    lines = run(CALL, target, environment).stderr.splitlines()
    assert any("READY" in line.upper() and "connectivity" in line for line in lines)


@pytest.mark.ferrpc_only("how the lines look")
def test_groups_of_lines(target):
    def shown(script, **environment):
        lines = run(script, target, environment).stderr.splitlines()
        # A line for each event, with its time and its group.
        assert all(line[:2] == "20" and line[10] == "T" for line in lines)
        return {line.split()[2].rstrip(":").split("::")[1] for line in lines}, "\n".join(lines)

    groups, text = shown(CALL, GRPC_TRACE="api")
    assert groups == {"calls"}
    assert "/test.Client/Echo" in text and "code=Ok" in text
    groups, text = shown(CALL, GRPC_TRACE="connectivity_state,-api")
    assert groups == {"connectivity"} and "now=Ready" in text
    groups, text = shown(FAIL, GRPC_VERBOSITY="debug", GRPC_TRACE="dns_resolver")
    assert groups == {"names"} and "127.0.0.1:1" in text
    groups, text = shown(FAIL, GRPC_VERBOSITY="debug")
    assert groups == {"connectivity", "names"} and "connection refused" in text
    assert shown(FAIL, GRPC_VERBOSITY="debug", GRPC_TRACE="all,-dns_resolver")[0] == {
        "calls",
        "connectivity",
    }
    assert shown(FAIL, GRPC_VERBOSITY="error")[0] == set()


@pytest.mark.ferrpc_only("how the lines look")
def test_handshakes_and_a_server_are_shown(target):
    done = run(
        """
        import grpc
        from concurrent import futures
        server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[
            grpc.method_handlers_generic_handler("s", {
                "M": grpc.unary_unary_rpc_method_handler(lambda request, context: request)})])
        port = server.add_insecure_port("localhost:0")
        server.start()
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            channel.unary_unary("/s/M")(b"")
        with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials()) as channel:
            try:
                channel.unary_unary("/s/M")(b"")
            except grpc.RpcError:
                pass
        server.stop(None)
        """,
        target,
        {"GRPC_TRACE": "api,tsi"},
    )
    assert "call came" in done.stderr and "call was answered" in done.stderr
    assert "handshake failed" in done.stderr


# -- forks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "true"])
def test_subscriptions_in_the_child_of_a_fork(target, value):
    done = run(
        """
        import os, sys, threading, grpc
        seen, ready = [], threading.Event()
        def hear(state):
            seen.append(state.name)
            if state is grpc.ChannelConnectivity.READY:
                ready.set()
        channel = grpc.insecure_channel(sys.argv[1])
        echo = channel.unary_unary("/test.Client/Echo")
        channel.subscribe(hear)
        echo(b"", timeout=20)
        ready.wait(20)
        ready.clear()
        seen.clear()
        if os.fork() == 0:
            echo(b"", timeout=20)
            ready.wait(20)
            print(seen[0], seen[-1], flush=True)
            channel.unsubscribe(hear)
            echo(b"", timeout=20)
            os._exit(0)
        print(os.wait()[1])
        echo(b"", timeout=20)
        """,
        target,
        {"GRPC_ENABLE_FORK_SUPPORT": value},
    )
    assert done.stdout == "IDLE READY\n0\n", done.stderr
