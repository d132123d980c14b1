"""The server: its ports, its life, and who takes the calls.

    _Server --- _Serving --- grpc._ferrpc.Server (the engine)
                   |
                   +-- serving thread: waits in the engine; submits drains to executors, hands
                   |   on that calls were cancelled
                   +-- drains, on the user's executor: take calls until there are none

The serving thread holds no reference to the `_Server`, so that the server ends when its user
forgets it.
"""

import atexit
import concurrent.futures.thread
import contextvars
import logging
import os
import threading
import time
import weakref

import grpc
from grpc import _common, _completions, _ferrpc, _handlers, _server, _server_options

_LOGGER = logging.getLogger("grpc._server")

# What makes the engine's half of a server; another in programs of gevent.
new_engine = _ferrpc.Server

_SUBMIT = _ferrpc.ServerTask.SUBMIT
_ENDED = _ferrpc.ServerTask.ENDED

_NEW = "new"
_STARTED = "started"
_STOPPING = "stopping"
_STOPPED = "stopped"


class _Serving:
    """What a server, its serving thread and its drains share."""

    def __init__(self, thread_pool, interceptors, options, maximum_concurrent_rpcs):
        self.lock = threading.RLock()
        self.stage = _NEW
        self.engine = new_engine(options, maximum_concurrent_rpcs)
        self.pools = [thread_pool]
        self.interceptors = tuple(interceptors)
        self.generic_handlers = []
        self.registered_handlers = {}
        self.terminated = threading.Event()
        self.shutdown_events = [self.terminated]
        self.deadline = None
        self.thread = None
        self.find_handler = None
        # Callbacks of cancelled calls run one after the other.
        self.callbacks = _completions.Lane()
        self.keeps_context = bool(dict(options).get(_server_options.KEEP_CONTEXT))
        self.hides_exceptions = _server_options.hides_exceptions(options)
        self.is_xds = False

    # Where programs look for them.

    @property
    def server(self):
        return self.engine

    @property
    def thread_pool(self):
        return self.pools[0]

    # -- handlers -------------------------------------------------------------------------------

    def lane_of(self, handler):
        """The number of the queue whose executor runs this handler."""
        pool = getattr(_behavior(handler), "experimental_thread_pool", None)
        if not isinstance(pool, concurrent.futures.ThreadPoolExecutor):
            return 0
        for lane, known in enumerate(self.pools):
            if known is pool:
                return lane
        self.pools.append(pool)
        return len(self.pools) - 1

    def make_find_handler(self, known):
        """A function from a call to its handler, through the interceptors."""
        # The list itself: handlers may be added to it while calls come.
        generic = self.generic_handlers

        def query(details):
            return _handlers.find(details, known, generic)

        if not self.interceptors:

            def find_handler(call):
                handler = known.get(call.path)
                return query(_details(call)) if handler is None else handler

            return find_handler
        query = _handlers.intercepted(self.interceptors, query)
        return lambda call: query(_details(call))

    # -- life -----------------------------------------------------------------------------------

    def start(self):
        known = _handlers.known_methods(self.registered_handlers, self.generic_handlers)
        routes = [
            (path, *_streams(handler), self.lane_of(handler)) for path, handler in known.items()
        ]
        self.find_handler = self.make_find_handler(known)
        self.engine.start(routes, len(self.pools), any(map(_sees_submissions, self.pools)))
        self.stage = _STARTED
        self.thread = threading.Thread(
            target=_serve, args=(self,), name="ferrpc-serving", daemon=True
        )
        self.thread.start()
        _all.add(self)

    def stop(self, grace):
        """Returns an event that is set when the server has ended."""
        self.engine.check_process()
        with self.lock:
            event = threading.Event()
            if self.stage in (_NEW, _STOPPED):
                event.set()
                return event
            self.stage = _STOPPING
            self.shutdown_events.append(event)
            end = time.monotonic() + (grace or 0)
            if self.deadline is None or end < self.deadline:
                self.deadline = end
                self.engine.shutdown(max(end - time.monotonic(), 0.0))
        return event

    def forgotten(self):
        """Nobody holds the server any more: it ends in a second, as in grpcio."""
        self.engine.check_process()
        with self.lock:
            if self.stage == _STARTED:
                self.stage = _STOPPING
                self.engine.forgotten()

    def ended(self):
        with self.lock:
            self.stage = _STOPPED
            for event in self.shutdown_events:
                event.set()
        _all.discard(self)

    # -- calls ----------------------------------------------------------------------------------

    def submit(self, lane):
        """Asks an executor for a drain."""
        try:
            future = self.pools[lane].submit(_drain, self, lane)
        except Exception as exception:
            # An executor that was shut down, most likely: nobody would ever take these calls.
            _LOGGER.debug("The server's executor takes no work: %s", exception)
            self.engine.lost(lane)
            details = "The server's executor takes no work"
            if not self.hides_exceptions:
                details += f": {exception}"
            self.engine.refuse_waiting(lane, details)
            return
        add_done_callback = getattr(future, "add_done_callback", None)
        if add_done_callback is not None:
            add_done_callback(_Lost(self.engine, lane))


class _Lost:
    """Tells the engine of a drain that was cancelled before it began."""

    __slots__ = ("_engine", "_lane")

    def __init__(self, engine, lane):
        self._engine = engine
        self._lane = lane

    def __call__(self, future):
        if future.cancelled():
            self._engine.lost(self._lane)


def _sees_submissions(pool):
    """Whether the program can tell how often work is submitted to an executor: then each call is one
    submission, as in grpcio. Executors of programs' own set things up for each, and count them."""
    if "submit" in getattr(pool, "__dict__", ()):
        return True
    usual = concurrent.futures.ThreadPoolExecutor.submit
    return getattr(type(pool), "submit", None) is not usual


def _streams(handler):
    """Whether requests and responses stream. A handler is any object; what one lacks, its callers
    are told."""
    requests = getattr(handler, "request_streaming", False)
    return bool(requests), bool(getattr(handler, "response_streaming", False))


def _behavior(handler):
    requests, responses = _streams(handler)
    name = f"{'stream' if requests else 'unary'}_{'stream' if responses else 'unary'}"
    return getattr(handler, name, None)


def _details(call):
    return _server._HandlerCallDetails(call.path, call.invocation_metadata)


def _serve(serving):
    """The serving thread."""
    engine = serving.engine
    while True:
        task, number = engine.next_task()
        if task == _SUBMIT:
            serving.submit(number)
        elif task == _ENDED:
            _server._watched.ended(number, serving.callbacks)
        else:
            serving.ended()
            return


def _drain(serving, lane):
    """Takes calls and handles them; runs on the user's executor."""
    drain = serving.engine.begin(lane)
    take = drain.take
    find_handler = serving.find_handler
    handle = _server._handle_call
    # What the thread's own code has set, its executor's initializer above all, is there.
    context = contextvars.copy_context
    keeps_context = serving.keeps_context
    hides_exceptions = serving.hides_exceptions
    while True:
        call = take()
        if call is None:
            break
        if keeps_context:
            handle(find_handler, call, hides_exceptions)
        else:
            context().run(handle, find_handler, call, hides_exceptions)
    if drain.again:
        serving.submit(lane)


# -- the end of the process -----------------------------------------------------------------------

# Servers that were started and have not ended.
_all = weakref.WeakSet()


def _end(wanted, wait):
    for serving in list(_all):
        if wanted(serving):
            try:
                serving.stop(0)
                # The serving thread tells handlers that their calls were cancelled, which may be
                # all that they wait for: it goes on until the calls have ended.
                serving.terminated.wait(wait)
                serving.engine.release()
                serving.thread.join(wait)
            except RuntimeError:
                # Inherited by the child of a fork.
                pass


def _is_joined_at_exit(serving):
    return any(isinstance(pool, concurrent.futures.ThreadPoolExecutor) for pool in serving.pools)


# The interpreter waits for the threads of a ThreadPoolExecutor, and handlers may wait for callers:
# their calls end first. Other executors may go on until the last thread that is no daemon has
# ended. Both kinds have to be gone before the interpreter is. (Callbacks run in the reverse order
# of their registration; that of concurrent.futures.thread, imported above, is so the later one.)
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(_end, _is_joined_at_exit, 5)
atexit.register(_end, lambda serving: True, 5)


# -- the public class -----------------------------------------------------------------------------


class _Server(grpc.Server):
    """See `grpc.server`."""

    __module__ = "grpc._server"

    def __init__(
        self,
        thread_pool,
        generic_handlers,
        interceptors,
        options,
        maximum_concurrent_rpcs,
        compression,
        xds,
    ):
        _server._validate_generic_rpc_handlers(generic_handlers)
        if maximum_concurrent_rpcs is not None and maximum_concurrent_rpcs < 0:
            raise ValueError(
                "maximum_concurrent_rpcs is how many calls may run at the same time, or None for "
                f"any number; got {maximum_concurrent_rpcs}"
            )
        numbers = _server_options.numbers(options, compression)
        self._state = _Serving(thread_pool, interceptors, numbers, maximum_concurrent_rpcs)
        self._state.generic_handlers.extend(generic_handlers)
        self._state.is_xds = bool(xds)

    @property
    def _cy_server(self):
        return self._state.engine

    def add_generic_rpc_handlers(self, generic_rpc_handlers):
        generic_rpc_handlers = tuple(generic_rpc_handlers)
        _server._validate_generic_rpc_handlers(generic_rpc_handlers)
        state = self._state
        with state.lock:
            state.generic_handlers.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name, method_handlers):
        state = self._state
        with state.lock:
            if state.stage != _NEW:
                _LOGGER.warning("Handlers that are added to a started server have no effect")
                return
            for method, handler in method_handlers.items():
                path = _common.fully_qualified_method(service_name, method)
                state.registered_handlers[path] = handler

    def add_insecure_port(self, address):
        return self._bind(address, None)

    def add_secure_port(self, address, server_credentials):
        return self._bind(address, server_credentials._credentials)

    def _bind(self, address, credentials):
        if not isinstance(address, (str, bytes)):
            # As grpcio, which looks for its `encode`.
            raise AttributeError(f"an address is text, as in '127.0.0.1:50051'; got {address!r}")
        address = _common.decode(_common.encode(address))
        state = self._state
        state.engine.check_process()
        with state.lock:
            if state.stage in (_STOPPING, _STOPPED):
                raise ValueError(_server_options.was_stopped(address))
            return _server_options.bind(state.engine, address, credentials)

    def start(self):
        state = self._state
        state.engine.check_process()
        with state.lock:
            if state.stage in (_STOPPING, _STOPPED):
                raise ValueError("the server has already started")
            if state.stage == _STARTED:
                raise ValueError("Cannot start already-started server!")
            if state.is_xds and _has_control_plane():
                # It would serve callers whom the control plane's rules may keep out.
                raise RuntimeError(
                    "ferrpc has no xDS: a server with xds=True does not start while "
                    "GRPC_XDS_BOOTSTRAP or GRPC_XDS_BOOTSTRAP_CONFIG names a control plane"
                )
            state.start()

    def wait_for_termination(self, timeout=None):
        self._state.engine.check_process()
        return not self._state.terminated.wait(timeout)

    def stop(self, grace):
        event = self._state.stop(grace)
        if grace is None:
            event.wait()
        return event

    def __del__(self):
        state = getattr(self, "_state", None)
        if state is not None:
            try:
                state.forgotten()
            except Exception:
                # In the child of a fork, or while the interpreter ends: there is nothing to stop.
                pass


def _has_control_plane():
    return any(os.environ.get(f"GRPC_XDS_BOOTSTRAP{rest}") for rest in ("", "_CONFIG"))
