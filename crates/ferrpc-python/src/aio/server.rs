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
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use ferrpc::server::{DeferredReply, ExternalQueue, Routes};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use super::queue::{LoopQueue, Queue};
use crate::contract::ServerEvent;
use crate::credentials::ServerCredentials;
use crate::fork::Owned;
use crate::runtime::runtime;
use crate::server::call::{Call, Handlers};
use crate::server::life::{Life, cardinality, inherited};

/// The replies that leave together.
struct Gathered {
    queue: Arc<Queue>,
    replies: Mutex<Vec<DeferredReply>>,
}

impl Handlers for Gathered {
    fn reply(&self, reply: DeferredReply) -> bool {
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        replies.push(reply);
        replies.len() == 1
    }

    fn waker(self: Arc<Self>, id: u64, what: u32) -> Waker {
        self.queue.waker(id, what)
    }
}

impl Gathered {
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
    life: Life<()>,
    /// Only a server that was started has a loop.
    started: OnceLock<Started>,
}

/// Where calls go.
struct Started {
    tag: u64,
    gathered: Arc<Gathered>,
    /// Calls that the loop has not taken.
    calls: Arc<ExternalQueue>,
    told: Arc<AtomicBool>,
}

/// One path of the server: method, whether requests and responses stream.
type RouteArguments = (String, bool, bool);

#[pymethods]
impl LoopServer {
    /// `options` are numbers by name.
    #[new]
    fn new(options: Vec<(String, i64)>) -> Self {
        let life = Life::new(options);
        Self { inner: Owned::new(Inner { life, started: OnceLock::new() }) }
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
        self.inner()?.life.bind(py, &address, credentials)
    }

    /// Takes calls of these routes, and of unknown methods; and those of the listeners. What happens
    /// is told to `queue`, with `tag`; its loop is the one that calls the rest.
    fn start(
        &self,
        py: Python<'_>,
        routes: Vec<RouteArguments>,
        queue: &LoopQueue,
        tag: u64,
    ) -> PyResult<()> {
        let inner = self.inner()?;
        let started = Started::new(queue.queue(), tag);
        let runtime = runtime(py)?;
        py.detach(|| inner.start(&runtime, routes, started))
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
        let Some(started) = self.inner()?.started.get() else { return Ok((Vec::new(), false)) };
        // Before the calls are taken: those that come later are told of again.
        started.told.store(false, SeqCst);
        let mut calls = Vec::new();
        let more = started.calls.pop(max, &mut calls) == max;
        if more {
            started.told.store(true, SeqCst);
        }
        let handlers: Arc<dyn Handlers> = Arc::<Gathered>::clone(&started.gathered);
        let call = |call| Call::new(call, Arc::clone(&handlers));
        Ok((calls.into_iter().map(call).collect(), more))
    }

    /// Sends the replies that were gathered.
    fn flush(&self) -> PyResult<()> {
        if let Some(started) = self.inner()?.started.get() {
            started.gathered.flush();
        }
        Ok(())
    }
}

impl LoopServer {
    fn inner(&self) -> PyResult<&Inner> {
        if self.inner.is_inherited() {
            return Err(inherited());
        }
        Ok(&self.inner)
    }
}

impl Started {
    fn new(queue: Arc<Queue>, tag: u64) -> Self {
        let told = Arc::new(AtomicBool::new(false));
        let notify = {
            let (queue, told) = (Arc::clone(&queue), Arc::clone(&told));
            move || {
                if !told.swap(true, SeqCst) {
                    queue.push(tag, ServerEvent::ARRIVED);
                }
            }
        };
        let calls = ExternalQueue::new(notify);
        let gathered = Arc::new(Gathered { queue, replies: Mutex::default() });
        Self { tag, gathered, calls, told }
    }
}

impl Inner {
    fn start(
        &self,
        runtime: &Arc<Runtime>,
        routes: Vec<RouteArguments>,
        started: Started,
    ) -> PyResult<()> {
        let calls = &started.calls;
        let mut all = Routes::new("");
        for (path, requests, responses) in routes {
            all.external(&path, cardinality(requests, responses), Arc::clone(calls));
        }
        self.life.start(runtime, all, Arc::clone(calls), ())?;
        // The loop hears of calls behind this: it is what has called.
        self.started.get_or_init(|| started);
        Ok(())
    }

    fn shutdown(&self, grace: f64) {
        let told = self.started.get().map(|all| (Arc::clone(&all.gathered.queue), all.tag));
        let ended = move |()| {
            if let Some((queue, tag)) = told {
                queue.push(tag, ServerEvent::STOPPED);
            }
        };
        if !self.life.shutdown(Duration::ZERO, Some(grace), ended.clone()) {
            ended(());
        }
    }
}

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LoopServer>()
}
