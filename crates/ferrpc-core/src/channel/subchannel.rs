//! A subchannel: one list of addresses, and at most one connection that takes calls.
//!
//! ```text
//!            connect()                    handle_ready
//!    IDLE -------------> CONNECTING ---------------------> READY
//!     ^                      |                              |
//!     |                      | handle_failed                | handle_unusable
//!     |                      v                              |
//!     |              TRANSIENT_FAILURE ---- handle_ready    |
//!     |                |  ^  attempts go on with backoff    |
//!     |                |  |                                 |
//!     +----------------+--+---------------------------------+
//!      nobody asked for 30 minutes
//!
//!    any state -- shut_down() --> SHUTDOWN
//! ```
//!
//! **Input**: [`connect`](Subchannel::connect) and [`pick`](Subchannel::pick) say that a connection
//! is wanted; `handle_*` say what became of attempts and connections.
//! **Output**: [`poll_attempt`](Subchannel::poll_attempt) (begin to connect now),
//! [`poll_abandoned`](Subchannel::poll_abandoned) (close this connection),
//! [`poll_change`](Subchannel::poll_change) (tell watchers), and
//! [`poll_timeout`](Subchannel::poll_timeout).
//!
//! One attempt tries all addresses; [`Dialing`](super::Dialing) says which when. Each byte stream
//! that an attempt makes is registered with [`handle_dialled`](Subchannel::handle_dialled). The first
//! one with the server's SETTINGS becomes the connection; the others are abandoned.
//!
//! # Invariants
//! - At most one attempt runs, and at most one connection takes calls.
//! - An attempt starts only after somebody asked, and not before its pause is over.
//! - Each dialled connection is used, abandoned, or reported closed: never forgotten, never two of
//!   these.
//! - TRANSIENT_FAILURE is sticky (gRFC A62): it ends with READY, with SHUTDOWN, or with IDLE when
//!   nobody asked for [`UNWANTED_FOR`]. While it lasts, calls that do not wait for the connection fail
//!   at once, also during further attempts.
//! - Reported changes form a chain: each begins with the state that the one before ended with.
//! - Nothing leaves SHUTDOWN, and nothing starts in it.

use std::collections::VecDeque;
use std::time::Duration;

use ferrpc_http2::{CloseCause, Time};

use super::reconnect::ReconnectDelay;
use super::{Backoff, BackoffConfig, ConnectivityState};

/// Settings of a subchannel.
#[derive(Clone, Debug)]
pub struct SubchannelConfig {
    /// Which of a channel's it is.
    pub id: SubchannelId,
    /// Pauses between attempts.
    pub backoff: BackoffConfig,
    /// The most that one attempt may take, in place of what the backoff says.
    pub connect_timeout: Option<Duration>,
    /// The interval of keepalive pings of the first connection.
    pub keepalive: Option<Duration>,
    /// The only source of jitter.
    pub seed: u64,
}

/// Names one subchannel of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubchannelId(pub(super) u64);

/// Names one connection of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    pub(super) subchannel: SubchannelId,
    number: u64,
}

/// Names one attempt of a subchannel to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(u64);

/// An attempt to connect that is to begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Names it.
    pub id: AttemptId,
    /// When it began.
    pub began: Time,
    /// When it must be given up.
    pub give_up: Time,
}

/// A byte stream that an attempt has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// Names the connection over it.
    pub id: ConnectionId,
    /// How often the connection sends keepalive pings.
    pub keepalive: Option<Duration>,
}

/// What a call finds when it asks for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick<F, C = ConnectionId> {
    /// This connection takes it.
    Ready(C),
    /// None yet: ask again when the state changes.
    Wait,
    /// None, and the call does not wait for one.
    Fail(F),
    /// The channel was closed.
    Shutdown,
}

/// A change of the connectivity state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The state that ended.
    pub before: ConnectivityState,
    /// The state that began.
    pub after: ConnectivityState,
}

/// The machine. `F` says why an attempt failed.
#[derive(Debug)]
pub struct Subchannel<F> {
    id: SubchannelId,
    connect_timeout: Option<Duration>,
    backoff: Backoff,
    delay: ReconnectDelay,
    /// Doubles each time a server finds the pings too frequent (gRFC A8).
    keepalive: Option<Duration>,
    phase: Phase,
    /// Why the last attempt failed, until one succeeds.
    failure: Option<F>,
    /// When somebody asked for a connection last.
    wanted_at: Time,
    last_attempt: u64,
    last_connection: u64,
    /// Connections of the current attempt.
    dialled: Vec<ConnectionId>,
    abandoned: VecDeque<ConnectionId>,
    changes: VecDeque<StateChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// An attempt is due then.
    Pausing(Time),
    Attempting(AttemptId),
    Ready(ConnectionId),
    Shutdown,
}

impl<F: Clone> Subchannel<F> {
    /// One that nobody has asked for a connection yet.
    pub fn new(config: &SubchannelConfig) -> Self {
        Self {
            id: config.id,
            connect_timeout: config.connect_timeout,
            backoff: Backoff::new(config.backoff, config.seed),
            delay: ReconnectDelay::new(),
            keepalive: config.keepalive,
            phase: Phase::Idle,
            failure: None,
            wanted_at: Time::ZERO,
            last_attempt: 0,
            last_connection: 0,
            dialled: Vec::new(),
            abandoned: VecDeque::new(),
            changes: VecDeque::new(),
        }
    }

    // -- what is wanted --------------------------------------------------------------------------

    /// Somebody wants a connection: starts to connect unless there is one, or one is being made.
    pub fn connect(&mut self, now: Time) {
        self.wanted_at = self.wanted_at.max(now);
        if self.phase == Phase::Idle {
            let at = self.delay.next_at();
            self.change(|this| this.phase = Phase::Pausing(at));
        }
    }

    /// A call asks for a connection; starts to connect where it has to wait for one.
    pub fn pick(&mut self, now: Time, wait_for_ready: bool) -> Pick<F> {
        match (self.phase, &self.failure) {
            (Phase::Shutdown, _) => return Pick::Shutdown,
            (Phase::Ready(connection), _) => return Pick::Ready(connection),
            _ => {}
        }
        self.connect(now);
        match &self.failure {
            Some(failure) if !wait_for_ready => Pick::Fail(failure.clone()),
            _ => Pick::Wait,
        }
    }

    /// A call uses the connection. (A call that may, by [`pick`](Self::pick), may yet wait for its
    /// turn: it is no reason to miss the connection at once.)
    pub const fn note_use(&mut self) {
        self.delay.note_use();
    }

    /// No more connections. The one that takes calls is the driver's to close.
    pub fn shut_down(&mut self) {
        self.abandon_dialled();
        self.change(|this| {
            this.phase = Phase::Shutdown;
            this.failure = None;
        });
    }

    // -- attempts --------------------------------------------------------------------------------

    /// The attempt that is to begin now, if one is.
    pub fn poll_attempt(&mut self, now: Time) -> Option<Attempt> {
        match self.phase {
            Phase::Pausing(at) if at <= now => {}
            _ => return None,
        }
        if self.failure.is_some() && now.since(self.wanted_at) >= UNWANTED_FOR {
            self.change(|this| {
                this.phase = Phase::Idle;
                this.failure = None;
            });
            return None;
        }
        self.last_attempt += 1;
        let id = AttemptId(self.last_attempt);
        let by_backoff = self.backoff.start(now);
        let give_up = self.connect_timeout.map_or(by_backoff, |timeout| now + timeout);
        self.change(|this| this.phase = Phase::Attempting(id));
        Some(Attempt { id, began: now, give_up })
    }

    /// The attempt made a byte stream, on which handshakes follow. `None`: the attempt is over, the
    /// byte stream is to be closed.
    pub fn handle_dialled(&mut self, attempt: AttemptId) -> Option<Dialled> {
        if self.phase != Phase::Attempting(attempt) {
            return None;
        }
        self.last_connection += 1;
        let id = ConnectionId { subchannel: self.id, number: self.last_connection };
        self.dialled.push(id);
        Some(Dialled { id, keepalive: self.keepalive })
    }

    /// The server's SETTINGS came on a connection. False: it is not wanted, and the driver closes
    /// it; it may have been abandoned already.
    pub fn handle_ready(&mut self, connection: ConnectionId) -> bool {
        let Some(at) = self.dialled.iter().position(|dialled| *dialled == connection) else {
            self.abandoned.retain(|abandoned| *abandoned != connection);
            return false;
        };
        self.dialled.swap_remove(at);
        self.abandon_dialled();
        self.backoff.reset();
        self.change(|this| {
            this.phase = Phase::Ready(connection);
            this.failure = None;
        });
        true
    }

    /// The attempt failed. Says nothing new about an attempt that is over: a connection may have
    /// come up just as its time was over. Returns whether this was the current attempt.
    pub fn handle_failed(&mut self, now: Time, attempt: AttemptId, failure: F) -> bool {
        if self.phase != Phase::Attempting(attempt) {
            return false;
        }
        let next = self.backoff.fail(now);
        self.abandon_dialled();
        self.change(|this| {
            this.phase = Phase::Pausing(next);
            this.failure = Some(failure);
        });
        true
    }

    /// Whoever makes attempts is gone, for instance with its runtime: the next one who asks starts
    /// anew.
    pub fn handle_interrupted(&mut self) {
        if self.is_connecting() {
            self.abandon_dialled();
            self.change(|this| {
                this.phase = Phase::Idle;
                this.failure = None;
            });
        }
    }

    /// The addresses changed: an attempt that runs is over, the next one need not wait.
    pub fn restart(&mut self, now: Time) {
        if self.is_connecting() {
            self.abandon_dialled();
            self.phase = Phase::Pausing(now);
        }
    }

    /// Whether an attempt runs or is due: there is something to drive.
    pub const fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Pausing(_) | Phase::Attempting(_))
    }

    // -- connections -----------------------------------------------------------------------------

    /// A connection takes no new calls. Returns whether it was the one that took them. This is no
    /// failure: the next one who asks starts to connect.
    pub fn handle_unusable(&mut self, now: Time, connection: ConnectionId) -> bool {
        if self.phase != Phase::Ready(connection) {
            return false;
        }
        self.delay.note_loss(now);
        self.change(|this| this.phase = Phase::Idle);
        true
    }

    /// A connection is over. Where the server found its pings too frequent, the interval doubles
    /// for those that follow; then this returns it.
    pub fn handle_closed(
        &mut self,
        now: Time,
        connection: ConnectionId,
        cause: &CloseCause,
    ) -> Option<Duration> {
        self.handle_unusable(now, connection);
        self.dialled.retain(|dialled| *dialled != connection);
        self.abandoned.retain(|abandoned| *abandoned != connection);
        if !is_complaint_of_pings(cause) {
            return None;
        }
        self.keepalive = self.keepalive.map(|interval| interval.saturating_mul(2));
        self.keepalive
    }

    /// A connection that is to be closed: another one was first, or its attempt was given up.
    pub fn poll_abandoned(&mut self) -> Option<ConnectionId> {
        self.abandoned.pop_front()
    }

    fn abandon_dialled(&mut self) {
        self.abandoned.extend(self.dialled.drain(..));
    }

    // -- what is seen ----------------------------------------------------------------------------

    /// The state.
    pub const fn connectivity(&self) -> ConnectivityState {
        match self.phase {
            Phase::Shutdown => ConnectivityState::Shutdown,
            Phase::Ready(_) => ConnectivityState::Ready,
            _ if self.failure.is_some() => ConnectivityState::TransientFailure,
            Phase::Idle => ConnectivityState::Idle,
            Phase::Pausing(_) | Phase::Attempting(_) => ConnectivityState::Connecting,
        }
    }

    /// Why the last attempt failed, until one succeeds.
    pub const fn failure(&self) -> Option<&F> {
        self.failure.as_ref()
    }

    /// The interval of keepalive pings of the next connection.
    pub const fn keepalive(&self) -> Option<Duration> {
        self.keepalive
    }

    /// The same, as another connection of the channel learnt it.
    pub const fn set_keepalive(&mut self, interval: Option<Duration>) {
        self.keepalive = interval;
    }

    /// Whether [`poll_change`](Self::poll_change) has something.
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The next change that was not told of yet.
    pub fn poll_change(&mut self) -> Option<StateChange> {
        self.changes.pop_front()
    }

    /// When to ask [`poll_attempt`](Self::poll_attempt) again.
    pub const fn poll_timeout(&self) -> Option<Time> {
        match self.phase {
            Phase::Pausing(at) => Some(at),
            _ => None,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        if self.phase == Phase::Shutdown {
            return;
        }
        let before = self.connectivity();
        change(self);
        let after = self.connectivity();
        if before != after {
            self.changes.push_back(StateChange { before, after });
        }
    }
}

/// Whether a server ended the connection because of its pings (gRFC A8).
fn is_complaint_of_pings(cause: &CloseCause) -> bool {
    matches!(cause, CloseCause::PeerGoAway { debug, .. } if &**debug == "too_many_pings")
}

/// How long attempts go on though nobody asks: gRPC's default idle timeout of a channel.
pub const UNWANTED_FOR: Duration = Duration::from_secs(30 * 60);
