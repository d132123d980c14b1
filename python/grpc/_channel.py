"""Channels and their multicallables, over the engine in `grpc._ferrpc`."""

import contextvars
import logging
import os
import time

import grpc
from grpc import (
    _authorization,
    _channel_options,
    _common,
    _completions,
    _ferrpc,
    _forks,
    _sending,
)
from grpc._call_state import _RPCState
from grpc._ended import End, _InactiveRpcError
from grpc._grpcio_metadata import __version__
from grpc._rendezvous import (
    _INTERNAL,
    _MultiThreadedRendezvous,
    _Rendezvous,
    _UnaryRendezvous,
)
from grpc._single_threaded import _SingleThreadedRendezvous

__all__ = (
    "Channel",
    "_InactiveRpcError",
    "_MultiThreadedRendezvous",
    "_RPCState",
    "_Rendezvous",
    "_SingleThreadedRendezvous",
)

_LOGGER = logging.getLogger(__name__)

# What makes the engine's half of a channel; another in programs of gevent.
new_engine = _ferrpc.ClientChannel

_EMPTY_FLAGS = 0

_USER_AGENT = f"grpc-python/{__version__}"

_SERIALIZING = _sending.SERIALIZING
_UNREADABLE = End(_INTERNAL, "Exception deserializing response!")


class _MultiCallable:
    """What the four kinds share: the method, its (de)serialisers, and how a call begins."""

    # Wrappers made with functools.wraps take over an object's __dict__, among them those of
    # google-api-core, which have a `_target` of their own: so these stay out of it.
    __slots__ = (
        "_channel",
        "_engine_method",
        "_method",
        "_python_channel",
        "_request_serializer",
        "_response_deserializer",
        "_target",
    )

    def __init__(self, channel, method, request_serializer, response_deserializer, streams):
        # Tools ask it for `target()`.
        self._channel = channel._channel
        self._python_channel = channel
        self._method = _common.encode(method)
        self._target = _common.encode(channel._target)
        self._request_serializer = request_serializer
        self._response_deserializer = response_deserializer
        self._engine_method = _ferrpc.ClientMethod(_common.decode(method), *streams)

    @property
    def _registered_call_handle(self):
        # In grpcio a number of a method that is registered with its core.
        return None

    def _serialized(self, request):
        """The request's bytes; raises the error of a call that has none."""
        cause = None
        try:
            serializer = self._request_serializer
            message = request if serializer is None else serializer(request)
        except Exception as error:
            _common.not_serialized()
            message, cause = None, error
        if message is None:
            raise _InactiveRpcError(End(_INTERNAL, _SERIALIZING)) from cause
        return message

    def _deserialized(self, message):
        """The response, by the deserialiser that there is; raises the error of the call."""
        cause = None
        try:
            response = self._response_deserializer(message)
        except Exception as error:
            _common.not_deserialized()
            response, cause = None, error
        if response is None:
            raise _InactiveRpcError(_UNREADABLE) from cause
        return response

    def _check_open(self):
        if self._python_channel._closed:
            raise ValueError("Cannot invoke RPC: Channel closed!")

    def _start(
        self,
        request,
        timeout,
        metadata,
        credentials,
        wait_for_ready,
        compression,
        watched=False,
    ):
        """The engine's call and the deadline; or how the call ended before it began. A call that is
        `watched` gets on without a thread that waits for it."""
        deadline = None if timeout is None else time.time() + timeout
        if credentials is None and not self._python_channel._call_credentials:
            call = self._channel.start(
                self._engine_method,
                request,
                timeout,
                metadata,
                wait_for_ready,
                compression,
                watched,
            )
            return call, deadline
        call = _authorization.start(
            self, credentials, request, timeout, metadata, (wait_for_ready, compression, watched)
        )
        return call, deadline

    def _rendezvous(self, kind, started):
        """A call object of this kind for what was started."""
        call, deadline = started
        deserializer = self._response_deserializer
        if type(call) is End or type(call) is _ferrpc.CallEnd:
            return kind(None, call, deserializer, deadline)
        rendezvous = kind(call, None, deserializer, deadline)
        rendezvous._lane = self._python_channel._calls
        return rendezvous

    def _requests(self, rendezvous, request_iterator):
        """Starts a thread that sends the requests."""
        call = rendezvous._engine_call
        if call is None:
            return
        failures = rendezvous._failures = []
        _sending.start(request_iterator, call, self._request_serializer, failures)

    def _blocked(self, end):
        """The response of a blocking call that is over, unless it failed. There may be none: then
        it is None, as in grpcio."""
        if end.code != 0:
            raise _InactiveRpcError(end)
        response = end.message
        if response is None or self._response_deserializer is None:
            return response
        return self._deserialized(response)


class _UnaryUnaryMultiCallable(_MultiCallable, grpc.UnaryUnaryMultiCallable):
    __slots__ = ()

    def __call__(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        result = self._unary(
            request, timeout, metadata, credentials, wait_for_ready, compression, False
        )
        if type(result) is not bytes:
            return self._blocked(result)
        if self._response_deserializer is None:
            return result
        return self._deserialized(result)

    def _unary(
        self, request, timeout, metadata, credentials, wait_for_ready, compression, whole
    ):
        if self._python_channel._closed:
            raise ValueError("Cannot invoke RPC on closed channel!")
        request = self._serialized(request)
        if credentials is not None or self._python_channel._call_credentials:
            answer = _authorization.wait(self, credentials, metadata, timeout)
            if type(answer) is End:
                raise _InactiveRpcError(answer)
            metadata, timeout = answer
        return self._channel.unary(
            self._engine_method, request, timeout, metadata, wait_for_ready, compression, whole
        )

    def with_call(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        end = self._unary(
            request, timeout, metadata, credentials, wait_for_ready, compression, True
        )
        response = self._blocked(end)
        return response, _MultiThreadedRendezvous(None, end, None, None, response)

    def future(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        self._check_open()
        request = self._serialized(request)
        started = self._start(
            request, timeout, metadata, credentials, wait_for_ready, compression, True
        )
        return self._rendezvous(_UnaryRendezvous, started)


class _UnaryStreamMultiCallable(_MultiCallable, grpc.UnaryStreamMultiCallable):
    __slots__ = ()

    _kind = _MultiThreadedRendezvous

    def __call__(
        self,
        request,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        self._check_open()
        request = self._serialized(request)
        started = self._start(
            request, timeout, metadata, credentials, wait_for_ready, compression
        )
        return self._rendezvous(self._kind, started)


class _SingleThreadedUnaryStreamMultiCallable(_UnaryStreamMultiCallable):
    __slots__ = ()

    _kind = _SingleThreadedRendezvous


class _StreamUnaryMultiCallable(_MultiCallable, grpc.StreamUnaryMultiCallable):
    __slots__ = ()

    def __call__(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        return self.with_call(
            request_iterator, timeout, metadata, credentials, wait_for_ready, compression
        )[0]

    def with_call(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        if self._python_channel._closed:
            raise ValueError("Cannot invoke RPC on closed channel!")
        arguments = (timeout, metadata, credentials, wait_for_ready, compression)
        call = self._begun(request_iterator, arguments)
        end = call._told()
        if end.code != 0:
            raise _InactiveRpcError(_EndOfStream(end, call)) from call._failure()
        return call._response, call

    def future(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        self._check_open()
        arguments = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._begun(request_iterator, arguments, True)

    def _begun(self, request_iterator, arguments, watched=False):
        call = self._rendezvous(_UnaryRendezvous, self._start(None, *arguments, watched))
        self._requests(call, request_iterator)
        return call


class _EndOfStream:
    """The end of a call with the initial metadata that its call has."""

    def __init__(self, end, call):
        self.code = end.code
        self.details = end.details
        self.trailing_metadata = end.trailing_metadata
        self.initial_metadata = call.initial_metadata


class _StreamStreamMultiCallable(_MultiCallable, grpc.StreamStreamMultiCallable):
    __slots__ = ()

    def __call__(
        self,
        request_iterator,
        timeout=None,
        metadata=None,
        credentials=None,
        wait_for_ready=None,
        compression=None,
    ):
        self._check_open()
        started = self._start(None, timeout, metadata, credentials, wait_for_ready, compression)
        call = self._rendezvous(_MultiThreadedRendezvous, started)
        self._requests(call, request_iterator)
        return call


class _ChannelConnectivityState:
    """What subscribers were told last: `connectivity`, None before anybody was."""

    def __init__(self, channel):
        self.channel = channel
        self.connectivity = None


class _ChannelCallState:
    """The engine's half of a channel, where programs look for it: `channel`."""

    def __init__(self, channel):
        self.channel = channel


class Channel(grpc.Channel):
    """A channel to a target. Threads may share it; it connects when a call or a subscriber asks."""

    def __init__(self, target, options, credentials, compression):
        read = _channel_options.Options(options, compression)
        read.secure(credentials)
        self._call_credentials = () if credentials is None else credentials.call_credentials
        self._is_secure = credentials is not None and credentials.is_secure
        self._target = _common.decode(_common.encode(target))
        self._single_threaded = (
            read.single_threaded or "GRPC_SINGLE_THREADED_UNARY_STREAM" in os.environ
        )
        # Programs ask it for `check_connectivity_state` and `target`.
        self._channel = new_engine(self._target, read.user_agent, read.engine)
        self._closed = False
        self._subscriptions = []
        # Programs read these, and `_closed`.
        self._connectivity_state = _ChannelConnectivityState(self._channel)
        self._call_state = _ChannelCallState(self._channel)
        # Callbacks of its calls run one after the other, and so do those of its connectivity.
        self._calls = _completions.Lane()
        self._states = _completions.Lane()

    def subscribe(self, callback, try_to_connect=None):
        with _forks.lock:
            if self._closed:
                return
            self._watch(callback, bool(try_to_connect))
        _forks.subscribed(self)

    def _watch(self, callback, connect):
        # It runs in the context that its subscriber has now.
        context = contextvars.copy_context()
        seen = self._connectivity_state
        tag = _completions.register(
            lambda state: context.copy().run(_deliver, callback, state, seen), self._states
        )
        watcher = self._channel.watch(tag, connect)
        self._subscriptions.append((callback, tag, watcher))

    def _resubscribe(self):
        """In the child of a fork: its subscribers hear of the channel that begins anew here."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for callback, _, _ in subscriptions:
            self._watch(callback, False)

    def unsubscribe(self, callback):
        # Compared without the lock: that is the user's code.
        wanted = next((known for known in list(self._subscriptions) if known[0] == callback), None)
        if wanted is None:
            return
        with _forks.lock:
            left = [known for known in self._subscriptions if known is not wanted]
            if len(left) == len(self._subscriptions):
                return
            self._subscriptions[:] = left
        _, tag, watcher = wanted
        _completions.forget(tag)
        self._channel.unwatch(watcher)

    def unary_unary(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        return _UnaryUnaryMultiCallable(
            self, method, request_serializer, response_deserializer, (False, False)
        )

    def unary_stream(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        if self._single_threaded:
            kind = _SingleThreadedUnaryStreamMultiCallable
        else:
            kind = _UnaryStreamMultiCallable
        return kind(self, method, request_serializer, response_deserializer, (False, True))

    def stream_unary(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        return _StreamUnaryMultiCallable(
            self, method, request_serializer, response_deserializer, (True, False)
        )

    def stream_stream(
        self, method, request_serializer=None, response_deserializer=None, _registered_method=False
    ):
        return _StreamStreamMultiCallable(
            self, method, request_serializer, response_deserializer, (True, True)
        )

    def close(self):
        with _forks.lock:
            if self._closed:
                return
            self._closed = True
            subscriptions, self._subscriptions = self._subscriptions, []
        for _, tag, watcher in subscriptions:
            _completions.forget(tag)
            self._channel.unwatch(watcher)
        self._channel.close()

    def _close(self):
        self.close()

    def _unsubscribe_all(self):
        with _forks.lock:
            subscriptions = list(self._subscriptions)
        for callback, _, _ in subscriptions:
            self.unsubscribe(callback)

    @property
    def _single_threaded_unary_stream(self):
        return self._single_threaded

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.close()
        return False

    def __del__(self):
        # Not closed: its calls go on without it. Missing if `__init__` failed.
        for _, tag, _ in getattr(self, "_subscriptions", ()):
            _completions.forget(tag)


def __getattr__(name):
    if name in ("_handle_event", "_event_handler"):
        from grpc import _operations

        return getattr(_operations, name[1:])
    raise AttributeError(f"module 'grpc._channel' has no attribute {name!r}")


def _deliver(callback, number, seen):
    seen.connectivity = state = _common.CONNECTIVITY_BY_NUMBER[number]
    try:
        callback(state)
    except Exception:
        _LOGGER.exception("Exception calling channel subscription callback!")
