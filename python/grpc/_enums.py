"""The enumerations of the public API. Programs see the shapes of their values, so they are plain
tuples of number and text where grpcio has these."""

import enum


@enum.unique
class StatusCode(enum.Enum):
    """How an RPC ended. The value is a tuple of the number on the wire and a text."""

    OK = (0, "ok")
    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")


@enum.unique
class ChannelConnectivity(enum.Enum):
    """What a channel's connection is doing. The value is a tuple of a number and a text."""

    IDLE = (0, "idle")
    CONNECTING = (1, "connecting")
    READY = (2, "ready")
    TRANSIENT_FAILURE = (3, "transient failure")
    SHUTDOWN = (4, "shutdown")


@enum.unique
class Compression(enum.IntEnum):
    """How messages are compressed."""

    NoCompression = 0
    Deflate = 1
    Gzip = 2


@enum.unique
class LocalConnectionType(enum.Enum):
    """Which connections local credentials take: Unix sockets, or TCP on this machine."""

    UDS = 0
    LOCAL_TCP = 1
