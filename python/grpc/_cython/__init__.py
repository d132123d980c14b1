"""Names that other packages look for where grpcio has its extension module."""


def __getattr__(name):
    if name == "cygrpc":
        import importlib

        return importlib.import_module("grpc._cython.cygrpc")
    raise AttributeError(f"module 'grpc._cython' has no attribute {name!r}")
