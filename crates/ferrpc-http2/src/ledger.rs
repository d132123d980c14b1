//! A bucket of tokens: what a peer may do in a row, and how fast it may go on.

use std::time::Duration;

use crate::{Budget, Time};

/// Tokens left of a [`Budget`].
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    budget: Budget,
    /// In thousandths of a token, so that slow refills do not round to nothing.
    milli: u64,
    refilled: Time,
}

impl Bucket {
    pub(crate) fn new(budget: Budget, now: Time) -> Self {
        Self { budget, milli: u64::from(budget.burst) * 1000, refilled: now }
    }

    /// Takes one token; false if there is none.
    #[must_use]
    pub(crate) fn take(&mut self, now: Time) -> bool {
        // Each time, not only when empty: what would have overflowed must not add up.
        self.refill(now);
        match self.milli.checked_sub(1000) {
            Some(rest) => {
                self.milli = rest;
                true
            }
            None => false,
        }
    }

    /// How long it takes to get `tokens` more; `None`: for ever.
    pub(crate) fn time_for(&self, tokens: u32) -> Option<Duration> {
        let nanos = u64::from(tokens) * 1_000_000_000;
        nanos.checked_div(self.budget.per_second.into()).map(Duration::from_nanos)
    }

    /// Pays a token back.
    pub(crate) fn give(&mut self) {
        self.give_many(1);
    }

    /// Pays tokens back.
    pub(crate) fn give_many(&mut self, tokens: u32) {
        let most = u64::from(self.budget.burst) * 1000;
        self.milli = (self.milli + u64::from(tokens) * 1000).min(most);
    }

    fn refill(&mut self, now: Time) {
        let nanos = now.as_nanos().saturating_sub(self.refilled.as_nanos());
        let gained = (nanos / 1000).saturating_mul(u64::from(self.budget.per_second)) / 1000;
        if gained > 0 {
            self.milli =
                (self.milli.saturating_add(gained)).min(u64::from(self.budget.burst) * 1000);
            self.refilled = now;
        }
    }
}
