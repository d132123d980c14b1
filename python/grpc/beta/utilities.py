"""Waiting for a channel of the beta API."""

from grpc import _utilities
from grpc.beta._client_adaptations import Outcome


class _ChannelReadyFuture(Outcome):
    """`grpc`'s future of a ready channel, with the exceptions of the beta API."""

    def __del__(self):
        if not self._rendezvous.done():
            self._rendezvous.cancel()


def channel_ready_future(channel):
    """A future which is done when the channel of the beta API is ready."""
    return _ChannelReadyFuture(_utilities.channel_ready_future(channel))
