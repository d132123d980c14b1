"""Subscriptions in the child of a fork, where GRPC_ENABLE_FORK_SUPPORT asks for that.

Calls need nothing of the kind: a channel begins anew in the child when it is used there.
"""

import os
import weakref

# First, so that its part in the child is done before this one begins.
from grpc import _completions  # noqa: F401

_subscribed = weakref.WeakSet()
_is_supported = None


def subscribed(channel):
    """This channel has a subscriber."""
    global _is_supported
    if _is_supported is None:
        from grpc._cython import cygrpc

        _is_supported = cygrpc.is_fork_support_enabled
    _subscribed.add(channel)


def _resubscribe():
    if _subscribed and _is_supported():
        for channel in list(_subscribed):
            channel._resubscribe()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_resubscribe)
