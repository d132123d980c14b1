//! Who does the input and output of a connection, and how the others wait.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::atomic::Ordering;
use std::thread;

use ferrpc_core::Time;
use ferrpc_core::http2::Transmit;

use super::connection::{Connection, Locked, Role, State, Wake};
use super::slots::{Side, Waiting};
use super::socket;
use crate::transport::clock;

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
            if let Some(result) = ready(&mut state) {
                break Some(result);
            }
            if limit.is_some_and(|limit| limit <= clock::now()) {
                break None;
            }
            match state.role {
                Role::None => state.role = me,
                // Alone, this thread is the better one to wait: its answer need not be handed on.
                Role::Guard if state.slots.len() == 1 && !state.reading && state.ready => {
                    state.role = me;
                    self.kick.kick();
                }
                _ => {}
            }
            if state.role == me {
                let until = state.slots[key].call.deadline().into_iter().chain(limit).min();
                state = self.lead(state, me, until);
                continue;
            }
            // Sending releases the lock: everything may have changed.
            let before = (state.events, state.role);
            state = self.send_out(state, Some(me));
            if before == (state.events, state.role) {
                state = self.park(state, key, side, ticket, limit);
            }
        };
        state.leave(key, true);
        self.inflight.store(state.slots.len(), Ordering::Relaxed);
        if state.role == me {
            self.step_down(&mut state);
        }
        if state.dirty {
            state = self.send_out(state, None);
        }
        Self::unlock(state);
        result
    }

    /// Sleeps until somebody has something for this thread: what it waits for, or the role.
    fn park<'a>(
        &'a self,
        mut state: Locked<'a>,
        key: usize,
        side: Side,
        ticket: u64,
        limit: Option<Time>,
    ) -> Locked<'a> {
        let slot = &mut state.slots[key];
        slot.waiting.push(Waiting::new(side, ticket));
        // The call's own deadline too: whoever leads may have begun to wait before this call
        // began.
        let until = slot.call.deadline().into_iter().chain(limit).min();
        Self::unlock(state);
        match until {
            None => thread::park(),
            Some(until) => thread::park_timeout(until.since(clock::now())),
        }
        let mut state = self.lock();
        state.slots[key].waiting.retain(|waiting| waiting.ticket != ticket);
        if until.is_some() {
            self.fire_timers(&mut state);
        }
        state
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
                state.role = Role::None;
                state.idle_since = clock::now();
                if state.guard_sleeps {
                    self.guard.notify_one();
                }
            }
            (Some((ticket, thread)), None) => {
                let thread = thread.clone();
                state.role = Role::Caller(ticket);
                state.wakes.push(Wake::Thread(thread));
            }
            (Some(_), Some(_)) => self.give_to_guard(state),
        }
    }

    /// The guard gets the role, wherever it is.
    pub(super) fn give_to_guard(&self, state: &mut State) {
        state.role = Role::Guard;
        if state.guard_waits {
            // From an earlier time with the role, for what was of interest then.
            state.kicked = true;
            self.kick.kick();
        } else {
            self.guard.notify_one();
        }
    }

    /// Output leaves: by this thread, or by the guard if it has the role.
    pub(super) fn send_out<'a>(&'a self, mut state: Locked<'a>, me: Option<Role>) -> Locked<'a> {
        if !state.dirty {
            return state;
        }
        if state.role == Role::Guard {
            // All that comes before the guard wakes goes out in one write.
            if !state.guard_waits {
                // It sends what there is before it waits again.
                return state;
            }
            state.dirty = false;
            if !mem::replace(&mut state.kicked, true) {
                self.kick.kick();
            }
            return state;
        }
        if state.role == Role::Outside {
            self.tell_driver(&mut state);
            return state;
        }
        self.flush(state, me)
    }

    /// One round of input and output by the owner of the role: sends, waits for the socket,
    /// receives. Returns when anything may have changed, with or without the role.
    pub(super) fn lead<'a>(
        &'a self,
        mut state: Locked<'a>,
        me: Role,
        limit: Option<Time>,
    ) -> Locked<'a> {
        let events = state.events;
        self.fire_timers(&mut state);
        state = self.flush(state, Some(me));
        if state.events != events || state.role != me || state.closed.is_some() {
            return state;
        }
        let timers = state.transport.poll_timeout().into_iter().chain(state.queue_deadline());
        let until = timers.chain(limit).min();
        let (read, write) = (state.transport.wants_read(), state.blocked);
        let mut buffer = mem::take(&mut state.buffer);
        state.guard_waits |= me == Role::Guard;
        let spin = !self.spin.is_zero()
            && matches!(me, Role::Caller(_))
            && read
            && !write
            && state.slots.len() == 1
            && state.spinning.begin();
        Self::unlock(state);

        if spin {
            let (received, looks) = self.spin(&mut buffer, until);
            let mut state = self.lock();
            state.spinning.note(received.is_some(), looks);
            if received.is_some() {
                self.received(&mut state, received, buffer);
                return state;
            }
            // Others may have come; whoever looks again sees.
            state.buffer = buffer;
            return state;
        }

        let timeout = until.map(|until| until.since(clock::now()));
        let readiness = socket::wait(&self.socket, &self.kick, read, write, timeout);
        if readiness.kicked {
            self.kick.clear();
        }
        if me == Role::Guard {
            // A caller may have taken the role meanwhile; from here on it cannot.
            let mut state = self.lock();
            state.guard_waits = false;
            state.kicked &= !readiness.kicked;
            if state.role != me {
                state.buffer = buffer;
                return state;
            }
            state.reading = true;
        }
        let received = readiness.readable.then(|| {
            buffer.resize(BUFFER_BYTES, 0);
            self.socket.read(&mut buffer)
        });
        let mut state = self.lock();
        state.reading = false;
        state.kicked &= !readiness.kicked;
        state.blocked &= !readiness.writable;
        self.received(&mut state, received, buffer);
        state
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
        if !state.queue_is_empty() {
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

    /// Writes what there is, outside of the lock. If somebody writes already, they do it.
    pub(super) fn flush<'a>(&'a self, mut state: Locked<'a>, me: Option<Role>) -> Locked<'a> {
        state.dirty = false;
        // Without an owner of the role nobody waits for the socket: trying is the way to know.
        while !state.writing && (!state.blocked || state.role == Role::None) {
            let now = clock::now();
            let mut transmit = mem::take(&mut state.transmit);
            state.transport.poll_transmit(now, &mut transmit, TRANSMIT_BYTES);
            // What goes out makes room for more.
            self.dispatch(&mut state);
            if transmit.is_empty() {
                state.transmit = transmit;
                break;
            }
            state.writing = true;
            drop(state);
            let written = self.write(&transmit);
            state = self.lock();
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
                        self.give_to_guard(&mut state);
                    } else if me != Some(state.role) {
                        // Its owner waits for input only.
                        self.kick.kick();
                    }
                    state.transmit = transmit;
                    break;
                }
                Err(_) => {
                    transmit = Transmit::new();
                    state.transport.handle_close(clock::now());
                    self.dispatch(&mut state);
                }
            }
            state.transmit = transmit;
        }
        if state.transport.is_finished() && state.transmit.is_empty() {
            self.socket.shut_down();
            self.guard.notify_one();
        }
        state
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

/// Slices of one vectored write.
const SLICES_PER_WRITE: usize = 32;
