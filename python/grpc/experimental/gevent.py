"""gRPC in programs of gevent.

The engine waits without the interpreter's lock, but a greenlet that waits so keeps all others of
its thread from running. `init_gevent` has whatever may wait done by threads of a pool of gevent's,
while the greenlet gives way to others. Callbacks and handlers run in greenlets.
"""

from __future__ import annotations

_initialized = False


def init_gevent() -> None:
    """Has calls wait by gevent's hub. To be called once, after `gevent.monkey.patch_all()` and
    before the first channel or server; more calls do nothing. Raises ImportError without gevent,
    and RuntimeError when channels or servers of this process could not know of it any more."""
    global _initialized
    if _initialized:
        return
    import sys

    for name in ("grpc._channel", "grpc._serving"):
        if name in sys.modules:
            raise RuntimeError(
                f"init_gevent() comes too late: {name} is in use; call it before the first channel "
                "or server is made"
            )
    from grpc import _gevent

    _gevent.install()
    _initialized = True
