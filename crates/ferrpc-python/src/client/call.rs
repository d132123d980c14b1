//! A call that runs beside its caller.

use std::sync::Arc;

use bytes::Bytes;
use ferrpc::{Code, Status};
use ferrpc_blocking::{self as blocking, PushError, RawCall, Waited};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::ended::Ended;
use crate::completions::completions;
use crate::fork::Owned;
use crate::{metadata, waiting};

/// A call that was begun. Whoever waits gives a limit in seconds (None: without end) and gets None
/// when that is over. When the last reference goes, the call is cancelled.
#[pyclass(frozen, name = "ClientCall", module = "grpc._ferrpc")]
pub(crate) struct Call {
    inner: Owned<Inner>,
}

struct Inner {
    call: Arc<RawCall>,
    /// A channel lives as long as its calls.
    _channel: blocking::Channel,
}

impl Call {
    pub(super) fn new(call: RawCall, channel: blocking::Channel) -> Self {
        Self { inner: Owned::new(Inner { call: Arc::new(call), _channel: channel }) }
    }

    fn call(&self) -> Option<&RawCall> {
        self.inner.get().map(|inner| &*inner.call)
    }
}

#[pymethods]
impl Call {
    /// The next message: bytes; or how the call ended, if there is none.
    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Py<PyAny>>> {
        let Some(call) = self.call() else {
            return Ok(Some(Py::new(py, in_child())?.into_any()));
        };
        let waited = match call.at_hand() {
            Some(waited) => Some(waited),
            None => {
                waiting::wait(py, waiting::limit(timeout)?, |limit| match call.message(limit) {
                    Waited::Late => None,
                    waited => Some(waited),
                })?
            }
        };
        match waited {
            Some(Waited::Ready(message)) => {
                Ok(Some(PyBytes::new(py, &message).into_any().unbind()))
            }
            Some(Waited::Over(outcome)) => {
                Ok(Some(Py::new(py, Ended::of_call(&outcome))?.into_any()))
            }
            Some(Waited::Late) | None => Ok(None),
        }
    }

    /// The initial metadata: empty if the call ended without.
    #[pyo3(signature = (timeout=None))]
    fn initial_metadata<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(call) = self.call() else { return Ok(Some(PyTuple::empty(py))) };
        if call.known_headers().is_none() {
            let came =
                waiting::wait(py, waiting::limit(timeout)?, |limit| match call.headers(limit) {
                    Waited::Late => None,
                    Waited::Ready(_) | Waited::Over(_) => Some(()),
                })?;
            if came.is_none() {
                return Ok(None);
            }
        }
        match call.known_headers() {
            Some(headers) => metadata::to_python(py, headers).map(Some),
            None => Ok(Some(PyTuple::empty(py))),
        }
    }

    /// How the call ended; reads no messages.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Ended>> {
        let Some(call) = self.call() else { return Ok(Some(in_child())) };
        if let Some(outcome) = call.outcome() {
            return Ok(Some(Ended::of_call(&outcome)));
        }
        let limit = waiting::limit(timeout)?;
        let outcome = waiting::wait(py, limit, |limit| call.ended(limit))?;
        Ok(outcome.as_ref().map(Ended::of_call))
    }

    /// How the call ended, if it did. From the first such question on the call gets on by itself.
    fn poll(&self) -> Option<Ended> {
        let Some(call) = self.call() else { return Some(in_child()) };
        call.watch();
        call.outcome().as_ref().map(Ended::of_call)
    }

    /// Whether it is known to be over: does not make the call get on.
    fn is_over(&self) -> bool {
        self.call().is_none_or(|call| call.outcome().is_some())
    }

    /// The same, if all messages were read.
    fn drained(&self, py: Python<'_>) -> Option<Ended> {
        let Some(call) = self.call() else { return Some(in_child()) };
        call.watch();
        py.detach(|| call.drained()).as_ref().map(Ended::of_call)
    }

    /// Sends a message once there is room for it. False if the call is over.
    fn send(&self, py: Python<'_>, message: &[u8]) -> bool {
        let Some(call) = self.call() else { return false };
        let message = Bytes::copy_from_slice(message);
        py.detach(|| match call.push(message, None) {
            Ok(()) => true,
            Err(PushError::Over(_) | PushError::Late(_)) => false,
        })
    }

    /// No more messages follow.
    fn half_close(&self, py: Python<'_>) {
        if let Some(call) = self.call() {
            py.detach(|| call.half_close());
        }
    }

    /// Ends the call; false if it was over. To a reader (`unread`) it is not while there are
    /// messages to be read: they are dropped.
    #[pyo3(signature = (code, details, unread=false))]
    fn cancel(&self, py: Python<'_>, code: u32, details: String, unread: bool) -> bool {
        let Some(call) = self.call() else { return false };
        let status = Status::new(Code::from_number(code).unwrap_or(Code::Unknown), details);
        py.detach(|| if unread { call.cancel_unread(status) } else { call.cancel(status) })
    }

    /// The call gets on without a thread that waits for it.
    fn watch(&self) {
        if let Some(call) = self.call() {
            call.watch();
        }
    }

    /// Once the call is over, the completions have this tag.
    fn on_end(&self, py: Python<'_>, tag: u64) {
        let completions = completions();
        match self.call() {
            Some(call) => py.detach(|| call.on_end(move || completions.push(tag, 0))),
            None => completions.push(tag, 0),
        }
    }
}

/// What becomes of calls of the parent's.
fn in_child() -> Ended {
    Ended::local(Code::Cancelled, "Call cancelled in fork child")
}
