//! When a channel's name is looked up.
//!
//! ```text
//!   Idle -- request --> Due (not before the interval is over) --> Running -- succeeded --> Idle
//!                        ^                                          |
//!                        +---- backoff ---------- failed -----------+
//! ```
//!
//! One look-up runs at a time, also where it takes too long: it is given up, which is a failure, and
//! its answer is taken nevertheless when it comes.

use std::time::Duration;

use ferrpc_http2::Time;

use super::Backoff;

#[derive(Debug)]
pub(super) struct Resolution {
    /// From one answer to the next look-up; `None`: the answer never changes.
    interval: Option<Duration>,
    timeout: Option<Duration>,
    backoff: Backoff,
    phase: Phase,
    /// When the interval since the last answer is over.
    not_before: Time,
    answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Due(Time),
    Running { began: Time, give_up: Option<Time> },
}

impl Resolution {
    pub(super) const fn new(
        interval: Option<Duration>,
        timeout: Option<Duration>,
        backoff: Backoff,
    ) -> Self {
        let (phase, not_before) = (Phase::Idle, Time::ZERO);
        Self { interval, timeout, backoff, phase, not_before, answered: false }
    }

    /// Somebody wants to know the addresses, or whether they are still right.
    pub(super) fn request(&mut self, now: Time) {
        if self.phase == Phase::Idle && !(self.answered && self.interval.is_none()) {
            self.phase = Phase::Due(now.max(self.not_before));
        }
    }

    /// Nobody wants to know any more.
    pub(super) const fn forget(&mut self) {
        if let Phase::Due(_) = self.phase {
            self.phase = Phase::Idle;
        }
    }

    /// Whether a look-up is to begin now.
    pub(super) fn poll_start(&mut self, now: Time) -> bool {
        match self.phase {
            Phase::Due(at) if at <= now => {}
            _ => return false,
        }
        let by_backoff = self.backoff.start(now);
        let give_up = self.timeout.map_or(by_backoff, |timeout| now + timeout);
        self.phase = Phase::Running { began: now, give_up: Some(give_up) };
        true
    }

    /// A look-up takes too long: for how long it has run. Once.
    pub(super) fn poll_late(&mut self, now: Time) -> Option<Duration> {
        let Phase::Running { began, give_up } = &mut self.phase else { return None };
        give_up.take_if(|at| *at <= now).map(|at| at.since(*began))
    }

    /// There are addresses. False: nothing was looked up.
    pub(super) fn succeeded(&mut self, now: Time) -> bool {
        let Phase::Running { .. } = self.phase else { return false };
        self.backoff.reset();
        self.answered = true;
        self.not_before = now + self.interval.unwrap_or_default();
        self.phase = Phase::Idle;
        true
    }

    /// There are none: it is looked up again. False: nothing was looked up.
    pub(super) fn failed(&mut self, now: Time) -> bool {
        let Phase::Running { .. } = self.phase else { return false };
        self.phase = Phase::Due(self.backoff.fail(now));
        true
    }

    /// Whoever looked up is gone.
    pub(super) const fn interrupted(&mut self) {
        self.phase = Phase::Idle;
    }

    pub(super) fn is_busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    pub(super) const fn poll_timeout(&self) -> Option<Time> {
        match self.phase {
            Phase::Idle => None,
            Phase::Due(at) => Some(at),
            Phase::Running { give_up, .. } => give_up,
        }
    }
}
