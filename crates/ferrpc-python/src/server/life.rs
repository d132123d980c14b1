//! The life of a server, behind whichever door: its ports, its start and its end.
//!
//! ```text
//!   bind: ports listen --> start: calls are taken --> shutdown --> `ended`
//!                          bind: one more port
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrpc::Cardinality;
use ferrpc::credentials::ServerCredentials as EngineCredentials;
use ferrpc::server::{ExternalQueue, ListenAddress, Listeners, Routes, Server, ServerBuilder};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use super::options::Options;
use crate::runtime::runtime;

/// An engine that listens from the first `bind` on and takes calls from `start` on; `T` is what
/// else there is of it as long as it runs.
pub(crate) struct Life<T> {
    options: Vec<(String, i64)>,
    state: Mutex<State<T>>,
}

struct State<T> {
    runtime: Option<Arc<Runtime>>,
    /// Bound before the start.
    listeners: Vec<(Listeners, Option<EngineCredentials>)>,
    running: Option<(Server, T)>,
    stopping: bool,
}

impl<T: Clone + Send + 'static> Life<T> {
    /// `options` are numbers by name; those without a meaning are passed over.
    pub(crate) fn new(options: Vec<(String, i64)>) -> Self {
        let state = State { runtime: None, listeners: Vec::new(), running: None, stopping: false };
        Self { options, state: Mutex::new(state) }
    }

    /// Listens on an address; the port, or 1 for a unix socket.
    pub(crate) fn bind(
        &self,
        address: &str,
        credentials: Option<EngineCredentials>,
    ) -> PyResult<u16> {
        let runtime = self.runtime()?;
        let listening = runtime.block_on(builder(&self.options).listen(address));
        let listeners = listening.map_err(|error| PyOSError::new_err(error.to_string()))?;
        let port = listeners.addresses().iter().find_map(|address| match address {
            ListenAddress::Tcp(address) => Some(address.port()),
            _ => None,
        });
        let mut state = self.lock();
        if state.stopping {
            return Err(PyOSError::new_err("the server was stopped"));
        }
        match &state.running {
            Some((server, _)) => {
                let _runtime = runtime.enter();
                serve(server, listeners, credentials);
            }
            None => state.listeners.push((listeners, credentials)),
        }
        Ok(port.unwrap_or(UNIX_PORT))
    }

    /// Takes calls: of these routes, and into `unknown` those of other methods.
    pub(crate) fn start(
        &self,
        routes: Routes,
        unknown: Arc<ExternalQueue>,
        beside: T,
    ) -> PyResult<()> {
        let runtime = self.runtime()?;
        let builder = builder(&self.options).add_service(routes);
        let server = builder.unknown_external(unknown).build();
        let mut state = self.lock();
        if state.running.is_some() || state.stopping {
            return Err(PyRuntimeError::new_err("the server was started before"));
        }
        let _runtime = runtime.enter();
        for (listeners, credentials) in state.listeners.drain(..) {
            serve(&server, listeners, credentials);
        }
        state.running = Some((server, beside));
        Ok(())
    }

    /// Ends the server gracefully, after `delay`: within `grace` seconds (None: as long as it takes).
    /// Returns at once; `ended` runs when it is done, on a thread of the engine's. False, without
    /// that, if it was not started.
    pub(crate) fn shutdown(
        &self,
        delay: Duration,
        grace: Option<f64>,
        ended: impl FnOnce(T) + Send + 'static,
    ) -> bool {
        let mut state = self.lock();
        state.stopping = true;
        let _listeners = std::mem::take(&mut state.listeners);
        let (Some(runtime), Some((server, beside))) = (state.runtime.clone(), &state.running)
        else {
            return false;
        };
        let (server, beside) = (server.clone(), beside.clone());
        let grace = grace.and_then(|grace| Duration::try_from_secs_f64(grace.max(0.0)).ok());
        runtime.spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            server.shutdown(grace).await;
            ended(beside);
        });
        true
    }

    /// What there is beside the engine. Raises RuntimeError unless it was started.
    pub(crate) fn running(&self) -> PyResult<T> {
        let running = self.lock().running.as_ref().map(|(_, beside)| beside.clone());
        running.ok_or_else(|| PyRuntimeError::new_err("the server was not started"))
    }

    fn runtime(&self) -> PyResult<Arc<Runtime>> {
        let mut state = self.lock();
        if let Some(runtime) = &state.runtime {
            return Ok(Arc::clone(runtime));
        }
        let runtime = runtime()?;
        state.runtime = Some(Arc::clone(&runtime));
        Ok(runtime)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done in the child of a fork.
pub(crate) fn inherited() -> PyErr {
    PyRuntimeError::new_err(
        "this server belongs to the process that this one was forked from; make a new one",
    )
}

/// A method's kind, by whether its requests and its responses stream.
pub(crate) const fn cardinality(requests: bool, responses: bool) -> Cardinality {
    match (requests, responses) {
        (false, false) => Cardinality::Unary,
        (false, true) => Cardinality::ServerStreaming,
        (true, false) => Cardinality::ClientStreaming,
        (true, true) => Cardinality::Bidirectional,
    }
}

/// What options come to.
pub(crate) fn apply(options: &[(String, i64)]) -> Options {
    let mut builder = Server::builder()
        // Generic handlers decide about paths.
        .any_path(true);
    if let Some(observer) = crate::trace::of_server() {
        builder = builder.observer(observer);
    }
    options.iter().fold(Options::new(builder), |options, (key, value)| options.apply(key, *value))
}

fn builder(options: &[(String, i64)]) -> ServerBuilder {
    apply(options).finish()
}

fn serve(server: &Server, listeners: Listeners, credentials: Option<EngineCredentials>) {
    match credentials {
        Some(credentials) => server.serve_listeners_with(listeners, credentials),
        None => server.serve_listeners(listeners),
    };
}

/// What grpcio returns where there is no port.
const UNIX_PORT: u16 = 1;
