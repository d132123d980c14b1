"""Metadata of the beta API, whose keys are bytes."""

from grpc import _common
from grpc._metadatum import _Metadatum


def beta(metadata):
    """Metadata as beta programs see it."""
    return tuple(
        _Metadatum(_common.encode(key), _common.encode(value)) for key, value in metadata or ()
    )


def unbeta(metadata):
    """Metadata as `grpc` takes it: keys are text, and so are values but those of binary keys."""
    pairs = []
    for key, value in metadata or ():
        key = _common.decode(key)
        pairs.append(_Metadatum(key, value if key.endswith("-bin") else _common.decode(value)))
    return tuple(pairs)
