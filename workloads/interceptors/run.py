"""Interceptors of two packages on both sides, with every kind of call, and what they counted."""

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from grpc_interceptor import ClientInterceptor, ExceptionToStatusInterceptor, ServerInterceptor
from grpc_interceptor.exceptions import NotFound
from prometheus_client import CollectorRegistry
from py_grpc_prometheus.prometheus_client_interceptor import PromClientInterceptor
from py_grpc_prometheus.prometheus_server_interceptor import PromServerInterceptor
from workload import Echo, attempt, say, say_cancelled, say_every_kind, serving, until


class _Server(ServerInterceptor):
    def __init__(self):
        self.seen = []

    def intercept(self, method, request_or_iterator, context, method_name):
        self.seen.append(method_name)
        return method(request_or_iterator, context)


class _Client(ClientInterceptor):
    def __init__(self):
        self.seen = []

    def intercept(self, method, request_or_iterator, call_details):
        self.seen.append(call_details.method)
        return method(request_or_iterator, call_details)


_STRING = (StringValue.FromString, StringValue.SerializeToString)


class _Missing(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method != "/m.M/Get":
            return None

        def get(request, context):
            raise NotFound("nothing there")

        return grpc.unary_unary_rpc_method_handler(get, *_STRING)


def _samples(registry):
    return sorted(
        (sample.name, tuple(sorted(sample.labels.items())), int(sample.value))
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def main():
    server, client = _Server(), _Client()
    of_server, of_client = CollectorRegistry(), CollectorRegistry()
    interceptors = (
        PromServerInterceptor(enable_handling_time_histogram=True, registry=of_server),
        server,
    )
    echo = Echo()
    with serving(echo, interceptors=interceptors) as address:
        with grpc.insecure_channel(address) as channel:
            counted = PromClientInterceptor(
                enable_client_handling_time_histogram=True, registry=of_client
            )
            intercepted = grpc.intercept_channel(channel, counted, client)
            say_every_kind(intercepted)
            say_cancelled(grpc.intercept_channel(channel, client))
    with serving(_Missing(), interceptors=[ExceptionToStatusInterceptor()]) as address:
        with grpc.insecure_channel(address) as channel:
            get = channel.unary_unary("/m.M/Get", *reversed(_STRING))
            attempt("not found", lambda: get(StringValue()))
    say("client saw", client.seen)
    unary = [name for name in server.seen if not name.endswith(("Slow", "Both"))]
    say("server saw", sorted(unary))
    for name, labels, value in _samples(of_server):
        if "Slow" not in str(labels) and "Both" not in str(labels):
            say("server counted", name, dict(labels), value)
    for name, labels, value in _samples(of_client):
        if "Slow" not in str(labels) and "Both" not in str(labels):
            say("client counted", name, dict(labels), value)
    say("slow handlers ended", until(lambda: echo.ended.acquire(blocking=False)))


main()
