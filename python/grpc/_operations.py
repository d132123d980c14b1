"""What programs see that drive grpcio's calls by hand: ydb reads its streams that way.

    it._call.operate((cygrpc.ReceiveMessageOperation(0),), handler)   a message is asked for
    handler(event)                                                    it came, or the end did
    _handle_event(event, it._state, deserializer)                     it._state has the response

Calls know nothing of this: a state is made when somebody looks at it. In grpcio the end of a stream
may come later than the event that has no message; here the code is known by then.
"""

import queue
import threading
import weakref

from grpc import _common
from grpc._call_state import _RPCState
from grpc._enums import StatusCode


class ReceiveMessageOperation:
    """Asks for one message; `message` has it afterwards, or None at the end of the stream."""

    def __init__(self, flags):
        self._flags = int(flags)
        self._message = None

    def type(self):
        from grpc._cython import cygrpc

        return cygrpc.OperationType.receive_message

    def message(self):
        return self._message


class BatchOperationEvent:
    """Operations that are done."""

    success = True

    def __init__(self, batch_operations):
        self.batch_operations = batch_operations


class State(_RPCState):
    """How far a call has come: `response` is the message read last, `code` None until all are."""

    def __init__(self, rendezvous):
        from grpc._cython import cygrpc

        # Not strongly: a call that nobody holds is cancelled at once.
        self._rendezvous = weakref.ref(rendezvous)
        self.condition = threading.Condition()
        self.due = set()
        self.callbacks = []
        self.fork_epoch = cygrpc.get_fork_epoch()
        self.response = rendezvous._response

    def _end(self):
        rendezvous = self._rendezvous()
        return None if rendezvous is None else rendezvous._final()

    @property
    def code(self):
        rendezvous = self._rendezvous()
        if rendezvous is None or rendezvous._cancelled:
            return StatusCode.CANCELLED
        end = rendezvous._final()
        if end is None:
            return None
        return _common.STATUS_CODE_BY_NUMBER.get(end.code, StatusCode.UNKNOWN)

    @property
    def details(self):
        end = self._end()
        return None if end is None else _common.decode(end.details)

    @property
    def trailing_metadata(self):
        end = self._end()
        return None if end is None else end.trailing_metadata()

    @property
    def initial_metadata(self):
        end = self._end()
        return None if end is None else self._rendezvous().initial_metadata()

    @property
    def debug_error_string(self):
        end = self._end()
        return None if end is None else self._rendezvous().debug_error_string()

    @property
    def cancelled(self):
        rendezvous = self._rendezvous()
        return rendezvous is None or rendezvous._cancelled


class Operating:
    """A call as what operations are asked of."""

    def __init__(self, rendezvous):
        self._rendezvous = weakref.ref(rendezvous)
        self._jobs = None

    def operate(self, operations, handler):
        """Has `handler` called on another thread once a message came; False if the call is over.

        Operations other than one to receive a message raise ValueError.
        """
        if len(operations) != 1 or type(operations[0]) is not ReceiveMessageOperation:
            raise ValueError(
                "ferrpc's calls know one operation, cygrpc.ReceiveMessageOperation; "
                f"got {operations!r}"
            )
        rendezvous = self._rendezvous()
        if rendezvous is None or rendezvous._cancelled or rendezvous._final() is not None:
            return False
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(
                target=_work, args=(self._jobs,), name="grpc-operations", daemon=True
            ).start()
            weakref.finalize(self, self._jobs.put, None).atexit = False
        self._jobs.put((rendezvous, operations[0], handler))
        return True


def _work(jobs):
    """Receives one message after the other, until nobody can ask for more."""
    while (job := jobs.get()) is not None:
        _receive(*job)
        del job


def _receive(rendezvous, operation, handler):
    operation._message = rendezvous._read()
    try:
        handler(BatchOperationEvent((operation,)))
    except Exception:
        _common._LOGGER.exception("Exception in the handler of an operation!")


def handle_event(event, state, response_deserializer):
    """Takes what the event brought into the state; returns callbacks to be called: none, since
    calls run their own."""
    for operation in event.batch_operations:
        state.due.discard(operation.type())
        message = operation.message()
        if message is None:
            continue
        response = _common.deserialize(message, response_deserializer)
        rendezvous = state._rendezvous()
        if response is not None:
            state.response = response
        elif rendezvous is not None:
            rendezvous._undeserialized()
    return []


def event_handler(state, response_deserializer):
    """A function for `operate` that does no more than that."""

    def handle(event):
        with state.condition:
            callbacks = handle_event(event, state, response_deserializer)
            state.condition.notify_all()
            done = not state.due
        for callback in callbacks:
            callback()
        return done

    return handle
