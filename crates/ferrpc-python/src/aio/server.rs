//! A server whose calls are handled by an event loop.
//!
//! ```text
//!   engine's threads             |  the thread of the loop
//!   connection --> waiting ----------> LoopServer.take(): a batch --> handlers
//!                  ARRIVED: once         |                              |
//!                  until it is taken     flush() <-- gathered <-- Call.reply()
//! ```

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrpc::Cardinality;
use ferrpc::credentials::ServerCredentials as EngineCredentials;
use ferrpc::server::{
    DeferredReply, ExternalQueue, ListenAddress, Listeners, Routes, ServerBuilder,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use super::queue::{LoopQueue, Queue};
use crate::credentials::ServerCredentials;
use crate::runtime::{Owned, runtime};
use crate::server::call::{Call, Handlers};
use crate::server::engine::serve;
use crate::server::options::Options;

/// What the queue says of a server: calls wait.
const ARRIVED: u32 = 0;
/// What the queue says of a server: it has ended.
const STOPPED: u32 = 1;
/// What the queue says of a call: it was cancelled.
pub(crate) const ENDED: u32 = 0;
/// What the queue says of a call: there is a request, or there will be no more.
pub(crate) const MESSAGE: u32 = 1;
/// What the queue says of a call: there is room for responses.
pub(crate) const ROOM: u32 = 2;

/// The replies that leave together.
pub(crate) struct Gathered {
    pub(crate) queue: Arc<Queue>,
    replies: Mutex<Vec<DeferredReply>>,
}

impl Gathered {
    /// Whether it is the first, so that somebody has to flush.
    pub(crate) fn push(&self, reply: DeferredReply) -> bool {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.push(reply);
        replies.len() == 1
    }

    fn flush(&self) {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *replies);
        drop(replies);
        ExternalQueue::send_replies(taken);
    }
}

/// The engine of a `grpc.aio.Server`.
///
/// It listens from the first `bind` on, and takes calls from `start` on. No method waits for
/// another thread but for `bind`, which may look a name up. In the child of a fork each raises
/// RuntimeError.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct LoopServer {
    inner: Owned<Inner>,
}

struct Inner {
    options: Vec<(String, i64)>,
    tag: u64,
    gathered: Arc<Gathered>,
    waiting: Arc<Waiting>,
    state: Mutex<State>,
}

/// Calls that the loop has not taken.
struct Waiting {
    calls: Arc<ExternalQueue>,
    told: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    runtime: Option<Arc<Runtime>>,
    /// Bound before the start.
    listeners: Vec<(Listeners, Option<EngineCredentials>)>,
    running: Option<ferrpc::server::Server>,
    stopping: bool,
}

/// One path of the server: method, whether requests and responses stream.
type RouteArguments = (String, bool, bool);

#[pymethods]
impl LoopServer {
    /// `options` are numbers by name. What happens is told to `queue`, with `tag`.
    #[new]
    fn new(options: Vec<(String, i64)>, queue: &LoopQueue, tag: u64) -> Self {
        let queue = queue.queue();
        let told = Arc::new(AtomicBool::new(false));
        let notify = {
            let (queue, told) = (Arc::clone(&queue), Arc::clone(&told));
            move || {
                if !told.swap(true, SeqCst) {
                    queue.push(tag, ARRIVED);
                }
            }
        };
        let waiting = Arc::new(Waiting { calls: ExternalQueue::new(notify), told });
        let gathered = Arc::new(Gathered { queue, replies: Mutex::default() });
        let state = Mutex::default();
        Self { inner: Owned::new(Inner { options, tag, gathered, waiting, state }) }
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

    /// Takes calls of these routes, and of unknown methods; and those of the listeners.
    fn start(&self, py: Python<'_>, routes: Vec<RouteArguments>) -> PyResult<()> {
        let inner = self.inner()?;
        py.detach(|| inner.start(routes))
    }

    /// Ends the server gracefully: within `grace` seconds. Returns at once; the queue says when
    /// it is done. May be called again, with less grace.
    fn shutdown(&self, py: Python<'_>, grace: f64) -> PyResult<()> {
        let inner = self.inner()?;
        py.detach(|| inner.shutdown(grace));
        Ok(())
    }

    /// Up to `max` calls that wait, and whether there may be more. The queue tells of more only
    /// once this was False.
    fn take(&self, max: usize) -> PyResult<(Vec<Call>, bool)> {
        let inner = self.inner()?;
        // Before the calls are taken: those that come later are told of again.
        inner.waiting.told.store(false, SeqCst);
        let mut calls = Vec::new();
        let more = inner.waiting.calls.pop(max, &mut calls) == max;
        if more {
            inner.waiting.told.store(true, SeqCst);
        }
        let call = |call| Call::new(call, Handlers::Loop(Arc::clone(&inner.gathered)));
        Ok((calls.into_iter().map(call).collect(), more))
    }

    /// Sends the replies that were gathered.
    fn flush(&self) -> PyResult<()> {
        self.inner()?.gathered.flush();
        Ok(())
    }
}

impl LoopServer {
    fn inner(&self) -> PyResult<&Inner> {
        if self.inner.is_inherited() {
            return Err(PyRuntimeError::new_err(
                "this server belongs to the process that this one was forked from; make a new one",
            ));
        }
        Ok(&self.inner)
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
            Some(server) => {
                let _runtime = runtime.enter();
                serve(server, listeners, credentials);
            }
            None => state.listeners.push((listeners, credentials)),
        }
        Ok(port.unwrap_or(UNIX_PORT))
    }

    fn start(&self, routes: Vec<RouteArguments>) -> PyResult<()> {
        let runtime = self.runtime()?;
        let mut all = Routes::new("");
        for (path, requests, responses) in routes {
            let cardinality = match (requests, responses) {
                (false, false) => Cardinality::Unary,
                (false, true) => Cardinality::ServerStreaming,
                (true, false) => Cardinality::ClientStreaming,
                (true, true) => Cardinality::Bidirectional,
            };
            all.external(&path, cardinality, Arc::clone(&self.waiting.calls));
        }
        let builder = self.builder().add_service(all);
        let server = builder.unknown_external(Arc::clone(&self.waiting.calls)).build();
        let mut state = self.lock();
        if state.running.is_some() || state.stopping {
            return Err(PyRuntimeError::new_err("the server was started before"));
        }
        let _runtime = runtime.enter();
        for (listeners, credentials) in state.listeners.drain(..) {
            serve(&server, listeners, credentials);
        }
        state.running = Some(server);
        Ok(())
    }

    fn shutdown(&self, grace: f64) {
        let mut state = self.lock();
        state.stopping = true;
        let _listeners = std::mem::take(&mut state.listeners);
        let (queue, tag) = (Arc::clone(&self.gathered.queue), self.tag);
        let (Some(runtime), Some(server)) = (state.runtime.clone(), state.running.clone()) else {
            drop(state);
            return queue.push(tag, STOPPED);
        };
        drop(state);
        let grace = Duration::try_from_secs_f64(grace.max(0.0)).ok();
        runtime.spawn(async move {
            server.shutdown(grace).await;
            queue.push(tag, STOPPED);
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
        let builder = ferrpc::server::Server::builder()
            // What waits is bounded by the streams.
            .max_handlers_per_connection(usize::MAX);
        let options = Options::new(builder);
        self.options.iter().fold(options, |all, (key, value)| all.apply(key, *value)).finish()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LoopServer>()
}

/// What grpcio returns where there is no port.
const UNIX_PORT: u16 = 1;
