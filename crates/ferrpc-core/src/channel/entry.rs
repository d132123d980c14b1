//! One subchannel of a channel: its addresses, the attempt that runs, the connection that is ready.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferrpc_http2::Time;

use super::event::{Causes, Dial, DialId, Event, Events};
use super::picker::ReadyConnection;
use super::{Attempt, ConnectionId, Dialing, Dialled, Subchannel, SubchannelId};

#[derive(Debug)]
pub(super) struct Entry<A, H, C: Causes> {
    pub(super) id: SubchannelId,
    pub(super) addresses: Arc<[A]>,
    pub(super) machine: Subchannel<C::Error>,
    running: Option<Running<A, C::Address>>,
    ready: Option<Ready<A, H>>,
    /// It connects again when somebody asks, and not by itself: its last connection ended unused, or
    /// nobody has asked for long.
    pub(super) rests: bool,
}

/// The connection that takes calls.
#[derive(Debug)]
struct Ready<A, H> {
    connection: ReadyConnection<H>,
    address: A,
}

/// The attempt that runs.
#[derive(Debug)]
struct Running<A, F> {
    attempt: Attempt,
    plan: Dialing,
    addresses: Arc<[A]>,
    dials: Vec<Dialed>,
    failures: Vec<F>,
}

/// An address that is being tried.
#[derive(Debug)]
struct Dialed {
    id: DialId,
    address: usize,
    connection: Option<ConnectionId>,
}

impl<A: Clone + PartialEq, H: Clone, C: Causes> Entry<A, H, C> {
    pub(super) fn new(
        id: SubchannelId,
        addresses: Arc<[A]>,
        machine: Subchannel<C::Error>,
    ) -> Self {
        Self { id, addresses, machine, running: None, ready: None, rests: false }
    }

    pub(super) fn connection(&self) -> Option<&ReadyConnection<H>> {
        self.ready.as_ref().map(|ready| &ready.connection)
    }

    /// Begins what is due.
    pub(super) fn advance(&mut self, now: Time, last_dial: &mut u64, events: &mut Events<A, H, C>) {
        let was_connecting = self.machine.is_connecting();
        if let Some(attempt) = self.machine.poll_attempt(now) {
            let addresses = Arc::clone(&self.addresses);
            let plan = Dialing::new(addresses.len());
            let (dials, failures) = (Vec::new(), Vec::new());
            self.running = Some(Running { attempt, plan, addresses, dials, failures });
        }
        // Nobody has asked for long.
        self.rests |= was_connecting && !self.machine.is_connecting();
        if let Some(running) = &mut self.running {
            while let Some(address) = running.plan.poll_start(now) {
                *last_dial += 1;
                let id = DialId { subchannel: self.id, number: *last_dial };
                running.dials.push(Dialed { id, address, connection: None });
                let Attempt { began, give_up, .. } = running.attempt;
                let address = running.addresses[address].clone();
                events.push_back(Event::Dial(Dial { id, address, began, give_up }));
            }
        }
        while let Some(connection) = self.machine.poll_abandoned() {
            events.push_back(Event::Close(connection));
        }
    }

    /// A byte stream to an address.
    pub(super) fn connected(&mut self, now: Time, dial: DialId) {
        if let Some(running) = self.running_with(dial) {
            running.plan.handle_connected(now);
        }
    }

    /// It is secured.
    pub(super) fn dialled(&mut self, dial: DialId) -> Option<Dialled> {
        let attempt = self.running_with(dial)?.attempt.id;
        let dialled = self.machine.handle_dialled(attempt)?;
        let running = self.running.as_mut()?;
        let tried = running.dials.iter_mut().find(|tried| tried.id == dial)?;
        tried.connection = Some(dialled.id);
        Some(dialled)
    }

    /// An address failed. Why there is no connection, if it was the last one.
    pub(super) fn failed(
        &mut self,
        now: Time,
        dial: DialId,
        failure: Option<C::Address>,
        causes: &C,
        events: &mut Events<A, H, C>,
    ) -> Option<C::Error> {
        let running = self.running_with(dial)?;
        running.dials.retain(|tried| tried.id != dial);
        running.failures.extend(failure);
        running.plan.handle_failed(now);
        let Attempt { id, began, give_up } = running.attempt;
        let late = now >= give_up;
        if !late && !running.plan.has_failed() {
            return None;
        }
        let failures = std::mem::take(&mut running.failures);
        let error = if late || failures.is_empty() {
            causes.timed_out(give_up.since(began))
        } else {
            causes.addresses(failures)
        };
        self.abandon(None, events);
        self.machine.handle_failed(now, id, error.clone());
        Some(error)
    }

    /// A connection has its SETTINGS: the others are too late.
    pub(super) fn ready(
        &mut self,
        connection: ConnectionId,
        handle: H,
        events: &mut Events<A, H, C>,
    ) -> bool {
        let address = self.running.as_ref().and_then(|running| {
            let won = running.dials.iter().find(|tried| tried.connection == Some(connection))?;
            Some(running.addresses[won.address].clone())
        });
        if !self.machine.handle_ready(connection) {
            return false;
        }
        self.abandon(Some(connection), events);
        let address = address.expect("a connection that is dialled belongs to the attempt");
        let connection = ReadyConnection { id: connection, handle, used: Arc::default() };
        self.ready = Some(Ready { connection, address });
        self.rests = false;
        true
    }

    /// Its connection takes no more calls. Whether it was the one that took them.
    pub(super) fn unusable(&mut self, now: Time, connection: ConnectionId) -> bool {
        let Some(Ready { connection: lost, .. }) =
            self.ready.take_if(|ready| ready.connection.id == connection)
        else {
            return false;
        };
        let used = lost.used.load(Ordering::Relaxed);
        if used {
            self.machine.note_use();
        }
        self.rests = !used;
        self.machine.handle_unusable(now, connection)
    }

    /// Its addresses are these now. Where its connection leads to none of them, it goes.
    pub(super) fn set_addresses(
        &mut self,
        now: Time,
        addresses: Arc<[A]>,
        events: &mut Events<A, H, C>,
    ) {
        let same = addresses.len() == self.addresses.len()
            && addresses.iter().all(|address| self.addresses.contains(address));
        if same {
            return;
        }
        self.addresses = addresses;
        if let Some(ready) = &self.ready
            && !self.addresses.contains(&ready.address)
        {
            let ReadyConnection { id, handle, .. } = ready.connection.clone();
            self.unusable(now, id);
            events.push_back(Event::Drain(id, handle));
        }
        self.abandon(None, events);
        self.machine.restart(now);
    }

    /// Nobody needs it any more.
    pub(super) fn shut_down(&mut self, events: &mut Events<A, H, C>) {
        self.machine.shut_down();
        self.abandon(None, events);
        while let Some(connection) = self.machine.poll_abandoned() {
            events.push_back(Event::Close(connection));
        }
        if let Some(Ready { connection, .. }) = self.ready.take() {
            events.push_back(Event::Drain(connection.id, connection.handle));
        }
    }

    /// Whoever dials is gone.
    pub(super) fn interrupted(&mut self) {
        self.machine.handle_interrupted();
        self.running = None;
        self.rests |= self.ready.is_none();
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        let plan = self.running.as_ref().and_then(|running| running.plan.poll_timeout());
        self.machine.poll_timeout().into_iter().chain(plan).min()
    }

    fn running_with(&mut self, dial: DialId) -> Option<&mut Running<A, C::Address>> {
        let running = self.running.as_mut()?;
        running.dials.iter().any(|tried| tried.id == dial).then_some(running)
    }

    /// The attempt is over. Those addresses are given up that are still being tried.
    fn abandon(&mut self, winner: Option<ConnectionId>, events: &mut Events<A, H, C>) {
        let Some(running) = self.running.take() else { return };
        for tried in running.dials {
            if winner.is_none() || tried.connection != winner {
                events.push_back(Event::Abandon(tried.id));
            }
        }
    }
}
