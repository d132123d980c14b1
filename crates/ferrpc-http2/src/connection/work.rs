//! The work that a peer makes us do, and how it is bounded (rapid reset, CVE-2023-44487).
//!
//! What a stream costs is the reading of its headers, which is little, and what its user begins for
//! it, which may be much. An honest peer may give up a thousand requests at once, and again in the
//! next second. So resets as such are not counted:
//!
//! - *begun*: each request that is served takes a token; its answer brings it back, and some for
//!   those that it raced. Without tokens requests wait; those that are given up meanwhile have cost
//!   their headers only.
//! - *read*: each stream that ends young and without an answer takes a token of another bucket, so
//!   large that only who does little else empties it. That ends the connection.

use crate::{Budget, Limits, Reason, Time};

use super::{Connection, Event};

/// What requests wait for that could be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartWaits {
    No,
    /// More tokens.
    Budget,
    /// Answers take too much memory: the peer is to take some first.
    Memory,
}

impl Connection {
    /// Server: whether the user may begin to serve one more request. If not, [`Event::MayStart`]
    /// follows.
    pub fn may_start(&mut self, now: Time) -> bool {
        let waits = if self.is_short_of_memory() {
            StartWaits::Memory
        } else if self.budgets.starts.take(now) {
            return true;
        } else {
            StartWaits::Budget
        };
        if waits == StartWaits::Budget && self.timers.start.is_none() {
            let Budget { burst, per_second } = self.config.limits.starts;
            let batch = (per_second / BATCHES_PER_SECOND).clamp(1, burst.max(1));
            self.timers.start = self.budgets.starts.time_for(batch).map(|time| now + time);
        }
        self.start_waits = waits;
        false
    }

    /// Whether what waits for credit fills its memory; if so, [`Event::MayStart`] follows.
    pub fn awaits_memory(&mut self) -> bool {
        let short = self.is_short_of_memory();
        if short {
            self.start_waits = StartWaits::Memory;
        }
        short
    }

    /// Says that requests that wait may be tried again.
    pub(super) fn offer_start(&mut self) {
        self.timers.start = None;
        if self.start_waits != StartWaits::No {
            self.start_waits = StartWaits::No;
            self.events.push_back(Event::MayStart);
        }
    }

    /// Charges for a stream that ended before it was worth what it cost to read. The user decides
    /// which do.
    pub fn charge_early_reset(&mut self, now: Time) {
        self.counters.early_resets += 1;
        if !self.budgets.early_resets.take(now) {
            self.fail(Reason::ENHANCE_YOUR_CALM, "too_many_resets");
        }
    }

    /// A request that was begun was answered: it pays for others.
    pub fn credit_completed(&mut self) {
        self.budgets.early_resets.give_many(Limits::EARLY_RESETS_PER_ANSWER);
        self.budgets.starts.give_many(1 + Limits::EARLY_RESETS_PER_ANSWER);
        if self.start_waits == StartWaits::Budget {
            self.offer_start();
        }
    }
}

/// Requests that wait are let in so many times a second, some at a time.
const BATCHES_PER_SECOND: u32 = 100;
