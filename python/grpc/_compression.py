"""Compression as an option of channels and as metadata of calls."""

from grpc._enums import Compression

NoCompression = 0
Deflate = 1
Gzip = 2

_METADATA_STRING_MAPPING = {
    Compression.NoCompression: "identity",
    Compression.Deflate: "deflate",
    Compression.Gzip: "gzip",
}


def _compression_algorithm_to_metadata_value(compression):
    return _METADATA_STRING_MAPPING[compression]


def compression_algorithm_to_metadata(compression):
    """The pair which asks the engine for a compression of one call."""
    return ("grpc-internal-encoding-request", _compression_algorithm_to_metadata_value(compression))


def create_channel_option(compression):
    """A tuple of the channel option for a compression; an empty one for none."""
    return (("grpc.default_compression_algorithm", int(compression)),) if compression else ()


def augment_metadata(metadata, compression):
    """The metadata with the pair for a compression behind it; None when there is neither."""
    if not metadata and not compression:
        return None
    base = tuple(metadata) if metadata else ()
    added = (compression_algorithm_to_metadata(compression),) if compression else ()
    return base + added
