//! The calls of one connection, by their slots.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use ferrpc_core::Time;
use ferrpc_core::transport::{CallId, HELD_REQUEST, Message, RequestHead};
use tokio::task::AbortHandle;

use super::call::CallFuture;
use super::command::Command;
use super::load::{Running, Waiting};
use crate::transport::cell::Cell;
use crate::transport::mailbox::Mailbox;

/// The open calls of a connection. The transport numbers them, densely.
pub(crate) struct Slots {
    slots: Vec<Slot>,
    mailbox: Arc<Mailbox<Command>>,
    /// Calls that are open.
    open: usize,
    /// Bytes of small requests that wait to be taken.
    held: usize,
}

/// A place for one call; used again and again.
struct Slot {
    call: Option<CallId>,
    work: Work,
    method: u32,
    started: Time,
    waker: Option<SlotWaker>,
    /// Bytes of the call among those held.
    held: u32,
}

/// How far a call is.
pub(crate) enum Work {
    /// There is none.
    Empty,
    /// The request is not complete yet.
    Gathering { head: Box<RequestHead> },
    /// Ready to start, but too many handlers run.
    Waiting { head: Box<RequestHead>, message: Message, cell: Option<Arc<Cell>>, place: Waiting },
    /// The handler is polled by the connection.
    InPlace { future: CallFuture, cell: Option<Arc<Cell>>, running: Running },
    /// The handler has a task of its own.
    Spawned { task: AbortHandle, cell: Option<Arc<Cell>> },
    /// A thread outside the runtime handles it.
    External { cell: Arc<Cell> },
    /// The handler is done, and what it sent waits for room.
    Draining { cell: Arc<Cell> },
}

/// A slot's waker: made once, for all calls that come to be in the slot. A call may so be polled
/// because of its predecessor; that does no harm.
#[derive(Clone)]
pub(crate) struct SlotWaker {
    waker: Waker,
    flag: Arc<Wakeup>,
}

struct Wakeup {
    slot: usize,
    mailbox: Arc<Mailbox<Command>>,
    /// The connection has been told and has not polled since.
    told: AtomicBool,
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.told.swap(true, Ordering::AcqRel) {
            self.mailbox.wake_slot(self.slot);
        }
    }
}

impl SlotWaker {
    fn new(slot: usize, mailbox: Arc<Mailbox<Command>>) -> Self {
        let flag = Arc::new(Wakeup { slot, mailbox, told: AtomicBool::new(false) });
        Self { waker: Waker::from(Arc::clone(&flag)), flag }
    }

    /// The waker, for a poll that begins now.
    pub(crate) fn begin(&self) -> &Waker {
        // Before the poll: what is woken during it must be polled again.
        self.flag.told.store(false, Ordering::Release);
        &self.waker
    }
}

impl Slots {
    pub(crate) const fn new(mailbox: Arc<Mailbox<Command>>) -> Self {
        Self { slots: Vec::new(), mailbox, open: 0, held: 0 }
    }

    /// A new call.
    pub(crate) fn insert(&mut self, call: CallId, method: u32, started: Time) {
        let at = call.slot();
        while self.slots.len() <= at {
            self.slots.push(Slot {
                call: None,
                work: Work::Empty,
                method: 0,
                started,
                waker: None,
                held: 0,
            });
        }
        let slot = &mut self.slots[at];
        debug_assert!(slot.call.is_none(), "slots are unique among open calls");
        self.open += usize::from(slot.call.is_none());
        slot.call = Some(call);
        slot.method = method;
        slot.started = started;
        slot.work = Work::Empty;
    }

    /// A small request of so many bytes waits, for others to take it or for its turn. It counts to
    /// the call's end; large ones the transport counts.
    pub(crate) fn hold(&mut self, call: CallId, bytes: usize) {
        if bytes < HELD_REQUEST
            && let Some(slot) = self.slots.get_mut(call.slot())
            && slot.call == Some(call)
            && slot.held == 0
        {
            slot.held = bytes as u32;
            self.held += bytes;
        }
    }

    /// Bytes of small requests that wait.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// The work of a call that is still open.
    pub(crate) fn work(&mut self, call: CallId) -> Option<&mut Work> {
        let slot = self.slots.get_mut(call.slot())?;
        (slot.call == Some(call)).then_some(&mut slot.work)
    }

    /// Puts the work of an open call in its place.
    pub(crate) fn set_work(&mut self, call: CallId, work: Work) {
        if let Some(place) = self.work(call) {
            *place = work;
        }
    }

    /// The cell of an open call.
    pub(crate) fn cell(&mut self, call: CallId) -> Option<&Arc<Cell>> {
        match self.work(call)? {
            Work::Waiting { cell, .. }
            | Work::InPlace { cell, .. }
            | Work::Spawned { cell, .. } => cell.as_ref(),
            Work::External { cell } | Work::Draining { cell } => Some(cell),
            Work::Empty | Work::Gathering { .. } => None,
        }
    }

    /// Takes the future out of a slot whose handler is polled here.
    pub(crate) fn take_in_place(
        &mut self,
        slot: usize,
    ) -> Option<(CallId, CallFuture, Option<Arc<Cell>>, Running)> {
        let slot = self.slots.get_mut(slot)?;
        let call = slot.call?;
        match std::mem::replace(&mut slot.work, Work::Empty) {
            Work::InPlace { future, cell, running } => Some((call, future, cell, running)),
            other => {
                slot.work = other;
                None
            }
        }
    }

    /// The method of an open call, and when the call came.
    pub(crate) fn method(&self, call: CallId) -> Option<(u32, Time)> {
        let slot = self.slots.get(call.slot())?;
        (slot.call == Some(call)).then_some((slot.method, slot.started))
    }

    /// Takes the waker of a slot; [`put_waker`](Self::put_waker) it back.
    pub(crate) fn take_waker(&mut self, call: CallId) -> SlotWaker {
        let waker = self.slots.get_mut(call.slot()).and_then(|slot| slot.waker.take());
        waker.unwrap_or_else(|| SlotWaker::new(call.slot(), Arc::clone(&self.mailbox)))
    }

    pub(crate) fn put_waker(&mut self, call: CallId, waker: SlotWaker) {
        if let Some(slot) = self.slots.get_mut(call.slot()) {
            slot.waker = Some(waker);
        }
    }

    /// The call is over: takes what is left of its work.
    pub(crate) fn remove(&mut self, call: CallId) -> Option<Work> {
        let slot = self.slots.get_mut(call.slot())?;
        if slot.call != Some(call) {
            return None;
        }
        slot.call = None;
        self.open -= 1;
        self.held -= std::mem::take(&mut slot.held) as usize;
        let work = std::mem::replace(&mut slot.work, Work::Empty);
        Some(work)
    }

    /// Gives back the memory of a burst of calls, if all are over.
    pub(crate) fn trim(&mut self) {
        if self.open == 0 && self.slots.len() > RETAINED_SLOTS {
            self.slots = Vec::new();
        }
    }

    /// All open calls.
    pub(crate) fn calls(&self) -> Vec<CallId> {
        self.slots.iter().filter_map(|slot| slot.call).collect()
    }
}

impl Work {
    /// Whether another task or thread handles the call.
    pub(crate) const fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Spawned { .. } | Self::External { .. })
    }

    /// What it shares with its handler.
    pub(crate) fn into_cell(self) -> Option<Arc<Cell>> {
        match self {
            Self::Waiting { cell, .. }
            | Self::InPlace { cell, .. }
            | Self::Spawned { cell, .. } => cell,
            Self::External { cell } | Self::Draining { cell } => Some(cell),
            Self::Empty | Self::Gathering { .. } => None,
        }
    }

    /// Drops the handler, wherever it is. Its destructors may panic: that is its own affair.
    pub(crate) fn discard(self) {
        match self {
            Self::InPlace { future, .. } => {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
            }
            Self::Spawned { task, .. } => task.abort(),
            _ => {}
        }
    }
}

/// Slots that an idle connection keeps.
const RETAINED_SLOTS: usize = 16;
