//! The targets of events that people look for when something does not connect, and how a channel
//! tells of its states: what listens is the program's, and may ask the channel in turn.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
#[cfg(unix)]
use std::sync::{Condvar, PoisonError};
#[cfg(unix)]
use std::time::Duration;

use ferrpc_core::channel::ConnectivityState;

use crate::resolver::Target;

/// A channel's states, and its attempts to connect.
pub(crate) const CONNECTIVITY: &str = "ferrpc::connectivity";

/// What names were looked up, and the addresses that were found.
pub(crate) const NAMES: &str = "ferrpc::names";

/// Handshakes.
pub(crate) const TLS: &str = "ferrpc::tls";

/// Changes of a channel's state that were not told of yet: before, and after.
pub(crate) type Changes = Vec<(ConnectivityState, ConnectivityState)>;

/// The state of a channel, which notes its changes.
pub(crate) trait Noting {
    fn changes(&mut self) -> &mut Changes;
}

/// Such a state, locked. What changed is told of once the lock is released.
pub(crate) struct Locked<'a, S: Noting> {
    channel: &'a Target,
    /// None only when it is dropped.
    state: Option<MutexGuard<'a, S>>,
}

impl<'a, S: Noting> Locked<'a, S> {
    pub(crate) const fn new(channel: &'a Target, state: MutexGuard<'a, S>) -> Self {
        Self { channel, state: Some(state) }
    }

    /// Waits until `condition` is notified, at most for a time. Does not wait if something changed
    /// before. Everything may have changed behind it.
    #[cfg(unix)]
    pub(crate) fn wait(mut self, condition: &Condvar, timeout: Duration) -> Option<Self> {
        if !self.changes().is_empty() {
            return None;
        }
        let state = self.state.take()?;
        let waited = condition.wait_timeout(state, timeout);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        Some(Self::new(self.channel, state))
    }
}

impl<S: Noting> Deref for Locked<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.state.as_ref().expect("it is locked until it is dropped")
    }
}

impl<S: Noting> DerefMut for Locked<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        self.state.as_mut().expect("it is locked until it is dropped")
    }
}

impl<S: Noting> Drop for Locked<'_, S> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        let changes = mem::take(state.changes());
        drop(state);
        for (before, now) in changes {
            tracing::debug!(target: CONNECTIVITY, channel = %self.channel, ?before, ?now);
        }
    }
}
