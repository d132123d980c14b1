//! How many handlers may run at once.
//!
//! Beyond the limits calls wait (limits.md, row 1): they are delayed rather than refused, up to a
//! multiple of the limit; a call that is cancelled while it waits never starts.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::command::Command;
use crate::transport::mailbox::Mailbox;
use crate::{Code, Status};

/// The handlers of all connections of a server.
#[derive(Debug)]
pub(crate) struct ServerLoad {
    limit: usize,
    running: AtomicUsize,
    waiting: AtomicUsize,
    /// Connections with waiting calls that could start but for this limit.
    queue: Mutex<VecDeque<Arc<Mailbox<Command>>>>,
    /// When those that are refused should come back, at the earliest.
    pushback: Duration,
    refused: AtomicU64,
}

/// The handlers of one connection.
#[derive(Debug)]
pub(crate) struct Load {
    limit: usize,
    running: AtomicUsize,
    waiting: AtomicUsize,
    /// Calls wait: tell the connection when there is room.
    wants_room: AtomicBool,
    /// What the peer does not take of its answers is too much: nothing more is to be begun for it.
    paused: AtomicBool,
    mailbox: Arc<Mailbox<Command>>,
    server: Arc<ServerLoad>,
}

/// A running handler. Handlers that are done at their first poll need none.
#[derive(Debug)]
pub(crate) struct Running {
    load: Arc<Load>,
}

/// A call that waits to be started.
#[derive(Debug)]
pub(crate) struct Waiting {
    load: Arc<Load>,
}

impl ServerLoad {
    pub(crate) fn new(limit: usize, pushback: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::new(VecDeque::new()),
            pushback,
            refused: AtomicU64::new(0),
        })
    }

    /// What a call that is too much ends with; `text` says of what.
    pub(crate) fn overloaded(&self, text: &'static str) -> Status {
        // The golden ratio spreads them evenly over the time from one to two of the pauses.
        let count = self.refused.fetch_add(1, Relaxed);
        let spread = count.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let pause = u64::try_from(self.pushback.as_millis()).unwrap_or(u64::MAX);
        let more = (u128::from(pause) * u128::from(spread)) >> 32;
        let pause = pause.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        let mut status = Status::new(Code::ResourceExhausted, text);
        let metadata = status.metadata_mut();
        metadata.append("grpc-retry-pushback-ms", &pause.to_string()).expect("a legal value");
        status
    }

    fn has_room(&self) -> bool {
        self.limit == usize::MAX || self.running.load(SeqCst) < self.limit
    }

    /// There may be room: tells the connection that waits longest.
    fn admit_next(&self) {
        loop {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let next = queue.pop_front();
            drop(queue);
            match next {
                Some(mailbox) if mailbox.send(Command::Admit).is_err() => {}
                _ => return,
            }
        }
    }
}

impl Load {
    pub(crate) fn new(
        limit: usize,
        mailbox: Arc<Mailbox<Command>>,
        server: Arc<ServerLoad>,
    ) -> Arc<Self> {
        Arc::new(Self {
            limit,
            running: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            wants_room: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            mailbox,
            server,
        })
    }

    /// Whether one more handler may start.
    pub(crate) fn has_room(&self) -> bool {
        self.running.load(SeqCst) < self.limit && self.server.has_room()
    }

    /// The handler starts.
    pub(crate) fn start(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, SeqCst);
        if self.server.limit != usize::MAX {
            self.server.running.fetch_add(1, SeqCst);
        }
        Running { load: Arc::clone(self) }
    }

    /// One more call is to wait. Four times as many may as may run, of the connection and of the
    /// server.
    pub(crate) fn wait(self: &Arc<Self>) -> Result<Waiting, Status> {
        let full = |waiting: &AtomicUsize, limit: usize| {
            waiting.load(SeqCst) >= limit.saturating_mul(MAY_WAIT)
        };
        if full(&self.waiting, self.limit) || full(&self.server.waiting, self.server.limit) {
            return Err(self.server.overloaded(TOO_MANY));
        }
        self.waiting.fetch_add(1, SeqCst);
        self.server.waiting.fetch_add(1, SeqCst);
        Ok(Waiting { load: Arc::clone(self) })
    }

    /// Nothing more is to be begun, or again; whether it was paused before.
    pub(crate) fn pause(&self, paused: bool) -> bool {
        self.paused.swap(paused, SeqCst)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(SeqCst)
    }

    /// Calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// The connection was told and takes no more room now: what is left goes to the next.
    pub(crate) fn pass_on(&self) {
        if self.server.limit != usize::MAX && self.server.has_room() {
            self.server.admit_next();
        }
    }

    /// Calls wait now, or none does any more. The connection gets [`Command::Admit`] when trying
    /// again may help.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.wants_room.store(waiting, SeqCst);
        if !waiting {
            return;
        }
        if !self.server.has_room() {
            let mut queue = self.server.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if !queue.iter().any(|mailbox| Arc::ptr_eq(mailbox, &self.mailbox)) {
                queue.push_back(Arc::clone(&self.mailbox));
            }
        }
        // A handler may have ended after the caller looked and before it could be told.
        if self.has_room() {
            let _ = self.mailbox.send(Command::Admit);
        }
    }
}

impl Running {
    /// Whether the connection is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.load.is_paused()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let load = &*self.load;
        load.running.fetch_sub(1, SeqCst);
        if load.wants_room.load(SeqCst) {
            let _ = load.mailbox.send(Command::Admit);
        }
        let server = &*load.server;
        if server.limit != usize::MAX {
            server.running.fetch_sub(1, SeqCst);
            server.admit_next();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.load.waiting.fetch_sub(1, SeqCst);
        self.load.server.waiting.fetch_sub(1, SeqCst);
    }
}

const TOO_MANY: &str = "the server is overloaded: too many calls wait for a handler";

/// Calls that may wait, for each that may run.
const MAY_WAIT: usize = 4;
