//! Channels and calls whose event loop does their work: nothing here waits.
//!
//! ```text
//!   LoopChannel: start -> LoopCall: take, next, send ...   None: not yet, the queue will tell
//!        \-- adopt -> LoopConnection: the loop waits for its socket and pumps
//! ```
//!
//! What happens comes through the loop's queue: the channel's tag with [`CONNECTION`], a call's
//! with a [`CallEvent`].

use std::os::fd::{IntoRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::thread;

use bytes::Bytes;
use ferrpc::{Code, Status};
use ferrpc_blocking::{self as blocking, Driven, Message, PushError, RawCall, Waited};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::queue::{LoopQueue, Queue};
use crate::client::{Channel, Ended, Method};
use crate::contract::{CallEvent, IoInterest, connectivity};
use crate::fork::Owned;
use crate::metadata;

/// A channel as an event loop holds it. Made and used in the loop's thread.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(super) struct LoopChannel {
    channel: Py<Channel>,
    queue: Owned<Arc<Queue>>,
    tag: u64,
    /// The engine's channel that was told of the loop.
    driven: Mutex<Option<Owned<blocking::Channel>>>,
}

#[pymethods]
impl LoopChannel {
    #[new]
    fn new(channel: Py<Channel>, queue: &LoopQueue, tag: u64) -> Self {
        Self { channel, queue: Owned::new(queue.queue()), tag, driven: Mutex::new(None) }
    }

    /// Has the loop of this thread drive the channel. Connections are announced by the channel's
    /// tag.
    fn drive(&self) {
        let (Some(queue), Ok(channel)) = (self.queue.get(), self.channel.get().channel()) else {
            return;
        };
        channel.drive(queue.waker(self.tag, CONNECTION));
        *locked(&self.driven) = Some(Owned::new(channel));
    }

    /// The loop is gone: the channel's own thread does the work.
    fn stop_driving(&self, py: Python<'_>) {
        let driven = locked(&self.driven).take();
        if let Some(channel) = driven.as_ref().and_then(Owned::get) {
            py.detach(|| channel.stop_driving());
        }
    }

    /// A connection that the loop is to drive; None if there is none that it does not.
    fn adopt(&self) -> Option<LoopConnection> {
        let driven = locked(&self.driven);
        let connection = driven.as_ref()?.get()?.adopt()?;
        let driven = Owned::new(Mutex::new(Some(connection)));
        Some(LoopConnection { driven, queue: Arc::clone(self.queue.get()?) })
    }

    /// Begins a call, for which the queue has `tag`; `request` is None where requests are a stream,
    /// `unary` says that there is one response, for `take`. How it ended, if it could not begin.
    #[pyo3(signature = (method, request, timeout, metadata, wait_for_ready, compression, tag, unary))]
    #[expect(clippy::too_many_arguments, reason = "one crossing")]
    fn start(
        &self,
        py: Python<'_>,
        method: &Method,
        request: Option<&[u8]>,
        timeout: Option<f64>,
        metadata: Option<&Bound<'_, PyAny>>,
        wait_for_ready: Option<&Bound<'_, PyAny>>,
        compression: Option<i64>,
        tag: u64,
        unary: bool,
    ) -> PyResult<Py<PyAny>> {
        let message = request.map(Bytes::copy_from_slice);
        let channel = self.channel.get();
        let options = channel.options(timeout, metadata, wait_for_ready, compression, message)?;
        let (mut options, channel) = match (options, channel.channel()) {
            (Ok(options), Ok(channel)) => (options, channel),
            (Err(ended), _) | (_, Err(ended)) => return Ok(Py::new(py, ended)?.into_any()),
        };
        let Some(queue) = self.queue.get() else {
            return Ok(Py::new(py, in_child())?.into_any());
        };
        options.watched = true;
        let call = match queue.held(py, || channel.start_raw(method.raw(), options)) {
            Ok(call) => call,
            Err(status) => {
                let ended = Ended::local(status.code(), status.message());
                return Ok(Py::new(py, ended)?.into_any());
            }
        };
        let told = Arc::clone(queue);
        call.on_end(move || told.push(tag, CallEvent::ENDED));
        let inner = Inner {
            call,
            _channel: channel,
            queue: Arc::clone(queue),
            tag,
            unary,
            receive: OnceLock::new(),
            send: OnceLock::new(),
            unsent: Mutex::new(None),
        };
        Ok(Py::new(py, LoopCall { inner: Owned::new(inner) })?.into_any())
    }

    /// The number of the connectivity state; begins to connect if asked to.
    fn state(&self, connect: bool) -> u32 {
        self.channel.get().connectivity(connect)
    }

    /// The queue has this tag with each state from now on, the present one first. Returns what
    /// `unwatch` takes.
    fn watch(&self, tag: u64, connect: bool) -> u64 {
        let Some(queue) = self.queue.get() else { return 0 };
        let channel = self.channel.get();
        let Ok(channel) = channel.channel() else {
            // It has the same state for ever.
            queue.push(tag, channel.connectivity(connect));
            return 0;
        };
        let queue = Arc::clone(queue);
        channel.watch(move |state| queue.push(tag, connectivity(state)), connect)
    }

    fn unwatch(&self, watcher: u64) {
        if let Ok(channel) = self.channel.get().channel() {
            channel.unwatch(watcher);
        }
    }
}

/// A connection that a loop drives.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(super) struct LoopConnection {
    driven: Owned<Mutex<Option<Driven>>>,
    queue: Arc<Queue>,
}

#[pymethods]
impl LoopConnection {
    /// A descriptor of its socket, which the caller closes. Raises OSError.
    fn socket(&self) -> PyResult<RawFd> {
        let driven = self.driven.get().map(locked);
        let Some(driven) = driven.as_ref().and_then(|driven| driven.as_ref()) else {
            return Err(PyOSError::new_err("the connection is gone"));
        };
        Ok(driven.socket()?.into_raw_fd())
    }

    /// Does what there is to do. What it waits for, as bits ([`IoInterest`]), and in seconds. With
    /// `FILLED` there are entries in the queue, which does not wake the loop for them: it is to be
    /// drained now.
    fn pump(&self, py: Python<'_>, what: u32) -> (u32, Option<f64>) {
        let Some(driven) = self.driven.get() else { return (IoInterest::OVER, None) };
        if what & IoInterest::LOOK != 0 {
            // Whoever wants this core, or the interpreter, has it: the server may be among them.
            py.detach(thread::yield_now);
        }
        let awake = self.queue.hold();
        // Attached: it neither waits nor takes long, and whoever gets in between keeps the loop.
        let pumped = locked(driven)
            .as_ref()
            .map(|driven| driven.pump(what & IoInterest::READ != 0, what & IoInterest::WRITE != 0));
        let filled = self.queue.release(awake);
        let Some(pumped) = pumped else { return (IoInterest::OVER, None) };
        let bits = [
            (pumped.read, IoInterest::READ),
            (pumped.write, IoInterest::WRITE),
            (pumped.again, IoInterest::AGAIN),
            (pumped.over, IoInterest::OVER),
            (pumped.look, IoInterest::LOOK),
            (filled, IoInterest::FILLED),
        ];
        let bits = bits.iter().filter(|(set, _)| *set).fold(0, |bits, (_, bit)| bits | bit);
        (bits, pumped.after.map(|after| after.as_secs_f64()))
    }

    /// The loop lets go of it.
    fn close(&self, py: Python<'_>) {
        if let Some(driven) = self.driven.get() {
            py.detach(|| drop(locked(driven).take()));
        }
    }
}

/// A call that was begun. When the last reference goes, it is cancelled.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(super) struct LoopCall {
    inner: Owned<Inner>,
}

struct Inner {
    call: RawCall,
    /// A channel lives as long as its calls.
    _channel: blocking::Channel,
    queue: Arc<Queue>,
    tag: u64,
    unary: bool,
    receive: OnceLock<Waker>,
    send: OnceLock<Waker>,
    /// A message that there was no room for.
    unsent: Mutex<Option<Message>>,
}

impl Inner {
    fn receive(&self) -> &Waker {
        self.receive.get_or_init(|| self.queue.waker(self.tag, CallEvent::RECEIVED))
    }

    fn send(&self) -> &Waker {
        self.send.get_or_init(|| self.queue.waker(self.tag, CallEvent::ROOM))
    }
}

#[pymethods]
impl LoopCall {
    /// The end of a call with one response: its bytes if all went well (then ask `initial_metadata`
    /// and `end` for the rest), else how it ended; None: not yet. To be called once it has ended.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(inner) = self.inner.get() else {
            return Ok(Some(Py::new(py, in_child())?.into_any()));
        };
        let Some(mut unary) = inner.call.poll_unary(inner.receive()) else { return Ok(None) };
        let outcome = unary.outcome.status();
        if outcome.is_ok()
            && outcome.metadata().is_empty()
            && unary.initial.is_empty()
            && let Some(message) = unary.message.take()
        {
            return Ok(Some(PyBytes::new(py, &message).into_any().unbind()));
        }
        Ok(Some(Py::new(py, Ended::of_unary(py, unary))?.into_any()))
    }

    /// True if it is on its way, False if it is over; None: not yet, the queue will tell as it does
    /// of room.
    fn is_started(&self) -> Option<bool> {
        let Some(inner) = self.inner.get() else { return Some(false) };
        match inner.call.poll_started(inner.send()) {
            Waited::Ready(()) => Some(true),
            Waited::Over(_) => Some(false),
            Waited::Late => None,
        }
    }

    /// The next message: bytes; or how the call ended, if there is none; None: not yet.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(inner) = self.inner.get() else {
            return Ok(Some(Py::new(py, in_child())?.into_any()));
        };
        let waited = match inner.call.at_hand() {
            Some(waited) => waited,
            // Credit for what is taken.
            None => inner.queue.held(py, || inner.call.poll_message(inner.receive())),
        };
        match waited {
            Waited::Ready(message) => Ok(Some(PyBytes::new(py, &message).into_any().unbind())),
            Waited::Over(outcome) => Ok(Some(Py::new(py, Ended::of_call(&outcome))?.into_any())),
            Waited::Late => Ok(None),
        }
    }

    /// The initial metadata: empty if the call ended without; None: not yet.
    fn initial_metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(inner) = self.inner.get() else { return Ok(Some(PyTuple::empty(py))) };
        match inner.call.poll_headers(inner.receive()) {
            Waited::Ready(headers) => metadata::to_python(py, headers).map(Some),
            Waited::Over(_) => Ok(Some(PyTuple::empty(py))),
            Waited::Late => Ok(None),
        }
    }

    /// How the call ended; None: not yet.
    fn end(&self) -> Option<Ended> {
        let Some(inner) = self.inner.get() else { return Some(in_child()) };
        inner.call.outcome().as_ref().map(Ended::of_call)
    }

    /// Whether the call ended and nothing that came remains to be read.
    fn is_drained(&self) -> bool {
        self.inner.get().is_none_or(|inner| inner.call.drained().is_some())
    }

    /// Sends a message: True if it went, False if the call is over, None if there is no room yet:
    /// then `send_again` is to be called when there is.
    fn send(&self, py: Python<'_>, message: &[u8]) -> Option<bool> {
        let Some(inner) = self.inner.get() else { return Some(false) };
        let message = Bytes::copy_from_slice(message);
        inner.sent(inner.queue.held(py, || inner.call.poll_push(message, inner.send())))
    }

    fn send_again(&self, py: Python<'_>) -> Option<bool> {
        let Some(inner) = self.inner.get() else { return Some(false) };
        let Some(message) = locked(&inner.unsent).take() else { return Some(true) };
        inner.sent(inner.queue.held(py, || inner.call.poll_push_again(message, inner.send())))
    }

    /// No more messages follow.
    fn half_close(&self, py: Python<'_>) {
        if let Some(inner) = self.inner.get() {
            inner.queue.held(py, || inner.call.half_close());
        }
    }

    /// Ends the call; false if it was over.
    fn cancel(&self, py: Python<'_>, code: u32, details: String) -> bool {
        let Some(inner) = self.inner.get() else { return false };
        inner.queue.held(py, || inner.call.cancel(status(code, details)))
    }

    /// Ends the call and drops what was not read; false if it was over and read to its end.
    fn cancel_unread(&self, py: Python<'_>, code: u32, details: String) -> bool {
        let Some(inner) = self.inner.get() else { return false };
        inner.queue.held(py, || inner.call.cancel_unread(status(code, details)))
    }

    /// Whether it has one response.
    #[getter]
    fn unary(&self) -> bool {
        self.inner.get().is_some_and(|inner| inner.unary)
    }
}

impl Inner {
    fn sent(&self, result: Result<(), PushError>) -> Option<bool> {
        match result {
            Ok(()) => Some(true),
            Err(PushError::Over(_)) => Some(false),
            Err(PushError::Late(message)) => {
                *locked(&self.unsent) = Some(message);
                None
            }
        }
    }
}

fn status(code: u32, details: String) -> Status {
    Status::new(Code::from_number(code).unwrap_or(Code::Unknown), details)
}

fn in_child() -> Ended {
    Ended::local(Code::Cancelled, "Call cancelled in fork child")
}

/// Held for moments only, by threads that are attached or do not become so under it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With a channel's tag, which says nothing else.
const CONNECTION: u32 = 0;
