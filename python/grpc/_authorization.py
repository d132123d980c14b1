"""Call credentials of a synchronous call: those of its channel and its own, asked before it begins.

A blocking call waits for them in its own thread. Others return at once, as they would without:
they are a `grpc._deferred.DeferredCall` until the answers are there. Nothing is asked, and no
thread started, where all that is to be said is known: access tokens.
"""

import time

from grpc import _asking, _common, _credentials, _ferrpc
from grpc._ended import End
from grpc._enums import StatusCode

_UNAUTHENTICATED = StatusCode.UNAUTHENTICATED.value[0]
_UNAVAILABLE = StatusCode.UNAVAILABLE.value[0]

_INSECURE = (
    "Established channel does not have a sufficient security level to transfer call credential."
)


def context(authority, method):
    """The service's URL and the method's name, as plugins are told them."""
    service, _, name = _common.decode(method).rpartition("/")
    return f"https://{authority.removesuffix(':443')}{service}", name


def wait(multi_callable, credentials, metadata, timeout):
    """The metadata of a blocking call and what is left of its time; or how it ended before it
    began."""
    channel = multi_callable._python_channel
    own = None if credentials is None else credentials._credentials
    if not channel._is_secure:
        return End(_UNAUTHENTICATED, _INSECURE)
    parts = _parts(channel, own)
    said = _asking.known(parts)
    if said is None:
        began = time.monotonic()
        answer = _asking.wait(parts, *_context(multi_callable), timeout)
        if timeout is not None:
            timeout -= time.monotonic() - began
        if answer is None or (timeout is not None and timeout <= 0):
            from grpc._deferred import LATE

            return End(*LATE)
        said, text = answer
        if text is not None:
            return End(_UNAVAILABLE, text)
    return joined(metadata, said), timeout


def start(multi_callable, credentials, request, timeout, metadata, arguments):
    """A call that does not wait: the engine's, one that is to begin, or an end. `arguments` are the
    rest of what the engine's `start` takes."""
    channel = multi_callable._python_channel
    own = None if credentials is None else credentials._credentials
    if not channel._is_secure:
        return End(_UNAUTHENTICATED, _INSECURE)
    parts = _parts(channel, own)
    engine, method = multi_callable._channel, multi_callable._engine_method
    known = _asking.known(parts)
    if known is not None:
        return engine.start(method, request, timeout, joined(metadata, known), *arguments)
    from grpc._deferred import DeferredCall

    # Read now: it may be an iterator, and what is wrong with it is the caller's to know.
    if metadata is not None:
        metadata = tuple(metadata)
        _ferrpc.is_legal_metadata(metadata)
    until = None if timeout is None else time.monotonic() + timeout

    def begin(said):
        left = None if until is None else until - time.monotonic()
        return engine.start(method, request, left, joined(metadata, said), *arguments)

    call = DeferredCall(begin, timeout)
    call.ask(parts, *_context(multi_callable))
    return call


def _parts(channel, own):
    if own is None:
        return channel._call_credentials
    return (*channel._call_credentials, *_credentials.for_call(own))


def _context(multi_callable):
    return context(multi_callable._channel.authority, multi_callable._method)


def joined(metadata, said):
    """The metadata of a call and what its credentials said."""
    return said if metadata is None else (*metadata, *said)
