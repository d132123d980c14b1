"""In which style a method is implemented."""

import enum


@enum.unique
class Service(enum.Enum):
    """By values returned and iterated over, or by events."""

    INLINE = "inline"
    EVENT = "event"
