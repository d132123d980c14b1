//! The lock of a blocking channel's state. Whoever releases it deals with what the machine reports.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use ferrpc_core::channel::{ConnectivityState, Event, StateChange};

use ferrpc_net::connect::{ConnectError, Failure};
use ferrpc_net::{clock, trace};

use super::{Listed, Shared, State, dial};
use crate::connection::Connection;
use crate::wake::Wake;

/// The state, locked. Dropped, it does what there is to do for what the machine reports: no other
/// lock may be held then. Who holds one [releases](Self::release) it.
pub(super) struct Locked<'a> {
    shared: &'a Shared,
    /// None only while it is dropped, or waits.
    state: Option<MutexGuard<'a, State>>,
}

/// What is dealt with without the lock.
#[derive(Default)]
struct Settled {
    changes: Vec<StateChange>,
    failures: Vec<ConnectError>,
    /// Calls that ask again.
    pending: Vec<Listed>,
    /// Connections whose address is gone.
    drained: Vec<Arc<Connection>>,
    /// Handles that were the last, perhaps: their drop takes locks.
    dropped: Vec<Arc<super::Picker<Arc<Connection>>>>,
    /// The name is to be looked up.
    resolve: bool,
    any: bool,
}

impl<'a> Locked<'a> {
    pub(super) const fn new(shared: &'a Shared, state: MutexGuard<'a, State>) -> Self {
        Self { shared, state: Some(state) }
    }

    /// Releases the lock; what is to be told, once no other lock is held.
    pub(super) fn release(mut self) -> Option<Wake> {
        let reports = self.machine.has_events();
        self.state = None;
        reports.then(|| Wake::Channel(Weak::<Shared>::clone(&self.shared.me)))
    }

    /// Waits until something changed, at most for a time. Everything may have changed behind it.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) {
        let Some(mut state) = self.state.take() else { return };
        let settled = self.shared.obey(&mut state);
        self.state = Some(if settled.any {
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
    fn tell(&self, settled: Settled) {
        if !settled.any {
            return;
        }
        let Shared { target, config, changed, .. } = self.shared;
        changed.notify_all();
        let Settled { changes, failures, pending, drained, dropped, resolve, .. } = settled;
        drop(dropped);
        for failure in failures {
            tracing::debug!(
                target: trace::CONNECTIVITY, channel = %target, error = %failure, "no connection"
            );
            config.observers.tell(|observer| observer.connect_failed(target, &failure));
        }
        changes.into_iter().for_each(|change| trace::state_changed(target, change));
        drained.iter().for_each(|connection| connection.shut_down(None));
        self.shared.tell_watchers();
        resume(pending);
        if resolve {
            self.shared.resolve();
        }
    }
}

impl Shared {
    /// Does what the machine reports, as far as that needs the lock.
    fn obey(&self, state: &mut State) -> Settled {
        let mut settled = Settled::default();
        while let Some(event) = state.machine.poll_event() {
            settled.any = true;
            match event {
                Event::Resolve => settled.resolve = true,
                Event::Dial(dial) => {
                    let abandoned = Arc::new(AtomicBool::new(false));
                    state.dials.insert(dial.id, Arc::clone(&abandoned));
                    let Some(shared) = self.me.upgrade() else { continue };
                    let (id, name) = (dial.id, self.name(&dial.address));
                    let thread = thread::Builder::new().name("ferrpc-channel".to_owned());
                    let started = thread.spawn(move || dial::run(shared, &dial, &abandoned));
                    if let Err(error) = started {
                        state.dials.remove(&id);
                        let failure = Some((name, Failure::dial(&error)));
                        state.machine.handle_failed(clock::now(), id, failure);
                    }
                }
                Event::Abandon(dial) => {
                    if let Some(abandoned) = state.dials.remove(&dial) {
                        abandoned.store(true, Ordering::Relaxed);
                    }
                }
                // Whoever dials closes what was too late.
                Event::Close(_) => {}
                Event::Drain(_, connection) => settled.drained.push(connection),
                Event::Picker(picker) => {
                    let before = std::mem::replace(&mut state.current, Arc::clone(&picker));
                    state.old.retain(|old| old.strong_count() > 0);
                    let kept = |lost: &&Arc<Connection>| {
                        picker.handles().any(|one| Arc::ptr_eq(one, lost))
                    };
                    state
                        .old
                        .extend(before.handles().filter(|lost| !kept(lost)).map(Arc::downgrade));
                    settled.dropped.push(before);
                    let mut shared = self.picker.write().unwrap_or_else(PoisonError::into_inner);
                    settled.dropped.push(std::mem::replace(&mut *shared, picker));
                }
                Event::State(change) => {
                    state.watchers.push(change.after);
                    if change.after != ConnectivityState::Connecting {
                        settled.pending.append(&mut state.pending);
                    }
                    settled.changes.push(change);
                }
                Event::Failed(failure) => settled.failures.push(failure),
            }
        }
        if let Some(due) = state.due()
            && (!state.timer || state.until.is_some_and(|until| due < until))
        {
            self.keep_time(state);
        }
        settled
    }

    /// Looks the name up: here, where that takes no time.
    fn resolve(&self) {
        if let Some(answer) = dial::known_places(&self.target, &self.config) {
            return self.resolved(answer);
        }
        let Some(shared) = self.me.upgrade() else { return };
        let thread = thread::Builder::new().name("ferrpc-resolver".to_owned());
        if let Err(error) = thread.spawn(move || dial::look_up(&shared)) {
            self.resolved(Err(ConnectError::no_thread(&self.target, error)));
        }
    }
}

/// All who wait for a connection look again.
pub(super) fn resume(pending: Vec<Listed>) {
    for call in pending.iter().filter_map(|listed| listed.call.upgrade()) {
        call.resume();
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
        let Some(mut state) = self.state.take() else { return };
        let settled = self.shared.obey(&mut state);
        let tells = state.watchers.has_news();
        drop(state);
        if settled.any {
            self.tell(settled);
        } else if tells {
            self.shared.tell_watchers();
        }
    }
}
