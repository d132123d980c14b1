//! The backoff between connection attempts, under virtual time.

use std::time::Duration;

use ferrpc_core::Time;
use ferrpc_core::channel::{Backoff, BackoffConfig, ConnectivityState};
use proptest::prelude::*;

const STEADY: BackoffConfig = BackoffConfig {
    initial: Duration::from_secs(1),
    multiplier: 2.0,
    max: Duration::from_secs(30),
    jitter: 0.0,
    min_connect_timeout: Duration::from_secs(20),
};

#[test]
fn waits_grow_from_the_start_of_each_attempt() {
    let mut backoff = Backoff::new(STEADY, 1);
    let mut now = at(100);
    for wait in [1, 2, 4, 8, 16, 30, 30] {
        let give_up = backoff.start(now);
        assert_eq!(give_up, now + Duration::from_secs(wait.max(20)));
        let next = backoff.fail(now + Duration::from_millis(500));
        assert_eq!(next, now + Duration::from_secs(wait));
        now = next;
    }
}

#[test]
fn no_wait_at_all_is_a_short_one() {
    let zero = BackoffConfig { initial: Duration::ZERO, max: Duration::ZERO, ..STEADY };
    let mut backoff = Backoff::new(zero, 1);
    for _ in 0..3 {
        backoff.start(at(100));
        assert!(backoff.fail(at(100)) > at(100));
    }
}

#[test]
fn an_attempt_longer_than_its_wait_is_followed_at_once() {
    let mut backoff = Backoff::new(STEADY, 1);
    let give_up = backoff.start(at(100));
    assert_eq!(give_up, at(120));
    assert_eq!(backoff.fail(give_up), give_up);
    backoff.start(give_up);
    assert_eq!(backoff.fail(give_up), give_up + Duration::from_secs(2));
}

#[test]
fn a_connection_resets() {
    let mut backoff = Backoff::new(STEADY, 1);
    for _ in 0..5 {
        backoff.start(at(100));
        backoff.fail(at(100));
    }
    backoff.start(at(200));
    backoff.reset();
    backoff.start(at(300));
    assert_eq!(backoff.fail(at(300)), at(301));
}

#[test]
fn numbers_without_sense_do_no_harm() {
    let config = BackoffConfig {
        initial: Duration::MAX,
        multiplier: f64::NAN,
        max: Duration::from_secs(5),
        jitter: f64::NAN,
        min_connect_timeout: Duration::ZERO,
    };
    let mut backoff = Backoff::new(config, 1);
    for _ in 0..3 {
        assert_eq!(backoff.start(at(10)), at(15));
        assert_eq!(backoff.fail(at(10)), at(15));
    }
    let config = BackoffConfig { multiplier: f64::INFINITY, jitter: -1.0, ..STEADY };
    let mut backoff = Backoff::new(config, 1);
    backoff.start(at(10));
    assert_eq!(backoff.fail(at(10)), at(11));
    backoff.start(at(11));
    assert_eq!(backoff.fail(at(11)), at(41));
}

#[test]
fn waits_differ_between_seeds() {
    let waits: std::collections::HashSet<Time> = (0..100)
        .map(|seed| {
            let mut backoff = Backoff::new(BackoffConfig::default(), seed);
            backoff.start(at(0));
            backoff.fail(at(0))
        })
        .collect();
    assert_eq!(waits.len(), 100);
}

proptest! {
    #[test]
    fn default_waits_stay_in_their_range(seed: u64) {
        let config = BackoffConfig::default();
        let mut backoff = Backoff::new(config, seed);
        let mut again = Backoff::new(config, seed);
        let mut expected = 1.0f64;
        for _ in 0..20 {
            let give_up = backoff.start(at(7));
            prop_assert_eq!(again.start(at(7)), give_up);
            let next = backoff.fail(at(7));
            prop_assert_eq!(again.fail(at(7)), next);
            prop_assert_eq!(give_up, next.max(at(27)));
            let wait = next.since(at(7)).as_secs_f64();
            prop_assert!((expected * 0.8 - 1e-6..=expected * 1.2 + 1e-6).contains(&wait));
            expected = (expected * 1.6).min(120.0);
        }
    }
}

#[test]
fn names_of_states() {
    assert_eq!(ConnectivityState::TransientFailure.to_string(), "TRANSIENT_FAILURE");
    assert_eq!(ConnectivityState::Idle.name(), "IDLE");
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}
