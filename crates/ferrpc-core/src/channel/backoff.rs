//! How long to wait between connection attempts.

use std::time::Duration;

use ferrpc_http2::Time;

use crate::random::Random;

/// The numbers of gRPC's connection backoff.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffConfig {
    /// After the first failure.
    pub initial: Duration,
    /// Growth per failure.
    pub multiplier: f64,
    /// The most.
    pub max: Duration,
    /// Each wait is spread by this fraction both ways.
    pub jitter: f64,
    /// An attempt lasts at least this long before it is given up.
    pub min_connect_timeout: Duration,
}

/// The backoff of one subchannel (connection-backoff.md).
///
/// [`start`](Self::start), then either [`fail`](Self::fail) or [`reset`](Self::reset). As in gRPC's
/// C core and in Java, the first wait is spread too, so that clients cut off together do not come
/// back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    /// The wait of the next failure, before jitter.
    wait: Duration,
    /// When the attempt after the one under way may start.
    next: Time,
    random: Random,
}

/// Without any pause a channel would spin.
const LEAST_WAIT: Duration = Duration::from_millis(1);

impl Backoff {
    /// No failure yet. `seed` is the only source of jitter.
    pub fn new(mut config: BackoffConfig, seed: u64) -> Self {
        // A number that makes no sense counts as none: a channel must not stop for it.
        config.jitter = if config.jitter.is_nan() { 0.0 } else { config.jitter.clamp(0.0, 1.0) };
        config.multiplier = config.multiplier.max(1.0);
        config.max = config.max.max(LEAST_WAIT);
        config.initial = config.initial.max(LEAST_WAIT);
        let wait = config.initial.min(config.max);
        Self { config, wait, next: Time::ZERO, random: Random::new(seed) }
    }

    /// An attempt starts at `now`: returns when it must be given up.
    pub fn start(&mut self, now: Time) -> Time {
        let spread = self.config.jitter * (2.0 * self.random.fraction() - 1.0);
        self.next = now + scale(self.wait, 1.0 + spread);
        self.next.max(now + self.config.min_connect_timeout)
    }

    /// The attempt failed: returns when the next may start (measured from the attempt's start).
    pub fn fail(&mut self, now: Time) -> Time {
        self.wait = scale(self.wait, self.config.multiplier).min(self.config.max);
        self.next.max(now)
    }

    /// The peer's SETTINGS came: the next failure begins anew.
    pub fn reset(&mut self) {
        self.wait = self.config.initial.min(self.config.max);
    }
}

fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            multiplier: 1.6,
            max: Duration::from_secs(120),
            jitter: 0.2,
            min_connect_timeout: Duration::from_secs(20),
        }
    }
}
