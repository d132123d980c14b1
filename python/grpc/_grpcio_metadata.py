"""The version of grpcio's API which this package has. Generated files compare it with the version
of their generator; ferrpc's own version is `ferrpc.__version__`."""

__version__ = "1.85.1"
