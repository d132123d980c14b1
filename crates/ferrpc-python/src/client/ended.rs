//! How a call ended, with the words that grpcio has for it.

use std::sync::Arc;

use ferrpc::{Code, Metadata};
use ferrpc_blocking::{Origin, Outcome, Unary};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::metadata::{self, Refused};

/// The end of a call. Metadata becomes tuples when it is asked for.
#[pyclass(frozen, name = "CallEnd", module = "grpc._ferrpc")]
pub(crate) struct Ended {
    /// The number of the status code.
    #[pyo3(get)]
    code: u32,
    /// The status's text.
    #[pyo3(get)]
    details: String,
    /// Whether it is because of metadata that cannot be sent.
    #[pyo3(get)]
    is_invalid_metadata: bool,
    initial: Metadata,
    trailing: Metadata,
    message: Option<Py<PyBytes>>,
}

#[pymethods]
impl Ended {
    /// The initial metadata; where the call has headers of its own, ask that.
    fn initial_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        metadata::to_python(py, &self.initial)
    }

    fn trailing_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        metadata::to_python(py, &self.trailing)
    }

    /// The response of a blocking unary call.
    #[getter]
    fn message(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        self.message.as_ref().map(|message| message.clone_ref(py))
    }
}

impl Ended {
    /// One that was made here.
    pub(crate) fn local(code: Code, details: impl Into<String>) -> Self {
        Self {
            code: code.number(),
            details: details.into(),
            is_invalid_metadata: false,
            initial: Metadata::new(),
            trailing: Metadata::new(),
            message: None,
        }
    }

    /// That of a call whose metadata cannot be sent, which says why.
    pub(crate) fn invalid_metadata(what: &str) -> Self {
        let local = Self::local(Code::Internal, Refused::text(what));
        Self { is_invalid_metadata: true, ..local }
    }

    pub(crate) fn of_unary(py: Python<'_>, unary: Unary) -> Self {
        let mut ended = Self::of(&unary.outcome);
        ended.initial = unary.initial;
        ended.message = unary.message.map(|message| PyBytes::new(py, &message).unbind());
        ended
    }

    pub(crate) fn of_call(outcome: &Arc<Outcome>) -> Self {
        Self::of(outcome)
    }

    fn of(outcome: &Outcome) -> Self {
        let status = outcome.status();
        let details = match outcome.origin() {
            // The text of a status OK does not reach programs.
            Origin::Peer if status.is_ok() => String::new(),
            Origin::Peer => status.message().to_owned(),
            origin => in_their_words(origin, status.code(), status.message()),
        };
        Self {
            code: status.code().number(),
            details,
            is_invalid_metadata: false,
            initial: Metadata::new(),
            trailing: status.metadata().clone(),
            message: None,
        }
    }
}

/// Programs look for these texts.
fn in_their_words(origin: &Origin, code: Code, text: &str) -> String {
    match origin {
        Origin::Deadline => "Deadline Exceeded".to_owned(),
        Origin::Closed => "Channel closed!".to_owned(),
        Origin::TooLarge { sent: true, size, limit } => {
            format!("CLIENT: Sent message larger than max ({size} vs. {limit})")
        }
        Origin::TooLarge { sent: false, size, limit } => {
            format!("CLIENT: Received message larger than max ({size} vs. {limit})")
        }
        Origin::Connect(error) => match error.last_address() {
            Some((address, what)) => format!(
                "failed to connect to all addresses; last error: UNKNOWN: {}: Failed to connect \
                 to remote host: {what}",
                peer(address)
            ),
            None => error.to_string(),
        },
        _ if code == Code::Unavailable => format!("Socket closed: {text}"),
        _ => text.to_owned(),
    }
}

/// An address in gRPC's notation of peers.
fn peer(address: &str) -> String {
    if address.starts_with("unix") {
        return address.to_owned();
    }
    match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => format!("ipv6:%5B{host}%5D{port}"),
        None => format!("ipv4:{address}"),
    }
}
