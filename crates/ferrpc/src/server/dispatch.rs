//! Where handlers run: on a task of their own, or in place.
//!
//! ```text
//!             64 short polls (twice as many after each demotion)
//!   Spawned ------------------------------------------------------> InPlace
//!           <------------------------------------------------------
//!             a very long poll, or two long ones close together
//! ```
//!
//! *In place* means that the connection's task polls the handler where it read the request: no
//! task, no wake, and the reply leaves with those of its neighbours. A handler that blocks its
//! thread there would stall the whole connection, so a method has to earn it.
//!
//! Polls in place are timed in groups, for the price of a look at the clock for each group. The
//! methods of a group that took long are watched for some polls: each of them is timed alone, and
//! the time in which the kernel had given the core to somebody else is taken off. Only what is
//! long then demotes. What demotes a method is so at the earliest its second long poll.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::waiting;

/// How the handlers of a method are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dispatch {
    /// On tasks of their own at first; in place once polls of the method have shown themselves to
    /// be short. A method that becomes slow goes back, and has a harder time to be promoted again.
    #[default]
    Auto,
    /// Always in place: for handlers that never block and never compute for long.
    Inline,
    /// Always on tasks of their own: for handlers that may block or compute. (Code that blocks
    /// for long belongs in [`tokio::task::spawn_blocking`].)
    Spawn,
}

/// How a method's calls were run so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchCounters {
    /// Whether handlers run in place now.
    pub in_place: bool,
    /// Polls of handlers in place.
    pub polls_in_place: u64,
    /// Calls run on tasks of their own.
    pub calls_spawned: u64,
    /// Times the method was promoted.
    pub promotions: u32,
    /// Times it was demoted.
    pub demotions: u32,
}

/// The state of one method; shared by all connections, each figure on its own.
#[derive(Debug)]
pub(crate) struct MethodDispatch {
    pin: Dispatch,
    in_place: AtomicBool,
    /// Spawned: short polls since the last setback.
    earned: AtomicU32,
    /// How hard the method is to promote: what promotes doubles with each.
    reluctance: AtomicU32,
    promotions: AtomicU32,
    demotions: AtomicU32,
    /// Counted from `CALM_POLLS` on, so that what lies so far back is a number too.
    polls_in_place: AtomicU64,
    /// What `polls_in_place` was at the last long poll, or when one was forgiven.
    long_at: AtomicU64,
    /// Polls that are still to be timed alone.
    watch: AtomicU32,
    calls_spawned: AtomicU64,
}

impl MethodDispatch {
    pub(crate) fn new(pin: Dispatch) -> Self {
        Self {
            pin,
            in_place: AtomicBool::new(pin == Dispatch::Inline),
            earned: AtomicU32::new(0),
            reluctance: AtomicU32::new(0),
            promotions: AtomicU32::new(0),
            demotions: AtomicU32::new(0),
            polls_in_place: AtomicU64::new(CALM_POLLS),
            long_at: AtomicU64::new(0),
            watch: AtomicU32::new(0),
            calls_spawned: AtomicU64::new(0),
        }
    }

    /// Whether the next call is to be run in place.
    pub(crate) fn is_in_place(&self) -> bool {
        self.in_place.load(Relaxed)
    }

    /// Whether polls must be timed.
    pub(crate) const fn is_auto(&self) -> bool {
        matches!(self.pin, Dispatch::Auto)
    }

    pub(crate) fn counters(&self) -> DispatchCounters {
        DispatchCounters {
            in_place: self.is_in_place(),
            polls_in_place: self.polls_in_place.load(Relaxed) - CALM_POLLS,
            calls_spawned: self.calls_spawned.load(Relaxed),
            promotions: self.promotions.load(Relaxed),
            demotions: self.demotions.load(Relaxed),
        }
    }

    /// A call got a task of its own.
    pub(crate) fn count_spawned(&self) {
        self.calls_spawned.fetch_add(1, Relaxed);
    }

    /// A handler on a task of its own was polled for so long.
    pub(crate) fn spawned_poll(&self, took: Duration) {
        if !self.is_auto() {
            return;
        }
        if took >= LONG_POLL {
            let earned = self.earned.load(Relaxed);
            self.earned.store(earned.saturating_sub(POLLS_TO_PROMOTE), Relaxed);
            return;
        }
        let earned = self.earned.fetch_add(1, Relaxed) + 1;
        let reluctance = self.reluctance.load(Relaxed);
        if earned >= POLLS_TO_PROMOTE << reluctance && !self.in_place.swap(true, Relaxed) {
            self.earned.store(0, Relaxed);
            // The first long poll is excused.
            self.forget_long_polls();
            self.promotions.fetch_add(1, Relaxed);
        }
    }

    /// Handlers were polled in place so many times, each of them shortly.
    fn short_polls(&self, count: usize) {
        let polls = self.polls_in_place.fetch_add(count as u64, Relaxed);
        let reluctance = self.reluctance.load(Relaxed);
        if reluctance > 0 && self.calm(polls) >= POLLS_TO_FORGIVE << reluctance {
            self.reluctance.store(reluctance - 1, Relaxed);
            self.forget_long_polls();
        }
    }

    /// A handler was polled in place, for long.
    fn long_poll(&self, took: Duration) {
        let polls = self.polls_in_place.fetch_add(1, Relaxed);
        let calm = self.calm(polls);
        self.long_at.store(polls, Relaxed);
        if self.is_auto()
            && (took >= VERY_LONG_POLL || calm < CALM_POLLS)
            && self.in_place.swap(false, Relaxed)
        {
            self.demotions.fetch_add(1, Relaxed);
            let reluctance = self.reluctance.load(Relaxed);
            self.reluctance.store((reluctance + 1).min(MAX_RELUCTANCE), Relaxed);
        }
    }

    /// The next long poll is the first again.
    fn forget_long_polls(&self) {
        self.long_at.store(self.polls_in_place.load(Relaxed) - CALM_POLLS, Relaxed);
    }

    /// Short polls since the last long one, where `polls` were made in all.
    fn calm(&self, polls: u64) -> u64 {
        polls.saturating_sub(self.long_at.load(Relaxed))
    }
}

/// Times the polls of one connection in place, a group of them with one look at the clock.
#[derive(Debug, Default)]
pub(crate) struct PollTimer {
    /// When the group began.
    start: Option<Instant>,
    /// When the batch began that the group is part of.
    batch: Option<Instant>,
    /// The methods polled in this group.
    group: Vec<u32>,
    /// The group is one poll of a method that is watched.
    watched: bool,
    /// How long this thread had waited for a core when the watched poll began.
    waited: Option<Duration>,
}

impl PollTimer {
    /// A poll of a handler of `method` begins. `of` finds a method's state.
    pub(crate) fn begin<'a>(&mut self, method: u32, of: impl Fn(u32) -> &'a MethodDispatch) {
        if of(method).watch.load(Relaxed) > 0 {
            if !self.group.is_empty() {
                self.settle(Instant::now(), &of);
            }
            self.watched = true;
            self.waited = waiting::for_a_core();
            self.start = Some(Instant::now());
        } else if self.start.is_none() {
            self.start = Some(Instant::now());
        }
        self.batch = self.batch.or(self.start);
    }

    /// The poll ended. Whether the batch has taken so long that its replies should go out.
    #[must_use]
    pub(crate) fn end<'a>(&mut self, method: u32, of: impl Fn(u32) -> &'a MethodDispatch) -> bool {
        self.group.push(method);
        if !self.watched && self.group.len() < GROUP {
            return false;
        }
        let now = Instant::now();
        self.settle(now, of);
        self.start = Some(now);
        self.batch.is_some_and(|batch| now - batch >= LONG_BATCH)
    }

    /// The connection turns to something else.
    pub(crate) fn pause<'a>(&mut self, of: impl Fn(u32) -> &'a MethodDispatch) {
        if !self.group.is_empty() {
            self.settle(Instant::now(), of);
        }
        self.start = None;
        self.batch = None;
    }

    fn settle<'a>(&mut self, now: Instant, of: impl Fn(u32) -> &'a MethodDispatch) {
        let mut took = self.start.map_or(Duration::ZERO, |start| now - start);
        let watched = std::mem::take(&mut self.watched);
        if watched
            && took >= LONG_POLL
            && let Some(before) = self.waited
            && let Some(after) = waiting::for_a_core()
        {
            took = took.saturating_sub(after - before);
        }
        let long = took >= if watched { LONG_POLL } else { LONG_GROUP };
        let first = self.group.first().copied();
        let same = self.group.iter().all(|method| Some(*method) == first);
        match first {
            Some(method) if watched => {
                let method = of(method);
                method.watch.store(method.watch.load(Relaxed).saturating_sub(1), Relaxed);
                if long { method.long_poll(took) } else { method.short_polls(1) }
            }
            Some(method) if same => of(method).short_polls(self.group.len()),
            _ => self.group.iter().for_each(|method| of(*method).short_polls(1)),
        }
        if long && !watched {
            for method in &self.group {
                if of(*method).is_auto() {
                    of(*method).watch.store(WATCHED_POLLS, Relaxed);
                }
            }
        }
        self.group.clear();
    }
}

/// A poll of at least this is long. Handing a call to another task costs about a hundredth of it.
const LONG_POLL: Duration = Duration::from_micros(50);

/// A group of polls of at least this gets its methods watched: not so little that a full group of
/// polls that are each short is long, since watching costs two looks into the kernel's files a poll.
const LONG_GROUP: Duration = Duration::from_micros(200);

/// A watched poll of at least this demotes at once.
const VERY_LONG_POLL: Duration = Duration::from_millis(5);

/// Short polls that promote a method.
const POLLS_TO_PROMOTE: u32 = 64;

/// Each demotion doubles what promotes, up to so many times.
const MAX_RELUCTANCE: u32 = 10;

/// Short polls after which an earlier long one is forgotten.
const CALM_POLLS: u64 = 256;

/// Short polls in place that make the method easier to promote again, times what it would take to
/// promote it: sixteen of them for each poll that it would be spawned.
const POLLS_TO_FORGIVE: u64 = 16 * POLLS_TO_PROMOTE as u64;

/// Replies wait this long at most for those of the same batch, and for one group more.
const LONG_BATCH: Duration = Duration::from_millis(1);

/// Polls timed with one look at the clock.
const GROUP: usize = 8;

/// Polls of a method that are timed alone after a group that took long.
const WATCHED_POLLS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(5);
    const LONG: Duration = Duration::from_micros(80);

    fn promoted() -> MethodDispatch {
        let method = MethodDispatch::new(Dispatch::Auto);
        for _ in 0..POLLS_TO_PROMOTE {
            assert!(!method.is_in_place());
            method.spawned_poll(SHORT);
        }
        assert!(method.is_in_place());
        method
    }

    #[test]
    fn two_long_polls_close_together_demote() {
        let method = promoted();
        method.long_poll(LONG);
        assert!(method.is_in_place(), "one may be the kernel's doing");
        method.short_polls(CALM_POLLS as usize);
        method.long_poll(LONG);
        assert!(method.is_in_place(), "the first one is forgotten");
        method.long_poll(LONG);
        assert!(!method.is_in_place());
    }

    #[test]
    fn each_demotion_makes_promotion_harder() {
        let method = promoted();
        method.long_poll(VERY_LONG_POLL);
        assert!(!method.is_in_place());
        for _ in 0..2 * POLLS_TO_PROMOTE - 1 {
            method.spawned_poll(SHORT);
            assert!(!method.is_in_place());
        }
        method.spawned_poll(SHORT);
        assert!(method.is_in_place());
        let counters = method.counters();
        assert_eq!((counters.promotions, counters.demotions), (2, 1));
    }

    #[test]
    fn a_good_record_makes_up_for_a_demotion() {
        let method = promoted();
        method.long_poll(VERY_LONG_POLL);
        (0..2 * POLLS_TO_PROMOTE).for_each(|_| method.spawned_poll(SHORT));
        assert!(method.is_in_place());
        (0..3 * POLLS_TO_FORGIVE).for_each(|_| method.short_polls(1));
        method.long_poll(VERY_LONG_POLL);
        (0..POLLS_TO_PROMOTE).for_each(|_| method.spawned_poll(SHORT));
        assert!(!method.is_in_place(), "one demotion was forgiven, the last one was not");
        (0..POLLS_TO_PROMOTE).for_each(|_| method.spawned_poll(SHORT));
        assert!(method.is_in_place());
    }

    #[test]
    fn long_polls_of_spawned_handlers_keep_a_method_from_promotion() {
        let method = MethodDispatch::new(Dispatch::Auto);
        for _ in 0..1000 {
            method.spawned_poll(SHORT);
            method.spawned_poll(LONG);
        }
        assert!(!method.is_in_place());
    }

    #[test]
    fn pins_hold() {
        let inline = MethodDispatch::new(Dispatch::Inline);
        inline.long_poll(VERY_LONG_POLL);
        assert!(inline.is_in_place());
        let spawn = MethodDispatch::new(Dispatch::Spawn);
        (0..1000).for_each(|_| spawn.spawned_poll(SHORT));
        assert!(!spawn.is_in_place());
    }

    #[test]
    fn a_long_group_makes_its_methods_watched_and_a_long_watched_poll_demotes() {
        let methods = [promoted(), promoted()];
        let of = |method: u32| &methods[method as usize];
        let mut timer = PollTimer::default();
        timer.begin(0, of);
        assert!(!timer.end(0, of));
        assert!(!timer.end(1, of));
        let start = timer.start.expect("a group began");
        timer.settle(start + VERY_LONG_POLL, of);
        assert!(methods.iter().all(MethodDispatch::is_in_place), "nobody is guilty yet");
        assert!(methods.iter().all(|method| method.watch.load(Relaxed) == WATCHED_POLLS));
        timer.begin(1, of);
        assert!(timer.watched);
        timer.waited = None;
        timer.group.push(1);
        timer.settle(timer.start.expect("a poll began") + VERY_LONG_POLL, of);
        assert!(methods[0].is_in_place());
        assert!(!methods[1].is_in_place());
    }
}
