//! The completion queue of one event loop.
//!
//! Engine threads push small entries; the loop is woken with the first of them and takes what
//! there is. They never attach to the interpreter. What a call into the engine pushes in the loop's
//! own thread costs no bell: the loop is told by a callback ([`Queue::held`]).
//!
//! ```text
//!             push: the bell is rung
//!   asleep ---------------------------> awake: pushes are not rung for
//!          <---------------------------
//!             drain found nothing
//! ```

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use self::bell::Bell;
use crate::fork::Owned;

/// The queue, as the engine's threads know it.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// None: a thread waits in `wait`, on the condition, in place of the loop.
    bell: Option<Bell>,
    filled: Condvar,
    /// A weak reference to what makes the loop drain the queue in its next turn.
    soon: OnceLock<Py<PyAny>>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// The loop was told, and has not found the queue empty since.
    awake: bool,
    /// That it was told has not been seen by `wait` yet.
    rung: bool,
    /// The loop is gone: what comes is dropped.
    closed: bool,
}

/// Whom something happened to, and what: a number that the two of them agree on.
type Entry = (u64, u32);

impl Queue {
    fn new(bell: Option<Bell>) -> Arc<Self> {
        let (filled, soon) = (Condvar::new(), OnceLock::new());
        Arc::new(Self { state: Mutex::default(), bell, filled, soon })
    }

    /// Something happened. Never blocks; to be called by any thread.
    pub(crate) fn push(&self, tag: u64, what: u32) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.entries.push((tag, what));
        if std::mem::replace(&mut state.awake, true) {
            return;
        }
        state.rung = true;
        drop(state);
        match &self.bell {
            Some(bell) => bell.ring(),
            None => self.filled.notify_one(),
        }
    }

    /// Does something that may push, without a bell for that: the loop is told to drain the queue
    /// in its next turn, unless it is about to. To be used where calls come from the loop.
    pub(crate) fn held<R>(&self, py: Python<'_>, work: impl FnOnce() -> R) -> R {
        let awake = self.hold();
        let result = work();
        if self.release(awake) && !awake {
            let drain = self.soon.get().map(|soon| soon.call0(py));
            if let Some(Ok(drain)) = drain
                && !drain.is_none(py)
            {
                // It fails where the loop was closed: nobody will drain it.
                let _ = drain.call0(py);
            }
        }
        result
    }

    /// What comes until the release does not wake the loop. Returns what that takes.
    pub(crate) fn hold(&self) -> bool {
        std::mem::replace(&mut self.lock().awake, true)
    }

    /// What it was held for is done: whether there is something to drain. The caller sees to that,
    /// unless the loop was awake before.
    pub(crate) fn release(&self, awake: bool) -> bool {
        let mut state = self.lock();
        let filled = !state.entries.is_empty();
        state.awake = awake || filled;
        filled
    }

    /// A waker that pushes this.
    pub(crate) fn waker(self: &Arc<Self>, tag: u64, what: u32) -> Waker {
        Waker::from(Arc::new(Push { queue: Arc::clone(self), tag, what }))
    }

    fn drain(&self, rung: bool) -> Vec<Entry> {
        if rung && let Some(bell) = &self.bell {
            // Before the entries are taken: what comes later rings again.
            bell.clear();
        }
        let mut state = self.lock();
        state.awake = !state.entries.is_empty();
        std::mem::take(&mut state.entries)
    }

    fn wait(&self) -> bool {
        let mut state = self.lock();
        while !state.rung && !state.closed {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.rung = false;
        !state.closed
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.entries = Vec::new();
        drop(state);
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Push {
    queue: Arc<Queue>,
    tag: u64,
    what: u32,
}

impl Wake for Push {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.push(self.tag, self.what);
    }
}

/// The queue, as its loop knows it. In the child of a fork it is empty for ever.
#[pyclass(frozen, module = "grpc._ferrpc")]
pub(crate) struct LoopQueue {
    queue: Owned<Arc<Queue>>,
}

#[pymethods]
impl LoopQueue {
    /// With `polled`, the loop waits for `fileno()` to be readable; without, some thread calls
    /// `wait`. Raises OSError.
    #[new]
    fn new(polled: bool) -> PyResult<Self> {
        let bell = polled.then(Bell::new).transpose();
        let bell = bell.map_err(|error| {
            PyOSError::new_err(format!("cannot make what wakes an event loop: {error}"))
        })?;
        Ok(Self { queue: Owned::new(Queue::new(bell)) })
    }

    /// What is readable while there is something to take.
    fn fileno(&self) -> PyResult<i32> {
        let bell = self.queue.bell.as_ref();
        bell.map(Bell::descriptor)
            .ok_or_else(|| PyOSError::new_err("this queue was made to be waited for"))
    }

    /// `soon()` returns a function that makes the loop drain the queue in its next turn, or None.
    fn set_soon(&self, soon: Py<PyAny>) {
        // It is set once, behind the constructor.
        let _ = self.queue.soon.set(soon);
    }

    /// Takes all entries: (tag, what). `rung` says that `fileno()` is readable. The loop is not
    /// woken again until this has returned an empty list. Never blocks.
    fn drain(&self, rung: bool) -> Vec<Entry> {
        if self.queue.is_inherited() {
            return Vec::new();
        }
        self.queue.drain(rung)
    }

    /// Waits until the loop is to be woken; False once the queue was closed.
    fn wait(&self, py: Python<'_>) -> bool {
        !self.queue.is_inherited() && py.detach(|| self.queue.wait())
    }

    /// Pushes an entry.
    fn push(&self, tag: u64, what: u32) {
        if !self.queue.is_inherited() {
            self.queue.push(tag, what);
        }
    }

    /// Drops what is there and what comes.
    fn close(&self) {
        if !self.queue.is_inherited() {
            self.queue.close();
        }
    }
}

impl LoopQueue {
    /// What the engine is given.
    pub(crate) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }
}

#[cfg(target_os = "linux")]
mod bell {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::event::{EventfdFlags, eventfd};

    /// A descriptor that is readable once it was rung.
    pub(super) struct Bell(OwnedFd);

    impl Bell {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
        }

        pub(super) fn descriptor(&self) -> i32 {
            self.0.as_raw_fd()
        }

        pub(super) fn ring(&self) {
            // It fails only where it has been rung 2^64 times already.
            let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        }

        pub(super) fn clear(&self) {
            // It fails where it was not rung.
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod bell {
    use std::io::{self, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// A descriptor that is readable once it was rung.
    pub(super) struct Bell {
        inside: UnixStream,
        outside: UnixStream,
    }

    impl Bell {
        pub(super) fn new() -> io::Result<Self> {
            let (inside, outside) = UnixStream::pair()?;
            inside.set_nonblocking(true)?;
            outside.set_nonblocking(true)?;
            Ok(Self { inside, outside })
        }

        pub(super) fn descriptor(&self) -> i32 {
            self.inside.as_raw_fd()
        }

        pub(super) fn ring(&self) {
            // It fails where it is full, and so has been rung.
            let _ = (&self.outside).write(&[1]);
        }

        pub(super) fn clear(&self) {
            // It fails where it was not rung.
            let _ = (&self.inside).read(&mut [0; 64]);
        }
    }
}

#[cfg(not(unix))]
mod bell {
    use std::io;

    /// There is nothing here that a loop could wait for.
    pub(super) enum Bell {}

    impl Bell {
        pub(super) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn descriptor(&self) -> i32 {
            match *self {}
        }

        pub(super) fn ring(&self) {
            match *self {}
        }

        pub(super) fn clear(&self) {
            match *self {}
        }
    }
}
