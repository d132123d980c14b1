//! The connections of a server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrpc_core::Time;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::command::Command;
use super::memory::{Account, Memory};
use crate::transport::mailbox::Mailbox;

/// All connections of a server, and how to reach them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    connections: Mutex<Connections>,
    census: watch::Sender<Census>,
}

/// What others may wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Census {
    /// How many connections there are.
    open: usize,
    /// No more will come.
    closing: bool,
}

#[derive(Debug, Default)]
struct Connections {
    all: HashMap<u64, Entry>,
    next: u64,
    /// No more connections: the server is shutting down.
    closing: bool,
}

/// A connection as its server knows it.
#[derive(Debug)]
struct Entry {
    mailbox: Arc<Mailbox<Command>>,
    account: Arc<Account>,
    /// Its task, once that was spawned.
    task: Option<AbortHandle>,
}

impl Table {
    /// A new connection; `None` if no more are taken.
    pub(crate) fn add(
        &self,
        mailbox: &Arc<Mailbox<Command>>,
        account: &Arc<Account>,
    ) -> Option<u64> {
        let mut connections = self.lock();
        if connections.closing {
            return None;
        }
        connections.next += 1;
        let id = connections.next;
        let (mailbox, account) = (Arc::clone(mailbox), Arc::clone(account));
        let entry = Entry { mailbox, account, task: None };
        connections.all.insert(id, entry);
        self.publish(&connections);
        Some(id)
    }

    /// The connection has its task. It may have ended, and been forgotten, already.
    pub(crate) fn spawned(&self, id: u64, task: AbortHandle) {
        if let Some(entry) = self.lock().all.get_mut(&id) {
            entry.task = Some(task);
        }
    }

    pub(crate) fn remove(&self, id: u64) {
        let mut connections = self.lock();
        connections.all.remove(&id);
        self.publish(&connections);
    }

    /// Memory is exhausted: whoever holds most gives way, if nobody does yet.
    pub(crate) fn relieve(&self, memory: &Memory, now: Time) {
        if !memory.begin_relief(now) {
            return;
        }
        let connections = self.lock();
        // One that has ended hears nothing any more, though its output may still be on its way.
        let open = connections.all.values().filter(|entry| !entry.mailbox.is_closed());
        let largest = open.max_by_key(|entry| entry.account.held());
        if let Some(entry) = largest.filter(|entry| !entry.account.is_small()) {
            let bytes = memory.excess().min(entry.account.held());
            entry.account.give_way();
            if entry.mailbox.send(Command::GiveWay { bytes }).is_ok() {
                return;
            }
        } else {
            Self::end_some_idle(&connections, memory);
            memory.find_nobody(now);
        }
        memory.end_relief();
    }

    /// Ends some of the connections that have no calls, those that were idle longest.
    pub(crate) fn end_idle(&self, memory: &Memory) {
        Self::end_some_idle(&self.lock(), memory);
    }

    fn end_some_idle(connections: &Connections, memory: &Memory) {
        let all = connections.all.values();
        let mut idle: Vec<_> =
            all.filter_map(|entry| Some((entry.account.idle_since()?, entry))).collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        idle.truncate(connections.all.len().div_ceil(IDLE_ENDED));
        for (_, entry) in &idle {
            entry.account.end_idle();
            let _ = entry.mailbox.send(Command::Shutdown { grace: None });
        }
        memory.count_ended(0, idle.len());
    }

    /// Takes no more connections, and lets those there are end within `grace`.
    pub(crate) fn shutdown(&self, grace: Option<Duration>) {
        let mut connections = self.lock();
        connections.closing = true;
        for entry in connections.all.values() {
            // One that is gone needs not be told.
            let _ = entry.mailbox.send(Command::Shutdown { grace });
        }
        self.publish(&connections);
    }

    /// Ends all connections at once, also those that only wait for their peer to read.
    pub(crate) fn abort(&self) {
        let tasks: Vec<_> =
            self.lock().all.values().filter_map(|entry| entry.task.clone()).collect();
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Waits until the server is shutting down and its last connection has ended.
    pub(crate) async fn ended(&self) {
        let mut census = self.census.subscribe();
        // The sender lives in `self`: it cannot go away meanwhile.
        let _ = census.wait_for(|census| census.closing && census.open == 0).await;
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.census.borrow().open
    }

    fn publish(&self, connections: &Connections) {
        let census = Census { open: connections.all.len(), closing: connections.closing };
        self.census.send_replace(census);
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of so many connections one is ended at a time, if it is idle.
const IDLE_ENDED: usize = 16;
