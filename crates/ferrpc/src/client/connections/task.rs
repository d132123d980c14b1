//! The task that looks up and dials for a channel, while there is something to look up or to dial.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use ferrpc_core::Transport;
use ferrpc_core::channel::{ConnectivityState, Dial, DialId};
use ferrpc_net::connect::{self, Failure, Place};
use ferrpc_net::seed::seed;
use ferrpc_net::streams::Secured;
use ferrpc_net::{clock, trace};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::{Connection, Connections, Dialled, Order};
use crate::client::role::ClientRole;
use crate::transport::driver::Driver;
use crate::transport::mailbox::Mailbox;

/// The task. With it go look-ups and dials.
pub(super) struct ConnectTask {
    connections: Arc<Connections>,
    id: u64,
}

impl ConnectTask {
    pub(super) const fn new(connections: Arc<Connections>, id: u64) -> Self {
        Self { connections, id }
    }

    pub(super) async fn run(self) {
        let connections = &self.connections;
        let mut changes = connections.watch();
        let mut tries = JoinSet::new();
        let mut dials: HashMap<DialId, AbortHandle> = HashMap::new();
        loop {
            connections.lock().machine.handle_timeout(clock::now());
            let (orders, until) = {
                let mut state = connections.lock();
                if !state.machine.is_busy() {
                    // From here on, whoever makes it busy begins another task.
                    state.task = None;
                    state.orders.clear();
                    return;
                }
                state.until = state.machine.poll_timeout();
                (std::mem::take(&mut state.orders), state.until)
            };
            for order in orders {
                let connections = Arc::clone(connections);
                match order {
                    Order::Resolve => {
                        tries.spawn(connections.resolve());
                    }
                    Order::Dial(dial) => {
                        let id = dial.id;
                        dials.retain(|_, running| !running.is_finished());
                        dials.insert(id, tries.spawn(connections.dial(dial)));
                    }
                    Order::Abandon(dial) => {
                        if let Some(running) = dials.remove(&dial) {
                            running.abort();
                        }
                    }
                }
            }
            while tries.try_join_next().is_some() {}
            // A try that ends comes without an order: the machine may have nothing more to do.
            let mut closed = pin!(changes.wait_for(|now| *now == ConnectivityState::Shutdown));
            let mut ordered = pin!(connections.ordered.notified());
            let anything = poll_fn(|cx| {
                let ended = matches!(tries.poll_join_next(cx), Poll::Ready(Some(_)));
                let closed = closed.as_mut().poll(cx).is_ready();
                if ended || closed || ordered.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                Poll::Pending
            });
            match until {
                None => anything.await,
                Some(until) => {
                    // Late or not, the machine knows the time.
                    let _ = tokio::time::timeout_at(clock::to_instant(until), anything).await;
                }
            }
        }
    }
}

impl Drop for ConnectTask {
    fn drop(&mut self) {
        let mut state = self.connections.lock();
        if state.task.take_if(|id| *id == self.id).is_some() {
            // Dropped in the middle, by a runtime that shuts down: whoever waits in another
            // runtime starts anew.
            state.orders.clear();
            state.machine.handle_interrupted(clock::now());
        }
    }
}

impl Connections {
    /// Looks the name up.
    async fn resolve(self: Arc<Self>) {
        let answer = connect::places(&self.target, &self.config.dialer).await;
        self.lock().machine.handle_resolved(clock::now(), answer);
    }

    /// Tries an address, and says what came of it.
    async fn dial(self: Arc<Self>, dial: Dial<Place>) {
        let panics = Panics { connections: &self, dial: &dial };
        let give_up = clock::to_instant(dial.give_up);
        let failure = match tokio::time::timeout_at(give_up, self.try_place(&dial)).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => Some((self.name(&dial.address), failure)),
            Err(_) => None,
        };
        drop(panics);
        self.lock().machine.handle_failed(clock::now(), dial.id, failure);
    }

    /// Tries a place, up to the server's SETTINGS, or until it is not wanted any more.
    async fn try_place(self: &Arc<Self>, dial: &Dial<Place>) -> Result<(), Failure> {
        let Dial { id: dial, address: place, .. } = dial;
        let name = self.name(place);
        tracing::debug!(
            target: trace::CONNECTIVITY, channel = %self.target, address = name, "connecting"
        );
        let connected = || self.lock().machine.handle_connected(clock::now(), *dial);
        let dialer = &self.config.dialer;
        let Secured { io, fault } = place.connect(&self.target, dialer, connected).await?;
        let (outcome, finished) = oneshot::channel();
        let mailbox = Mailbox::new();
        let mut config = self.config.transport.clone();
        let id = {
            let mut state = self.lock();
            let Some(dialled) = state.machine.handle_dialled(*dial) else { return Ok(()) };
            config.http2.keepalive.interval = dialled.keepalive;
            let connection = Connection { id: dialled.id, mailbox: Arc::clone(&mailbox) };
            state.dialled.push(Dialled { connection, outcome });
            dialled.id
        };
        config.seed = seed();
        let role = ClientRole::new(id, Arc::downgrade(self), Arc::clone(&mailbox));
        let transport = Transport::client(config, clock::now());
        tokio::spawn(Driver::new(io, transport, role, mailbox));
        match finished.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(Failure::handshake(cause, fault.as_deref())),
            // The connection's task is gone: so is the runtime, or the dial is not wanted.
            Err(_) => Err(Failure::dial(&io::Error::other("the connection was dropped"))),
        }
    }

    fn name(&self, place: &Place) -> String {
        place.name(&self.target, &self.config.dialer)
    }
}

/// An address is being tried. A panic there, which credentials of the program's may cause, is a
/// failure like others.
struct Panics<'a> {
    connections: &'a Arc<Connections>,
    dial: &'a Dial<Place>,
}

impl Drop for Panics<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = self.connections.name(&self.dial.address);
            let failure = Failure::dial(&io::Error::other("the task that connects panicked"));
            let mut state = self.connections.lock();
            state.machine.handle_failed(clock::now(), self.dial.id, Some((name, failure)));
        }
    }
}
