"""Functions whose exceptions are logged and returned."""

import abc
import collections
import enum
import functools
import logging

_LOGGER = logging.getLogger(__name__)


class Outcome(abc.ABC):
    """How a call of a function ended.

    Attributes: `kind`, an `Outcome.Kind`, and `return_value` or `exception`, as the kind says.
    """

    @enum.unique
    class Kind(enum.Enum):
        """Whether the function returned or raised."""

        RETURNED = enum.auto()
        RAISED = enum.auto()


class _EasyOutcome(
    collections.namedtuple("_EasyOutcome", ["kind", "return_value", "exception"]), Outcome
):
    """An outcome that is known."""


def call_logging_exceptions(behavior, message, *args, **kwargs):
    """Calls a function and returns the `Outcome`; an exception is logged with a message."""
    try:
        return _EasyOutcome(Outcome.Kind.RETURNED, behavior(*args, **kwargs), None)
    except Exception as error:
        _LOGGER.exception(message)
        return _EasyOutcome(Outcome.Kind.RAISED, None, error)


def with_exceptions_logged(behavior, message):
    """The function which calls `behavior` as `call_logging_exceptions` does."""

    @functools.wraps(behavior)
    def wrapped(*args, **kwargs):
        return call_logging_exceptions(behavior, message, *args, **kwargs)

    return wrapped
