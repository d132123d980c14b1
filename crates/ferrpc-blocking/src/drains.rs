//! Who takes the calls of [`ExternalQueue`]s, where handlers run on an executor of the user's.
//!
//! A *drain* is a task on that executor that takes calls until there are none. No worker of the
//! executor is held while nothing happens, a busy server pays no submission per call, and other
//! work in the executor's queue has its turn. One thread, the *pump*, asks for drains; it touches
//! neither calls nor sockets.
//!
//! ```text
//!             asked for                begins               queue empty
//!   (none) ------------> submitted ------------> running <-------------> idle
//!      ^                     |                    |  ^ takes, runs calls   |
//!      |        lost         |      its slice is  |  |                     | IDLE without a call
//!      +---------------------+      over: again   |  +---- a call came ----+
//!      |                         submitted <------+                        |
//!      +-------------------------------------------------------------------+
//! ```
//!
//! When the pump asks for one more:
//! - calls wait and there is no drain: at once;
//! - a call has waited for a [`TICK`], no drain is idle and none is on its way: then too, if more
//!   calls wait than drains run, or if none was taken meanwhile (the handlers block). Quick
//!   handlers are so left to one drain, and blocking ones spread over the executor.
//!
//! Replies are gathered until the queue is empty, so that their connection is woken once for many.
//! While they are, the pump ticks: none waits for longer than that behind a handler that is slow.
//!
//! **Invariants.** `idle <= running`; a lane with waiting calls has a drain, or the pump is
//! about to ask for one; the pump's lock is never held while user code runs.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use ferrpc::server::{CallLimit, DeferredReply, ExternalCall, ExternalQueue};

/// The lanes of a server: a queue each, for the calls of one executor.
pub struct Drains {
    lanes: Box<[Lane]>,
    per_call: bool,
    state: Mutex<State>,
    /// The pump waits here.
    pump: Condvar,
    replies: Mutex<Vec<DeferredReply>>,
}

struct Lane {
    queue: Arc<ExternalQueue>,
    /// Idle drains wait here.
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<LaneState>,
    /// Calls that are over and were watched.
    ended: VecDeque<u64>,
    /// The pump ticks.
    armed: bool,
    /// Ticks at which there was nothing to do, since there was.
    quiet: u32,
    stopped: bool,
}

#[derive(Clone, Debug, Default)]
struct LaneState {
    submitted: usize,
    running: usize,
    /// Of those running.
    idle: usize,
    /// Idle ones that were woken and have not looked yet.
    told: usize,
    /// What the queue had counted at the last tick.
    pushed: u64,
    popped: u64,
}

/// What the pump has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Ask the lane's executor for a drain.
    Submit(usize),
    /// A call that was watched is over.
    Ended(u64),
    /// The drains were stopped: nothing more comes.
    Stop,
}

/// A drain that has begun.
#[derive(Debug)]
pub struct Turn {
    lane: usize,
    since: Instant,
    took: AtomicBool,
}

/// What a drain gets.
#[derive(Debug)]
pub enum Taken {
    /// A call to handle.
    Call(Box<ExternalCall>),
    /// It has had the worker for long enough: it has to be submitted again, and end.
    Again,
    /// There is nothing to do: it has to end.
    Nothing,
}

impl Drains {
    /// As many lanes as asked for, with a limit on the calls of all of them. With `per_call` a
    /// drain is asked for, and ends, with each call.
    pub fn new(lanes: usize, limit: Option<&Arc<CallLimit>>, per_call: bool) -> Arc<Self> {
        Arc::new_cyclic(|drains: &Weak<Self>| {
            let lane = |index| {
                let drains = Weak::clone(drains);
                let notify = move || {
                    if let Some(drains) = drains.upgrade() {
                        drains.arrived(index);
                    }
                };
                let queue = ExternalQueue::limited(limit.cloned(), notify);
                Lane { queue, arrived: Condvar::new() }
            };
            let state = State { lanes: vec![LaneState::default(); lanes], ..State::default() };
            Self {
                lanes: (0..lanes).map(lane).collect(),
                per_call,
                state: Mutex::new(state),
                pump: Condvar::new(),
                replies: Mutex::default(),
            }
        })
    }

    /// The queue of a lane.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn queue(&self, lane: usize) -> &Arc<ExternalQueue> {
        &self.lanes[lane].queue
    }

    // -- the pump -------------------------------------------------------------------------------

    /// Waits for what the pump has to do next; ticks meanwhile.
    pub fn next_task(&self) -> Task {
        let mut state = self.lock();
        loop {
            if let Some(id) = state.ended.pop_front() {
                return Task::Ended(id);
            }
            if state.stopped {
                return Task::Stop;
            }
            if !state.armed {
                state = self.pump.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if let Some(lane) = self.abandoned(&state) {
                state.lanes[lane].submitted += 1;
                return Task::Submit(lane);
            }
            let (kept, waited) =
                self.pump.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
            state = kept;
            if waited.timed_out() {
                drop(state);
                let flushed = self.flush();
                state = self.lock();
                if let Some(lane) = self.tick(&mut state, flushed) {
                    state.lanes[lane].submitted += 1;
                    return Task::Submit(lane);
                }
            }
        }
    }

    /// A lane with calls that needs a drain at once.
    fn abandoned(&self, state: &State) -> Option<usize> {
        state.lanes.iter().zip(&self.lanes).position(|(lane, shared)| {
            if self.per_call {
                lane.submitted < shared.queue.len()
            } else {
                lane.submitted + lane.running == 0 && !shared.queue.is_empty()
            }
        })
    }

    /// Looks at all lanes; one that needs a drain more.
    fn tick(&self, state: &mut State, mut busy: bool) -> Option<usize> {
        let mut wants = None;
        for (index, (lane, shared)) in state.lanes.iter_mut().zip(&self.lanes).enumerate() {
            let (pushed, popped) = shared.queue.counts();
            let waits = pushed > popped;
            let progress = popped > lane.popped;
            let old = popped < lane.pushed;
            (lane.pushed, lane.popped) = (pushed, popped);
            busy |= waits || progress;
            if !waits || !old {
                continue;
            }
            if lane.idle > lane.told {
                lane.told += 1;
                shared.arrived.notify_one();
            } else if lane.submitted == 0 && (!progress || pushed - popped > lane.running as u64) {
                wants = wants.or(Some(index));
            }
        }
        state.quiet = if busy { 0 } else { state.quiet + 1 };
        if state.quiet >= QUIET_TICKS {
            state.armed = false;
            state.quiet = 0;
        }
        wants
    }

    fn arm(&self, state: &mut State) {
        if !state.armed {
            state.armed = true;
            self.pump.notify_one();
        }
    }

    /// Calls came: their connection says so.
    fn arrived(&self, index: usize) {
        let mut state = self.lock();
        let lane = &mut state.lanes[index];
        if self.per_call || lane.submitted + lane.running == 0 {
            state.armed = true;
            drop(state);
            self.pump.notify_one();
        } else if lane.idle > lane.told {
            lane.told += 1;
            if self.lanes[index].queue.len() > 1 {
                self.arm(&mut state);
            }
            drop(state);
            self.lanes[index].arrived.notify_one();
        } else {
            self.arm(&mut state);
        }
    }

    /// A waker that makes `id` known to the pump, for
    /// [`ExternalCall::poll_cancelled`](ExternalCall::poll_cancelled).
    pub fn watch(self: &Arc<Self>, id: u64) -> Waker {
        Waker::from(Arc::new(Watch { drains: Arc::downgrade(self), id }))
    }

    /// Ends the pump and the drains that are idle.
    pub fn stop(&self) {
        self.flush();
        self.lock().stopped = true;
        self.pump.notify_all();
        for lane in &self.lanes {
            lane.arrived.notify_all();
        }
    }

    // -- drains -----------------------------------------------------------------------------------

    /// A drain that was asked for begins.
    pub fn begin(&self, lane: usize) -> Turn {
        let mut state = self.lock();
        let state = &mut state.lanes[lane];
        // With a drain per call, it stands for its call until it takes it.
        if !self.per_call {
            state.submitted = state.submitted.saturating_sub(1);
        }
        state.running += 1;
        Turn { lane, since: Instant::now(), took: AtomicBool::new(false) }
    }

    /// A drain that was asked for will never begin.
    pub fn lost(&self, lane: usize) {
        let mut state = self.lock();
        state.lanes[lane].submitted = state.lanes[lane].submitted.saturating_sub(1);
        self.arm(&mut state);
        self.pump.notify_one();
    }

    /// A drain ends without having been told to.
    pub fn end(&self, turn: &Turn) {
        let mut state = self.lock();
        let lane = &mut state.lanes[turn.lane];
        lane.running = lane.running.saturating_sub(1);
        if self.per_call && !turn.took.load(Relaxed) {
            lane.submitted = lane.submitted.saturating_sub(1);
        }
        if !self.lanes[turn.lane].queue.is_empty() {
            self.arm(&mut state);
            self.pump.notify_one();
        }
    }

    /// A call, if one waits; never blocks.
    pub fn try_take(&self, turn: &Turn) -> Option<Taken> {
        if self.per_call {
            return Some(self.take_one(turn));
        }
        let queue = &self.lanes[turn.lane].queue;
        if turn.since.elapsed() > SLICE && !queue.is_empty() {
            self.flush();
            let mut state = self.lock();
            let lane = &mut state.lanes[turn.lane];
            lane.running = lane.running.saturating_sub(1);
            lane.submitted += 1;
            return Some(Taken::Again);
        }
        let call = queue.pop_one()?;
        if !self.replies().is_empty() {
            // They wait for this handler too: the pump sees to it that it is not for long.
            self.arm(&mut self.lock());
        }
        Some(Taken::Call(Box::new(call)))
    }

    /// The one call of a drain that is for one call.
    fn take_one(&self, turn: &Turn) -> Taken {
        self.flush();
        let mut state = self.lock();
        let lane = &mut state.lanes[turn.lane];
        if !turn.took.swap(true, Relaxed) {
            lane.submitted = lane.submitted.saturating_sub(1);
            // Under the lock: or else the pump would see a call that nobody stands for.
            if let Some(call) = self.lanes[turn.lane].queue.pop_one() {
                return Taken::Call(Box::new(call));
            }
        }
        lane.running = lane.running.saturating_sub(1);
        Taken::Nothing
    }

    /// The next call for a drain; waits for a short time if there is none. After `Again` and
    /// `Nothing` the drain counts as ended.
    pub fn take(&self, turn: &Turn) -> Taken {
        if let Some(taken) = self.try_take(turn) {
            return taken;
        }
        self.flush();
        let Lane { queue, arrived } = &self.lanes[turn.lane];
        let end = Instant::now() + IDLE;
        let mut state = self.lock();
        loop {
            if let Some(call) = queue.pop_one() {
                return Taken::Call(Box::new(call));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stopped {
                let lane = &mut state.lanes[turn.lane];
                lane.running = lane.running.saturating_sub(1);
                return Taken::Nothing;
            }
            state.lanes[turn.lane].idle += 1;
            (state, _) = arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            let lane = &mut state.lanes[turn.lane];
            lane.idle -= 1;
            lane.told = lane.told.saturating_sub(1);
        }
    }

    /// Keeps a reply for the next [`flush`](Self::flush), which is not far.
    pub fn reply(&self, reply: DeferredReply) {
        let large = reply.bytes() >= LARGE_REPLY;
        let mut replies = self.replies();
        replies.push(reply);
        if large || replies.len() >= MOST_REPLIES {
            let all = std::mem::take(&mut *replies);
            drop(replies);
            ExternalQueue::send_replies(all);
        }
    }

    /// Tells the connections of all replies; whether there were any.
    pub fn flush(&self) -> bool {
        let mut replies = self.replies();
        if replies.is_empty() {
            return false;
        }
        let all = std::mem::take(&mut *replies);
        drop(replies);
        ExternalQueue::send_replies(all);
        true
    }

    fn replies(&self) -> MutexGuard<'_, Vec<DeferredReply>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watch {
    drains: Weak<Drains>,
    id: u64,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        if let Some(drains) = self.drains.upgrade() {
            drains.lock().ended.push_back(self.id);
            drains.pump.notify_one();
        }
    }
}

impl fmt::Debug for Drains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drains").field("state", &*self.lock()).finish_non_exhaustive()
    }
}

/// How long a drain waits for a call before it ends.
const IDLE: Duration = Duration::from_millis(5);

/// How long a drain takes calls before other work of its executor has its turn.
const SLICE: Duration = Duration::from_millis(20);

/// How often the pump looks while there is something to look at: about what a call costs that
/// waits for a thread to be woken, many times over, and far below what a user notices.
const TICK: Duration = Duration::from_micros(500);

/// Ticks without anything to do after which the pump sleeps.
const QUIET_TICKS: u32 = 20;

/// A reply of this size does not wait for others: it is memory that its connection does not know of.
const LARGE_REPLY: usize = 64 << 10;

/// Replies that are gathered at most.
const MOST_REPLIES: usize = 64;
