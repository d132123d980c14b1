//! A channel: its name, its subchannels, its policy, and what calls see of them.
//!
//! ```text
//!               connect, pick                 Resolve / handle_resolved
//!   calls ------------------------> Channel <---------------------------> names
//!     ^                              |   |
//!     | Picker: ready connections    |   | Dial, Abandon / handle_connected, handle_dialled,
//!     +------------------------------+   |                 handle_failed
//!                                        v
//!      Subchannel   Subchannel   Subchannel ... <--- handle_ready, handle_unusable, handle_closed
//!      (one list of addresses each, as the policy arranges them)
//! ```
//!
//! **Input**: [`connect`](Channel::connect) and [`pick`](Channel::pick) say that connections are
//! wanted; `handle_*` say what became of look-ups, dials and connections, and that time has passed.
//! **Output**: [`poll_event`](Channel::poll_event), after each input, until there is none; and
//! [`poll_timeout`](Channel::poll_timeout).
//!
//! A call on a ready connection does not enter the machine. It picks from the last [`Picker`].
//!
//! # States
//! The channel is IDLE until somebody asks, CONNECTING while its name is looked up for the first
//! time, TRANSIENT_FAILURE where that fails, and SHUTDOWN at its end. Otherwise the policy says what
//! the states of the subchannels are together. `pick_first` has one subchannel with all addresses.
//! `round_robin` has one for each address, and keeps them connected.
//!
//! # Names
//! A name is looked up when the first call asks for a connection, and again when a connection is lost
//! or cannot be made, at most once in the interval. Addresses stay until there are others. A
//! connection to an address that is gone drains.
//!
//! # Invariants
//! - One look-up runs at a time.
//! - Each [`Event::Dial`] ends by a `handle_*` of the driver or by [`Event::Abandon`]. Each connection
//!   that [`handle_dialled`](Channel::handle_dialled) names becomes ready, is closed by
//!   [`Event::Close`], or is reported closed.
//! - A picker has exactly those connections that became ready and were not reported unusable.
//! - Two pickers in a row differ. Reported states form a chain.
//! - Those who wait are waited for: in CONNECTING and TRANSIENT_FAILURE something runs or is due.
//! - Nothing leaves SHUTDOWN, and nothing starts in it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ferrpc_http2::{CloseCause, Time};

use super::entry::Entry;
use super::event::{Causes, ChannelConfig, DialId, Event, Events};
use super::policy::Policy;
use super::resolution::Resolution;
use super::{
    Backoff, ConnectionId, ConnectivityState, Dialled, Pick, Picker, StateChange, Subchannel,
    SubchannelConfig, SubchannelId, UNWANTED_FOR,
};
use crate::random::Random;

/// The machine. `A` is an address, `H` the driver's handle of a connection, `C` makes errors.
#[derive(Debug)]
pub struct Channel<A, H, C: Causes> {
    causes: C,
    policy: Box<dyn Policy>,
    /// Of the next subchannel.
    config: SubchannelConfig,
    random: Random,
    resolution: Resolution,
    entries: Vec<Entry<A, H, C>>,
    last_dial: u64,
    /// Somebody has asked for a connection.
    active: bool,
    wanted_at: Time,
    /// Why there is no connection, until there is one.
    failure: Option<C::Error>,
    state: ConnectivityState,
    picker: Arc<Picker<H>>,
    events: Events<A, H, C>,
}

impl<A: Clone + PartialEq, H: Clone, C: Causes> Channel<A, H, C> {
    /// One that nobody has asked for a connection yet.
    pub fn new(config: &ChannelConfig, causes: C) -> Self {
        let mut random = Random::new(config.seed);
        let backoff = Backoff::new(config.backoff, random.next());
        let timeout = config.connect_timeout;
        Self {
            causes,
            policy: config.balancing.policy(),
            config: SubchannelConfig {
                id: SubchannelId::default(),
                backoff: config.backoff,
                connect_timeout: config.connect_timeout,
                keepalive: config.keepalive,
                seed: 0,
            },
            random,
            resolution: Resolution::new(config.resolution_interval, timeout, backoff),
            entries: Vec::new(),
            last_dial: 0,
            active: false,
            wanted_at: Time::ZERO,
            failure: None,
            state: ConnectivityState::Idle,
            picker: Arc::new(Picker::empty()),
            events: VecDeque::new(),
        }
    }

    // -- what is wanted --------------------------------------------------------------------------

    /// Somebody wants connections: begins to make those that there are not.
    pub fn connect(&mut self, now: Time) {
        if self.state == ConnectivityState::Shutdown {
            return;
        }
        self.active = true;
        self.wanted_at = self.wanted_at.max(now);
        for entry in &mut self.entries {
            entry.rests = false;
            entry.machine.connect(now);
        }
        self.advance(now);
    }

    /// A call asks for a connection; begins to connect where it has to wait for one.
    pub fn pick(&mut self, now: Time, wait_for_ready: bool) -> Pick<C::Error, H> {
        if self.state == ConnectivityState::Shutdown {
            return Pick::Shutdown;
        }
        let picked = self.picker.pick().cloned();
        if picked.is_none() || self.picker.wants_calls() {
            self.connect(now);
        }
        match (picked, self.failure()) {
            (Some(connection), _) => Pick::Ready(connection),
            (None, Some(failure))
                if self.state == ConnectivityState::TransientFailure && !wait_for_ready =>
            {
                Pick::Fail(failure.clone())
            }
            _ => Pick::Wait,
        }
    }

    /// No more connections. Those that take calls are the driver's to close, without an
    /// [`Event::Drain`].
    pub fn shut_down(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        for mut entry in self.entries.drain(..) {
            entry.shut_down(&mut events);
        }
        events.retain(|event| !matches!(event, Event::Drain(..) | Event::Dial(_) | Event::Resolve));
        self.events = events;
        self.resolution.interrupted();
        (self.active, self.failure) = (false, None);
        self.publish(ConnectivityState::Shutdown);
    }

    // -- names -----------------------------------------------------------------------------------

    /// The answer of a look-up: addresses in the order in which they are to be tried.
    pub fn handle_resolved(&mut self, now: Time, answer: Result<Vec<A>, C::Error>) {
        if self.state == ConnectivityState::Shutdown {
            return;
        }
        let answer = match answer {
            Ok(addresses) if addresses.is_empty() => Err(self.causes.no_addresses()),
            answer => answer,
        };
        match answer {
            Ok(addresses) => {
                if self.resolution.succeeded(now) {
                    self.arrange(now, addresses);
                }
            }
            Err(failure) => {
                if self.resolution.failed(now) {
                    self.no_answer(failure);
                }
            }
        }
        self.advance(now);
    }

    /// Addresses that are known stay.
    fn no_answer(&mut self, failure: C::Error) {
        if self.entries.is_empty() {
            self.failure = Some(failure.clone());
            self.events.push_back(Event::Failed(failure));
        }
    }

    /// Gives each list of the policy a subchannel; those that are there already stay.
    fn arrange(&mut self, now: Time, mut addresses: Vec<A>) {
        let mut seen = Vec::with_capacity(addresses.len());
        addresses.retain(|address| {
            let new = !seen.contains(address);
            if new {
                seen.push(address.clone());
            }
            new
        });
        let lists = self.policy.arrange(addresses.len(), &mut self.random);
        let lists = lists
            .into_iter()
            .map(|list| -> Arc<[A]> { list.into_iter().map(|at| addresses[at].clone()).collect() });
        if self.entries.is_empty() {
            // What was wrong was the name.
            self.failure = None;
        }
        let mut before = std::mem::take(&mut self.entries);
        for list in lists {
            let known =
                before.iter().position(|entry| self.policy.has_one() || entry.addresses == list);
            let mut entry = match known {
                Some(at) => before.swap_remove(at),
                None => self.new_entry(Arc::clone(&list)),
            };
            entry.set_addresses(now, list, &mut self.events);
            if known.is_none() && self.active {
                entry.machine.connect(now);
            }
            self.entries.push(entry);
        }
        for mut entry in before {
            entry.shut_down(&mut self.events);
        }
    }

    fn new_entry(&mut self, addresses: Arc<[A]>) -> Entry<A, H, C> {
        self.config.id.0 += 1;
        self.config.seed = self.random.next();
        Entry::new(self.config.id, addresses, Subchannel::new(&self.config))
    }

    // -- dials -----------------------------------------------------------------------------------

    /// A try has a byte stream, on which handshakes follow.
    pub fn handle_connected(&mut self, now: Time, dial: DialId) {
        if let Some(entry) = self.entry(dial.subchannel) {
            entry.connected(now, dial);
        }
    }

    /// A try has a secured byte stream: names the connection over it. `None`: it is not wanted any
    /// more, and the driver closes it.
    pub fn handle_dialled(&mut self, dial: DialId) -> Option<Dialled> {
        self.entry(dial.subchannel)?.dialled(dial)
    }

    /// A try led to no connection, for this reason; or its time is over.
    pub fn handle_failed(&mut self, now: Time, dial: DialId, failure: Option<C::Address>) {
        let Some(at) = self.position(dial.subchannel) else { return };
        let (causes, events) = (&self.causes, &mut self.events);
        if let Some(error) = self.entries[at].failed(now, dial, failure, causes, events) {
            self.failure = Some(error.clone());
            self.events.push_back(Event::Failed(error));
            self.resolution.request(now);
        }
        self.advance(now);
    }

    /// Whoever looks up and dials is gone, for instance with its runtime: the next one who asks
    /// starts anew.
    pub fn handle_interrupted(&mut self, now: Time) {
        if self.state == ConnectivityState::Shutdown {
            return;
        }
        self.active = false;
        self.failure = None;
        self.resolution.interrupted();
        self.entries.iter_mut().for_each(Entry::interrupted);
        self.advance(now);
    }

    // -- connections -----------------------------------------------------------------------------

    /// The server's SETTINGS came on a connection: calls know it by this handle. False: it is not
    /// wanted, and the driver closes it; it may have been abandoned already.
    pub fn handle_ready(&mut self, now: Time, connection: ConnectionId, handle: H) -> bool {
        let Some(at) = self.position(connection.subchannel) else { return false };
        let ready = self.entries[at].ready(connection, handle, &mut self.events);
        self.advance(now);
        ready
    }

    /// A connection takes no new calls. Whether it was one that took them.
    pub fn handle_unusable(&mut self, now: Time, connection: ConnectionId) -> bool {
        let Some(entry) = self.entry(connection.subchannel) else { return false };
        let lost = entry.unusable(now, connection);
        if lost {
            self.resolution.request(now);
        }
        self.advance(now);
        lost
    }

    /// A connection is over. Where the server found its pings too frequent, the interval doubles for
    /// those that follow; then this returns it.
    pub fn handle_closed(
        &mut self,
        now: Time,
        connection: ConnectionId,
        cause: &CloseCause,
    ) -> Option<Duration> {
        self.handle_unusable(now, connection);
        let slower =
            self.entry(connection.subchannel)?.machine.handle_closed(now, connection, cause);
        if slower.is_some() {
            self.config.keepalive = slower;
            self.entries.iter_mut().for_each(|entry| entry.machine.set_keepalive(slower));
        }
        self.advance(now);
        slower
    }

    /// Time has passed: [`poll_timeout`](Self::poll_timeout) has.
    pub fn handle_timeout(&mut self, now: Time) {
        if let Some(patience) = self.resolution.poll_late(now) {
            let failure = self.causes.timed_out(patience);
            self.no_answer(failure);
        }
        self.advance(now);
    }

    // -- what is to be done, and seen ------------------------------------------------------------

    /// What the driver does next.
    pub fn poll_event(&mut self) -> Option<Event<A, H, C::Error>> {
        self.events.pop_front()
    }

    /// Whether [`poll_event`](Self::poll_event) has something.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<Time> {
        let entries = self.entries.iter().filter_map(Entry::poll_timeout);
        entries.chain(self.resolution.poll_timeout()).min()
    }

    /// Whether something runs or is due: there is something to drive.
    pub fn is_busy(&self) -> bool {
        self.resolution.is_busy() || self.entries.iter().any(|entry| entry.machine.is_connecting())
    }

    /// The state.
    pub const fn connectivity(&self) -> ConnectivityState {
        self.state
    }

    /// Why there is no connection, where that is known.
    pub fn failure(&self) -> Option<&C::Error> {
        let of_entries = || self.entries.iter().find_map(|entry| entry.machine.failure());
        self.failure.as_ref().or_else(of_entries)
    }

    /// The interval of keepalive pings of the next connection.
    pub const fn keepalive(&self) -> Option<Duration> {
        self.config.keepalive
    }

    fn position(&self, id: SubchannelId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }

    fn entry(&mut self, id: SubchannelId) -> Option<&mut Entry<A, H, C>> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// Begins what is due, and tells of what has changed.
    fn advance(&mut self, now: Time) {
        if self.state == ConnectivityState::Shutdown {
            return;
        }
        self.resolve(now);
        if self.policy.stays_connected() && self.active {
            // A channel with a connection is wanted as a whole.
            let any_ready = self.entries.iter().any(|entry| entry.connection().is_some());
            for entry in self.entries.iter_mut().filter(|entry| !entry.rests) {
                if any_ready || !entry.machine.is_connecting() {
                    entry.machine.connect(now);
                }
            }
        }
        for entry in &mut self.entries {
            entry.advance(now, &mut self.last_dial, &mut self.events);
            while entry.machine.poll_change().is_some() {}
        }
        let state = self.aggregate();
        self.publish(state);
    }

    /// Begins a look-up that is due.
    fn resolve(&mut self, now: Time) {
        if self.entries.is_empty() {
            if self.failure.is_some() && now.since(self.wanted_at) >= UNWANTED_FOR {
                (self.active, self.failure) = (false, None);
            }
            if self.active {
                self.resolution.request(now);
            } else {
                self.resolution.forget();
            }
        }
        if self.resolution.poll_start(now) {
            self.events.push_back(Event::Resolve);
        }
    }

    fn aggregate(&self) -> ConnectivityState {
        if self.entries.is_empty() {
            return match (&self.failure, self.active) {
                (Some(_), _) => ConnectivityState::TransientFailure,
                (None, true) => ConnectivityState::Connecting,
                (None, false) => ConnectivityState::Idle,
            };
        }
        let states: Vec<_> =
            self.entries.iter().map(|entry| entry.machine.connectivity()).collect();
        self.policy.aggregate(&states)
    }

    /// Tells of the state and of the connections that are ready.
    fn publish(&mut self, after: ConnectivityState) {
        let ready = || self.entries.iter().filter_map(Entry::connection);
        let resting = self.policy.stays_connected() && self.entries.iter().any(|entry| entry.rests);
        let wants_calls = resting && ready().next().is_some();
        if !ready().map(|ready| ready.id).eq(self.picker.connections())
            || wants_calls != self.picker.wants_calls()
        {
            let ready: Box<[_]> = ready().cloned().collect();
            let first = usize::try_from(self.random.next() >> 33).unwrap_or_default();
            self.picker = Arc::new(Picker::new(ready, first, wants_calls));
            self.events.push_back(Event::Picker(Arc::clone(&self.picker)));
        }
        if matches!(after, ConnectivityState::Ready | ConnectivityState::Idle) {
            self.failure = None;
        }
        if after == ConnectivityState::Ready && !self.policy.stays_connected() {
            // Its addresses lead to a server.
            self.resolution.forget();
        }
        let before = std::mem::replace(&mut self.state, after);
        if before != after {
            self.events.push_back(Event::State(StateChange { before, after }));
        }
    }
}
