//! One call, as Python handles it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use ferrpc::server::{DeferredReply, ExternalCall, ExternalReply, Sent};
use ferrpc::{Cardinality, Code, Encoding, Metadata, Status};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::wait::wait;
use crate::contract::{self, CallEvent};
use crate::fork::Owned;
use crate::metadata::{Refused, from_python, to_python};

create_exception!(grpc._ferrpc, CallOver, PyException, "The call is over: nobody reads or sends.");

create_exception!(grpc._ferrpc, InvalidMetadata, PyValueError, "HTTP/2 cannot carry it.");

/// A call that was taken from the engine. Its methods may be called by any thread; one thread at
/// a time may wait for messages, one for room to send.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Call {
    /// No call of the interpreter is made under this lock.
    call: Owned<Mutex<ExternalCall>>,
    handlers: Owned<Arc<dyn Handlers>>,
    /// The whole request came with the call.
    gathered: bool,
    /// That one request was asked for.
    taken: AtomicBool,
}

/// Who handles calls: the threads of an executor, or an event loop.
pub(crate) trait Handlers: Send + Sync {
    /// Takes a reply, to be sent with others. Whether it is the first of them, so that somebody has
    /// to flush.
    fn reply(&self, reply: DeferredReply) -> bool;

    /// What tells of this event ([`CallEvent`]) of the call `id`.
    fn waker(self: Arc<Self>, id: u64, what: u32) -> Waker;
}

impl Call {
    pub(crate) fn new(call: ExternalCall, handlers: Arc<dyn Handlers>) -> Self {
        let gathered =
            matches!(call.cardinality(), Cardinality::Unary | Cardinality::ServerStreaming);
        Self {
            call: Owned::new(Mutex::new(call)),
            handlers: Owned::new(handlers),
            gathered,
            taken: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ExternalCall> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message that is no good ends the call; with what, the engine says. One that is over by
    /// itself was cancelled, and is to be known as such.
    fn refuse(&self, status: Status) -> PyErr {
        let text = status.message().to_owned();
        let mut call = self.lock();
        if !call.is_cancelled() {
            call.reply_later(ExternalReply::Status(status));
        }
        drop(call);
        CallOver::new_err(text)
    }

    fn sent(&self, py: Python<'_>, sent: Sent) -> bool {
        match sent {
            Sent::Ready => true,
            Sent::Gone => false,
            Sent::Full => wait(py, |cx| self.lock().poll_send_ready(cx)).is_ok(),
        }
    }
}

#[pymethods]
impl Call {
    /// "/service/method".
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.lock().path())
    }

    /// The authority that the caller named, or None.
    #[getter]
    fn authority(&self) -> Option<String> {
        self.lock().authority().map(str::to_owned)
    }

    /// The names under which grpcio's observers look for the path and the authority.
    #[getter]
    const fn call_details(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// The path, as bytes.
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.lock().path().as_bytes())
    }

    /// The authority, as bytes.
    #[getter]
    fn host<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.lock().authority().unwrap_or_default().as_bytes())
    }

    /// Who calls, in gRPC's notation.
    #[getter]
    fn peer(&self) -> String {
        self.lock().connection().peer.clone()
    }

    /// The metadata that the caller sent.
    #[getter]
    fn invocation_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let metadata = self.lock().metadata().clone();
        to_python(py, &metadata)
    }

    /// What a secure transport knows of the peer: a dict of lists of bytes.
    fn auth_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let context = self.lock().connection().auth_context.clone();
        let dict = PyDict::new(py);
        let add = |name: &str, value: &[u8]| -> PyResult<()> {
            let value = PyBytes::new(py, value);
            match dict.get_item(name)? {
                Some(list) => list.cast::<PyList>()?.append(value),
                None => dict.set_item(name, [value]),
            }
        };
        match context {
            None => {
                add("transport_security_type", b"insecure")?;
                add("security_level", b"TSI_SECURITY_NONE")?;
            }
            Some(context) => {
                add("transport_security_type", context.transport_security_type.as_bytes())?;
                for (name, value) in context.properties.iter() {
                    if name != "transport_security_type" {
                        add(name, value)?;
                    }
                }
            }
        }
        Ok(dict)
    }

    /// Seconds until the deadline, not below 0; None if there is none.
    fn time_remaining(&self) -> Option<f64> {
        let deadline = self.lock().deadline()?;
        Some(deadline.into_std().saturating_duration_since(Instant::now()).as_secs_f64())
    }

    /// Whether the caller cancelled, the deadline passed or the connection was lost, before the
    /// reply.
    fn is_cancelled(&self) -> bool {
        let call = self.lock();
        !call.is_replied() && call.is_cancelled()
    }

    /// Whether the caller still waits for the reply.
    fn is_active(&self) -> bool {
        let call = self.lock();
        !call.is_replied() && !call.is_cancelled()
    }

    /// Whether the call was replied to.
    fn is_replied(&self) -> bool {
        self.lock().is_replied()
    }

    /// Makes the serving thread, or the event loop, know `id` when the call is cancelled; False if
    /// it is already.
    fn watch(&self, id: u64) -> bool {
        let waker = Arc::clone(&self.handlers).waker(id, CallEvent::ENDED);
        let call = self.lock();
        let mut cx = Context::from_waker(&waker);
        !call.is_replied() && call.poll_cancelled(&mut cx).is_pending()
    }

    /// The next request, or None after the last one; waits for it. Raises CallOver.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        if self.lock().is_replied() {
            return Err(CallOver::new_err("the call was replied to"));
        }
        let received = if self.gathered {
            if self.taken.swap(true, Relaxed) {
                return Ok(None);
            }
            let mut call = self.lock();
            let message = call.take_message();
            drop(call);
            message.map(Some)
        } else {
            wait(py, |cx| -> Poll<Result<Option<Bytes>, Status>> { self.lock().poll_message(cx) })
        };
        match received {
            Ok(message) => Ok(message.map(|message| PyBytes::new(py, &message))),
            Err(status) => Err(self.refuse(status)),
        }
    }

    /// The next request, None after the last one, or Ellipsis: then the event loop is told that
    /// there is more, with this tag. Never waits. Raises CallOver.
    fn try_receive<'py>(&self, py: Python<'py>, tag: u64) -> PyResult<Bound<'py, PyAny>> {
        if self.gathered {
            let message = self.receive(py)?;
            return Ok(message.map_or_else(|| py.None().into_bound(py), Bound::into_any));
        }
        let mut call = self.lock();
        if call.is_replied() {
            return Err(CallOver::new_err("the call was replied to"));
        }
        // Mostly there is something: a waker is made only for those who wait.
        let mut received = call.poll_message(&mut Context::from_waker(Waker::noop()));
        if received.is_pending() {
            let waker = Arc::clone(&self.handlers).waker(tag, CallEvent::RECEIVED);
            received = call.poll_message(&mut Context::from_waker(&waker));
        }
        drop(call);
        match received {
            Poll::Ready(Ok(Some(message))) => Ok(PyBytes::new(py, &message).into_any()),
            Poll::Ready(Ok(None)) => Ok(py.None().into_bound(py)),
            Poll::Ready(Err(status)) => Err(self.refuse(status)),
            Poll::Pending => Ok(py.Ellipsis().into_bound(py)),
        }
    }

    /// Sends a response. False if the call is over; None if another has to wait for room: see
    /// `is_full`. Never waits.
    fn try_send(&self, message: &Bound<'_, PyBytes>, compress: bool) -> Option<bool> {
        let payload = Bytes::copy_from_slice(message.as_bytes());
        let mut call = self.lock();
        if call.is_replied() {
            return Some(false);
        }
        let sent =
            if compress { call.send_message(payload) } else { call.send_uncompressed(payload) };
        match sent {
            Sent::Ready => Some(true),
            Sent::Full => None,
            Sent::Gone => Some(false),
        }
    }

    /// Whether a response would have to wait for room; then the event loop is told with this tag
    /// when there is some. Never waits.
    fn is_full(&self, tag: u64) -> bool {
        let waker = Arc::clone(&self.handlers).waker(tag, CallEvent::ROOM);
        self.lock().poll_send_ready(&mut Context::from_waker(&waker)).is_pending()
    }

    /// Sends the initial metadata, and says how the messages are compressed. False if the call is
    /// over. Raises TypeError or ValueError for what is no metadata, InvalidMetadata for what cannot
    /// be sent.
    #[pyo3(signature = (metadata, compression))]
    fn send_initial_metadata(
        &self,
        metadata: Option<&Bound<'_, PyAny>>,
        compression: Option<i64>,
    ) -> PyResult<bool> {
        let metadata = read(metadata)?;
        let sent = self.lock().send_metadata(metadata, compression.map(encoding));
        Ok(sent != Sent::Gone)
    }

    /// Sends a response, and waits for room for another. False if the call is over.
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyBytes>, compress: bool) -> bool {
        let payload = Bytes::copy_from_slice(message.as_bytes());
        let sent = {
            let mut call = self.lock();
            if compress { call.send_message(payload) } else { call.send_uncompressed(payload) }
        };
        self.sent(py, sent)
    }

    /// Ends the call with its only response and status OK. Nothing may have been sent but the
    /// initial metadata. The reply goes out with others, see `Drain.take` and `flush` of the
    /// servers; it is the first of them that have to be flushed if this returns True.
    fn reply(
        &self,
        message: &Bound<'_, PyBytes>,
        compression: Option<i64>,
        trailing: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let reply = ExternalReply::Message {
            initial: Metadata::new(),
            message: Bytes::copy_from_slice(message.as_bytes()),
            compression: compression.map(encoding),
            trailing: read(trailing)?,
        };
        let deferred = self.lock().reply_later(reply);
        Ok(deferred.is_some_and(|deferred| self.handlers.reply(deferred)))
    }

    /// Ends the call with a status, after what was sent before.
    fn finish(
        &self,
        code: u32,
        details: String,
        trailing: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let code = Code::from_number(code).unwrap_or(Code::Unknown);
        let status = Status::new(code, details).with_metadata(read(trailing)?);
        self.lock().reply_later(ExternalReply::Status(status));
        Ok(())
    }
}

/// The algorithm of a `grpc.Compression`; none for a number that is none.
fn encoding(number: i64) -> Encoding {
    contract::encoding(number).unwrap_or(Encoding::Identity)
}

fn read(metadata: Option<&Bound<'_, PyAny>>) -> PyResult<Metadata> {
    from_python(metadata).map_err(|refused| match refused {
        Refused::Raise(error) => error,
        Refused::Invalid(what) => InvalidMetadata::new_err(Refused::text(&what)),
    })
}
