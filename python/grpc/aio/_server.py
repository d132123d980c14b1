"""The server of `grpc.aio`: its ports, its life, and who takes the calls.

    Server --- _Serving --- grpc._ferrpc.LoopServer (the engine)
                  |
                  +-- in the loop: takes calls in batches, a task for each

What the loop holds is the `_Serving`, so that the server ends when its user forgets it.
"""

import asyncio
import contextvars
import functools
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Optional

import grpc
from grpc import _common, _ferrpc, _handlers, _server, _server_options
from grpc._cython import cygrpc
from grpc.aio import _base_server, _loop
from grpc.aio._context import UNKNOWN, _ServicerContext
from grpc.aio._handling import Plan, handle
from grpc.aio._interceptor import ServerInterceptor
from grpc.aio._starting import Batch
from grpc.aio._typing import ChannelArgumentType

_ARRIVED = _ferrpc.ServerEvent.ARRIVED

# Calls that are taken at once, before others of the loop have their turn.
_BATCH = 64

# Seconds: what every loop's timer can do.
_LONGEST = 1e6

_NEW = "new"
_STARTED = "started"
_STOPPING = "stopping"
_SETTLING = "settling"
_STOPPED = "stopped"


class _Serving:
    """What a server, its calls and the loop share."""

    def __init__(self, thread_pool, interceptors, options, limit):
        self.stage = _NEW
        self.engine = _ferrpc.LoopServer(options)
        # Of the loop that starts it.
        self.events = None
        self.tag = 0
        # Weak, because what the loop holds holds this.
        self._loop = _nothing
        self.thread_pool = thread_pool
        self.interceptors = tuple(interceptors)
        self.generic_handlers = []
        self.registered_handlers = {}
        self.limit = limit
        self.active = 0
        self.plans = {}
        self.deadline = None
        self._timer = None
        self._context = None
        # The tasks of handlers: the loop itself holds tasks weakly.
        self._running = set()
        # Batches whose handlers have not made their first step.
        self._beginning = 0
        self._waiters = set()
        self._query = None
        self._known = {}
        self.hides_exceptions = _server_options.hides_exceptions(options)

    # -- handlers -------------------------------------------------------------------------------

    async def find(self, call):
        """The `Plan` for a call, through the interceptors; None if there is no handler."""
        details = _server._HandlerCallDetails(call.path, call.invocation_metadata)
        handler = await self._query(details)
        if handler is None:
            return None
        plan = self.plans.get(call.path)
        return plan if plan is not None and plan.handler is handler else Plan(handler)

    async def _lookup(self, details):
        return _handlers.find(details, self._known, self.generic_handlers)

    # -- life -----------------------------------------------------------------------------------

    def start(self):
        self._known = _handlers.known_methods(self.registered_handlers, self.generic_handlers)
        for path, handler in self._known.items():
            try:
                self.plans[path] = Plan(handler)
            except AttributeError:
                # Its callers are told what it lacks.
                pass
        self._query = _handlers.intercepted(self.interceptors, self._lookup)
        self._context = contextvars.copy_context()
        routes = [
            (path, plan.request_streaming, plan.response_streaming)
            for path, plan in self.plans.items()
        ]
        loop = asyncio.get_running_loop()
        events = _loop.of(loop)
        tag = events.register(self._happened)
        try:
            self.engine.start(routes, events.queue, tag)
        except BaseException:
            events.forget(tag)
            raise
        self.events, self.tag, self._loop = events, tag, weakref.ref(loop)
        self.stage = _STARTED
        events.at_close(self.loop_closed)

    def stop(self, grace):
        """As `shutdown`, in whichever loop this is."""
        loop = self._loop()
        if loop is None or loop is asyncio._get_running_loop():
            self.shutdown(grace)
        else:
            try:
                loop.call_soon_threadsafe(self.shutdown, grace)
            except RuntimeError:
                # It was closed this moment.
                pass

    def shutdown(self, grace):
        """Ends the server within so many seconds; at once, if it was not started. In its loop."""
        end = time.monotonic() + (grace or 0)
        if self.stage != _SETTLING:
            self.stage = _STOPPING
        if self.deadline is None or end < self.deadline:
            self.deadline = end
            self.engine.shutdown(max(end - time.monotonic(), 0.0))

    async def ended(self, timeout):
        """Waits for the server's end. Whether the time was over first."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.add(waiter)
        try:
            # Behind the above, since its own loop may be another thread's.
            if self.stage == _STOPPED:
                return False
            own = self._loop()
            if own is not None and own is not loop and not own.is_running():
                raise RuntimeError(
                    f"The server was started on another event loop, which does not run: {own!r}"
                )
            done, _ = await asyncio.wait((waiter,), timeout=timeout)
        finally:
            self._waiters.discard(waiter)
        return not done

    def loop_closed(self):
        """Nobody is there to handle calls: their callers shall hear of it."""
        self.engine.shutdown(0.0)
        self._has_stopped()

    # -- calls ----------------------------------------------------------------------------------

    def _happened(self, what):
        if what == _ARRIVED:
            self._take()
        elif self.stage != _STOPPED:
            self._settle()

    def _settle(self):
        """All calls are over. The server has stopped once their handlers are over too, or its
        grace is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left = self.deadline - time.monotonic()
        if left > 0 and (self.active or self._beginning):
            self.stage = _SETTLING
            self._timer = self._loop().call_later(min(left, _LONGEST), self._settle)
            return
        self.events.forget(self.tag)
        self.events.not_at_close(self.loop_closed)
        self._has_stopped()

    def _has_stopped(self):
        self.stage = _STOPPED
        for waiter in list(self._waiters):
            try:
                waiter.get_loop().call_soon_threadsafe(_resolve, waiter)
            except RuntimeError:
                # That loop is closed, and nobody waits any more.
                pass

    def handler_ended(self):
        """That of a call which was among the active ones."""
        self.active -= 1
        if self.stage == _SETTLING:
            self._settle()

    def _take(self):
        calls, more = self.engine.take(_BATCH)
        if more:
            self.events.queue.push(self.tag, _ARRIVED)
        if not calls:
            return
        calls.reverse()
        begun = []
        batch = Batch(self._loop())
        # The replies of first steps leave together.
        self._beginning += 1
        then = functools.partial(self._have_begun, begun)
        try:
            with batch:
                while calls:
                    call = calls.pop()
                    context = _ServicerContext(call, self)
                    name = f"HandleExceptions[{call.path}]"
                    task = batch.task(handle(self, call, context), self._context, name)
                    begun.append((task, context))
        except BaseException:
            # The others are not lost in silence.
            for call in calls:
                call.finish(UNKNOWN, "The server's event loop was interrupted", None)
            batch.begin_later(then)
            raise
        batch.begin(then)

    def _have_begun(self, begun):
        """Behind their first steps, in which most of them end."""
        self._beginning -= 1
        for task, context in begun:
            if not task.done():
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                context._goes_on(task)
            elif task.cancelled():
                context._never_began()
        self.engine.flush()
        if self.stage == _SETTLING:
            self._settle()

    def in_thread(self, function, *arguments):
        """A future of a function that runs on a thread, in the context of who asks."""
        run = contextvars.copy_context().run
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self.thread_pool, run, function, *arguments)

    def flush_later(self):
        """The replies that were made are sent soon, together."""
        if not self._beginning:
            self.events.afterwards(self.engine.flush)


def _nothing():
    return None


def _resolve(waiter):
    if not waiter.done():
        waiter.set_result(None)


class Server(_base_server.Server):
    """See `grpc.aio.server`."""

    def __init__(
        self,
        thread_pool,
        generic_handlers,
        interceptors,
        options,
        maximum_concurrent_rpcs,
        compression,
    ):
        invalid = [one for one in interceptors or () if not isinstance(one, ServerInterceptor)]
        if invalid:
            raise ValueError(
                f"Interceptor must be ServerInterceptor, the following are invalid: {invalid}"
            )
        if maximum_concurrent_rpcs is not None and maximum_concurrent_rpcs <= 0:
            raise ValueError("maximum_concurrent_rpcs should be a positive integer")
        numbers = _server_options.numbers(options, compression)
        self._serving = _Serving(
            thread_pool, interceptors or (), numbers, maximum_concurrent_rpcs
        )
        self._serving.generic_handlers.extend(generic_handlers or ())

    def add_generic_rpc_handlers(self, generic_rpc_handlers):
        self._serving.generic_handlers.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name, method_handlers):
        for method, handler in method_handlers.items():
            path = _common.fully_qualified_method(service_name, method)
            self._serving.registered_handlers[path] = handler

    def add_insecure_port(self, address):
        return self._bind(address, None)

    def add_secure_port(self, address, server_credentials):
        return self._bind(address, server_credentials._credentials)

    def _bind(self, address, credentials):
        address = _common.decode(_common.encode(address))
        serving = self._serving
        serving.engine.check_process()
        if serving.stage in (_STOPPING, _SETTLING, _STOPPED):
            raise cygrpc.UsageError(_server_options.was_stopped(address))
        return _server_options.bind(serving.engine, address, credentials)

    async def start(self):
        serving = self._serving
        serving.engine.check_process()
        if serving.stage in (_STOPPING, _SETTLING, _STOPPED):
            raise cygrpc.UsageError("Server not in ready state")
        if serving.stage == _NEW:
            serving.start()

    async def stop(self, grace):
        serving = self._serving
        serving.engine.check_process()
        if serving.stage in (_NEW, _STOPPED):
            return
        serving.stop(grace)
        await serving.ended(None)

    async def wait_for_termination(self, timeout=None):
        self._serving.engine.check_process()
        return await self._serving.ended(timeout)

    def __del__(self):
        serving = getattr(self, "_serving", None)
        if serving is not None and serving.stage != _STOPPED:
            try:
                serving.shutdown(0)
            except Exception:
                # In the child of a fork, or while the interpreter ends: there is nothing to stop.
                pass


def server(
    migration_thread_pool: Optional[Executor] = None,
    handlers: Optional[Sequence[grpc.GenericRpcHandler]] = None,
    interceptors: Optional[Sequence[ServerInterceptor]] = None,
    options: Optional[ChannelArgumentType] = None,
    maximum_concurrent_rpcs: Optional[int] = None,
    compression: Optional[grpc.Compression] = None,
) -> _base_server.Server:
    """A new server, of the event loop that will start it. It may be made anywhere.

    `migration_thread_pool` (`concurrent.futures.Executor`, or None for the loop's) runs handlers
    that are plain functions; `handlers` are `grpc.GenericRpcHandler`s; `interceptors`
    `grpc.aio.ServerInterceptor`s, the first outermost; `options` pairs of channel arguments.
    More than `maximum_concurrent_rpcs` calls end with RESOURCE_EXHAUSTED. `compression`
    (`grpc.Compression`) is that of all responses. Raises ValueError for what is no such thing.
    """
    return Server(
        migration_thread_pool,
        handlers,
        interceptors,
        options,
        maximum_concurrent_rpcs,
        compression,
    )
