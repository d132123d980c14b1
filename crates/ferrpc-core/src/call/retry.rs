//! Attempts after one that failed, as a service config allows them (gRFC A6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use ferrpc_http2::Time;

use crate::service_config::{RetryPolicy, RetryThrottling};
use crate::{Metadata, Status, random};

/// What all calls of a channel share: the tokens that failures use up, and the source of jitter.
///
/// ```text
///   tokens: max ----------- max / 2 -------------- 0
///           failed attempts |  nothing is attempted again
///           -1 each         |
/// ```
#[derive(Debug)]
pub struct RetryBudget {
    throttling: Option<RetryThrottling>,
    milli_tokens: AtomicU32,
    random: AtomicU64,
}

/// How the failures of one call are judged.
#[derive(Debug)]
pub struct Retry {
    policy: Option<Arc<RetryPolicy>>,
    budget: Arc<RetryBudget>,
    /// Attempts that failed, those left out that were repeated transparently.
    failed: u32,
    /// The same, since the server last said when to come back.
    since_pushback: u32,
    /// What the last of them ended with.
    last: Option<Status>,
}

/// What the server says about another attempt (`grpc-retry-pushback-ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushback {
    /// Nothing.
    Unsaid,
    /// After this time.
    After(Duration),
    /// Not at all.
    Never,
}

impl RetryBudget {
    /// With all its tokens. `seed` is the only source of jitter.
    pub fn new(throttling: Option<RetryThrottling>, seed: u64) -> Self {
        let tokens = throttling.map_or(0, |throttling| throttling.max_milli_tokens);
        Self { throttling, milli_tokens: AtomicU32::new(tokens), random: AtomicU64::new(seed) }
    }

    /// Whether ends of calls matter although they are never attempted again.
    pub const fn is_throttled(&self) -> bool {
        self.throttling.is_some()
    }

    fn succeed(&self) {
        if let Some(RetryThrottling { max_milli_tokens: max, milli_tokens_per_success: more }) =
            self.throttling
            && self.milli_tokens.load(Ordering::Relaxed) < max
        {
            self.change(|tokens| tokens.saturating_add(more).min(max));
        }
    }

    /// Takes a token; whether there may be another attempt.
    fn fail(&self) -> bool {
        let Some(throttling) = self.throttling else { return true };
        let left = self.change(|tokens| tokens.saturating_sub(TOKEN));
        left > throttling.max_milli_tokens / 2
    }

    fn change(&self, change: impl Fn(u32) -> u32) -> u32 {
        let mut tokens = self.milli_tokens.load(Ordering::Relaxed);
        loop {
            let changed = change(tokens);
            let order = Ordering::Relaxed;
            match self.milli_tokens.compare_exchange_weak(tokens, changed, order, order) {
                Ok(_) => return changed,
                Err(now) => tokens = now,
            }
        }
    }

    /// Uniform in 0..1.
    fn random(&self) -> f64 {
        random::unit(self.random.fetch_add(random::STEP, Ordering::Relaxed))
    }
}

impl Retry {
    /// Judges by `policy` and within `budget`. Without a policy nothing is attempted again, but
    /// how the call ends counts.
    pub const fn new(policy: Option<Arc<RetryPolicy>>, budget: Arc<RetryBudget>) -> Self {
        Self { policy, budget, failed: 0, since_pushback: 0, last: None }
    }

    /// Attempts that failed and were repeated by the policy: what `grpc-previous-rpc-attempts` says.
    pub(super) const fn previous_attempts(&self) -> u32 {
        self.failed
    }

    /// What the attempt before ended with.
    pub(super) const fn last_failure(&self) -> Option<&Status> {
        self.last.as_ref()
    }

    /// An attempt ended, or there was no connection for it: when the next one starts.
    pub(super) fn handle_end(&mut self, now: Time, end: &Status, committed: bool) -> Option<Time> {
        if end.is_ok() {
            self.budget.succeed();
            return None;
        }
        let pushback = Pushback::of(end.metadata());
        let policy = self.policy.as_ref().filter(|policy| policy.codes.contains(end.code()));
        if policy.is_none() && pushback != Pushback::Never {
            return None;
        }
        let allowed = self.budget.fail();
        let policy = policy.filter(|_| allowed && !committed)?;
        if self.failed + 1 >= policy.max_attempts {
            return None;
        }
        let wait = match pushback {
            Pushback::Never => return None,
            Pushback::After(wait) => {
                self.since_pushback = 0;
                wait
            }
            Pushback::Unsaid => {
                let wait = backoff(policy, self.since_pushback);
                self.since_pushback += 1;
                let spread = 1.0 - JITTER + 2.0 * JITTER * self.budget.random();
                Duration::try_from_secs_f64(wait * spread).unwrap_or(Duration::MAX)
            }
        };
        self.failed += 1;
        self.last = Some(Status::new(end.code(), end.message().to_owned()));
        Some(now + wait)
    }
}

impl Pushback {
    fn of(metadata: &Metadata) -> Self {
        let mut values = metadata.values(PUSHBACK);
        match (values.next(), values.next()) {
            (None, _) => Self::Unsaid,
            (Some(value), None) => {
                let millis = value.parse().ok();
                millis.map_or(Self::Never, |millis| Self::After(Duration::from_millis(millis)))
            }
            (Some(_), Some(_)) => Self::Never,
        }
    }
}

/// The wait in seconds behind so many failures, before it is spread.
fn backoff(policy: &RetryPolicy, failures: u32) -> f64 {
    // At most four of them: see `RetryPolicy::max_attempts`.
    let growth = policy.multiplier.powi(i32::try_from(failures).unwrap_or(i32::MAX));
    (policy.initial_backoff.as_secs_f64() * growth).min(policy.max_backoff.as_secs_f64())
}

const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Thousandths: what a failure costs.
const TOKEN: u32 = 1000;

/// Waits are spread by this fraction both ways (gRFC A6).
const JITTER: f64 = 0.2;
