"""How many requests and responses a method has."""

import enum


@enum.unique
class Cardinality(enum.Enum):
    """One or a stream, in each direction."""

    UNARY_UNARY = "request-unary/response-unary"
    UNARY_STREAM = "request-unary/response-streaming"
    STREAM_UNARY = "request-streaming/response-unary"
    STREAM_STREAM = "request-streaming/response-streaming"
