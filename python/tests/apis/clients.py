"""What a scenario wants of a client, by each of Python's APIs.

Methods are coroutines at all of them, so that one function runs a scenario; those of the blocking
APIs wait for nothing.
"""

import asyncio
import dataclasses
import threading
import time

import grpc
import grpc.aio

# The seconds after which a test has failed rather than waits on.
LIMIT = 20


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a call ended. Without details where its program gave it up, and so was told nothing."""

    code: str
    details: str | None
    messages: int
    bytes: int


class Asked(grpc.AuthMetadataPlugin):
    """Credentials of a call that count how often they are asked, and add nothing."""

    def __init__(self):
        self.count = 0

    def __call__(self, context, callback):
        self.count += 1
        callback((), None)


def _how(how, asked):
    options = {"timeout": how.timeout, "wait_for_ready": how.wait or None}
    if how.credentials:
        options["credentials"] = grpc.metadata_call_credentials(asked)
    return options


def _options(settings):
    # grpcio has no shorter pause than 100 ms.
    pause = int(settings.get("backoff", 0.1) * 1000)
    options = [
        ("grpc.initial_reconnect_backoff_ms", pause),
        ("grpc.max_reconnect_backoff_ms", max(pause, 1000)),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if "balancing" in settings:
        options.append(("grpc.lb_policy_name", settings["balancing"]))
    if "keepalive" in settings:
        wait = int(settings["keepalive"] * 1000)
        options += [("grpc.keepalive_time_ms", wait), ("grpc.keepalive_timeout_ms", wait)]
    if "max_receive" in settings:
        options.append(("grpc.max_receive_message_length", settings["max_receive"]))
    if "max_send" in settings:
        options.append(("grpc.max_send_message_length", settings["max_send"]))
    if "service_config" in settings:
        options.append(("grpc.service_config", settings["service_config"]))
    if "retries" in settings:
        options.append(("grpc.enable_retries", int(settings["retries"])))
    if "retry_buffer" in settings:
        options.append(("grpc.per_rpc_retry_buffer_size", settings["retry_buffer"]))
    return options


def _channel(module, target, settings, root):
    if root is None:
        return module.insecure_channel(target, options=_options(settings))
    credentials = grpc.ssl_channel_credentials(root_certificates=root)
    return module.secure_channel(target, credentials, options=_options(settings))


_MAKERS = {
    "unary": ("unary_unary", "/t.T/Unary"),
    "server_streaming": ("unary_stream", "/t.T/Server"),
    "client_streaming": ("stream_unary", "/t.T/Client"),
    "bidirectional": ("stream_stream", "/t.T/Both"),
}


def _method(channel, kind):
    name, path = _MAKERS[kind]
    return getattr(channel, name)(path)


class Threads:
    """`grpc`, each call in a thread that waits for it."""

    def __init__(self, target, settings, root, patience):
        self._patience = patience
        self._channel = _channel(grpc, target, settings, root)
        self._states = []
        self._changed = threading.Condition()
        self.asked = Asked()
        self._watchers = []

    async def call(self, kind, how):
        call = self._make(self.asked)
        call.begin(_method(self._channel, kind), kind, how)
        return call

    def _make(self, asked):
        return _ThreadCall(asked)

    async def state(self, name):
        self._subscribe(False)
        with self._changed:
            reached = self._changed.wait_for(
                lambda: self._states and self._states[-1] == name, self._patience
            )
        assert reached, f"one waited in vain for {name}: {self._states}"

    async def connect(self):
        self._subscribe(True)

    async def watch(self):
        self._subscribe(False)

    async def watched(self):
        with self._changed:
            return list(self._states)

    async def close(self):
        self._channel.close()

    def _subscribe(self, connect):
        if self._watchers and not connect:
            return
        # What a second watcher is told first, the other has been told.
        watcher = self._note if not self._watchers else lambda _: None
        self._watchers.append(watcher)
        self._channel.subscribe(watcher, try_to_connect=connect)

    def _note(self, state):
        with self._changed:
            self._states.append(state.name)
            self._changed.notify_all()


class _ThreadCall:
    def __init__(self, asked):
        self._asked = asked
        self._read = self._bytes = 0
        self._call = None
        self._ended = None
        self._over = threading.Event()
        self._begun = threading.Event()

    def begin(self, method, kind, how):
        self._thread = threading.Thread(target=self._run, args=(method, kind, how), daemon=True)
        self._thread.start()

    async def cancel(self):
        assert self._begun.wait(LIMIT)
        self._call.cancel()

    async def end(self):
        # The loop of those who ask goes on meanwhile.
        await asyncio.to_thread(self._thread.join, LIMIT)
        self._over.set()
        assert not self._thread.is_alive(), "the call does not end"
        return self._ended

    def drop(self):
        self._over.set()

    def _run(self, method, kind, how):
        try:
            dropped = self._exchange(method, kind, how)
        except grpc.RpcError as error:
            self._ended = self._end(error.code().name, error.details())
        except grpc.FutureCancelledError:
            self._ended = self._end("CANCELLED", None)
        else:
            self._ended = self._end("CANCELLED", None) if dropped else self._end("OK", "")

    def _end(self, code, details):
        return Ended(code, details, self._read, self._bytes)

    def _count(self, message):
        self._read += 1
        self._bytes += len(message)

    def _exchange(self, method, kind, how):
        one = kind in ("unary", "server_streaming")
        request = next(how.messages()) if one else self._requests(how)
        options = _how(how, self._asked)
        if kind in ("unary", "client_streaming"):
            self._count(self._single(method, request, options))
            return False
        self._call = method(request, **options)
        self._begun.set()
        for message in self._call:
            self._count(message)
            if rest := how.rest(self._read):
                time.sleep(rest)
            if self._read == how.take:
                self._call.cancel()
                return True
        return False

    def _single(self, method, request, options):
        return method(request, **options)

    def _requests(self, how):
        yield from how.messages()
        if how.open:
            self._over.wait(LIMIT)


class Futures(Threads):
    """`grpc`, calls with one response by `future`."""

    def _make(self, asked):
        return _FutureCall(asked)


class _FutureCall(_ThreadCall):
    def _single(self, method, request, options):
        self._call = method.future(request, **options)
        self._begun.set()
        return self._call.result()


class Tasks:
    """`grpc.aio`."""

    def __init__(self, target, settings, root, patience):
        self._patience = patience
        self._channel = _channel(grpc.aio, target, settings, root)
        self._states = []
        self._watcher = None
        self.asked = Asked()

    async def call(self, kind, how):
        return _TaskCall(_method(self._channel, kind), kind, how, self.asked)

    async def state(self, name):
        async def reached():
            while (state := self._channel.get_state()).name != name:
                await self._channel.wait_for_state_change(state)

        try:
            await asyncio.wait_for(reached(), self._patience)
        except asyncio.TimeoutError:
            raise AssertionError(f"one waited in vain for {name}: {self._states}") from None

    async def connect(self):
        self._channel.get_state(try_to_connect=True)

    async def watch(self):
        async def watch():
            state = self._channel.get_state()
            while True:
                self._states.append(state.name)
                if state is grpc.ChannelConnectivity.SHUTDOWN:
                    break
                await self._channel.wait_for_state_change(state)
                state = self._channel.get_state()

        self._watcher = asyncio.ensure_future(watch())
        await asyncio.sleep(0)

    async def watched(self):
        return list(self._states)

    async def close(self):
        if self._watcher is not None:
            self._watcher.cancel()
        await self._channel.close()


class _TaskCall:
    def __init__(self, method, kind, how, asked):
        self._read = self._bytes = 0
        self._over = asyncio.Event()
        one = kind in ("unary", "server_streaming")
        request = next(how.messages()) if one else self._requests(how)
        self._call = method(request, **_how(how, asked))
        self._task = asyncio.ensure_future(self._exchange(kind, how))

    async def cancel(self):
        self._call.cancel()

    async def end(self):
        ended = await asyncio.wait_for(self._task, LIMIT)
        self._over.set()
        return ended

    def drop(self):
        self._over.set()

    async def _exchange(self, kind, how):
        try:
            if kind in ("unary", "client_streaming"):
                self._count(await self._call)
            else:
                async for message in self._call:
                    self._count(message)
                    if rest := how.rest(self._read):
                        await asyncio.sleep(rest)
                    if self._read == how.take:
                        self._call.cancel()
                        return self._end("CANCELLED", None)
        except grpc.aio.AioRpcError as error:
            return self._end(error.code().name, error.details())
        except asyncio.CancelledError:
            if not self._call.cancelled():
                raise
            return self._end("CANCELLED", None)
        return self._end("OK", "")

    def _end(self, code, details):
        return Ended(code, details, self._read, self._bytes)

    def _count(self, message):
        self._read += 1
        self._bytes += len(message)

    async def _requests(self, how):
        for message in how.messages():
            yield message
        if how.open:
            await self._over.wait()


#: By the names that scenarios have for them.
APIS = {"sync": Threads, "future": Futures, "aio": Tasks}
