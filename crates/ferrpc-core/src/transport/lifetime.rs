//! How long a connection may live, and how deadlines end calls.

use std::time::Duration;

use ferrpc_http2::{Reason, Role, Time};

use crate::{Code, Status};

use super::request::DEADLINE_TEXT;
use super::{CancelledBy, Config, Event, TransparentRetry, Transport};

/// Age and idleness of a connection (gRFC A9).
#[derive(Debug)]
pub(super) struct Lifetime {
    max_age_at: Option<Time>,
    grace: Option<Duration>,
    max_idle: Option<Duration>,
    idle_since: Time,
}

impl Lifetime {
    pub(super) fn of_client(config: &Config, now: Time) -> Self {
        Self { max_age_at: None, grace: None, max_idle: config.max_idle, idle_since: now }
    }

    pub(super) fn of_server(config: &Config, now: Time) -> Self {
        Self {
            max_age_at: config.max_age.map(|age| now + jitter(age, config.seed)),
            grace: config.max_age_grace,
            max_idle: config.max_idle,
            idle_since: now,
        }
    }

    pub(super) fn due(&self, open_calls: usize) -> Option<Time> {
        let idle = self.max_idle.filter(|_| open_calls == 0).map(|idle| self.idle_since + idle);
        self.max_age_at.into_iter().chain(idle).min()
    }

    pub(super) fn call_ended(&mut self, now: Time) {
        self.idle_since = now;
    }
}

impl Transport {
    /// Ends the calls whose deadline has passed.
    pub(super) fn expire_calls(&mut self, now: Time) {
        while let Some(id) = self.deadlines.pop(now) {
            if self.calls.call(id).is_none() {
                continue;
            }
            match self.role {
                Role::Client => {
                    let status = Status::new(Code::DeadlineExceeded, DEADLINE_TEXT);
                    self.reset_stream(id, Reason::CANCEL);
                    self.finish_client(now, id, status, TransparentRetry::No, false);
                }
                Role::Server => {
                    // The caller's clock may be behind ours: tell it what happened.
                    let status = Status::new(Code::DeadlineExceeded, DEADLINE_TEXT);
                    self.charge_if_young(now, id);
                    self.send_status(now, id, &status);
                    self.cancel_server(now, id, CancelledBy::Deadline);
                }
            }
        }
    }

    /// Begins the graceful end of a connection that is too old or idle for too long.
    pub(super) fn end_of_life(&mut self, now: Time) {
        if self.lifetime.due(self.calls.open()).is_none_or(|due| due > now) {
            return;
        }
        let of_age = self.lifetime.max_age_at.is_some_and(|at| at <= now);
        let grace = if of_age { self.lifetime.grace } else { None };
        // Who was sent away for being idle, and calls nevertheless, still has an age.
        if of_age {
            self.lifetime.max_age_at = None;
        }
        self.lifetime.max_idle = None;
        self.http2.shutdown(now, grace);
    }

    /// Begins a graceful end: no new calls; those open may finish until `grace` has passed.
    pub fn shutdown(&mut self, now: Time, grace: Option<Duration>) {
        self.http2.shutdown(now, grace);
        self.drain_http2(now);
    }

    /// Ends the connection at once; open calls are lost.
    pub fn abort(&mut self, now: Time) {
        self.http2.abort();
        self.drain_http2(now);
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// Ten per cent either way, so that connections made together do not end together.
fn jitter(age: Duration, seed: u64) -> Duration {
    let mixed = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(31)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let fraction = (mixed >> 11) as f64 / (1u64 << 53) as f64;
    // An age of "for ever" must not overflow.
    Duration::try_from_secs_f64(age.as_secs_f64() * (0.9 + 0.2 * fraction)).unwrap_or(Duration::MAX)
}
