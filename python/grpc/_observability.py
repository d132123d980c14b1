"""The seam of grpcio's own observability packages. Nothing here asks such a plugin; what can be had
instead is OpenTelemetry's instrumentation (`opentelemetry-instrumentation-grpc`), or
interceptors."""

import abc


class ObservabilityPlugin(abc.ABC):
    """What grpcio asks about calls; a subclass can be made, and is not asked."""

    _tracing_enabled = False
    _stats_enabled = False

    def set_tracing(self, enable):
        self._tracing_enabled = enable

    def set_stats(self, enable):
        self._stats_enabled = enable

    @property
    def tracing_enabled(self):
        return self._tracing_enabled

    @property
    def stats_enabled(self):
        return self._stats_enabled

    @property
    def observability_enabled(self):
        return self.tracing_enabled or self.stats_enabled


def get_plugin():
    """None: there is no plugin."""


def set_plugin(observability_plugin):
    """Raises RuntimeError for a plugin; None is what is set already."""
    if observability_plugin is not None:
        observability_init(observability_plugin)


def observability_init(observability_plugin):
    """Raises RuntimeError: a plugin would never be asked."""
    raise RuntimeError(
        f"ferrpc asks no observability plugin, and so not {observability_plugin!r}: use "
        "opentelemetry-instrumentation-grpc, or interceptors"
    )


def observability_deinit():
    """Nothing: there is no plugin."""
