"""What the tests of asyncio clients share."""

import asyncio
import socket

import grpc.aio

#: The seconds after which a test has failed rather than waits on.
LIMIT = 30


class Methods:
    """The test's service through one channel, with bytes for messages."""

    def __init__(self, channel, serializer=None, deserializer=None):
        self.channel = channel
        both = (serializer, deserializer)
        self.echo = channel.unary_unary("/test.Client/Echo", *both)
        self.stream = channel.unary_stream("/test.Client/Stream", *both)
        self.collect = channel.stream_unary("/test.Client/Collect", *both)
        self.chat = channel.stream_stream("/test.Client/Chat", *both)


def run(main, target=None, *, serializer=None, deserializer=None, **arguments):
    """Runs a coroutine function to its end, in a loop of its own; with a target it gets the
    service's methods."""

    async def within():
        if target is None:
            return await main()
        async with grpc.aio.insecure_channel(target, **arguments) as channel:
            return await main(Methods(channel, serializer, deserializer))

    return asyncio.run(asyncio.wait_for(within(), LIMIT))


def nowhere():
    """A target at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
