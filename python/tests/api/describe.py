"""Describes the surface of grpcio: which names there are, what they take, what they inherit.

`python describe.py > testdata/python/grpcio_api.json` in an environment with real grpcio renews the
facts that ferrpc is compared with. A line for each:

    "grpc.Channel": "class(abc.ABC)"
    "grpc.Channel.subscribe": "(self, callback, try_to_connect=False)"
"""

import enum
import importlib
import inspect
import json
import sys

#: What of a module is described; None: its `__all__`.
MODULES = {
    "grpc": None,
    "grpc.experimental": None,
    "grpc.experimental.session_cache": ["SSLSessionCache", "ssl_session_cache_lru"],
    "grpc.experimental.gevent": ["init_gevent"],
    "grpc._auth": ["AccessTokenAuthMetadataPlugin", "GoogleCallCredentials"],
    "grpc._common": [
        "decode",
        "deserialize",
        "encode",
        "fully_qualified_method",
        "serialize",
        "validate_port_binding_result",
        "wait",
    ],
    "grpc._compression": [
        "augment_metadata",
        "compression_algorithm_to_metadata",
        "create_channel_option",
    ],
    "grpc._interceptor": [
        "_Channel",
        "_ClientCallDetails",
        "_FailureOutcome",
        "_UnaryOutcome",
        "intercept_channel",
        "service_pipeline",
    ],
    "grpc._plugin_wrapping": ["metadata_plugin_call_credentials"],
    "grpc._utilities": [
        "DictionaryGenericHandler",
        "RpcMethodHandler",
        "channel_ready_future",
        "first_version_is_lower",
    ],
    "grpc.framework.common.cardinality": ["Cardinality"],
    "grpc.framework.common.style": ["Service"],
    "grpc.framework.foundation.abandonment": ["Abandoned"],
    "grpc.framework.foundation.callable_util": [
        "Outcome",
        "call_logging_exceptions",
        "with_exceptions_logged",
    ],
    "grpc.framework.foundation.future": ["CancelledError", "Future", "TimeoutError"],
    "grpc.framework.foundation.logging_pool": ["pool"],
    "grpc.framework.foundation.stream": ["Consumer"],
    "grpc.framework.foundation.stream_util": [
        "IterableConsumer",
        "ThreadSwitchingConsumer",
        "TransformingConsumer",
    ],
    "grpc.framework.interfaces.base.base": [
        "Completion",
        "End",
        "NoSuchMethodError",
        "OperationContext",
        "Operator",
        "Outcome",
        "ProtocolReceiver",
        "Servicer",
        "Subscription",
    ],
    "grpc.framework.interfaces.base.utilities": ["completion", "full_subscription"],
    "grpc.framework.interfaces.face.face": [
        "Abortion",
        "AbortionError",
        "Call",
        "CancellationError",
        "DynamicStub",
        "ExpirationError",
        "GenericStub",
        "LocalError",
        "LocalShutdownError",
        "MethodImplementation",
        "MultiMethodImplementation",
        "NetworkError",
        "NoSuchMethodError",
        "RemoteError",
        "RemoteShutdownError",
        "ResponseReceiver",
        "RpcContext",
        "ServicerContext",
        "StreamStreamMultiCallable",
        "StreamUnaryMultiCallable",
        "UnaryStreamMultiCallable",
        "UnaryUnaryMultiCallable",
    ],
    "grpc.framework.interfaces.face.utilities": [
        "stream_stream_event",
        "stream_stream_inline",
        "stream_unary_event",
        "stream_unary_inline",
        "unary_stream_event",
        "unary_stream_inline",
        "unary_unary_event",
        "unary_unary_inline",
    ],
    "grpc.beta.implementations": [
        "CallCredentials",
        "Channel",
        "ChannelCredentials",
        "ServerCredentials",
        "ServerOptions",
        "StubOptions",
        "access_token_call_credentials",
        "composite_call_credentials",
        "composite_channel_credentials",
        "dynamic_stub",
        "generic_stub",
        "google_call_credentials",
        "insecure_channel",
        "metadata_call_credentials",
        "secure_channel",
        "server",
        "server_options",
        "ssl_channel_credentials",
        "ssl_server_credentials",
        "stub_options",
    ],
    "grpc.beta.interfaces": [
        "ChannelConnectivity",
        "GRPCAuthMetadataContext",
        "GRPCAuthMetadataPlugin",
        "GRPCAuthMetadataPluginCallback",
        "GRPCCallOptions",
        "GRPCInvocationContext",
        "GRPCServicerContext",
        "Server",
        "StatusCode",
        "grpc_call_options",
    ],
    "grpc.beta.utilities": ["channel_ready_future"],
}


def describe():
    """A dict of full names to descriptions."""
    facts = {}
    for module_name, names in MODULES.items():
        module = importlib.import_module(module_name)
        for name in sorted(module.__all__ if names is None else names):
            _describe(facts, f"{module_name}.{name}", getattr(module, name))
    return facts


def _describe(facts, name, value):
    if not inspect.isclass(value):
        facts[name] = _signature(value) if callable(value) else type(value).__name__
        return
    if issubclass(value, enum.Enum):
        members = sorted(f"{member.name}={member.value!r}" for member in value)
        facts[name] = f"enum({', '.join(members)})"
        return
    # What inherits what is kept, and not the steps between.
    bases = [_full_name(base) for base in value.__mro__[1:-1]]
    bases = [base for base in bases if not any(part.startswith("_") for part in base.split("."))]
    abstract = sorted(getattr(value, "__abstractmethods__", ()))
    facts[name] = f"class({', '.join(sorted(bases))})"
    if abstract:
        facts[name] += " abstract " + " ".join(abstract)
    for attribute, member in sorted(vars(value).items()):
        if attribute in ("__call__", "__init__", "__enter__", "__exit__", "__iter__", "__next__"):
            public = inspect.isfunction(member)
        else:
            public = not attribute.startswith("_")
        if public and inspect.isfunction(member):
            facts[f"{name}.{attribute}"] = _signature(member)
        elif public and not inspect.isclass(member):
            kind = type(member).__name__
            facts[f"{name}.{attribute}"] = "field" if "tuplegetter" in kind else kind


def _full_name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def _signature(function):
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        # A type is a matter of the stubs.
        parameters.append(parameter.replace(annotation=inspect.Parameter.empty))
    return str(inspect.Signature(parameters))


if __name__ == "__main__":
    json.dump(describe(), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
