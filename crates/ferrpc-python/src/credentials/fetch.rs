//! Configurations that a function of the user's is asked for before each handshake of a server.
//!
//! The engine's threads ask and wait for the answer as a future; a thread of Python's takes the
//! question and runs the function. The handshake's time limit includes that.
//!
//! Handshakes that wait for the function to begin share one run of it: each goes by an answer that
//! was asked for after it began, and however many there are, the next waits for two runs at most.
//! When all that wait have gone, so has their question.

use std::mem;
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

/// One run of the function, for the handshakes that wait for it. Forgotten without an answer, it keeps
/// what was.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Fetch {
    require_client_auth: bool,
    asked: Mutex<Vec<oneshot::Sender<Configuration>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    /// The handshakes that the next run is for.
    asked: Vec<oneshot::Sender<Configuration>>,
    require_client_auth: bool,
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
                let asked = mem::take(&mut state.asked);
                if asked.iter().any(|handshake| !handshake.is_closed()) {
                    let require_client_auth = state.require_client_auth;
                    return Some(Fetch { require_client_auth, asked: Mutex::new(asked) });
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
        let asked = mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        for handshake in asked {
            // It may be over.
            let _ = handshake.send(answer.clone());
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
        state.asked.clear();
        drop(state);
        self.filled.notify_all();
    }
}

impl State {
    /// One more handshake waits for the next run. Those that have gone meanwhile are swept out when
    /// they may be half of all, so that a flood of them holds no memory.
    fn ask(&mut self, handshake: oneshot::Sender<Configuration>, require_client_auth: bool) {
        self.require_client_auth = require_client_auth;
        if self.asked.len() == self.asked.capacity() {
            self.asked.retain(|handshake| !handshake.is_closed());
        }
        self.asked.push(handshake);
    }
}

impl TlsSource<ServerTls> for Source {
    fn provide(&self) -> Provided<ServerTls> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.queue.lock();
        if !state.stopped {
            state.ask(answer, self.require_client_auth);
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
