//! How many handlers may run at once.
//!
//! Beyond the limits calls wait (limits.md, row 1): they are delayed rather than refused, up to a
//! multiple of the limit; a call that is cancelled while it waits never starts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Command;
use crate::transport::mailbox::Mailbox;

/// The handlers of all connections of a server.
#[derive(Debug)]
pub(crate) struct ServerLoad {
    limit: usize,
    running: AtomicUsize,
    /// Connections with waiting calls that could start but for this limit.
    queue: Mutex<VecDeque<Arc<Mailbox<Command>>>>,
}

/// The handlers of one connection.
#[derive(Debug)]
pub(crate) struct Load {
    limit: usize,
    running: AtomicUsize,
    /// Calls wait: tell the connection when there is room.
    waiting: AtomicBool,
    mailbox: Arc<Mailbox<Command>>,
    server: Arc<ServerLoad>,
}

/// A running handler. Handlers that are done at their first poll need none.
#[derive(Debug)]
pub(crate) struct Running {
    load: Arc<Load>,
}

impl ServerLoad {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let queue = Mutex::new(VecDeque::new());
        Arc::new(Self { limit, running: AtomicUsize::new(0), queue })
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
        let (running, waiting) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { limit, running, waiting, mailbox, server })
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

    /// Whether one more call may wait where `waiting` do already: up to four times the limit.
    pub(crate) fn may_wait(&self, waiting: usize) -> bool {
        waiting < self.limit.min(self.server.limit).saturating_mul(4)
    }

    /// The connection was told and needs no more room: what is left goes to the next.
    pub(crate) fn pass_on(&self) {
        if self.server.limit != usize::MAX && self.server.has_room() {
            self.server.admit_next();
        }
    }

    /// Calls wait now, or none does any more. The connection gets [`Command::Admit`] when trying
    /// again may help.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, SeqCst);
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

impl Drop for Running {
    fn drop(&mut self) {
        let load = &*self.load;
        load.running.fetch_sub(1, SeqCst);
        if load.waiting.load(SeqCst) {
            let _ = load.mailbox.send(Command::Admit);
        }
        let server = &*load.server;
        if server.limit != usize::MAX {
            server.running.fetch_sub(1, SeqCst);
            server.admit_next();
        }
    }
}
