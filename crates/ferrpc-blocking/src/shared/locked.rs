//! The lock of a blocking channel's state. Whoever releases it deals with what the machine reports.

use std::ops::{Deref, DerefMut};
use std::sync::{MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ferrpc_core::channel::StateChange;
use ferrpc_net::trace;

use super::{Listed, Shared, State, resume};
use crate::wake::Wake;

/// The state, locked. Dropped, it does what there is to do for what the machine reports: no other
/// lock may be held then. Who holds one [releases](Self::release) it.
pub(super) struct Locked<'a> {
    shared: &'a Shared,
    /// None only while it is dropped, or waits.
    state: Option<MutexGuard<'a, State>>,
}

impl<'a> Locked<'a> {
    pub(super) const fn new(shared: &'a Shared, state: MutexGuard<'a, State>) -> Self {
        Self { shared, state: Some(state) }
    }

    /// Releases the lock; what is to be told, once no other lock is held.
    pub(super) fn release(mut self) -> Option<Wake> {
        let changed = self.machine.has_changes();
        self.state = None;
        changed.then(|| Wake::Channel(Weak::<Shared>::clone(&self.shared.me)))
    }

    /// Waits until something changed, at most for a time. Everything may have changed behind it.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) {
        let settled = self.settle();
        let told = !settled.0.is_empty();
        let Some(state) = self.state.take() else { return };
        self.state = Some(if told {
            drop(state);
            self.tell(settled);
            self.shared.raw_lock()
        } else {
            let changed = &self.shared.changed;
            match timeout {
                None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let waited = changed.wait_timeout(state, timeout);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            }
        });
    }

    /// Tells of what was settled. Without the lock.
    fn tell(&self, (changes, pending): (Vec<StateChange>, Vec<Listed>)) {
        if changes.is_empty() {
            return;
        }
        self.shared.changed.notify_all();
        changes.into_iter().for_each(|change| trace::state_changed(&self.shared.target, change));
        self.shared.tell_watchers();
        resume(pending);
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.state.as_ref().expect("it is locked until it is dropped")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state.as_mut().expect("it is locked until it is dropped")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if self.state.is_none() {
            return;
        }
        let settled = self.settle();
        let tells = self.watchers.has_news();
        self.state = None;
        if settled.0.is_empty() && tells {
            self.shared.tell_watchers();
        }
        self.tell(settled);
    }
}
