"""What is ferrpc's own: its version, `ferrpc.credentials`, and `python -m ferrpc`. The rest of the
distribution has the names of grpcio's: `grpc` and `grpc_tools`."""

__all__ = ("__version__",)


def __getattr__(name):
    # Found when asked for: the metadata of distributions is slow to read.
    if name == "__version__":
        import importlib.metadata

        return importlib.metadata.version("ferrpc")
    if name == "credentials":
        import importlib

        return importlib.import_module("ferrpc.credentials")
    raise AttributeError(f"module 'ferrpc' has no attribute {name!r}")
