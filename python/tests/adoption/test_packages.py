"""Packages that ask for grpcio, as the ordinary resolvers install them where ferrpc stands for it;
and what they do then."""

import os
import subprocess
import sys

import pytest

from .conftest import PROGRAMS

pytestmark = [
    pytest.mark.ferrpc_only("grpcio is what they ask for"),
    pytest.mark.timeout(1800),
]

OPENTELEMETRY = """
import grpc
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, GrpcInstrumentorServer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from workload import Echo, calls, say, serving, until

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
GrpcInstrumentorClient().instrument(tracer_provider=provider)
GrpcInstrumentorServer().instrument(tracer_provider=provider)
with serving(Echo()) as address, grpc.insecure_channel(address) as channel:
    say("answer", calls(channel)["Unary"](b"a"))
    say("both spans", until(lambda: len(exporter.get_finished_spans()) == 2))
for span in sorted(exporter.get_finished_spans(), key=lambda span: span.kind.name):
    say(span.kind.name, span.name)
"""

SERVING = """
import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from workload import say, serving


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def Predict(self, request, context):
        twice = tf.make_ndarray(request.inputs["x"]) * 2
        response = predict_pb2.PredictResponse()
        response.outputs["y"].CopyFrom(tf.make_tensor_proto(twice))
        return response


def add(server):
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)


with serving(add=[add]) as address, grpc.insecure_channel(address) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0, 2.0, 3.0]))
    say("twice", tf.make_ndarray(stub.Predict(request).outputs["y"]).tolist())
    try:
        stub.Classify(predict_pb2.PredictRequest())
    except grpc.RpcError as error:
        say("absent", error.code().name)
"""

#: What is asked for, and what is run: a case of `workloads/`, or a program.
PACKAGES = {
    "pymilvus": (["pymilvus", "milvus-lite", "setuptools"], "pymilvus"),
    "google-cloud-pubsub": (["google-cloud-pubsub", "google-cloud-firestore"], "google-emulators"),
    "opentelemetry": (
        ["opentelemetry-instrumentation-grpc", "opentelemetry-sdk", "grpcio"],
        OPENTELEMETRY,
    ),
    "ray": (["ray[default,client]"], "ray"),
    "tensorflow-serving-api": (["tensorflow-serving-api"], SERVING),
    "qdrant-client": (["qdrant-client"], "qdrant"),
}


@pytest.fixture(scope="module")
def own_wheels(tmp_path_factory):
    """The ferrpc that is tested, and its shims."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "ferrpc", "shim", "wheels", str(folder), "--with-ferrpc"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def execute(*command, **variables):
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("FERRPC")
    }
    done = subprocess.run(
        [os.fspath(it) for it in command],
        env={**environment, "UV_SYSTEM_CERTS": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (command, done.stdout[-5000:], done.stderr[-5000:])
    return done.stdout


@pytest.mark.parametrize("installer", ["uv", "pip"])
@pytest.mark.parametrize("name", PACKAGES)
def test_a_package(name, installer, own_wheels, tmp_path, repository):
    if installer == "pip" and name in ("ray", "tensorflow-serving-api"):
        # Half a gigabyte, of which pip keeps no unpacked copy.
        installer = "uv"
    packages, program = PACKAGES[name]
    venv = tmp_path / "venv"
    python = venv / "bin/python"
    execute(sys.executable, "-m", "venv", "--without-pip", venv)
    if installer == "uv":
        command = [f"{PROGRAMS}/uv", "pip", "install", "--python", python]
    else:
        command = [sys.executable, "-m", "pip", "--python", python, "install"]
    command += ["--find-links", own_wheels, "--constraint", own_wheels / "constraints.txt"]
    execute(*command, *packages)
    doctor = execute(python, "-m", "ferrpc", "doctor")
    assert doctor.endswith("all is well\n")
    assert f"grpc: {next(venv.glob('lib/*/site-packages'))}/ferrpc.packages/grpc" in doctor

    if "\n" in program:
        (tmp_path / "run.py").write_text(program)
        script = tmp_path / "run.py"
    else:
        script = repository / "workloads" / program / "run.py"
    folder = tmp_path / "run"
    folder.mkdir()
    path = str(repository / "workloads/common")
    said = {}
    said["ferrpc"] = execute_in(folder, python, script, PYTHONPATH=path)
    assert said["ferrpc"]
    # The same on grpcio, which comes into a folder of its own.
    real = tmp_path / "grpcio"
    execute(f"{PROGRAMS}/uv", "pip", "install", "--no-deps", "--target", real, "grpcio==1.85.1")
    folder = tmp_path / "run on grpcio"
    folder.mkdir()
    path = f"{real}{os.pathsep}{path}"
    said["grpcio"] = execute_in(folder, python, script, PYTHONPATH=path, FERRPC="0")
    assert said["ferrpc"] == said["grpcio"]


def execute_in(folder, python, script, **variables):
    """Runs a program in a folder; the lines that it said."""
    results = folder / "results.txt"
    results.touch()
    command = ["env", f"--chdir={folder}", python, script]
    execute(*command, WORKLOAD_RESULTS=str(results), **variables)
    return results.read_text().splitlines()
