"""Spans, metrics and logs to a collector: ours, which is away for a while."""

import concurrent.futures
import logging

import grpc
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import (
    GrpcAioInstrumentorClient,
    GrpcInstrumentorClient,
    GrpcInstrumentorServer,
)
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from workload import Echo, say, say_every_kind, serving, until


class _Collector:
    """Answers UNAVAILABLE as often as `failures` says."""

    def __init__(self):
        self.spans, self.metrics, self.logs, self.failures = [], set(), [], 0

    def Export(self, request, context):
        if self.failures:
            self.failures -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        if isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += [span.name for span in scope.spans]
            return trace_service_pb2.ExportTraceServiceResponse()
        if isinstance(request, metrics_service_pb2.ExportMetricsServiceRequest):
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    self.metrics |= {metric.name for metric in scope.metrics}
            return metrics_service_pb2.ExportMetricsServiceResponse()
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                self.logs += [record.body.string_value for record in scope.log_records]
        return logs_service_pb2.ExportLogsServiceResponse()

    def start(self, port=0):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(self, server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(self, server)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        return server, port


def exports():
    collector = _Collector()
    server, port = collector.start()
    endpoint = f"http://127.0.0.1:{port}"
    traces = TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, insecure=True)))
    tracer = traces.get_tracer("workload")
    for number in range(1500):
        with tracer.start_as_current_span(f"span {number}"):
            pass
        if number % 500 == 499:
            traces.force_flush()
    say("spans", len(collector.spans), len(set(collector.spans)))

    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint, insecure=True), 1e9)
    metrics = MeterProvider([reader])
    metrics.get_meter("workload").create_counter("counted").add(3)
    metrics.force_flush()
    say("metrics", sorted(collector.metrics))

    logs = LoggerProvider()
    processor: LogRecordProcessor = BatchLogRecordProcessor(
        OTLPLogExporter(endpoint, insecure=True)
    )
    logs.add_log_record_processor(processor)
    logger = logs.get_logger("workload")
    for number in range(100):
        logger.emit(severity_number=SeverityNumber.INFO, body=f"log {number}")
    logs.force_flush()
    say("logs", len(collector.logs))

    collector.failures = 1
    with tracer.start_as_current_span("retried"):
        pass
    traces.force_flush()
    say("retried", "retried" in collector.spans)

    server.stop(None).wait()
    server, _ = collector.start(port)
    with tracer.start_as_current_span("after a restart"):
        pass
    traces.force_flush()
    say("after a restart", until(lambda: "after a restart" in collector.spans))
    for provider in (traces, metrics, logs):
        provider.shutdown()
    server.stop(1).wait()


def instrumented():
    spans = InMemorySpanExporter()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(spans))
    # The client's part asks for no other.
    trace.set_tracer_provider(traces)
    instruments = [GrpcInstrumentorClient(), GrpcInstrumentorServer(), GrpcAioInstrumentorClient()]
    for instrument in instruments:
        instrument.instrument(tracer_provider=traces)
    with serving(Echo()) as address, grpc.insecure_channel(address) as channel:
        say_every_kind(channel)
    for instrument in instruments:
        instrument.uninstrument()
    described = [
        (span.kind.name, span.name, str(span.attributes.get("rpc.grpc.status_code")))
        for span in spans.get_finished_spans()
        # Whether the handler of a call whose time is up begins is a race.
        if not (span.kind.name == "SERVER" and "Slow" in span.name)
    ]
    for one in sorted(described):
        say("span", *one)


logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
exports()
instrumented()
