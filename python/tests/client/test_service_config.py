"""`grpc.service_config`: which configs are taken, and what happens with those that are not."""

import json
import pathlib
import warnings
from concurrent import futures

import grpc
import pytest

CONFIGS = pathlib.Path(__file__).parents[3] / "testdata" / "service_config" / "configs.txt"

POLICY = {
    "maxAttempts": 3,
    "initialBackoff": "0.01s",
    "maxBackoff": "0.01s",
    "backoffMultiplier": 1,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def configs():
    lines = CONFIGS.read_text(encoding="utf-8").splitlines()
    return [line.split(" ", 3) for line in lines if not line.startswith("#")]


def channel(config, target="localhost:1"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return grpc.insecure_channel(target, options=[("grpc.service_config", config)])


def end(config):
    """How a call without a server ends that does not wait."""
    with channel(config) as made, pytest.raises(grpc.RpcError) as caught:
        made.unary_unary("/s.S/M")(b"", timeout=20, wait_for_ready=False)
    return caught.value


@pytest.mark.parametrize(("go", "grpcio", "ferrpc", "config"), configs())
def test_the_verdict(go, grpcio, ferrpc, config, on_ferrpc):
    refused = end(config).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert ("-" if refused else "+") == (ferrpc if on_ferrpc else grpcio)


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ({"timeout": "3"}, "timeout error:Not a duration (no s suffix)"),
        ({"waitForReady": "true"}, "waitForReady error:is not a boolean"),
        (
            {"maxRequestMessageBytes": -1},
            "maxRequestMessageBytes error:failed to parse non-negative number",
        ),
        ({"retryPolicy": {**POLICY, "maxAttempts": 1}}, "retryPolicy.maxAttempts error:must be at least 2"),
        (
            {"retryPolicy": {**POLICY, "initialBackoff": "0s"}},
            "retryPolicy.initialBackoff error:must be greater than 0",
        ),
        (
            {"retryPolicy": {**POLICY, "maxBackoff": "-1s"}},
            "retryPolicy.maxBackoff error:seconds must be in the range [0, 315576000000]",
        ),
        (
            {"retryPolicy": {**POLICY, "retryableStatusCodes": []}},
            "retryPolicy.retryableStatusCodes error:must be non-empty",
        ),
    ],
)
def test_an_error_names_the_field(method, problem):
    error = end(json.dumps({"methodConfig": [{"name": [{}], **method}]}))
    assert error.details() == (
        "Failed to create channel to 'localhost:1':errors validating service config: "
        f"[field:methodConfig[0].{problem}]"
    )


def test_several_fields_are_named():
    error = end('{"retryThrottling": {}, "loadBalancingPolicy": "of_nobody"}')
    assert error.details() == (
        "Failed to create channel to 'localhost:1':errors validating service config: "
        '[field:loadBalancingPolicy error:unknown LB policy "of_nobody"; '
        "field:retryThrottling.maxTokens error:field not present; "
        "field:retryThrottling.tokenRatio error:field not present]"
    )


@pytest.mark.parametrize("config", [b"{}", '{"unknown": 3}', 7])
def test_what_is_taken(config):
    assert end(config).code() is grpc.StatusCode.UNAVAILABLE


def test_a_server_sees_how_often_it_was_called():
    seen = []

    def method(request, context):
        seen.append(dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts"))
        if len(seen) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        return request

    config = json.dumps({"methodConfig": [{"name": [{"service": "s.S"}], "retryPolicy": POLICY}]})
    handlers = {"M": grpc.unary_unary_rpc_method_handler(method)}
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s.S", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with channel(config, f"127.0.0.1:{port}") as made:
        assert made.unary_unary("/s.S/M")(b"x", timeout=20) == b"x"
    server.stop(None)
    assert seen == [None, "1", "2"]


@pytest.mark.ferrpc_only("grpcio passes over them")
def test_what_has_no_effect_is_said(monkeypatch):
    from grpc import _missing_options

    monkeypatch.setattr(_missing_options, "_said", set())
    config = json.dumps({"methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 2}}]})
    with pytest.warns(RuntimeWarning, match=r"methodConfig\[0\].hedgingPolicy") as caught:
        grpc.insecure_channel("localhost:1", options=[("grpc.service_config", config)]).close()
    assert [warning.filename for warning in caught] == [__file__]
