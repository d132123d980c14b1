//! The lock of a channel's state. Whoever releases it deals with what the machine reports.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, MutexGuard, PoisonError};

use ferrpc_core::channel::{Event, StateChange};
use ferrpc_net::trace;
use tokio::runtime::Handle;

use super::task::ConnectTask;
use super::{Connections, Order, State};
use crate::client::ConnectError;

/// The state, locked. Dropped, it does what the machine reports. Where something is to be driven that
/// no task drives, it begins one, in the runtime of whoever releases the lock: without the lock, since
/// a runtime that is shutting down drops it at once, and its drop takes the lock.
pub(super) struct Locked<'a> {
    connections: &'a Arc<Connections>,
    /// None only when it is dropped.
    state: Option<MutexGuard<'a, State>>,
}

/// What is told without the lock.
enum News {
    State(StateChange),
    Failed(ConnectError),
}

impl<'a> Locked<'a> {
    pub(super) const fn new(
        connections: &'a Arc<Connections>,
        state: MutexGuard<'a, State>,
    ) -> Self {
        Self { connections, state: Some(state) }
    }

    /// Releases the lock. Whether there was no runtime to connect in: then nobody does.
    pub(super) fn release(mut self) -> bool {
        self.settle()
    }

    fn settle(&mut self) -> bool {
        let Some(mut state) = self.state.take() else { return false };
        let connections = self.connections;
        let news = connections.obey(&mut state);
        let task = if state.task.is_none() && state.machine.is_busy() {
            state.last_task += 1;
            state.task = Some(state.last_task);
            Some(ConnectTask::new(Arc::clone(connections), state.last_task))
        } else {
            None
        };
        let due = state.machine.poll_timeout();
        let early = due.is_some_and(|due| state.until.is_none_or(|until| due < until));
        let ordered = early || !state.orders.is_empty();
        drop(state);
        let interrupted = match (task, Handle::try_current()) {
            // Spawned in a runtime that is shutting down, it is dropped at once.
            (Some(task), Ok(runtime)) => runtime.spawn(task.run()).is_finished(),
            (Some(task), Err(_)) => {
                drop(task);
                true
            }
            (None, _) => {
                if ordered {
                    connections.ordered.notify_one();
                }
                false
            }
        };
        for news in news {
            connections.tell(news);
        }
        interrupted
    }
}

impl Connections {
    /// Does what the machine reports, as far as that needs the lock.
    fn obey(&self, state: &mut State) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(event) = state.machine.poll_event() {
            match event {
                Event::Resolve => state.orders.push(Order::Resolve),
                Event::Dial(dial) => state.orders.push(Order::Dial(dial)),
                Event::Abandon(dial) => state.orders.push(Order::Abandon(dial)),
                Event::Close(id) => {
                    if let Some(dialled) = state.take_dialled(id) {
                        dialled.connection.close(ConnectError::closed().status());
                    }
                }
                Event::Drain(_, connection) => connection.drain(),
                Event::Picker(picker) => {
                    *self.picker.write().unwrap_or_else(PoisonError::into_inner) = picker;
                }
                Event::State(change) => {
                    state.published.send_replace(change.after);
                    news.push(News::State(change));
                }
                Event::Failed(failure) => news.push(News::Failed(failure)),
            }
        }
        news
    }

    fn tell(&self, news: News) {
        match news {
            News::State(change) => trace::state_changed(&self.target, change),
            News::Failed(failure) => {
                tracing::debug!(
                    target: trace::CONNECTIVITY, channel = %self.target, error = %failure,
                    "no connection"
                );
                let observers = &self.config.observers;
                observers.tell(|observer| observer.connect_failed(&self.target, &failure));
            }
        }
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
        self.settle();
    }
}
