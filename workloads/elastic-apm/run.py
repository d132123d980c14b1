"""Elastic's agent: transactions of handlers, spans of calls, errors; nothing is sent anywhere."""

import json

import grpc
from elasticapm.contrib.grpc import GRPCApmClient
from elasticapm.instrumentation.control import instrument
from elasticapm.transport.base import Transport
from workload import Echo, say, say_cancelled, say_every_kind, serving


class _Kept(Transport):
    """Keeps what would be sent."""

    kept = []

    def queue(self, event_type, data, flush=False):
        self.kept.append((event_type, data))

    def start_thread(self, pid=None):
        pass

    def close(self):
        pass


def main():
    client = GRPCApmClient(
        service_name="workload",
        transport_class=f"{__name__}._Kept",
        central_config=False,
        cloud_provider=False,
        disable_metrics="*",
        span_compression_enabled=False,
    )
    instrument()
    with serving(Echo()) as address:
        client.begin_transaction("workload")
        with grpc.insecure_channel(address) as channel:
            say_every_kind(channel)
            say_cancelled(channel)
        client.end_transaction("caller", "success")
    events = []
    for kind, data in _Kept.kept:
        if kind == "span":
            events.append((kind, data["name"], data["type"], data["subtype"], data["outcome"]))
        elif kind == "transaction" and "Slow" not in data["name"] and "Both" not in data["name"]:
            events.append((kind, data["name"], data["result"], data["outcome"]))
        elif kind == "error":
            events.append((kind, data["exception"]["type"], data["exception"]["message"]))
    for event in sorted(events, key=json.dumps):
        say("event", *event)
    client.close()


main()
