//! Who does the input and output of a connection, and how the others wait.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::atomic::Ordering;
use std::thread;

use ferrpc_core::Time;
use ferrpc_core::http2::Transmit;
use ferrpc_net::clock;
use ferrpc_net::socket::{self, Kick, Readiness};

use super::connection::Connection;
use super::locked::Locked;
use super::slot::{Side, Waiting};
use super::state::{Role, State, Waits};
use super::wake::Wake;

impl Connection {
    /// Waits, in an attempt that was entered, until `ready` finds what it looks for, doing the
    /// connection's work meanwhile if nobody else does it; `None` at `limit`.
    pub(super) fn wait<R>(
        &self,
        key: usize,
        side: Side,
        limit: Option<Time>,
        mut ready: impl FnMut(&mut State) -> Option<R>,
    ) -> Option<R> {
        let mut state = self.lock();
        state.last_ticket += 1;
        let me = Role::Caller(state.last_ticket);
        let ticket = state.last_ticket;
        let result = loop {
            state.slots[key].forget_news(side);
            if let Some(result) = ready(&mut state) {
                break Some(result);
            }
            if limit.is_some_and(|limit| limit <= clock::now()) {
                break None;
            }
            match state.role {
                Role::None => state.give_role(me),
                // Alone, this thread is the better one to wait: its answer need not be handed on.
                Role::Guard if state.slots.len() == 1 && !state.reading && state.ready => {
                    state.give_role(me);
                    if state.guard_waits {
                        self.kick_guard(&mut state);
                    }
                }
                _ => {}
            }
            if state.role == me {
                let until = state.slots[key].call.deadline().into_iter().chain(limit).min();
                self.lead(&mut state, me, Some((key, side)), until);
                continue;
            }
            // Sending releases the lock: everything may have changed.
            let before = (state.events, state.role);
            self.provide(&mut state);
            if before == (state.events, state.role) && !state.slots[key].has_news(side) {
                self.park(&mut state, key, side, ticket, limit);
            }
        };
        state.leave(key, true);
        self.inflight.store(state.slots.len(), Ordering::Relaxed);
        if state.role == me {
            self.step_down(&mut state);
        }
        result
    }

    /// Sleeps until somebody has something for this thread: what it waits for, or the role.
    fn park(
        &self,
        state: &mut Locked<'_>,
        key: usize,
        side: Side,
        ticket: u64,
        limit: Option<Time>,
    ) {
        let slot = &mut state.slots[key];
        slot.waiting.push(Waiting::new(side, ticket));
        // The call's own deadline too: whoever leads may have begun to wait before this call
        // began.
        let until = slot.call.deadline().into_iter().chain(limit).min();
        let wakes = mem::take(&mut state.wakes);
        state.unlocked(|_| {
            Wake::all(wakes);
            match until {
                None => thread::park(),
                Some(until) => thread::park_timeout(until.since(clock::now())),
            }
        });
        state.slots[key].waiting.retain(|waiting| waiting.ticket != ticket);
        if until.is_some() {
            self.fire_timers(state);
        }
    }

    /// Gives the role up: to the one other thread that waits, to the guard if there are several,
    /// to nobody if there is none.
    fn step_down(&self, state: &mut State) {
        let mut waiting = state
            .slots
            .iter()
            .flat_map(|(_, slot)| slot.waiting.iter())
            .map(|waiting| (waiting.ticket, &waiting.thread));
        let (first, second) = (waiting.next(), waiting.next());
        match (first, second) {
            // Calls that nobody waits for are the guard's.
            _ if state.watched > 0 => self.give_to_guard(state),
            (None, _) => {
                state.give_role(Role::None);
                state.idle_since = clock::now();
                if state.guard_sleeps {
                    self.guard.notify_one();
                }
            }
            (Some((ticket, thread)), None) => {
                let thread = thread.clone();
                state.give_role(Role::Caller(ticket));
                state.wakes.push(Wake::Thread(thread));
            }
            (Some(_), Some(_)) => self.give_to_guard(state),
        }
    }

    /// The guard gets the role, wherever it is.
    pub(super) fn give_to_guard(&self, state: &mut State) {
        state.give_role(Role::Guard);
        if state.guard_waits {
            // From an earlier time with the role, for what was of interest then.
            self.kick_guard(state);
        } else {
            self.guard.notify_one();
        }
    }

    /// One round of input and output by the owner of the role: sends, waits for the socket,
    /// receives. Returns when anything may have changed, with or without the role. A caller says
    /// what `of` its call it waits for.
    pub(super) fn lead(
        &self,
        state: &mut Locked<'_>,
        me: Role,
        of: Option<(usize, Side)>,
        limit: Option<Time>,
    ) {
        let events = state.events;
        self.fire_timers(state);
        self.flush(state, true);
        let news = of.is_some_and(|(key, side)| state.slots[key].has_news(side));
        let over = state.closed.is_some() && !state.blocked;
        if news || over || state.events != events || state.role != me {
            return;
        }
        let until = state.next_timer().into_iter().chain(limit).min();
        let (read, write) = (state.transport.wants_read(), state.blocked);
        let wants = Waits { read, write, until, looks: false, of };
        state.waits = Some(wants);
        let mut buffer = mem::take(&mut state.buffer);
        state.guard_waits |= me == Role::Guard;
        let spin = !self.spin.is_zero()
            && matches!(me, Role::Caller(_))
            && read
            && !write
            && state.slots.len() == 1
            && state.spinning.begin();
        let wakes = mem::take(&mut state.wakes);

        if spin {
            let (received, looks) = state.unlocked(|_| {
                Wake::all(wakes);
                self.spin(&mut buffer, until)
            });
            state.waits = None;
            state.spinning.note(received.is_some(), looks);
            if received.is_some() {
                self.received(state, received, buffer);
                return;
            }
            // Others may have come; whoever looks again sees.
            state.buffer = buffer;
            return;
        }

        let guards = me == Role::Guard;
        let mut read = |readiness: Readiness, by: bool| {
            (by && readiness.readable).then(|| {
                buffer.resize(BUFFER_BYTES, 0);
                self.socket.read(&mut buffer)
            })
        };
        let (readiness, mut received) = state.unlocked(|_| {
            Wake::all(wakes);
            let timeout = until.map(|until| until.since(clock::now()));
            let kicks = if guards { self.kick.of_guard() } else { self.kick.of_caller() };
            let readiness = socket::wait(&self.socket, kicks, wants.read, wants.write, timeout);
            if readiness.kicked {
                Kick::clear(kicks);
            }
            // Nobody takes a caller's role.
            (readiness, read(readiness, !guards))
        });
        if guards {
            state.guard_waits = false;
            state.told_guard &= !readiness.kicked;
            if state.role != me {
                // A caller took it meanwhile.
                state.buffer = buffer;
                return;
            }
            if readiness.readable {
                // From here on nobody does.
                state.reading = true;
                received = state.unlocked(|_| read(readiness, true));
                state.reading = false;
            }
        } else {
            state.told_caller &= !readiness.kicked;
        }
        state.waits = None;
        state.blocked &= !readiness.writable;
        self.received(state, received, buffer);
    }

    /// Works off what the socket gave, and puts the buffer back.
    pub(super) fn received(
        &self,
        state: &mut State,
        received: Option<io::Result<usize>>,
        buffer: Vec<u8>,
    ) {
        match received {
            Some(Ok(count)) if count > 0 => self.feed(state, &buffer[..count]),
            Some(Err(error)) if is_temporary(&error) => {}
            None => {}
            Some(_) => {
                state.transport.handle_close(clock::now());
                self.dispatch(state);
            }
        }
        state.buffer = buffer;
    }

    /// Looks for input without sleeping, as long as its caller is alone. The role's owner does
    /// this outside of the lock: nobody takes a caller's role. Also how often it looked.
    fn spin(
        &self,
        buffer: &mut Vec<u8>,
        until: Option<Time>,
    ) -> (Option<io::Result<usize>>, usize) {
        let end = clock::now() + self.spin;
        let end = until.map_or(end, |until| until.min(end));
        buffer.resize(BUFFER_BYTES, 0);
        let mut looks = 0;
        loop {
            looks += 1;
            match self.socket.read(buffer) {
                Err(error) if is_temporary(&error) => {}
                received => return (Some(received), looks),
            }
            let alone = self.inflight.load(Ordering::Relaxed) == 1;
            if looks > 1 && (!alone || clock::now() >= end) {
                return (None, looks);
            }
            // Whoever wants this core has it, the server among them.
            thread::yield_now();
        }
    }

    pub(super) fn fire_timers(&self, state: &mut State) {
        if state.calls.poll_timeout().is_some() {
            state.expire_queued(clock::now());
        }
        let Some(at) = state.transport.poll_timeout() else { return };
        let now = clock::now();
        if at <= now {
            state.transport.handle_timeout(now);
            self.dispatch(state);
            state.dirty = true;
        }
    }

    /// Hands received bytes to the transport.
    pub(super) fn feed(&self, state: &mut State, mut bytes: &[u8]) {
        let now = clock::now();
        while !bytes.is_empty() && state.transport.close_cause().is_none() {
            let events = state.events;
            let taken = state.transport.handle_bytes(now, bytes);
            bytes = &bytes[taken..];
            self.dispatch(state);
            if taken == 0 && state.events == events {
                break;
            }
        }
        // Acknowledgements and window updates.
        state.dirty = true;
    }

    /// Receives what came, before calls that have begun are written: they shall not go to a peer
    /// that has said goodbye, or closed the connection.
    fn look_for_end(&self, state: &mut State) {
        for _ in 0..LOOKS {
            if !state.transport.wants_read() || state.closed.is_some() {
                break;
            }
            let mut buffer = mem::take(&mut state.buffer);
            buffer.resize(BUFFER_BYTES, 0);
            let received = self.socket.read(&mut buffer);
            let more = matches!(received, Ok(count) if count > 0);
            self.received(state, Some(received), buffer);
            if !more {
                break;
            }
        }
    }

    /// Writes what there is, outside of the lock. If somebody writes already, they do it. `reads`:
    /// nobody else may read meanwhile.
    pub(super) fn flush(&self, state: &mut Locked<'_>, reads: bool) {
        if mem::take(&mut state.begun) && reads && !state.reading {
            self.look_for_end(state);
        }
        state.dirty = false;
        // Without an owner of the role nobody waits for the socket: trying is the way to know.
        while !state.writing && (!state.blocked || state.role == Role::None) {
            let now = clock::now();
            let mut transmit = mem::take(&mut state.transmit);
            state.transport.poll_transmit(now, &mut transmit, TRANSMIT_BYTES);
            // What goes out makes room for more.
            self.dispatch(state);
            if transmit.is_empty() {
                state.transmit = transmit;
                break;
            }
            state.writing = true;
            let written = state.unlocked(|_| self.write(&transmit));
            state.writing = false;
            match written {
                Ok(count) => {
                    transmit.advance(count);
                    state.blocked = false;
                    state.writes += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.blocked = true;
                    if state.role == Role::None {
                        // Nobody waits for anything; the guard is to wait for room.
                        self.give_to_guard(state);
                    }
                    state.transmit = transmit;
                    break;
                }
                Err(_) => {
                    transmit = Transmit::new();
                    state.transport.handle_close(clock::now());
                    self.dispatch(state);
                }
            }
            state.transmit = transmit;
        }
        // TLS may hold what the socket did not take.
        if !state.writing && self.socket.owes() {
            state.blocked = true;
            if state.role == Role::None {
                self.give_to_guard(state);
            }
        }
        if state.transport.is_finished() && state.transmit.is_empty() {
            self.socket.shut_down();
        }
        if state.closed.is_some() || state.transport.is_finished() {
            self.guard.notify_one();
        }
    }

    fn write(&self, transmit: &Transmit) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let filled = transmit.chunks(&mut slices);
        match self.socket.write(&slices[..filled])? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Received at once: as much as a socket's buffer holds by default.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// Taken from the transport at once.
const TRANSMIT_BYTES: usize = 256 << 10;

/// Reads before calls are written, at most: a peer that sends so much is there.
const LOOKS: usize = 4;

/// Slices of one vectored write.
const SLICES_PER_WRITE: usize = 32;
