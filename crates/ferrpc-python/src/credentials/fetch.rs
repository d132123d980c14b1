//! Configurations that a function of the user's is asked for before each handshake of a server.
//!
//! The engine's threads put a question into a queue and wait for the answer as a future; a thread of
//! Python's takes questions and runs the function. The handshake's time limit includes that.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ferrpc::credentials::{Provided, ServerTls, TlsSource};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::server::{Configuration, Pair, server_tls};
use crate::fork::Owned;

/// The questions about one port, for one Python thread.
#[pyclass(frozen, weakref, module = "grpc._ferrpc")]
pub(crate) struct Fetches {
    queue: Owned<Arc<Queue>>,
}

/// One question. Forgotten without an answer, it keeps what was.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Fetch {
    require_client_auth: bool,
    answer: Mutex<Option<oneshot::Sender<Configuration>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    questions: VecDeque<Fetch>,
    stopped: bool,
}

/// Where the engine asks. With it, the questions end.
struct Source {
    queue: Arc<Queue>,
    require_client_auth: bool,
}

#[pymethods]
impl Fetches {
    #[new]
    fn new() -> Self {
        Self { queue: Owned::new(Arc::default()) }
    }

    /// The next question; waits for it. None when there will be no more.
    fn take(&self, py: Python<'_>) -> Option<Fetch> {
        py.detach(|| {
            let mut state = self.queue.lock();
            loop {
                if state.stopped {
                    return None;
                }
                if let Some(question) = state.questions.pop_front() {
                    return Some(question);
                }
                state = self.queue.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        })
    }

    /// There will be no more questions.
    fn stop(&self) {
        self.queue.stop();
    }
}

impl Fetches {
    pub(super) fn source(&self, require_client_auth: bool) -> impl TlsSource<ServerTls> {
        Source { queue: Arc::clone(&self.queue), require_client_auth }
    }
}

#[pymethods]
impl Fetch {
    /// What was stays in use.
    fn keep(&self) {
        self.answer(Ok(None));
    }

    /// This is new: PEM of keys and certificates, and of roots. Raises ValueError if it cannot be
    /// used; then what was stays.
    fn replace(&self, pairs: Vec<Pair>, roots: Option<Vec<u8>>) -> PyResult<()> {
        match server_tls(&pairs, roots.as_deref(), self.require_client_auth) {
            Ok(tls) => {
                self.answer(Ok(Some(tls)));
                Ok(())
            }
            Err(error) => {
                self.answer(Err(error.as_str().into()));
                Err(PyValueError::new_err(error))
            }
        }
    }
}

impl Fetch {
    fn answer(&self, answer: Configuration) {
        let sender = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // The handshake may be over.
            let _ = sender.send(answer);
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        // Who waits for an answer goes on with what was.
        state.questions.clear();
        drop(state);
        self.filled.notify_all();
    }
}

impl TlsSource<ServerTls> for Source {
    fn provide(&self) -> Provided<ServerTls> {
        let (answer, answered) = oneshot::channel();
        let answer = Mutex::new(Some(answer));
        let question = Fetch { require_client_auth: self.require_client_auth, answer };
        let mut state = self.queue.lock();
        if !state.stopped {
            state.questions.push_back(question);
        }
        drop(state);
        self.queue.filled.notify_one();
        Box::pin(async move {
            match answered.await {
                Ok(Ok(configuration)) => Ok(configuration),
                Ok(Err(text)) => Err(text.to_string().into()),
                Err(_) => Ok(None),
            }
        })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.queue.stop();
    }
}
