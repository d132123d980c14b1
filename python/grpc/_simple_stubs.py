"""Calls without a stub, for generated code and quick scripts: functions that take a target and a
method. Channels are kept in a cache of the process:

```text
    get_channel ---> entry (fresh) --- _EVICTION_PERIOD unused ---> closed
                          |
                          +----- more than _MAXIMUM_CHANNELS ----> the stalest one is closed
```

One thread, begun with the first channel, closes what is due. It is a daemon and holds no lock while
it closes.
"""

import collections
import datetime
import logging
import os
import threading
import time

import grpc
from grpc.experimental import experimental_api, insecure_channel_credentials

_LOGGER = logging.getLogger(__name__)

_EVICTION_PERIOD_KEY = "GRPC_PYTHON_MANAGED_CHANNEL_EVICTION_SECONDS"
_MAXIMUM_CHANNELS_KEY = "GRPC_PYTHON_MANAGED_CHANNEL_MAXIMUM"
_DEFAULT_TIMEOUT_KEY = "GRPC_PYTHON_DEFAULT_TIMEOUT_SECONDS"

_EVICTION_PERIOD = datetime.timedelta(seconds=float(os.environ.get(_EVICTION_PERIOD_KEY, "600")))
_MAXIMUM_CHANNELS = int(os.environ.get(_MAXIMUM_CHANNELS_KEY, "256"))
_DEFAULT_TIMEOUT = float(os.environ.get(_DEFAULT_TIMEOUT_KEY, "60"))


class ChannelCache:
    """Channels by target, options, credentials and compression; those used longest ago first."""

    _singleton = None
    _lock = threading.RLock()

    def __init__(self):
        self._condition = threading.Condition(self._lock)
        self._mapping = collections.OrderedDict()
        threading.Thread(target=self._evict, name="grpc-channel-cache", daemon=True).start()

    @staticmethod
    def get():
        """The cache of this process, made at its first use and anew in the child of a fork."""
        with ChannelCache._lock:
            cache = ChannelCache._singleton
            if cache is None:
                cache = ChannelCache._singleton = ChannelCache()
            return cache

    @classmethod
    def _forked(cls):
        # The thread stayed in the parent, and may have had the lock.
        cls._lock = threading.RLock()
        cls._singleton = None

    def get_channel(
        self,
        target,
        options,
        channel_credentials,
        insecure,
        compression,
        method,
        _registered_method,
    ):
        """A tuple of the channel and None: methods need no registration here. Raises ValueError for
        credentials on a channel that shall be insecure."""
        if insecure and channel_credentials:
            raise ValueError(
                "The insecure option is mutually exclusive with the channel_credentials option. "
                "Please use one or the other."
            )
        if insecure:
            channel_credentials = insecure_channel_credentials()
        elif channel_credentials is None:
            _LOGGER.debug("Defaulting to SSL channel credentials.")
            channel_credentials = grpc.ssl_channel_credentials()
        key = (target, tuple(options or ()), channel_credentials, compression)
        due = time.monotonic() + _EVICTION_PERIOD.total_seconds()
        with self._lock:
            entry = self._mapping.pop(key, None)
            channel = entry[0] if entry is not None else None
            if channel is None:
                channel = grpc.secure_channel(
                    target,
                    credentials=channel_credentials,
                    options=options,
                    compression=compression,
                )
            self._mapping[key] = (channel, due)
            if len(self._mapping) == 1 or len(self._mapping) > _MAXIMUM_CHANNELS:
                self._condition.notify()
        return channel, None

    def _evict(self):
        while True:
            with self._condition:
                if not self._mapping:
                    self._condition.wait()
                    continue
                key, (channel, due) = next(iter(self._mapping.items()))
                left = due - time.monotonic()
                if left > 0 and len(self._mapping) <= _MAXIMUM_CHANNELS:
                    self._condition.wait(left)
                    continue
                del self._mapping[key]
            channel.close()
            del channel

    def _test_only_channel_count(self):
        with self._lock:
            return len(self._mapping)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ChannelCache._forked)


@experimental_api
def unary_unary(
    request,
    target,
    method,
    request_serializer=None,
    response_deserializer=None,
    options=(),
    channel_credentials=None,
    insecure=False,
    call_credentials=None,
    compression=None,
    wait_for_ready=None,
    timeout=_DEFAULT_TIMEOUT,
    metadata=None,
    _registered_method=False,
):
    """Calls a method with one request and returns the response.

    `target` and `method` say where, `request_serializer` and `response_deserializer` convert
    messages. `insecure` is for channels without TLS; else `channel_credentials` hold, by default
    those of TLS with the roots of the system. `wait_for_ready` is True unless said otherwise,
    `timeout` is in seconds. Raises `grpc.RpcError`.
    """
    return _call(
        "unary_unary",
        request,
        (target, options, channel_credentials, insecure, compression, method, _registered_method),
        (request_serializer, response_deserializer),
        (call_credentials, wait_for_ready, timeout, metadata),
    )


@experimental_api
def unary_stream(
    request,
    target,
    method,
    request_serializer=None,
    response_deserializer=None,
    options=(),
    channel_credentials=None,
    insecure=False,
    call_credentials=None,
    compression=None,
    wait_for_ready=None,
    timeout=_DEFAULT_TIMEOUT,
    metadata=None,
    _registered_method=False,
):
    """Calls a method with one request and returns an iterator of responses; arguments as in
    `unary_unary`."""
    return _call(
        "unary_stream",
        request,
        (target, options, channel_credentials, insecure, compression, method, _registered_method),
        (request_serializer, response_deserializer),
        (call_credentials, wait_for_ready, timeout, metadata),
    )


@experimental_api
def stream_unary(
    request_iterator,
    target,
    method,
    request_serializer=None,
    response_deserializer=None,
    options=(),
    channel_credentials=None,
    insecure=False,
    call_credentials=None,
    compression=None,
    wait_for_ready=None,
    timeout=_DEFAULT_TIMEOUT,
    metadata=None,
    _registered_method=False,
):
    """Calls a method with an iterator of requests and returns the response; arguments as in
    `unary_unary`."""
    return _call(
        "stream_unary",
        request_iterator,
        (target, options, channel_credentials, insecure, compression, method, _registered_method),
        (request_serializer, response_deserializer),
        (call_credentials, wait_for_ready, timeout, metadata),
    )


@experimental_api
def stream_stream(
    request_iterator,
    target,
    method,
    request_serializer=None,
    response_deserializer=None,
    options=(),
    channel_credentials=None,
    insecure=False,
    call_credentials=None,
    compression=None,
    wait_for_ready=None,
    timeout=_DEFAULT_TIMEOUT,
    metadata=None,
    _registered_method=False,
):
    """Calls a method with an iterator of requests and returns one of responses; arguments as in
    `unary_unary`."""
    return _call(
        "stream_stream",
        request_iterator,
        (target, options, channel_credentials, insecure, compression, method, _registered_method),
        (request_serializer, response_deserializer),
        (call_credentials, wait_for_ready, timeout, metadata),
    )


def _call(kind, request, place, converters, arguments):
    channel, _ = ChannelCache.get().get_channel(*place)
    method, registered = place[5:]
    multicallable = getattr(channel, kind)(method, *converters, registered)
    credentials, wait_for_ready, timeout, metadata = arguments
    return multicallable(
        request,
        metadata=metadata,
        wait_for_ready=True if wait_for_ready is None else wait_for_ready,
        credentials=credentials,
        timeout=timeout,
    )
