//! A connection in the hands of an event loop of the program's.
//!
//! ```text
//!   guard: shakes hands --> Outside: the loop waits for the socket and calls `pump`
//!                              |
//!                              v  the loop lets go of it, the channel is shut down
//!                            Guard, as if there had been no loop
//! ```
//!
//! There is no hop between threads: what the loop's calls send goes out, and what comes is handed
//! on, where the calls are. Whoever has something to send wakes the loop, in whichever thread that
//! is (`locked.rs`). The guard sleeps meanwhile.

use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use ferrpc_net::clock;

use super::connection::Connection;
use super::driver::Driver;
use super::lead::BUFFER_BYTES;
use super::locked::Locked;
use super::state::{Role, State, Waits};
use super::wake::Wake;

/// A connection that an event loop drives, adopted from a [`Channel`](super::Channel). Dropped, it
/// goes back to the channel's own thread.
pub struct Driven {
    connection: Arc<Connection>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pumped {
    /// Pump again when the socket is readable.
    pub read: bool,
    /// Pump again when the socket is writable.
    pub write: bool,
    /// Pump again after that time at the latest.
    pub after: Option<Duration>,
    /// There is more to read, which the socket may not know of: pump again soon.
    pub again: bool,
    /// The answer to the one call that runs may be about to come: rather than sleep, pump again
    /// behind whatever else there is to do, as if the socket were readable. Only with
    /// [`ChannelBuilder::spin`](ferrpc::client::ChannelBuilder::spin), and where that has paid of late.
    pub look: bool,
    /// It ended, or is the loop's no more: to be dropped.
    pub over: bool,
}

impl Connection {
    /// Gives a connection that nobody else knows yet to an event loop, which the caller wakes. It
    /// also tells those who are to know, without locks of its own.
    #[must_use]
    pub(super) fn hand_out(&self, driver: Arc<Driver>) -> Vec<Wake> {
        let mut state = self.lock();
        // What is to be sent goes out with the first pump.
        state.give_role(Role::Outside);
        state.driver = Some(driver);
        state.release()
    }

    /// The loop does not work any more, or need not: the guard does.
    pub(super) fn take_back(&self, state: &mut State) {
        if state.role == Role::Outside {
            // With its waker may go what wants this lock.
            let driver = state.driver.take().map(Wake::Gone);
            state.wakes.extend(driver);
            state.dirty = true;
            state.told_loop = false;
            self.give_to_guard(state);
        }
    }

    pub(super) fn let_go(&self) {
        let mut state = self.lock();
        self.take_back(&mut state);
    }

    /// A call has begun. In the loop's thread it is sent at once if it is alone, and so are several
    /// that have gathered for one write: the server is at them while the loop goes on.
    pub(super) fn send_begun(&self, state: &mut Locked<'_>) {
        let here = state.driver.as_ref().is_some_and(|driver| driver.is_here());
        if state.role != Role::Outside || !here {
            return;
        }
        state.gathered += 1;
        if state.slots.len() == 1 || state.gathered == GATHERED {
            let writes = state.writes;
            self.flush(state, true);
            state.gathered = 0;
            self.look_for_answer(state, writes);
        }
    }

    /// Something may have been sent since so many writes: whether the loop looks for an answer.
    fn look_for_answer(&self, state: &mut State, writes: u64) {
        let running = state.slots.iter().next().is_some_and(|(_, slot)| slot.ended.is_none());
        let alone = state.slots.len() == 1 && running;
        if alone && state.writes > writes && !state.blocked && !self.spin.is_zero() {
            state.spinning.begin_look(clock::now() + self.spin);
        }
    }

    fn pump(&self, readable: bool, writable: bool) -> Pumped {
        let mine = Some(Role::Outside);
        let mut state = self.lock();
        if mine != Some(state.role) {
            return Pumped { over: true, ..Pumped::default() };
        }
        state.told_loop = false;
        state.waits = None;
        if writable {
            state.blocked = false;
            self.socket.settle();
        }
        self.fire_timers(&mut state);
        let (mut again, mut came) = (false, false);
        let looking = state.spinning.is_looking();
        if readable || looking {
            for round in 0..ROUNDS {
                if !state.transport.wants_read() || state.closed.is_some() {
                    break;
                }
                let mut buffer = mem::take(&mut state.buffer);
                buffer.resize(BUFFER_BYTES, 0);
                let received = self.socket.read(&mut buffer);
                let whole = matches!(received, Ok(count) if count == buffer.len());
                let failed = received.is_err();
                came |= !failed;
                self.received(&mut state, Some(received), buffer);
                again = !failed && (whole || self.socket.holds_input());
                if !again {
                    break;
                }
                if round + 1 < ROUNDS {
                    // Credit for what came, so that more can.
                    self.flush(&mut state, true);
                }
            }
        }
        if looking {
            let alone = state.slots.len() == 1;
            state.spinning.looked(came, alone, clock::now());
        }
        if state.dirty || writable {
            let writes = state.writes;
            self.flush(&mut state, true);
            state.gathered = 0;
            if !came {
                self.look_for_answer(&mut state, writes);
            }
        }
        let (read, looks, until) =
            (state.transport.wants_read(), state.spinning.is_looking(), state.next_timer());
        let pumped = Pumped {
            read,
            write: state.blocked || self.socket.owes(),
            after: until.map(|until| until.since(clock::now())),
            again,
            look: looks,
            over: state.closed.is_some() || state.role != Role::Outside,
        };
        if state.role == Role::Outside {
            let write = state.blocked;
            state.waits = Some(Waits { read, write, until, looks, of: None });
        }
        pumped
    }
}

impl Driven {
    pub(super) const fn new(connection: Arc<Connection>) -> Self {
        Self { connection }
    }

    /// The socket, for its loop to wait for. It is another descriptor than the connection's own, so
    /// that its number stays this socket's until it is closed.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        self.connection.socket.as_fd().try_clone_to_owned()
    }

    /// Does what there is to do, and never waits: times, what the socket received (only if
    /// `readable`), what is to be sent. To be called in the loop's thread, whenever what it last
    /// returned says so and after whatever calls of the channel did there.
    ///
    /// Wakers and hooks of calls run meanwhile.
    pub fn pump(&self, readable: bool, writable: bool) -> Pumped {
        self.connection.pump(readable, writable)
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.connection.let_go();
    }
}

impl fmt::Debug for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}

/// Calls that leave without waiting for the loop's next turn. Where a hundred tasks begin one each,
/// the server was idle until the last had, and the loop until all were answered.
const GATHERED: usize = 32;

/// Reads of one pump, before the loop has its turn.
const ROUNDS: u32 = 4;
