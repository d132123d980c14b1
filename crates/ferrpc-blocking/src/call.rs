//! A call of a thread, above its attempts.
//!
//! ```text
//!          proceed                 a connection is there
//!   New ------------> Pending ------------------------------> On (a connection's slot)
//!                       ^  |                                   |      |
//!                       |  | no server, deadline, cancel       |      | final status read, or
//!                       |  v                                   |      v cancelled
//!                       | Over <-------------------------------|----- Over
//!                       +----------- another attempt -----------+
//! ```
//!
//! Nothing here waits but [`Call::wait`] (`poll.rs` is for those who do not): a pending call is taken
//! further by whoever learns of something ([`Attempts::resume`]), so that calls without a waiting
//! thread get on, too. Order of locks: a call's, then the channel's or a connection's. What those want woken is woken after
//! the call's own lock is released, since it may be another call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;

use ferrpc::for_blocking::Head;
use ferrpc_core::call::{CallConfig, ClientCall};
use ferrpc_core::channel::AttemptEnd;
use ferrpc_core::transport::Message;
use ferrpc_core::{Code, Encoding, Metadata, Status, Time};
use ferrpc_net::clock;

use super::connection::Connection;
use super::outcome::{Ended, Origin, Outcome};
use super::shared::{Acquired, Ask, Hold};
use super::slot::Side;
use super::state::State;
use super::wake::{Attempts, Wake};

/// One call. Its two sides may be used by two threads.
pub(super) struct Call {
    pub(super) head: Arc<Head>,
    /// Whether nobody may be waiting while it runs.
    unattended: bool,
    /// Whether it is to get on even so: the guard then works for it.
    watched: AtomicBool,
    pub(super) state: Mutex<CallState>,
    /// A pending call got on.
    changed: Condvar,
    /// The response's headers, once somebody looked or the call was over.
    pub(super) initial: OnceLock<(Metadata, Encoding)>,
    me: Weak<dyn Attempts>,
}

pub(super) struct CallState {
    /// Its channel, until it is over.
    channel: Option<Hold>,
    pub(super) attempt: Attempt,
    /// Attempts begun: tells one from the next, which may have its slot.
    attempts: u64,
    /// Runs when the end is known, once.
    hook: Option<Hook>,
    /// Who polled a side in vain while no attempt ran.
    pub(super) wakers: [Option<Waker>; 2],
    /// For when the lock is released.
    pub(super) later: Vec<Wake>,
}

type Hook = Box<dyn FnOnce() + Send>;
pub(super) type Locked<'a> = MutexGuard<'a, CallState>;

pub(super) enum Attempt {
    /// It was not begun.
    New(ClientCall),
    /// It waits for a connection.
    Pending(Pending),
    /// It runs, or is over and not everything was read.
    On { connection: Arc<Connection>, key: usize },
    /// On its way from one to the other, under the lock.
    Moving,
    /// The call is over.
    Over(Arc<Outcome>),
}

pub(super) struct Pending {
    pub(super) call: ClientCall,
    /// The channel will resume it.
    registered: bool,
    /// When to look again.
    until: Option<Time>,
}

/// What a side finds while an attempt runs.
pub(super) enum Found<R> {
    /// What it looked for.
    Done(R),
    /// The call is over.
    Over(Arc<Outcome>),
    /// Neither, and the time given was over.
    Late,
}

impl Call {
    pub(super) fn new(
        channel: Hold,
        head: Head,
        config: CallConfig,
        message: Option<Message>,
        unattended: bool,
    ) -> Arc<Self> {
        let mut call = ClientCall::new(config);
        if let Some(message) = message {
            call.push(message);
            call.half_close();
        }
        let state = CallState {
            channel: Some(channel),
            attempt: Attempt::New(call),
            attempts: 0,
            hook: None,
            wakers: [None, None],
            later: Vec::new(),
        };
        Arc::new_cyclic(|me| Self {
            head: Arc::new(head),
            unattended,
            watched: AtomicBool::new(false),
            state: Mutex::new(state),
            changed: Condvar::new(),
            initial: OnceLock::new(),
            me: Weak::<Self>::clone(me),
        })
    }

    /// Begins it without waiting, unless it was begun.
    pub(super) fn start(&self) {
        let mut state = self.lock();
        if let Attempt::New(_) = state.attempt {
            self.proceed(&mut state);
        }
        self.unlock(state);
    }

    /// Waits until `look` finds something in the call's slot, the call is over, or `limit`;
    /// attempts it again where that is to be done unseen.
    pub(super) fn wait<R>(
        &self,
        side: Side,
        limit: Option<Time>,
        mut look: impl FnMut(&mut State, usize) -> Option<R>,
    ) -> Found<R> {
        loop {
            let (connection, key, attempt) = match self.running(limit) {
                Found::Done(attempt) => attempt,
                Found::Over(outcome) => return Found::Over(outcome),
                Found::Late => return Found::Late,
            };
            let result = connection.wait(key, side, limit, |state| {
                if let Some(found) = look(state, key) {
                    return Some(Ok(found));
                }
                state.slots[key].ended.clone().map(Err)
            });
            let ended = match result {
                None => return Found::Late,
                Some(Ok(found)) => return Found::Done(found),
                Some(Err(ended)) => ended,
            };
            if side == Side::Send && ended.is_final() {
                // What was received before the end is still to be read by the other side.
                return Found::Over(Arc::new(Outcome::new(ended.status, ended.origin)));
            }
            let mut state = self.lock();
            // Otherwise the other side was first.
            if state.attempts == attempt && matches!(state.attempt, Attempt::On { .. }) {
                self.after(&mut state, ended);
            }
            let over = state.over();
            self.unlock(state);
            if let Some(outcome) = over {
                return Found::Over(outcome);
            }
        }
    }

    /// The running attempt, entered for one wait; waits for one if there is none.
    fn running(&self, limit: Option<Time>) -> Found<(Arc<Connection>, usize, u64)> {
        let mut state = self.lock();
        loop {
            let until = match &state.attempt {
                Attempt::On { connection, key } => {
                    let found = (Arc::clone(connection), *key, state.attempts);
                    let later = connection.enter(*key);
                    state.later.extend(later);
                    self.unlock(state);
                    return Found::Done(found);
                }
                Attempt::Over(outcome) => {
                    let outcome = Arc::clone(outcome);
                    self.unlock(state);
                    return Found::Over(outcome);
                }
                Attempt::New(_) | Attempt::Moving => {
                    self.proceed(&mut state);
                    continue;
                }
                Attempt::Pending(pending) => pending.until,
            };
            if !state.later.is_empty() {
                // What it waits for may come of that.
                self.unlock(state);
                state = self.lock();
                continue;
            }
            let now = clock::now();
            if limit.is_some_and(|limit| limit <= now) {
                self.unlock(state);
                return Found::Late;
            }
            if until.is_some_and(|until| until <= now) {
                self.proceed(&mut state);
                continue;
            }
            state = match until.into_iter().chain(limit).min() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let wait = self.changed.wait_timeout(state, until.since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes a call without an attempt as far as it gets without waiting.
    fn proceed(&self, state: &mut CallState) {
        let Some(channel) = state.channel.clone() else { return };
        let mut pending = match std::mem::replace(&mut state.attempt, Attempt::Moving) {
            Attempt::New(call) => Pending::new(call),
            Attempt::Pending(pending) => pending,
            other => {
                state.attempt = other;
                return;
            }
        };
        let acquired = loop {
            let (acquired, later) = channel.acquire(&Ask {
                call: &self.me,
                request: pending.call.request(),
                registered: pending.registered,
                unattended: self.unattended,
            });
            state.later.extend(later);
            if let Acquired::Failed(status, Origin::Connect(_)) = &acquired {
                let mut end = AttemptEnd::unreachable(status.clone());
                pending.call.handle_end(clock::now(), &mut end);
                if !end.is_final() {
                    continue;
                }
            }
            break acquired;
        };
        if !matches!(acquired, Acquired::Wait(_)) {
            // They poll again.
            state.wake_pollers();
        }
        state.attempt = match acquired {
            Acquired::Connection(connection) => {
                let owner = self.unattended.then(|| Weak::clone(&self.me));
                let watched = self.watched.load(Ordering::Relaxed);
                let (key, later) =
                    connection.begin(Arc::clone(&self.head), pending.call, owner, watched);
                state.later.extend(later);
                state.attempts += 1;
                Attempt::On { connection, key }
            }
            Acquired::Failed(status, Origin::Deadline) => {
                let status = pending.call.late().map_or(status, |late| late.status);
                Attempt::Over(Arc::new(Outcome::new(status, Origin::Deadline)))
            }
            Acquired::Failed(status, origin) => {
                Attempt::Over(Arc::new(Outcome::new(status, origin)))
            }
            Acquired::Wait(until) => {
                pending.until = until;
                pending.registered = true;
                Attempt::Pending(pending)
            }
        };
    }

    /// The attempt ended: the call is over, or another attempt is due.
    pub(super) fn after(&self, state: &mut CallState, ended: Ended) {
        let Attempt::On { connection, key } =
            std::mem::replace(&mut state.attempt, Attempt::Moving)
        else {
            unreachable!("only a running attempt ends");
        };
        let (call, initial, later) = connection.abandon(key, &ended);
        state.later.extend(later);
        if !ended.is_final() {
            state.attempt = Attempt::Pending(Pending::new(call));
            self.proceed(state);
        } else {
            self.keep_initial(initial);
            state.attempt = Attempt::Over(Arc::new(Outcome::new(ended.status, ended.origin)));
            state.wake_pollers();
        }
        self.changed.notify_all();
    }

    /// Whether it is not known to be over.
    pub(super) fn is_running(&self) -> bool {
        match &self.lock().attempt {
            Attempt::On { connection, key } => connection.ended(*key).is_none(),
            Attempt::New(_) | Attempt::Pending(_) | Attempt::Moving => true,
            Attempt::Over(_) => false,
        }
    }

    /// How it ended, if that is known, without waiting. Messages may remain to be read.
    pub(super) fn outcome(&self) -> Option<Arc<Outcome>> {
        self.outcome_by(Connection::ended)
    }

    /// The same, if all messages were read.
    pub(super) fn drained(&self) -> Option<Arc<Outcome>> {
        self.outcome_by(Connection::drained)
    }

    fn outcome_by(&self, ended: EndOf) -> Option<Arc<Outcome>> {
        let state = self.lock();
        match &state.attempt {
            Attempt::On { connection, key } => {
                let ended = ended(connection, *key)?;
                ended.is_final().then(|| Arc::new(Outcome::new(ended.status, ended.origin)))
            }
            _ => state.over(),
        }
    }

    /// From now on it gets on without a thread that waits.
    pub(super) fn watch(&self) {
        let mut state = self.lock();
        if !self.watched.swap(true, Ordering::Relaxed)
            && let Attempt::On { connection, key } = &state.attempt
        {
            let later = connection.watch_call(*key);
            state.later.extend(later);
        }
        self.unlock(state);
    }

    /// Runs `hook` when the end is known: at once, if it is; by the thread that learns of it.
    pub(super) fn on_end(&self, hook: Hook) {
        let mut state = self.lock();
        state.hook = Some(hook);
        self.unlock(state);
    }

    /// The call is of no more use: cancels it if it is not over. Whether it was not.
    pub(super) fn cancel(&self, status: Status) -> bool {
        self.end(Outcome::new(status, Origin::Local))
    }

    /// Ends it from this side although the server may have ended it: for a reader that has not read
    /// its messages, which are dropped. False if it was ended from here, or read to its end.
    pub(super) fn cut(&self, status: Status) -> bool {
        self.end_by(Outcome::new(status, Origin::Local), |_, _| None)
    }

    /// Ends it from this side, if it is not over. Whether it was not.
    pub(super) fn end(&self, outcome: Outcome) -> bool {
        self.end_by(outcome, Connection::ended)
    }

    fn end_by(&self, outcome: Outcome, ended_already: EndOf) -> bool {
        let mut state = self.lock();
        let running = match &state.attempt {
            Attempt::Over(_) => false,
            Attempt::On { connection, key } => {
                let over = ended_already(connection, *key).is_some_and(|ended| ended.is_final());
                if !over {
                    self.after(&mut state, outcome.into());
                }
                !over
            }
            Attempt::New(_) | Attempt::Pending(_) | Attempt::Moving => {
                state.attempt = Attempt::Over(Arc::new(outcome));
                state.wake_pollers();
                self.changed.notify_all();
                true
            }
        };
        self.unlock(state);
        running
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock, then does what had to wait for that.
    pub(super) fn unlock(&self, mut state: Locked<'_>) {
        let later = std::mem::take(&mut state.later);
        let hook =
            if state.hook.is_some() && state.is_known_to_end() { state.hook.take() } else { None };
        let over = matches!(state.attempt, Attempt::Over(_));
        let channel = if over { state.channel.take() } else { None };
        drop(state);
        drop(channel);
        Wake::all(later);
        if let Some(hook) = hook {
            hook();
        }
    }
}

impl Attempts for Call {
    fn resume(&self) {
        let mut state = self.lock();
        if let Attempt::Pending(pending) = &mut state.attempt {
            pending.registered = false;
            self.proceed(&mut state);
            self.changed.notify_all();
        }
        self.unlock(state);
    }

    fn settle(&self) {
        let mut state = self.lock();
        if let Attempt::On { connection, key } = &state.attempt {
            let Some(ended) = connection.ended(*key) else { return };
            if !ended.is_final() {
                self.after(&mut state, ended);
            }
        }
        self.unlock(state);
    }
}

impl Pending {
    const fn new(call: ClientCall) -> Self {
        Self { call, registered: false, until: None }
    }
}

impl CallState {
    fn wake_pollers(&mut self) {
        self.later.extend(self.wakers.iter_mut().filter_map(Option::take).map(Wake::Waker));
    }

    pub(super) fn over(&self) -> Option<Arc<Outcome>> {
        match &self.attempt {
            Attempt::Over(outcome) => Some(Arc::clone(outcome)),
            _ => None,
        }
    }

    fn is_known_to_end(&self) -> bool {
        match &self.attempt {
            Attempt::Over(_) => true,
            Attempt::On { connection, key } => {
                connection.ended(*key).is_some_and(|ended| ended.is_final())
            }
            _ => false,
        }
    }
}

/// How an attempt ended, in the eyes of who asks.
type EndOf = fn(&Connection, usize) -> Option<Ended>;

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.lock();
        if let Attempt::On { .. } = state.attempt {
            let status = Status::new(Code::Cancelled, "the call was dropped");
            self.after(&mut state, Outcome::new(status, Origin::Local).into());
        }
        self.unlock(state);
    }
}
