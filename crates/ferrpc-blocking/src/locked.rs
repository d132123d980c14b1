//! The lock of a connection. Whoever releases it leaves nothing undone.
//!
//! **The rule.** Whoever makes output, or changes what the connection waits for, does so under this
//! lock; and releasing the lock is what gets it done ([`Connection::provide`]). Output is written
//! by the thread that releases, or by the one that waits for the socket, which is woken if it
//! sleeps and has not been told. It is woken, too, if it would sleep past a timer, does not wait for
//! what the connection waits for, or is a caller whose own call has news. So credit, resets, pings,
//! half-closes and the end of a connection need no thought of their own where they are made.
//!
//! The only way around it is [`Locked::release_to_wait`], for a thread whose wait comes next.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::connection::Connection;
use super::state::{Role, State};
use super::wake::Wake;

/// A connection's state, locked. Dropped, it does what there is to do, and wakes who is to be
/// woken: no other lock may be held that those take. Whoever holds a call's lock, or the channel's,
/// [releases](Self::release) it, and tells them later.
pub(super) struct Locked<'a> {
    connection: &'a Connection,
    /// None only while [`Locked::unlocked`] runs.
    state: Option<MutexGuard<'a, State>>,
}

impl Connection {
    pub(super) fn lock(&self) -> Locked<'_> {
        Locked { connection: self, state: Some(self.guarded()) }
    }

    /// The state, for those who only look at it.
    pub(super) fn look(&self) -> impl Deref<Target = State> {
        self.guarded()
    }

    /// The state, for what needs nothing to be done behind it.
    pub(super) fn guarded(&self) -> MutexGuard<'_, State> {
        // No code of users runs under the lock, so that its state is whole even after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what there is to be sent, and wakes the owner of the role if it sleeps over something.
    /// Whether it released the lock meanwhile.
    pub(super) fn provide(&self, state: &mut Locked<'_>) -> bool {
        // What comes before a guard or a loop has woken goes out in one write of theirs.
        let flushes = state.dirty && matches!(state.role, Role::None | Role::Caller(_));
        if flushes {
            // A caller with the role reads, and nobody else may.
            let reads = state.role == Role::None;
            self.flush(state, reads);
        }
        if state.owner_sleeps_over_something() {
            self.tell_owner(state);
        }
        flushes
    }

    /// Wakes whoever has the role, unless that was done.
    fn tell_owner(&self, state: &mut State) {
        match state.role {
            Role::None => {}
            Role::Guard => self.kick_guard(state),
            Role::Caller(_) => {
                if !mem::replace(&mut state.told_caller, true) {
                    self.kick.caller();
                }
            }
            Role::Outside => {
                if let Some(driver) = &state.driver
                    && !mem::replace(&mut state.told_loop, true)
                {
                    state.wakes.push(Wake::Waker(driver.waker.clone()));
                }
            }
        }
    }

    /// Gets the guard out of its wait for the socket.
    pub(super) fn kick_guard(&self, state: &mut State) {
        if !mem::replace(&mut state.told_guard, true) {
            self.kick.guard();
        }
    }
}

impl Locked<'_> {
    /// Releases the lock; whom to tell, once no other lock is held.
    #[must_use]
    pub(super) fn release(mut self) -> Vec<Wake> {
        self.connection.provide(&mut self);
        self.release_to_wait()
    }

    /// The same where this thread's wait comes next, which begins with sending.
    #[must_use]
    pub(super) fn release_to_wait(mut self) -> Vec<Wake> {
        let wakes = mem::take(&mut self.wakes);
        self.state = None;
        wakes
    }

    /// Does something without the lock; everything may have changed behind it. What was made
    /// before is the caller's to have provided for.
    pub(super) fn unlocked<R>(&mut self, work: impl FnOnce(&Connection) -> R) -> R {
        let connection = self.connection;
        self.state = None;
        let result = work(connection);
        self.state = Some(connection.guarded());
        result
    }

    /// Waits until `condition` is notified, at most for a time. Does not wait if there was something
    /// to do: everything may have changed behind that.
    pub(super) fn wait_for(&mut self, condition: &Condvar, timeout: Option<Duration>) {
        let released = self.connection.provide(self);
        let wakes = mem::take(&mut self.wakes);
        if released || !wakes.is_empty() {
            self.unlocked(|_| Wake::all(wakes));
            return;
        }
        let Some(state) = self.state.take() else { return };
        self.state = Some(match timeout {
            None => condition.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                condition.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
            }
        });
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("it is locked but for `unlocked`")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("it is locked but for `unlocked`")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if self.state.is_none() || thread::panicking() {
            return;
        }
        self.connection.provide(self);
        let wakes = mem::take(&mut self.wakes);
        self.state = None;
        Wake::all(wakes);
    }
}
