//! Why a connection was refused before it could carry calls, in words.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::io::Io;

/// Why a connection was refused, by either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was expected and what was seen.
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
    /// What the system said, where it was the system.
    pub system: Option<String>,
    /// Nothing anybody needs to hear of: somebody knocked and left.
    pub quiet: bool,
}

impl Refusal {
    /// What was expected and seen, and what to do about it.
    pub fn new(what: impl Into<String>, hint: &'static str) -> Self {
        Self { what: what.into(), hint, system: None, quiet: false }
    }

    #[cfg(feature = "_rustls")]
    pub(crate) fn quiet(what: impl Into<String>, hint: &'static str) -> Self {
        Self { what: what.into(), hint, system: None, quiet: true }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

/// Why TLS ended a connection: left by it, found by whoever waits for the connection.
#[derive(Debug, Default)]
pub struct Fault(Mutex<Option<Refusal>>);

/// A byte stream that is ready for HTTP/2, and where TLS says why it ended it, if there is TLS.
pub struct Secured {
    /// Where bytes go.
    pub io: Box<dyn Io>,
    /// Where TLS says so.
    pub fault: Option<Arc<Fault>>,
}

impl Secured {
    /// Without TLS.
    pub const fn plain(io: Box<dyn Io>) -> Self {
        Self { io, fault: None }
    }
}

impl Fault {
    /// The first reason stays.
    #[cfg(feature = "_rustls")]
    pub(crate) fn set(&self, refusal: Refusal) {
        let mut fault = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fault.get_or_insert(refusal);
    }

    /// The reason, once.
    pub fn take(&self) -> Option<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a handshake has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "_rustls"), expect(dead_code, reason = "nothing but TLS has stages"))]
pub(crate) enum Stage {
    /// The caller's hello has come: it is worked on.
    Hello,
    /// It was answered: the caller has to go on.
    Answered,
}
