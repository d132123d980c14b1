//! The memory of a server: one budget, from which all of its connections draw.
//!
//! ```text
//!    bytes held    0 ---------- 5/8 ------- 3/4 ----------------- limit ----------
//!                                |           |                      |
//!    connections   as their own limits say   | those above their    | the largest holder
//!                                |           | share are pressed    | gives way until 3/4
//!                     released --+           | until 5/8            | are held
//! ```
//!
//! A *pressed* connection takes no new calls (RESOURCE_EXHAUSTED, with a time to come back at), and
//! its peer gets credit as if its own limits were its share: messages arrive one at a time, those
//! that somebody waits for first. Its control frames are read on: they are what frees memory. Who
//! gives way loses the calls that hold most; if that is too little, the connection ends. Where
//! nobody holds much, connections without calls end, those that were idle longest first.
//!
//! Connections say what they hold in steps, so that a busy one does not touch what all share.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrpc_core::{Time, Transport};

use super::command::Command;
use crate::transport::mailbox::Mailbox;

/// The budget of a server.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    held: AtomicUsize,
    connections: AtomicUsize,
    /// Those that are to be told when there is enough again.
    pressed: Mutex<Vec<Arc<Mailbox<Command>>>>,
    /// One connection is giving way, and is waited for until this time.
    relief: AtomicU64,
    /// Nobody was found to give way: not to be looked for again before this time.
    next_relief: AtomicU64,
    refused_calls: AtomicU64,
    ended_calls: AtomicU64,
    ended_connections: AtomicU64,
}

/// What a server's connections hold because of their peers, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryCounters {
    /// The most bytes there should be, see
    /// [`ServerBuilder::max_memory`](super::ServerBuilder::max_memory).
    pub limit: usize,
    /// Bytes held now, to within some KiB for each connection.
    pub held: usize,
    /// Calls refused because their connections held more than their share of what was scarce.
    pub refused_calls: u64,
    /// Calls ended because the limit was reached.
    pub ended_calls: u64,
    /// Connections ended because the limit was reached, of memory or of connections.
    pub ended_connections: u64,
}

/// What one connection holds, as others may see it.
#[derive(Debug)]
pub(crate) struct Account {
    memory: Arc<Memory>,
    held: AtomicUsize,
    /// Since when it has no call; `BUSY` while it has some, or when it was told to end.
    idle_since: AtomicU64,
    gives_way: AtomicBool,
}

/// A connection's side of its account.
#[derive(Debug)]
pub(crate) struct Holder {
    account: Arc<Account>,
    mailbox: Arc<Mailbox<Command>>,
    said: usize,
    idle: bool,
    pressed: bool,
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            pressed: Mutex::default(),
            relief: AtomicU64::new(0),
            next_relief: AtomicU64::new(0),
            refused_calls: AtomicU64::new(0),
            ended_calls: AtomicU64::new(0),
            ended_connections: AtomicU64::new(0),
        })
    }

    pub(crate) fn counters(&self) -> MemoryCounters {
        MemoryCounters {
            limit: self.limit,
            held: self.held.load(Relaxed),
            refused_calls: self.refused_calls.load(Relaxed),
            ended_calls: self.ended_calls.load(Relaxed),
            ended_connections: self.ended_connections.load(Relaxed),
        }
    }

    /// From here on connections above their share are pressed.
    const fn scarce(&self) -> usize {
        self.limit / 4 * 3
    }

    /// Below this they are not any more.
    const fn enough(&self) -> usize {
        self.limit / 8 * 5
    }

    /// What a connection may hold in any case: all of them together, a quarter of the limit.
    fn share(&self) -> usize {
        let connections = self.connections.load(Relaxed).max(1);
        (self.limit / 4 / connections).max(LEAST_SHARE)
    }

    fn add(&self, bytes: usize) {
        self.held.fetch_add(bytes, SeqCst);
    }

    fn subtract(&self, bytes: usize) {
        let before = self.held.fetch_sub(bytes, SeqCst);
        let enough = self.enough();
        if before >= enough && before - bytes < enough {
            let told = self.pressed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // Whatever comes by mail makes a connection look. It is in the list until it is released:
            // when it looks, there may be too little again.
            told.into_iter().for_each(|mailbox| drop(mailbox.send(Command::Admit)));
        }
    }

    /// Somebody has to give way, and nobody does: `true` once, until
    /// [`end_relief`](Self::end_relief), or until it has taken too long: one that is about to end may
    /// not have heard of it.
    pub(super) fn begin_relief(&self, now: Time) -> bool {
        let begun = self.relief.load(SeqCst);
        let until = (now + LONGEST_RELIEF).as_nanos();
        now.as_nanos() >= self.next_relief.load(Relaxed).max(begun)
            && self.held.load(SeqCst) > self.limit
            && self.relief.compare_exchange(begun, until, SeqCst, SeqCst).is_ok()
    }

    /// Nobody holds enough to give way: the next look is a little later.
    pub(super) fn find_nobody(&self, now: Time) {
        self.next_relief.store((now + BETWEEN_LOOKS).as_nanos(), Relaxed);
    }

    pub(super) fn end_relief(&self) {
        self.relief.store(0, SeqCst);
    }

    /// Bytes to be given up until there is some room.
    pub(super) fn excess(&self) -> usize {
        self.held.load(SeqCst).saturating_sub(self.scarce())
    }

    pub(super) fn count_ended(&self, calls: usize, connections: usize) {
        self.ended_calls.fetch_add(calls as u64, Relaxed);
        self.ended_connections.fetch_add(connections as u64, Relaxed);
    }
}

impl Account {
    pub(crate) fn new(memory: &Arc<Memory>, now: Time) -> Arc<Self> {
        memory.connections.fetch_add(1, Relaxed);
        memory.add(CONNECTION);
        Arc::new(Self {
            memory: Arc::clone(memory),
            held: AtomicUsize::new(CONNECTION),
            idle_since: AtomicU64::new(now.as_nanos()),
            gives_way: AtomicBool::new(false),
        })
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether it holds so little that it makes no difference.
    pub(super) fn is_small(&self) -> bool {
        self.held() < 2 * CONNECTION
    }

    /// Since when it has had no calls, if it has none and was not told to end.
    pub(super) fn idle_since(&self) -> Option<u64> {
        Some(self.idle_since.load(Relaxed)).filter(|since| *since != BUSY)
    }

    /// It is told to end.
    pub(super) fn end_idle(&self) {
        self.idle_since.store(BUSY, Relaxed);
    }

    /// It is told to give way: until it has, nobody else is.
    pub(super) fn give_way(&self) {
        self.gives_way.store(true, SeqCst);
    }

    fn set(&self, held: usize) {
        let before = self.held.swap(held, Relaxed);
        if held > before {
            self.memory.add(held - before);
        } else {
            self.memory.subtract(before - held);
        }
    }

    fn gave_way(&self) {
        if self.gives_way.swap(false, SeqCst) {
            self.memory.end_relief();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.memory.connections.fetch_sub(1, Relaxed);
        self.memory.subtract(self.held());
        self.gave_way();
    }
}

impl Holder {
    pub(crate) const fn new(account: Arc<Account>, mailbox: Arc<Mailbox<Command>>) -> Self {
        Self { account, mailbox, said: CONNECTION, idle: true, pressed: false }
    }

    /// Whether a new call is one too many; it is counted as refused then.
    pub(crate) fn refuses(&self) -> bool {
        let memory = &*self.account.memory;
        let refuses = self.pressed && memory.held.load(Relaxed) >= memory.enough();
        if refuses {
            memory.refused_calls.fetch_add(1, Relaxed);
        }
        refuses
    }

    /// Says what the connection holds, `beside` what its transport knows of, and presses or
    /// releases that. Whether the limit is exceeded, so that somebody has to give way.
    pub(crate) fn settle(&mut self, now: Time, transport: &mut Transport, beside: usize) -> bool {
        let idle = transport.open_calls() == 0;
        if idle != self.idle {
            self.idle = idle;
            self.account.idle_since.store(if idle { now.as_nanos() } else { BUSY }, Relaxed);
        }
        let held = CONNECTION + transport.memory() + beside;
        if held.abs_diff(self.said) >= STEP {
            self.said = held;
            self.account.set(held);
        }
        let memory = &*self.account.memory;
        let (all, limit) = (memory.held.load(Relaxed), memory.limit);
        let (scarce, enough) = (memory.scarce(), memory.enough());
        // Who holds little is no reason for what is scarce, whoever else holds on.
        if self.pressed && (all < enough || held <= memory.share() / 2) {
            self.release(now, transport);
        }
        if all >= scarce && !self.pressed {
            self.press(now, transport, held);
        }
        all > limit
    }

    #[cold]
    fn release(&mut self, now: Time, transport: &mut Transport) {
        self.pressed = false;
        let memory = &*self.account.memory;
        let mut pressed = memory.pressed.lock().unwrap_or_else(PoisonError::into_inner);
        pressed.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
        drop(pressed);
        transport.press(now, None);
    }

    #[cold]
    fn press(&mut self, now: Time, transport: &mut Transport, held: usize) {
        let memory = &*self.account.memory;
        let share = memory.share();
        if held <= share {
            return;
        }
        let mut pressed = memory.pressed.lock().unwrap_or_else(PoisonError::into_inner);
        if pressed.len() > 2 * memory.connections.load(Relaxed) {
            pressed.retain(|mailbox| !mailbox.is_closed());
        }
        pressed.push(Arc::clone(&self.mailbox));
        drop(pressed);
        // Enough may have been given back before it was in the list: then nobody will say so.
        if memory.held.load(SeqCst) < memory.enough() {
            let _ = self.mailbox.send(Command::Admit);
        }
        self.pressed = true;
        transport.press(now, Some(share));
    }

    /// Gives up calls that hold so many `bytes`, or all: whether that was enough.
    pub(crate) fn give_way(&self, now: Time, transport: &mut Transport, bytes: usize) -> bool {
        let (calls, freed) = transport.shed(now, bytes);
        let enough = freed >= bytes / 2;
        self.account.memory.count_ended(calls, usize::from(!enough));
        tracing::warn!(calls, freed, "memory is exhausted: calls that hold much are ended");
        enough
    }

    /// It has given way, and said what it holds now.
    pub(crate) fn gave_way(&self) {
        self.account.gave_way();
    }
}

/// It has calls.
const BUSY: u64 = u64::MAX;

/// What a connection holds at rest, roughly: its task, its tables, its socket's buffers in part.
pub(super) const CONNECTION: usize = 32 << 10;

/// While memory is exhausted by what many hold a little of, idle connections end so often.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Differences below this are not said.
const STEP: usize = 16 << 10;

/// No connection is pressed that holds less.
const LEAST_SHARE: usize = 1 << 20;
/// How long a connection may take to give up its calls, all of which it does in one pass.
const LONGEST_RELIEF: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// One that ends does not hear that it is to give way, and may go on sending for a minute.
    #[test]
    fn nobody_is_waited_for_without_end() {
        let at = |millis| Time::from_nanos(1_000_000_000) + Duration::from_millis(millis);
        let memory = Memory::new(1 << 20);
        let account = Account::new(&memory, at(0));
        account.set(2 << 20);
        assert!(memory.begin_relief(at(0)));
        account.give_way();
        assert!(!memory.begin_relief(at(999)), "it is giving way");
        assert!(memory.begin_relief(at(1000)), "somebody else has to");
        drop(account);
        let other = Account::new(&memory, at(0));
        other.set(2 << 20);
        assert!(memory.begin_relief(at(1001)), "the first one has ended");
    }
}
