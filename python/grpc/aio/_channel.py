"""Channels and their multicallables."""

import asyncio
import time
from collections.abc import Sequence
from typing import Optional

import grpc
from grpc import _asking, _authorization, _channel_options, _common, _credentials, _ferrpc
from grpc._cython.cygrpc import UsageError
from grpc._enums import ChannelConnectivity, StatusCode
from grpc._grpcio_metadata import __version__
from grpc.aio import _base_channel
from grpc.aio._call import (
    StreamStreamCall,
    StreamUnaryCall,
    UnaryStreamCall,
    UnaryUnaryCall,
)
from grpc.aio._drivers import Drivers
from grpc.aio._errors import AioRpcError
from grpc.aio._interceptor import (
    ClientInterceptor,
    InterceptedStreamStreamCall,
    InterceptedStreamUnaryCall,
    InterceptedUnaryStreamCall,
    InterceptedUnaryUnaryCall,
    StreamStreamClientInterceptor,
    StreamUnaryClientInterceptor,
    UnaryStreamClientInterceptor,
    UnaryUnaryClientInterceptor,
)
from grpc.aio._metadata import Metadata
from grpc.aio._typing import ChannelArgumentType

_USER_AGENT = f"grpc-python-asyncio/{__version__}"


class _BaseMultiCallable:
    """What the four kinds share: the method, its (de)serialisers, and how a call begins."""

    _streams = (False, False)
    _call = None
    _intercepted = None

    def __init__(self, channel, method, request_serializer, response_deserializer, interceptors):
        # Tools ask it for `target`.
        self._channel = channel._channel
        self._python_channel = channel
        self._method = _common.encode(method)
        self._request_serializer = request_serializer
        self._response_deserializer = response_deserializer
        # The channel's own list: what is added to it later counts.
        self._interceptors = interceptors
        self._engine_method = _ferrpc.ClientMethod(_common.decode(method), *self._streams)

    @property
    def _loop(self):
        return self._python_channel._loop

    @property
    def _registered_call_handle(self):
        # In grpcio a number of a method that is registered with its core.
        return None

    def _begin(self, request, timeout, metadata, credentials, wait_for_ready, compression):
        """A call; through the interceptors, if there are any."""
        channel = self._python_channel
        interceptors = getattr(channel, self._interceptors)
        if not interceptors:
            self._check_open()
            if credentials is None and not channel._call_credentials:
                return self._start(request, timeout, metadata, wait_for_ready, compression, self)
            said = _asking.known(self._parts(credentials))
            if said is not None:
                metadata = _authorization.joined(metadata, said)
                return self._start(request, timeout, metadata, wait_for_ready, compression, self)
        # Also a call whose credentials have to be asked: a task does that first.
        return self._intercepted(
            self,
            interceptors,
            request,
            timeout,
            metadata,
            credentials,
            wait_for_ready,
            compression,
        )

    def _check_open(self):
        if self._python_channel._closed:
            raise UsageError("Channel is closed.")

    def _start(self, request, timeout, metadata, wait_for_ready, compression, maker):
        call = self._call(
            self._python_channel,
            request,
            self._streams,
            timeout,
            metadata,
            wait_for_ready,
            None if compression is None else int(compression),
            maker,
        )
        if self._streams[0]:
            call._send_all(request)
        return call

    def _parts(self, credentials):
        """The call credentials of a call, the channel's and its own."""
        channel = self._python_channel
        if not channel._is_secure:
            # What they say would go over the wire for all to read.
            raise UsageError("Call credentials are only valid on secure channels")
        if credentials is None:
            return channel._call_credentials
        return (*channel._call_credentials, *_credentials.for_call(credentials._credentials))

    async def _said(self, parts, method, timeout):
        """What the credentials say; raises AioRpcError if there is no telling."""
        loop = asyncio.get_running_loop()
        answered = loop.create_future()

        def answer(*answer):
            if not answered.done():
                answered.set_result(answer)

        def done(*answered_with):
            try:
                loop.call_soon_threadsafe(answer, *answered_with)
            except RuntimeError:
                # The loop is closed, and the call with it.
                pass

        authority = self._channel.authority
        _asking.ask(parts, *_authorization.context(authority, method), done)
        try:
            said, text = await asyncio.wait_for(answered, timeout)
        except asyncio.TimeoutError:
            raise AioRpcError(
                StatusCode.DEADLINE_EXCEEDED, Metadata(), Metadata(), "Deadline Exceeded", ""
            ) from None
        if text is not None:
            raise AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), text, text)
        return said

    async def _start_with(self, details, request, compression):
        """What interceptors made of a call."""
        self._check_open()
        maker = self
        method = _common.encode(details.method)
        if method != self._method:
            maker = type(self)(
                self._python_channel,
                method,
                self._request_serializer,
                self._response_deserializer,
                self._interceptors,
            )
        timeout, metadata = details.timeout, details.metadata
        if details.credentials is not None or self._python_channel._call_credentials:
            parts = self._parts(details.credentials)
            said = _asking.known(parts)
            if said is None:
                began = time.monotonic()
                said = await self._said(parts, method, timeout)
                if timeout is not None:
                    timeout = max(timeout - (time.monotonic() - began), 0)
            metadata = _authorization.joined(metadata, said)
        return self._start(request, timeout, metadata, details.wait_for_ready, compression, maker)


class UnaryUnaryMultiCallable(_BaseMultiCallable, _base_channel.UnaryUnaryMultiCallable):
    _call = UnaryUnaryCall
    _intercepted = InterceptedUnaryUnaryCall

    def __call__(
        self,
        request,
        *,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        return self._begin(request, timeout, metadata, credentials, wait_for_ready, compression)


class UnaryStreamMultiCallable(_BaseMultiCallable, _base_channel.UnaryStreamMultiCallable):
    _streams = (False, True)
    _call = UnaryStreamCall
    _intercepted = InterceptedUnaryStreamCall

    def __call__(
        self,
        request,
        *,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        return self._begin(request, timeout, metadata, credentials, wait_for_ready, compression)


class StreamUnaryMultiCallable(_BaseMultiCallable, _base_channel.StreamUnaryMultiCallable):
    _streams = (True, False)
    _call = StreamUnaryCall
    _intercepted = InterceptedStreamUnaryCall

    def __call__(
        self,
        request_iterator=None,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        return self._begin(
            request_iterator, timeout, metadata, credentials, wait_for_ready, compression
        )


class StreamStreamMultiCallable(_BaseMultiCallable, _base_channel.StreamStreamMultiCallable):
    _streams = (True, True)
    _call = StreamStreamCall
    _intercepted = InterceptedStreamStreamCall

    def __call__(
        self,
        request_iterator=None,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        return self._begin(
            request_iterator, timeout, metadata, credentials, wait_for_ready, compression
        )


class Channel(_base_channel.Channel):
    """A channel to a target. It connects when a call or somebody who asks for its state wants that.
    Each event loop that uses it has a connection of its own."""

    def __init__(self, target, options, credentials, compression, interceptors):
        self._unary_unary_interceptors = []
        self._unary_stream_interceptors = []
        self._stream_unary_interceptors = []
        self._stream_stream_interceptors = []
        for interceptor in interceptors or ():
            self._add(interceptor)
        read = _channel_options.Options(options or (), compression)
        read.secure(credentials)
        self._call_credentials = () if credentials is None else credentials.call_credentials
        self._is_secure = credentials is not None and credentials.is_secure
        self._target = _common.decode(_common.encode(target))
        user_agent = read.user_agent.replace("grpc-python/", "grpc-python-asyncio/", 1)
        self._drivers = Drivers((self._target, user_agent, read.engine))
        # Tools ask it for `target`.
        self._channel = self._drivers.first
        #: In the running loop.
        self._driven = self._drivers.of_this_loop
        self._closed = False

    def _add(self, interceptor):
        for kind, known in (
            (UnaryUnaryClientInterceptor, self._unary_unary_interceptors),
            (UnaryStreamClientInterceptor, self._unary_stream_interceptors),
            (StreamUnaryClientInterceptor, self._stream_unary_interceptors),
            (StreamStreamClientInterceptor, self._stream_stream_interceptors),
        ):
            if isinstance(interceptor, kind):
                known.append(interceptor)
                return
        raise ValueError(
            f"Interceptor {interceptor} must be UnaryUnaryClientInterceptor or "
            "UnaryStreamClientInterceptor or StreamUnaryClientInterceptor or "
            "StreamStreamClientInterceptor."
        )

    @property
    def _loop(self):
        return self._drivers.loop

    async def __aenter__(self):
        return self

    async def __aexit__(self, exc_type, exc_val, exc_tb):
        await self._close(None)

    async def close(self, grace=None):
        await self._close(grace)

    async def _close(self, grace):
        if grace is not None and grace < 0:
            raise ValueError("Grace period should be positive.")
        if self._closed:
            return
        self._closed = True
        try:
            if grace:
                await self._leave_time(grace)
        finally:
            self._drivers.close()

    async def _leave_time(self, grace):
        driver = self._drivers.known()
        calls = () if driver is None else driver.living()
        ends = [asyncio.ensure_future(call._until_done()) for call in calls]
        if ends:
            _, late = await asyncio.wait(ends, timeout=grace)
            for end in late:
                end.cancel()

    def __del__(self):
        drivers = getattr(self, "_drivers", None)
        if drivers is not None and not self._closed:
            drivers.forget()

    # -- states ------------------------------------------------------------------------------------

    def get_state(self, try_to_connect=False):
        if self._closed:
            return ChannelConnectivity.SHUTDOWN
        engine = self._driven().engine
        # That before it begins to connect.
        number = engine.state(False)
        if try_to_connect:
            engine.state(True)
        return _common.CONNECTIVITY_BY_NUMBER[number]

    async def wait_for_state_change(self, last_observed_state):
        if self._closed:
            raise UsageError("Channel is closed.")
        driver = self._driven()
        changed = driver.loop.create_future()

        def look(number):
            state = _common.CONNECTIVITY_BY_NUMBER[number]
            if state is not last_observed_state and not changed.done():
                changed.set_result(None)

        tag = driver.events.register(look)
        watcher = driver.engine.watch(tag, False)
        driver.watching.add(changed)
        try:
            await changed
        finally:
            driver.watching.discard(changed)
            driver.events.forget(tag)
            driver.engine.unwatch(watcher)

    async def channel_ready(self):
        state = self.get_state(try_to_connect=True)
        while state is not ChannelConnectivity.READY:
            await self.wait_for_state_change(state)
            state = self.get_state(try_to_connect=True)

    # -- calls -------------------------------------------------------------------------------------

    def unary_unary(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        return UnaryUnaryMultiCallable(
            self, method, request_serializer, response_deserializer, "_unary_unary_interceptors"
        )

    def unary_stream(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        return UnaryStreamMultiCallable(
            self, method, request_serializer, response_deserializer, "_unary_stream_interceptors"
        )

    def stream_unary(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        return StreamUnaryMultiCallable(
            self, method, request_serializer, response_deserializer, "_stream_unary_interceptors"
        )

    def stream_stream(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        return StreamStreamMultiCallable(
            self, method, request_serializer, response_deserializer, "_stream_stream_interceptors"
        )


def insecure_channel(
    target: str,
    options: Optional[ChannelArgumentType] = None,
    compression: Optional[grpc.Compression] = None,
    interceptors: Optional[Sequence[ClientInterceptor]] = None,
) -> _base_channel.Channel:
    """A channel without security to `target`. `options` are pairs of a name and a value;
    `compression` is a `grpc.Compression`, for requests; `interceptors` are client interceptors,
    each of one kind. Raises ValueError for one of no kind."""
    return Channel(target, options, None, compression, interceptors)


def secure_channel(
    target: str,
    credentials: grpc.ChannelCredentials,
    options: Optional[ChannelArgumentType] = None,
    compression: Optional[grpc.Compression] = None,
    interceptors: Optional[Sequence[ClientInterceptor]] = None,
) -> _base_channel.Channel:
    """A channel to `target` with what `credentials` (`grpc.ChannelCredentials`) say of security;
    the rest as in `insecure_channel`."""
    secrets = _credentials.for_channel(credentials._credentials)
    return Channel(target, options, secrets, compression, interceptors)
