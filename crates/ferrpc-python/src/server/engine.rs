//! A server's engine, as Python holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use ferrpc::server::{CallLimit, DeferredReply, ExternalCall, Routes};
use ferrpc::{Code, Status};
use ferrpc_blocking::{Drains, Taken, Task, Turn};
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use super::call::{Call, Handlers};
use super::life::{Life, apply, cardinality, inherited};
use super::options::Options;
use crate::contract::ServerTask;
use crate::credentials::ServerCredentials;
use crate::fork::Owned;
use crate::runtime::runtime;

/// The engine of a `grpc.Server`.
///
/// It listens from the first `bind` on, and takes calls from `start` on. In the child of a fork
/// each method raises RuntimeError.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct Server {
    inner: Owned<Inner>,
}

struct Inner {
    life: Life<Arc<Drains>>,
    limit: Option<Arc<CallLimit>>,
    submit_per_call: bool,
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
        let life = Life::new(options);
        Self { inner: Owned::new(Inner { life, limit, submit_per_call }) }
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
        self.inner()?.life.bind(py, &address, credentials)
    }

    /// Takes calls of these routes, and of unknown methods in lane 0; and those of the listeners.
    /// `submit_per_call` has a drain end behind each call.
    fn start(
        &self,
        py: Python<'_>,
        routes: Vec<RouteArguments>,
        lanes: usize,
        submit_per_call: bool,
    ) -> PyResult<()> {
        let inner = self.inner()?;
        let runtime = runtime(py)?;
        py.detach(|| inner.start(&runtime, routes, lanes, submit_per_call))
    }

    /// Ends the server gracefully: within `grace` seconds, or as long as it takes. Returns at
    /// once; `next_task` says when it is done.
    fn shutdown(&self, py: Python<'_>, grace: Option<f64>) -> PyResult<()> {
        let inner = self.inner()?;
        py.detach(|| inner.life.shutdown(Duration::ZERO, grace, |drains| drains.stop()));
        Ok(())
    }

    /// Ends the server in a second: nobody holds it any more.
    fn forgotten(&self, py: Python<'_>) -> PyResult<()> {
        let inner = self.inner()?;
        py.detach(|| inner.life.shutdown(FORGOTTEN, Some(0.0), |drains| drains.stop()));
        Ok(())
    }

    /// Ends the serving thread and idle drains now, without waiting for connections.
    fn release(&self) -> PyResult<()> {
        self.drains()?.stop();
        Ok(())
    }

    /// What the serving thread has to do next; waits for it: a [`ServerTask`], with the lane or the
    /// number of the call that was watched.
    fn next_task(&self, py: Python<'_>) -> PyResult<(u32, u64)> {
        let drains = self.drains()?;
        Ok(match py.detach(|| drains.next_task()) {
            Task::Submit(lane) => (ServerTask::SUBMIT, lane as u64),
            Task::Ended(id) => (ServerTask::ENDED, id),
            Task::Stop => (ServerTask::STOP, 0),
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
            return Err(inherited());
        }
        Ok(&self.inner)
    }

    fn drains(&self) -> PyResult<Arc<Drains>> {
        self.inner()?.life.running()
    }
}

impl Inner {
    fn start(
        &self,
        runtime: &Arc<Runtime>,
        routes: Vec<RouteArguments>,
        lanes: usize,
        submit_per_call: bool,
    ) -> PyResult<()> {
        let each = self.submit_per_call || submit_per_call;
        let drains = Drains::new(lanes.max(1), self.limit.as_ref(), each);
        let mut all = Routes::new("");
        for (path, requests, responses, lane) in routes {
            all.external(&path, cardinality(requests, responses), Arc::clone(drains.queue(lane)));
        }
        self.life.start(runtime, all, Arc::clone(drains.queue(0)), drains)
    }
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
        let drains: Arc<Drains> = Arc::clone(&self.drains);
        Call::new(call, drains)
    }
}

impl Handlers for Drains {
    fn reply(&self, reply: DeferredReply) -> bool {
        Self::reply(self, reply);
        // Whoever takes the next call sends what was gathered.
        false
    }

    fn waker(self: Arc<Self>, id: u64, _: u32) -> Waker {
        // Threads wait for the rest themselves: only ends are told.
        self.watch(id)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if !self.drains.is_inherited() && !self.ended.load(Relaxed) {
            self.drains.end(&self.turn);
        }
    }
}

/// How long a server goes on that nobody holds: as in grpcio, whose programs may keep its port alone
/// and call it at once.
const FORGOTTEN: Duration = Duration::from_secs(1);
