"""Subscriptions in the child of a fork, where GRPC_ENABLE_FORK_SUPPORT asks for that.

Calls need nothing of the kind: a channel begins anew in the child when it is used there.
"""

import os
import threading
import weakref

# First, so that its part in the child is done before this one begins.
from grpc import _completions  # noqa: F401

#: Guards the subscriptions of all channels: locks of their own could be held at a fork, for ever.
#: Whoever has it may take it again, since garbage may be collected under it.
lock = threading.RLock()

_subscribed = weakref.WeakSet()
_is_supported = None


def subscribed(channel):
    """This channel has a subscriber."""
    global _is_supported
    if _is_supported is None:
        from grpc._cython import cygrpc

        _is_supported = cygrpc.is_fork_support_enabled
    _subscribed.add(channel)


def _forked():
    global lock
    lock = threading.RLock()
    if _subscribed and _is_supported():
        for channel in list(_subscribed):
            channel._resubscribe()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
