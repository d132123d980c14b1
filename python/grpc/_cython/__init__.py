"""Names that other packages look for where grpcio has its extension module."""
