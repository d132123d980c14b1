"""Makes what `grpc.framework.interfaces.base` describes."""

import collections

from grpc.framework.interfaces.base import base


class _Completion(
    base.Completion,
    collections.namedtuple("_Completion", ("terminal_metadata", "code", "message")),
):
    """A completion that is a tuple."""


class _Subscription(
    base.Subscription,
    collections.namedtuple(
        "_Subscription",
        ("kind", "termination_callback", "allowance", "operator", "protocol_receiver"),
    ),
):
    """A subscription that is a tuple."""


_NONE_SUBSCRIPTION = _Subscription(base.Subscription.Kind.NONE, None, None, None, None)


def completion(terminal_metadata, code, message):
    """A `base.Completion`."""
    return _Completion(terminal_metadata, code, message)


def full_subscription(operator, protocol_receiver):
    """A `base.Subscription` to everything."""
    return _Subscription(base.Subscription.Kind.FULL, None, None, operator, protocol_receiver)
