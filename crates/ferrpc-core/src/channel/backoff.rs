//! How long to wait between connection attempts.

use std::time::Duration;

use ferrpc_http2::Time;

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

/// The backoff of one subchannel.
#[derive(Clone, Debug)]
pub struct Backoff {
    #[expect(dead_code, reason = "the contract, before its code")]
    config: BackoffConfig,
}

#[expect(unused_variables, reason = "the contract, before its code")]
impl Backoff {
    /// No failure yet. `seed` is the only source of jitter.
    pub fn new(config: BackoffConfig, seed: u64) -> Self {
        Self { config }
    }

    /// An attempt starts at `now`: returns when it must be given up.
    pub fn start(&mut self, now: Time) -> Time {
        todo!()
    }

    /// The attempt failed: returns when the next may start (measured from the attempt's start).
    pub fn fail(&mut self, now: Time) -> Time {
        todo!()
    }

    /// The peer's SETTINGS came: the next failure begins anew.
    pub fn reset(&mut self) {
        todo!()
    }
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
