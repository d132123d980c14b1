//! One attempt of a call, as its connection keeps it.

use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread::{self, Thread};

use ferrpc::for_blocking::{Backlog, Head};
use ferrpc_core::call::ClientCall;
use ferrpc_core::transport::CallId;
use ferrpc_core::{Encoding, Metadata};

use super::outcome::Ended;
use super::wake::{Attempts, Wake};

/// One attempt of a call.
pub(super) struct Slot {
    pub(super) head: Arc<Head>,
    pub(super) call: ClientCall,
    pub(super) stream: Option<CallId>,
    pub(super) queued: bool,
    pub(super) full: bool,
    pub(super) initial: Option<(Metadata, Encoding)>,
    pub(super) received: Backlog,
    pub(super) demand: Demand,
    pub(super) ended: Option<Ended>,
    pub(super) waiting: Vec<Waiting>,
    /// Who polled a side in vain.
    pub(super) wakers: [Option<Waker>; 2],
    /// By side: something happened since a thread that waits last looked.
    pub(super) news: [bool; 2],
    /// Waits that use the slot: it stays until they have left.
    pub(super) users: u32,
    pub(super) abandoned: bool,
    /// Settles the attempt's end if no thread does.
    pub(super) owner: Option<Weak<dyn Attempts>>,
    /// Counted with those that the guard works for.
    pub(super) watched: bool,
}

/// Whether a reader waits for a message: then it is completed although too much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    None,
    /// The transport wants to know when one does.
    Asked,
    /// One has looked and found nothing.
    Waits,
}

/// A thread that waits for something of its call.
pub(super) struct Waiting {
    pub(super) side: Side,
    pub(super) ticket: u64,
    pub(super) thread: Thread,
}

/// The two independent halves of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Receive = 0,
    Send = 1,
}

impl Slot {
    /// Nobody uses the attempt, which is over, but those who wait just now.
    pub(super) const fn retire(&mut self) {
        self.abandoned = true;
    }

    /// Whether its sender may go on.
    pub(super) fn has_room(&self) -> bool {
        !self.full && self.call.unsent() < UNSENT_LIMIT
    }

    /// Whether something happened to this side that nobody who waits for it has looked at.
    pub(super) const fn has_news(&self, side: Side) -> bool {
        self.news[side as usize]
    }

    /// Whoever waits for this side looks at it now.
    pub(super) const fn forget_news(&mut self, side: Side) {
        self.news[side as usize] = false;
    }

    /// The threads that wait for this side, to be woken: from now on they do not count as waiting.
    /// One that has the role sees the news.
    pub(super) fn wake(&mut self, side: Side, wakes: &mut Vec<Wake>) {
        self.news[side as usize] = true;
        let woken = self.waiting.extract_if(.., |waiting| waiting.side == side);
        wakes.extend(woken.map(|waiting| Wake::Thread(waiting.thread)));
        wakes.extend(self.wakers[side as usize].take().map(Wake::Waker));
    }

    pub(super) fn wake_all(&mut self, wakes: &mut Vec<Wake>) {
        self.news = [true; 2];
        wakes.extend(self.wakers.iter_mut().filter_map(Option::take).map(Wake::Waker));
        wakes.extend(self.waiting.drain(..).map(|waiting| Wake::Thread(waiting.thread)));
    }
}

impl Waiting {
    pub(super) fn new(side: Side, ticket: u64) -> Self {
        Self { side, ticket, thread: thread::current() }
    }
}

/// What a call may queue before its sender has to wait; one message more may go over it.
const UNSENT_LIMIT: usize = 64 << 10;
