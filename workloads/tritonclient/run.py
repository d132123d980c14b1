"""Triton's client: calls, streams, cancelled ones, large tensors, compression, asyncio."""

import asyncio
import queue
import threading
import time

import grpc
import numpy
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException
from workload import PATIENCE, attempt, say, serving


class _Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    def ServerLive(self, request, context):
        return service_pb2.ServerLiveResponse(live=True)

    def ModelReady(self, request, context):
        return service_pb2.ModelReadyResponse(ready=request.name == "double")

    def ModelInfer(self, request, context):
        if request.model_name == "slow":
            over = threading.Event()
            context.add_callback(over.set)
            over.wait(PATIENCE)
        if request.model_name not in ("double", "slow"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_name}")
        values = numpy.frombuffer(request.raw_input_contents[0], numpy.float32) * 2
        output = service_pb2.ModelInferResponse.InferOutputTensor(
            name="OUT", datatype="FP32", shape=request.inputs[0].shape
        )
        return service_pb2.ModelInferResponse(
            model_name=request.model_name,
            id=request.id,
            outputs=[output],
            raw_output_contents=[values.tobytes()],
        )

    def ModelStreamInfer(self, requests, context):
        for request in requests:
            if request.model_name == "bad":
                yield service_pb2.ModelStreamInferResponse(error_message="no such model")
                continue
            for _ in range(3):
                answer = self.ModelInfer(request, context)
                yield service_pb2.ModelStreamInferResponse(infer_response=answer)


def _input(module, count=4):
    values = numpy.arange(count, dtype=numpy.float32)
    tensor = module.InferInput("IN", [count], "FP32")
    tensor.set_data_from_numpy(values)
    return [tensor]


def _threads(address):
    client = triton.InferenceServerClient(address)
    say("live", client.is_server_live())
    say("ready", client.is_model_ready("double"), client.is_model_ready("none"))
    say("infer", client.infer("double", _input(triton)).as_numpy("OUT"))
    attempt("error", lambda: client.infer("none", _input(triton)), InferenceServerException)
    big = client.infer("double", _input(triton, 5_000_000)).as_numpy("OUT")
    say("20 MB", big.shape, big[-1])
    for algorithm in ("gzip", "deflate"):
        answer = client.infer("double", _input(triton), compression_algorithm=algorithm)
        say(algorithm, answer.as_numpy("OUT"))
    slow = lambda: client.infer("slow", _input(triton), client_timeout=0.3)  # noqa: E731
    attempt("time", slow, InferenceServerException)
    answers = queue.Queue()

    def keep(result, error):
        answers.put((result, error))

    for _ in range(20):
        client.async_infer("double", _input(triton), keep)
    good = [answers.get(timeout=PATIENCE)[1] is None for _ in range(20)]
    say("async", sum(good))
    call = client.async_infer("slow", _input(triton), keep)
    time.sleep(0.2)
    call.cancel()
    say("cancelled", answers.get(timeout=PATIENCE)[1])
    client.start_stream(keep)
    for _ in range(5):
        client.async_stream_infer("double", _input(triton))
    client.async_stream_infer("bad", _input(triton))
    seen = [answers.get(timeout=PATIENCE) for _ in range(16)]
    say("stream", sum(error is None for _, error in seen), [str(e) for _, e in seen if e])
    client.stop_stream()
    client.start_stream(keep)
    client.async_stream_infer("slow", _input(triton))
    time.sleep(0.2)
    client.stop_stream(cancel_requests=True)
    say("stream is cancelled", answers.get(timeout=PATIENCE)[1])
    client.close()


async def _loop(address):
    client = triton_aio.InferenceServerClient(address)
    say("aio live", await client.is_server_live())
    calls = (client.infer("double", _input(triton_aio)) for _ in range(20))
    answers = await asyncio.gather(*calls)
    say("aio", {tuple(answer.as_numpy("OUT")) for answer in answers})
    try:
        await client.infer("none", _input(triton_aio))
    except InferenceServerException as error:
        say("aio error", error)

    async def requests():
        for _ in range(5):
            yield {"model_name": "double", "inputs": _input(triton_aio)}

    count = 0
    async for _, error in client.stream_infer(requests()):
        count += error is None
    say("aio stream", count)
    await client.close()


def _add(server):
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Server(), server)


_SIZES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
with serving(add=[_add], options=_SIZES) as address:
    _threads(address)
    asyncio.run(_loop(address))
