"""What handlers of `grpc.aio` know and may do about their calls."""

import asyncio
import logging
from collections.abc import Iterable

import grpc
from grpc import _common, _ferrpc, _server
from grpc._cython import cygrpc

_LOGGER = logging.getLogger("grpc._cython.cygrpc")

OK = grpc.StatusCode.OK.value[0]
UNKNOWN = grpc.StatusCode.UNKNOWN.value[0]
_CANCELLED = grpc.StatusCode.CANCELLED.value[0]
INTERNAL = grpc.StatusCode.INTERNAL.value[0]

_ENDED = _ferrpc.CallEvent.ENDED

# Messages that are sent or read without a wait, before others of the loop have their turn.
_AT_ONCE = 64

_ALREADY_SENT = "Send initial metadata failed: already sent"


class _ServicerContext:
    """See `grpc.aio.ServicerContext`; as in grpcio, it is no instance of that."""

    # Of the class: most handlers change none of them, and a context is made for each call.
    _tag = None
    _task = None
    _waiters = ()
    _code = None
    _details = ""
    _trailing_metadata = ()
    _compression = None
    _initial_metadata_sent = False
    _disable_next_compression = False
    _aborted = False
    # The handler has ended its call: what becomes of that is nothing to it any more.
    _has_finished = False
    _callbacks = ()
    _at_once = 0
    _in_thread = False
    # Of the handler, once it was found.
    _plan = None

    def __init__(self, call, serving):
        self._call = call
        self._serving = serving

    # -- messages -------------------------------------------------------------------------------

    async def read(self):
        """The next request, `grpc.aio.EOF` after the last."""
        if self._aborted:
            raise cygrpc.AbortError("Locally aborted.")
        message = await self._receive()
        return cygrpc.EOF if message is None else self._deserialized(message)

    async def write(self, message):
        """Sends a response. Raises UsageError where there is but one, which is returned."""
        if self._aborted:
            raise cygrpc.AbortError("Locally aborted.")
        if not self._plan.response_streaming:
            raise cygrpc.UsageError("This method has one response: return it")
        if not self._send(self._serialized(message)):
            await self._room()

    def _deserialized(self, message):
        deserialize = self._plan.deserialize
        return message if deserialize is None else deserialize(message)

    def _serialized(self, message):
        serialize = self._plan.serialize
        is_text = isinstance(message, str)
        if serialize is not None:
            message = serialize(message)
        # Text of the handler's that no serialiser has turned into something else.
        if is_text and isinstance(message, str):
            message = message.encode()
        return message if type(message) is bytes else _as_bytes(message)

    async def _receive(self):
        """The bytes of the next request, None after the last. Raises CancelledError once nobody
        sends any more."""
        call = self._call
        tag = self._tag or self._listen()
        try:
            message = call.try_receive(tag)
            while message is ...:
                await self._wait()
                message = call.try_receive(tag)
        except _ferrpc.CallOver as error:
            self._over(error)
        self._at_once += 1
        if self._at_once > _AT_ONCE:
            await self._turn()
        return message

    def _send(self, message):
        """Sends a response; whether another may follow at once. If not, `_room` waits for it."""
        sent = self._call.try_send(message, self._begin_to_send())
        if sent is False:
            self._over("the call is over")
        self._at_once += 1
        return sent is True and self._at_once <= _AT_ONCE

    def _begin_to_send(self):
        """Initial metadata goes before a response; whether that is to be compressed."""
        if not self._initial_metadata_sent:
            self._initial_metadata_sent = True
            if self._compression is not None:
                self._call.send_initial_metadata(None, self._compression)
        compress = not self._disable_next_compression
        self._disable_next_compression = False
        return compress

    async def _room(self):
        if self._at_once > _AT_ONCE:
            await self._turn()
        while self._call.is_full(self._tag or self._listen()):
            await self._wait()

    async def _turn(self):
        self._at_once = 0
        await asyncio.sleep(0)

    def _over(self, error):
        if self._call.is_cancelled():
            raise asyncio.CancelledError(str(error))
        raise cygrpc.ExecuteBatchError(f"The call has ended: {error}")

    async def _wait(self):
        """Waits for the engine to say anything of this call."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters = (*self._waiters, waiter)
        await waiter
        self._at_once = 0

    def _listen(self):
        """The tag of this call; from now on its events are heard of."""
        self._tag = tag = self._serving.events.register(self._happened)
        return tag

    def _goes_on(self, task):
        """The handler waits for something: from now on it is cancelled with its call."""
        if self._has_finished:
            return
        self._task = task
        call = self._call
        if not call.watch(self._tag or self._listen()) and call.is_cancelled():
            task.cancel()

    def _never_began(self):
        """The handler's task was cancelled before its first step, unless it has ended the call."""
        if self._call.is_active():
            self._fail(_CANCELLED, "The handler was cancelled")

    def _happened(self, what):
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if what == _ENDED and self._task is not None and not self._has_finished:
            self._task.cancel()

    # -- metadata and status --------------------------------------------------------------------

    async def send_initial_metadata(self, initial_metadata):
        """Sends the initial metadata now. Once; raises UsageError."""
        if self._aborted:
            raise cygrpc.AbortError("Locally aborted.")
        self._send_initial_metadata(initial_metadata)

    def _send_initial_metadata(self, initial_metadata):
        if self._initial_metadata_sent:
            raise cygrpc.UsageError(_ALREADY_SENT)
        try:
            sent = self._call.send_initial_metadata(initial_metadata, self._compression)
        except _ferrpc.InvalidMetadata as error:
            self._call.finish(INTERNAL, "Invalid metadata", None)
            raise cygrpc.ExecuteBatchError(
                f"The initial metadata cannot be sent: {initial_metadata!r}"
            ) from error
        self._initial_metadata_sent = True
        if not sent:
            raise cygrpc.ExecuteBatchError("The initial metadata cannot be sent: the call is over")

    async def abort(self, code, details="", trailing_metadata=()):
        """Ends the call now, and the handler with AbortError."""
        self._abort(code, details, trailing_metadata)

    def _abort(self, code, details, trailing_metadata):
        if self._aborted:
            raise cygrpc.UsageError("Abort already called!")
        if number(code) == OK:
            _LOGGER.error("abort() called with StatusCode.OK; returning UNKNOWN")
            code, details = grpc.StatusCode.UNKNOWN, ""
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        self._aborted = True
        self._code = code
        self._details = details
        self._finish(number(code), details)
        raise cygrpc.AbortError("Locally aborted.")

    async def abort_with_status(self, status):
        """As `abort`, with a `grpc.Status`."""
        self._abort(status.code, status.details, status.trailing_metadata)

    def set_trailing_metadata(self, trailing_metadata):
        """What goes with the status: pairs of a str and a str or bytes. Raises TypeError."""
        self._trailing_metadata = _pairs(trailing_metadata)

    def trailing_metadata(self):
        """What was set."""
        return self._trailing_metadata

    def invocation_metadata(self):
        """A tuple of pairs."""
        return self._call.invocation_metadata

    def set_code(self, code):
        """A `grpc.StatusCode`, or its number."""
        self._code = code

    def code(self):
        """What was set, or None."""
        return self._code

    def set_details(self, details):
        """A str."""
        self._details = details

    def details(self):
        """What was set, or ''."""
        return self._details

    def set_compression(self, compression):
        """Before the initial metadata. Raises RuntimeError."""
        if self._initial_metadata_sent:
            raise RuntimeError(
                "Compression setting must be specified before sending initial metadata"
            )
        self._compression = int(compression)

    def disable_next_message_compression(self):
        """The next response goes as it is."""
        self._disable_next_compression = True

    # -- the caller -----------------------------------------------------------------------------

    def peer(self):
        """In gRPC's notation."""
        return self._call.peer

    def peer_identities(self):
        """A list of bytes, or None."""
        key = self.peer_identity_key()
        return None if key is None else self.auth_context().get(key)

    def peer_identity_key(self):
        """The property that has the identities, or None."""
        return _server._identity_key(self.auth_context())

    def auth_context(self):
        """A dict of lists of bytes."""
        return self._call.auth_context()

    # -- the call's life ------------------------------------------------------------------------

    def time_remaining(self):
        """Seconds, not below 0; None without a deadline."""
        return self._call.time_remaining()

    def add_done_callback(self, callback):
        """`callback(context)` is called, in the loop, when the handler has ended."""
        if not callable(callback):
            raise TypeError("the first argument must be callable")
        self._callbacks = (*self._callbacks, callback)

    def cancelled(self):
        """Whether the caller cancelled, the deadline passed or the connection was lost."""
        return self._call.is_cancelled()

    def done(self):
        """Whether the call is over."""
        return not self._call.is_active()

    # -- how it ends ----------------------------------------------------------------------------

    def _reply(self, response):
        """Ends the call with its one response, unless a code says otherwise."""
        message = self._serialized(response)
        code = self._code
        if code is not None and number(code) != OK:
            self._finish(number(code), self._details)
            return
        compression = 0 if self._disable_next_compression else self._compression
        try:
            if self._call.reply(message, compression, self._trailing_metadata):
                if self._in_thread:
                    self._serving.engine.flush()
                else:
                    self._serving.flush_later()
        except (TypeError, ValueError):
            self._invalid()

    def _complete(self):
        """Ends a stream of responses."""
        code = OK if self._code is None else number(self._code)
        self._finish(code, "" if code == OK else self._details)

    def _fail(self, code, details):
        """Ends the call with a code, unless the handler has set one."""
        if self._code is not None:
            code = number(self._code) or code
        self._finish(code, details)

    def _finish(self, code, details):
        self._has_finished = True
        try:
            self._call.finish(code, _text(details), self._trailing_metadata)
        except (TypeError, ValueError):
            self._invalid()

    def _invalid(self):
        _LOGGER.exception(
            "ExecuteBatchError raised in core by servicer method [%s]: the trailing metadata "
            "cannot be sent",
            _common.shown(self._call.path),
        )
        self._call.finish(INTERNAL, "Invalid metadata", None)

    def _ended(self):
        """The handler has ended."""
        tag, self._tag = self._tag, None
        if tag:
            self._serving.events.forget(tag)
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            try:
                callback(self)
            except Exception:
                method = _common.shown(self._call.path)
                _LOGGER.exception("Error in callback for method [%s]", method)


class _Requests:
    """The requests of a stream, for `async for`."""

    __slots__ = ("_context",)

    def __init__(self, context):
        self._context = context

    def __aiter__(self):
        return self

    async def __anext__(self):
        context = self._context
        message = await context._receive()
        if message is None:
            raise StopAsyncIteration
        return context._deserialized(message)


def number(code):
    """The number of a status: of an enum's member, or itself; UNKNOWN for all else."""
    if isinstance(code, grpc.StatusCode):
        return code.value[0]
    if isinstance(code, int) and 0 <= code <= 16:
        return int(code)
    return UNKNOWN


def _text(details):
    """As it can be sent: of lone surrogates only the places are kept."""
    if isinstance(details, bytes):
        return details.decode("utf-8", "replace")
    details = "" if details is None else str(details)
    return details if details.isascii() else details.encode("utf-8", "replace").decode()


def _pairs(metadata):
    # A dict would be iterated by its keys.
    iterable = isinstance(metadata, Iterable) and not isinstance(metadata, dict)
    pairs = tuple(metadata) if iterable else (None,)
    for pair in pairs:
        if not (
            isinstance(pair, tuple)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and isinstance(pair[1], (str, bytes))
        ):
            raise TypeError(
                "Invalid trailing metadata type, expected Tuple[Tuple[str, Union[str, bytes]]...]: "
                f"{metadata}"
            )
    return pairs


def _as_bytes(message):
    """As grpcio takes them: None is an empty message."""
    if message is None:
        return b""
    if isinstance(message, (bytes, bytearray, memoryview)):
        return bytes(message)
    raise TypeError(f"Expected bytes, got {type(message).__name__}")
