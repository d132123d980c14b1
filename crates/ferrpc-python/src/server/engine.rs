//! A server's engine, as Python holds it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrpc::credentials::ServerCredentials as EngineCredentials;
use ferrpc::server::{
    CallLimit, Drains, ExternalCall, ListenAddress, Listeners, Routes, ServerBuilder, Taken, Task,
    Turn,
};
use ferrpc::{Cardinality, Code, Status};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use super::call::{Call, Handlers};
use super::options::Options;
use crate::credentials::ServerCredentials;
use crate::runtime::{Owned, runtime};

/// The engine of a `grpc.Server`.
///
/// It listens from the first `bind` on, and takes calls from `start` on. In the child of a fork
/// each method raises RuntimeError.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Server {
    inner: Owned<Inner>,
}

struct Inner {
    options: Vec<(String, i64)>,
    limit: Option<Arc<CallLimit>>,
    submit_per_call: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    runtime: Option<Arc<Runtime>>,
    /// Bound before the start.
    listeners: Vec<(Listeners, Option<EngineCredentials>)>,
    running: Option<(ferrpc::server::Server, Arc<Drains>)>,
    stopping: bool,
}

/// One path of the server: method, whether requests and responses stream, lane.
type RouteArguments = (String, bool, bool, usize);

#[pymethods]
impl Server {
    /// `options` are numbers by name; those without a meaning are passed over, see `unknown`.
    /// `maximum_concurrent_rpcs` bounds the calls that wait or run.
    #[new]
    fn new(options: Vec<(String, i64)>, maximum_concurrent_rpcs: Option<usize>) -> Self {
        let submit_per_call = apply(&options).submit_per_call;
        let refusal = || Status::new(Code::ResourceExhausted, "Concurrent RPC limit exceeded!");
        let limit = maximum_concurrent_rpcs.map(|limit| CallLimit::new(limit, refusal()));
        let state = Mutex::default();
        Self { inner: Owned::new(Inner { options, limit, submit_per_call, state }) }
    }

    /// The options among `keys` that mean nothing to this server.
    #[staticmethod]
    fn unknown_options(keys: Vec<String>) -> Vec<String> {
        keys.into_iter().filter(|key| !Options::knows(key)).collect()
    }

    /// Raises RuntimeError in the child of a fork, where the engine is not.
    fn check_process(&self) -> PyResult<()> {
        self.inner().map(|_| ())
    }

    /// Listens on an address, secured by `credentials` (None: by nothing). Returns the port, or 1
    /// for a unix socket. Raises OSError.
    fn bind(
        &self,
        py: Python<'_>,
        address: String,
        credentials: Option<&ServerCredentials>,
    ) -> PyResult<u16> {
        let inner = self.inner()?;
        let credentials = credentials.map(ServerCredentials::engine);
        py.detach(|| inner.bind(&address, credentials))
    }

    /// Takes calls of these routes, and of unknown methods in lane 0; and those of the listeners.
    fn start(&self, py: Python<'_>, routes: Vec<RouteArguments>, lanes: usize) -> PyResult<()> {
        let inner = self.inner()?;
        py.detach(|| inner.start(routes, lanes))
    }

    /// Ends the server gracefully: within `grace` seconds, or as long as it takes. Returns at
    /// once; `next_task` says when it is done.
    fn shutdown(&self, py: Python<'_>, grace: Option<f64>) -> PyResult<()> {
        let inner = self.inner()?;
        py.detach(|| inner.shutdown(grace));
        Ok(())
    }

    /// Ends the serving thread and idle drains now, without waiting for connections.
    fn release(&self) -> PyResult<()> {
        self.drains()?.stop();
        Ok(())
    }

    /// What the serving thread has to do next; waits for it. ("submit", lane), ("ended", id) of a
    /// call that was watched, ("stop", 0).
    fn next_task(&self, py: Python<'_>) -> PyResult<(&'static str, u64)> {
        let drains = self.drains()?;
        Ok(match py.detach(|| drains.next_task()) {
            Task::Submit(lane) => ("submit", lane as u64),
            Task::Ended(id) => ("ended", id),
            Task::Stop => ("stop", 0),
        })
    }

    /// A drain that was asked for begins.
    fn begin(&self, lane: usize) -> PyResult<Drain> {
        let drains = self.drains()?;
        Ok(Drain {
            turn: drains.begin(lane),
            drains: Owned::new(drains),
            ended: AtomicBool::new(false),
            again: AtomicBool::new(false),
        })
    }

    /// A drain that was asked for will never begin.
    fn lost(&self, lane: usize) -> PyResult<()> {
        self.drains()?.lost(lane);
        Ok(())
    }

    /// Ends the calls that wait in a lane: its executor takes no work.
    fn refuse_waiting(&self, lane: usize, details: String) -> PyResult<()> {
        let status = Status::new(Code::Unavailable, details);
        self.drains()?.queue(lane).refuse_waiting(&status);
        Ok(())
    }

    /// Sends the replies that were gathered.
    fn flush(&self) -> PyResult<()> {
        self.drains()?.flush();
        Ok(())
    }
}

impl Server {
    fn inner(&self) -> PyResult<&Inner> {
        if self.inner.is_inherited() {
            return Err(PyRuntimeError::new_err(
                "this server belongs to the process that this one was forked from; make a new one",
            ));
        }
        Ok(&self.inner)
    }

    fn drains(&self) -> PyResult<Arc<Drains>> {
        let state = self.inner()?.lock();
        let running = state.running.as_ref().map(|(_, drains)| Arc::clone(drains));
        running.ok_or_else(|| PyRuntimeError::new_err("the server was not started"))
    }
}

impl Inner {
    fn bind(&self, address: &str, credentials: Option<EngineCredentials>) -> PyResult<u16> {
        let runtime = self.runtime()?;
        let listening = runtime.block_on(self.builder().listen(address));
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

    fn start(&self, routes: Vec<RouteArguments>, lanes: usize) -> PyResult<()> {
        let runtime = self.runtime()?;
        let drains = Drains::new(lanes.max(1), self.limit.as_ref(), self.submit_per_call);
        let mut all = Routes::new("");
        for (path, requests, responses, lane) in routes {
            let cardinality = match (requests, responses) {
                (false, false) => Cardinality::Unary,
                (false, true) => Cardinality::ServerStreaming,
                (true, false) => Cardinality::ClientStreaming,
                (true, true) => Cardinality::Bidirectional,
            };
            all.external(&path, cardinality, Arc::clone(drains.queue(lane)));
        }
        let builder = self.builder().add_service(all);
        let server = builder.unknown_external(Arc::clone(drains.queue(0))).build();
        let mut state = self.lock();
        if state.running.is_some() || state.stopping {
            return Err(PyRuntimeError::new_err("the server was started before"));
        }
        let _runtime = runtime.enter();
        for (listeners, credentials) in state.listeners.drain(..) {
            serve(&server, listeners, credentials);
        }
        state.running = Some((server, drains));
        Ok(())
    }

    fn shutdown(&self, grace: Option<f64>) {
        let mut state = self.lock();
        state.stopping = true;
        let _listeners = std::mem::take(&mut state.listeners);
        let (Some(runtime), Some((server, drains))) = (state.runtime.clone(), &state.running)
        else {
            return;
        };
        let (server, drains) = (server.clone(), Arc::clone(drains));
        let grace = grace.and_then(|grace| Duration::try_from_secs_f64(grace.max(0.0)).ok());
        runtime.spawn(async move {
            server.shutdown(grace).await;
            drains.stop();
        });
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

    fn builder(&self) -> ServerBuilder {
        apply(&self.options).finish()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves what was bound.
pub(crate) fn serve(
    server: &ferrpc::server::Server,
    listeners: Listeners,
    credentials: Option<EngineCredentials>,
) {
    match credentials {
        Some(credentials) => server.serve_listeners_with(listeners, credentials),
        None => server.serve_listeners(listeners),
    };
}

fn apply(options: &[(String, i64)]) -> Options {
    let builder = ferrpc::server::Server::builder()
        // The user's executor bounds what runs; what waits is bounded by the streams.
        .max_handlers_per_connection(usize::MAX);
    options.iter().fold(Options::new(builder), |options, (key, value)| options.apply(key, *value))
}

/// A drain: made when a task on the executor begins, dropped when it ends.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Drain {
    drains: Owned<Arc<Drains>>,
    turn: Turn,
    ended: AtomicBool,
    again: AtomicBool,
}

#[pymethods]
impl Drain {
    /// The next call to handle, or None if the drain has to end. Waits for a short time.
    fn take(&self, py: Python<'_>) -> Option<Call> {
        if self.ended.load(Relaxed) {
            return None;
        }
        let taken = self.drains.try_take(&self.turn);
        let taken = taken.unwrap_or_else(|| py.detach(|| self.drains.take(&self.turn)));
        match taken {
            Taken::Call(call) => return Some(self.call(*call)),
            Taken::Again => self.again.store(true, Relaxed),
            Taken::Nothing => {}
        }
        self.ended.store(true, Relaxed);
        None
    }

    /// Whether, after `take` gave None, the same drain has to be submitted again.
    #[getter]
    fn again(&self) -> bool {
        self.again.load(Relaxed)
    }
}

impl Drain {
    fn call(&self, call: ExternalCall) -> Call {
        Call::new(call, Handlers::Threads(Arc::clone(&self.drains)))
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if !self.drains.is_inherited() && !self.ended.load(Relaxed) {
            self.drains.end(&self.turn);
        }
    }
}

/// What grpcio returns where there is no port.
const UNIX_PORT: u16 = 1;
