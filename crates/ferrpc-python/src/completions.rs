//! What happened, for the Python threads of this process that run callbacks.
//!
//! ```text
//!   take: nobody leads ------------------------> the lead, and one thing that happened
//!         another leads, has not begun --------> waits: things come into their lanes in order
//!         its callback runs for less than LATE -> waits (one thread of them no longer than that)
//!         it runs for longer ------------------> the lead: the other one's callback takes long
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::fork::Owned;
use crate::{runtime, waiting};

/// Tags of what happened, each with a number: 0 for the end of a call, or a channel's state.
#[derive(Default)]
pub(crate) struct Completions {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    happened: VecDeque<(u64, u32)>,
    /// Which thread runs a callback, and since when; None: it has not begun yet.
    leader: Option<(u64, Option<Instant>)>,
    /// How many threads wait here.
    waiting: usize,
    /// Whether one of them will look whether the leader is late.
    is_watched: bool,
    stopped: bool,
}

/// What there is for a thread.
enum Task {
    /// A tag and its value, and whether nobody else is there to take over.
    Run(u64, u32, bool),
    /// Nothing, until something happens.
    Wait,
    /// Nothing, until then: whoever leads may be late.
    WaitUntil(Instant),
    /// It is not needed any more.
    End,
}

/// Those of this process. Only locked by threads that are attached to the interpreter, and never
/// for long: at a fork it is free.
static CURRENT: Mutex<Option<Owned<Arc<Completions>>>> = Mutex::new(None);

/// The completions of this process: the child of a fork has its own.
pub(crate) fn completions() -> Arc<Completions> {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(completions) = current.as_ref().and_then(Owned::get) {
        return Arc::clone(completions);
    }
    let completions = Arc::<Completions>::default();
    *current = Some(Owned::new(Arc::clone(&completions)));
    completions
}

impl Completions {
    /// Something happened.
    pub(crate) fn push(&self, tag: u64, value: u32) {
        let mut queue = self.lock();
        queue.happened.push_back((tag, value));
        let wake = queue.waiting > 0 && !(queue.leader.is_some() && queue.is_watched);
        drop(queue);
        if wake {
            self.changed.notify_one();
        }
    }

    /// What thread `me` took is where it belongs, and runs: from now on it may be late.
    fn begin(&self, me: u64) {
        let mut queue = self.lock();
        if queue.leader == Some((me, None)) {
            queue.leader = Some((me, Some(Instant::now())));
            let wake = queue.waiting > 0 && !queue.is_watched && !queue.happened.is_empty();
            drop(queue);
            if wake {
                self.changed.notify_one();
            }
        }
    }

    /// What there is for thread `me`, which runs nothing now.
    fn task(&self, me: u64) -> Task {
        let mut queue = self.lock();
        queue.back(me).unwrap_or_else(|| queue.next(me))
    }

    /// The same, once it is something to do.
    fn wait(&self, me: u64) -> Task {
        let mut queue = self.lock();
        loop {
            let task = queue.next(me);
            let until = match task {
                Task::Wait => None,
                Task::WaitUntil(until) => Some(until),
                Task::Run(..) | Task::End => return task,
            };
            queue.waiting += 1;
            if let Some(until) = until {
                queue.is_watched = true;
                let left = until.saturating_duration_since(Instant::now());
                let waited = self.changed.wait_timeout(queue, left);
                queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                queue.is_watched = false;
            } else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.waiting -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Thread `me` has come back from its callback; it ends if others have taken its place.
    fn back(&mut self, me: u64) -> Option<Task> {
        if self.leader.is_some_and(|(leader, _)| leader == me) {
            self.leader = None;
            return None;
        }
        let others = self.waiting + usize::from(self.leader.is_some());
        (others >= THREADS).then_some(Task::End)
    }

    fn next(&mut self, me: u64) -> Task {
        let Some(&(tag, value)) = self.happened.front() else {
            return if self.stopped { Task::End } else { Task::Wait };
        };
        match self.leader {
            Some((_, None)) => return Task::Wait,
            Some((_, Some(since))) if Instant::now() < since + LATE => {
                return if self.is_watched { Task::Wait } else { Task::WaitUntil(since + LATE) };
            }
            _ => {}
        }
        self.happened.pop_front();
        self.leader = Some((me, None));
        Task::Run(tag, value, self.waiting == 0)
    }
}

/// The next thing that happened, for thread `me` which has run what it took before: its tag, its
/// value, and whether no other thread is there to take over. None if the thread is to end; an
/// empty tuple if there is nothing and `wait` is false.
#[pyfunction]
#[pyo3(signature = (me, wait=true))]
fn take_completion<'py>(
    py: Python<'py>,
    me: u64,
    wait: bool,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let completions = completions();
    let mut task = completions.task(me);
    if wait && matches!(task, Task::Wait | Task::WaitUntil(_)) {
        task = py.detach(|| completions.wait(me));
    }
    match task {
        Task::Run(tag, value, is_alone) => (tag, value, is_alone).into_pyobject(py).map(Some),
        Task::Wait | Task::WaitUntil(_) => Ok(Some(PyTuple::empty(py))),
        Task::End => Ok(None),
    }
}

/// Thread `me` begins to run what it took. Until it says so, no other thread takes anything: one that
/// need not say it must be quick.
#[pyfunction]
fn completion_begins(me: u64) {
    completions().begin(me);
}

/// The threads that take completions are to end: the interpreter does.
#[pyfunction]
fn stop_completions() {
    let completions = completions();
    completions.lock().stopped = true;
    completions.changed.notify_all();
}

/// The completions have this tag now.
#[pyfunction]
fn complete(tag: u64) {
    completions().push(tag, 0);
}

/// The completions have this tag so many seconds from now.
#[pyfunction]
fn complete_later(py: Python<'_>, tag: u64, seconds: f64) -> PyResult<()> {
    let Some(time) = waiting::duration(seconds)? else { return Ok(()) };
    let completions = completions();
    runtime::runtime(py)?.spawn(async move {
        tokio::time::sleep(time).await;
        completions.push(tag, 0);
    });
    Ok(())
}

/// Registers this module's items.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(take_completion, module)?)?;
    module.add_function(wrap_pyfunction!(completion_begins, module)?)?;
    module.add_function(wrap_pyfunction!(complete, module)?)?;
    module.add_function(wrap_pyfunction!(complete_later, module)?)?;
    module.add_function(wrap_pyfunction!(stop_completions, module)?)
}

/// How many threads there are while no callback takes long: the leader, and who takes over.
const THREADS: usize = 2;

/// After so long a callback has lost the lead. It is as long as the interpreter lets a thread run
/// that others wait for.
const LATE: Duration = Duration::from_millis(5);
