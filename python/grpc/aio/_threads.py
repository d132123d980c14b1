"""Handlers of `grpc.aio` that are plain functions: each runs on a thread, from end to end.

It waits for requests, and for room for responses, by itself; the loop is not asked.
"""

import grpc
from grpc import _ferrpc


class _SyncServicerContext:
    """What such a handler knows and may do: less than a coroutine, and without `await`."""

    __slots__ = (
        "_context",
        "auth_context",
        "disable_next_message_compression",
        "invocation_metadata",
        "peer",
        "peer_identities",
        "peer_identity_key",
        "send_initial_metadata",
        "set_code",
        "set_compression",
        "set_details",
        "set_trailing_metadata",
        "time_remaining",
    )

    def __init__(self, context):
        self._context = context
        for name in _SHARED:
            setattr(self, name, getattr(context, name))
        self.send_initial_metadata = context._send_initial_metadata

    def abort(self, code, details="", trailing_metadata=()):
        """Ends the call now, and the handler with AbortError."""
        self._context._abort(code, details, trailing_metadata)

    def add_callback(self, callback):
        """`callback()` is called, in the loop, when the handler has ended."""
        self._context.add_done_callback(lambda context: callback())


_SHARED = (
    "auth_context",
    "disable_next_message_compression",
    "invocation_metadata",
    "peer",
    "peer_identities",
    "peer_identity_key",
    "set_code",
    "set_compression",
    "set_details",
    "set_trailing_metadata",
    "time_remaining",
)


def run(context, plan, request):
    """Calls a plain function and ends its call, unless it raises."""
    context._in_thread = True
    if plan.request_streaming:
        request = _requests(context)
    result = plan.behavior(request, _SyncServicerContext(context))
    if plan.response_streaming:
        _send_all(context, result)
        context._complete()
    else:
        context._reply(result)


def _requests(context):
    while True:
        try:
            message = context._call.receive()
        except _ferrpc.CallOver:
            raise grpc.RpcError("the call is over") from None
        if message is None:
            return
        yield context._deserialized(message)


def _send_all(context, responses):
    try:
        for response in responses:
            message = context._serialized(response)
            if not context._call.send(message, context._begin_to_send()):
                return
    finally:
        close = getattr(responses, "close", None)
        if close is not None:
            close()
