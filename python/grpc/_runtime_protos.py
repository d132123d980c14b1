"""Modules made from .proto files while the program runs, by `grpc_tools`."""

_MISSING = "Install the grpcio-tools package (1.32.0+) to use the {} function."


def protos(protobuf_path):
    """Imports the module of a .proto file's messages, `foo_pb2` of `foo.proto`, made on the fly.

    The path is relative to an entry of `sys.path`. Raises NotImplementedError without `grpc_tools`,
    ModuleNotFoundError for a file that is not there, and what `grpc_tools` has for one with errors.
    """
    return _tools("protos")._protos(protobuf_path)


def services(protobuf_path):
    """Imports the module of a .proto file's services, `foo_pb2_grpc` of `foo.proto`; the rest as in
    `protos`."""
    return _tools("services")._services(protobuf_path)


def protos_and_services(protobuf_path):
    """A tuple of both modules of a .proto file; see `protos` and `services`."""
    return _tools("protos_and_services")._protos_and_services(protobuf_path)


def _tools(function):
    try:
        from grpc_tools import protoc
    except ModuleNotFoundError as error:
        # One that is there but broken says itself what it lacks.
        if error.name not in ("grpc_tools", "grpc_tools.protoc"):
            raise
        raise NotImplementedError(_MISSING.format(function)) from None
    if not hasattr(protoc, "_" + function):
        raise NotImplementedError(_MISSING.format(function))
    return protoc
