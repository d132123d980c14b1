//! Who watches a blocking channel's state, and what they were not told yet.

use std::collections::VecDeque;
use std::sync::Arc;

use ferrpc_core::channel::ConnectivityState;

/// Told of each state, without locks of the channel.
pub(super) type Watcher = Arc<dyn Fn(ConnectivityState) + Send + Sync>;

/// The watchers of a channel. They stand under its lock and are called without it: one thread takes
/// a state and those who are to hear of it ([`next`](Self::next)), calls them, and says that it has
/// ([`told`](Self::told)). Meanwhile no other thread does, so that each hears of states in order.
#[derive(Default)]
pub(super) struct Watchers {
    list: Vec<(u64, Watcher)>,
    last_id: u64,
    news: VecDeque<News>,
    telling: bool,
}

/// A state that is to be told of.
struct News {
    state: ConnectivityState,
    /// To those with these ids; who came later saw the state when they came.
    first: u64,
    last: u64,
}

impl Watchers {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.list.is_empty()
    }

    /// Another one, which is to hear of the state now, and of those that are pushed from now on.
    pub(super) fn add(&mut self, watcher: Watcher, state: ConnectivityState) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.list.push((id, watcher));
        self.news.push_back(News { state, first: id, last: id });
        id
    }

    /// The watcher hears of nothing that is not being told just now. It is to be dropped without
    /// the lock.
    pub(super) fn remove(&mut self, id: u64) -> Option<Watcher> {
        let at = self.list.iter().position(|(watcher, _)| *watcher == id)?;
        Some(self.list.swap_remove(at).1)
    }

    /// The state became this one.
    pub(super) fn push(&mut self, state: ConnectivityState) {
        if self.any() {
            self.news.push_back(News { state, first: 0, last: self.last_id });
        }
    }

    /// Whether there is something to be told by a thread that does it now.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty() && !self.telling
    }

    /// What is to be told next, and whom, unless another thread is at it.
    pub(super) fn next(&mut self) -> Option<(ConnectivityState, Vec<Watcher>)> {
        if self.telling {
            return None;
        }
        let News { state, first, last } = self.news.pop_front()?;
        let told = self.list.iter().filter(|(id, _)| (first..=last).contains(id));
        let told = told.map(|(_, watcher)| Arc::clone(watcher)).collect();
        self.telling = true;
        Some((state, told))
    }

    /// They were told.
    pub(super) const fn told(&mut self) {
        self.telling = false;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ConnectivityState::{Connecting, Idle, Ready, TransientFailure};

    use super::*;

    #[test]
    fn each_hears_of_the_states_since_it_came_in_their_order() {
        let heard: Arc<Mutex<Vec<(&str, ConnectivityState)>>> = Arc::default();
        let watcher = |name: &'static str| -> Watcher {
            let heard = Arc::clone(&heard);
            Arc::new(move |state| heard.lock().expect("no panic").push((name, state)))
        };
        let mut watchers = Watchers::default();
        watchers.push(Connecting);
        assert!(!watchers.has_news(), "there is nobody");
        let first = watchers.add(watcher("a"), Idle);
        watchers.push(Connecting);
        let (state, told) = watchers.next().expect("news");
        assert!(!watchers.has_news() && watchers.next().is_none(), "one at a time");
        watchers.add(watcher("b"), Connecting);
        watchers.push(Ready);
        told.iter().for_each(|watcher| watcher(state));
        watchers.told();
        watchers.push(TransientFailure);
        let mut count = 0;
        while let Some((state, told)) = watchers.next() {
            told.iter().for_each(|watcher| watcher(state));
            watchers.told();
            count += 1;
            if count == 3 {
                assert!(watchers.remove(first).is_some());
            }
        }
        let heard = std::mem::take(&mut *heard.lock().expect("no panic"));
        let expected =
            [("a", Idle), ("a", Connecting), ("b", Connecting), ("a", Ready), ("b", Ready)];
        assert_eq!(heard[..5], expected);
        assert_eq!(heard[5..], [("b", TransientFailure)]);
    }
}
