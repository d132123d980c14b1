//! What follows an attempt that failed: retry policies, pushback, tokens, and what commits a call.

use std::sync::Arc;
use std::time::Duration;

use ferrpc_core::call::{CallConfig, ClientCall, Retry, RetryBudget, Step};
use ferrpc_core::channel::{AttemptEnd, Pick};
use ferrpc_core::service_config::{CodeSet, RetryPolicy, RetryThrottling};
use ferrpc_core::transport::{Event, Message, StartCall, TransparentRetry};
use ferrpc_core::{Code, Metadata, Status, Time};
use ferrpc_testing::Pair;

fn at(millis: u64) -> Time {
    Time::from_nanos(1_000_000_000) + Duration::from_millis(millis)
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        max_attempts: 4,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_millis(250),
        multiplier: 2.0,
        codes: CodeSet::default().with(Code::Unavailable).with(Code::Aborted),
    }
}

fn budget(tokens: u32) -> Arc<RetryBudget> {
    let throttling =
        RetryThrottling { max_milli_tokens: tokens * 1000, milli_tokens_per_success: 500 };
    Arc::new(RetryBudget::new((tokens > 0).then_some(throttling), 7))
}

fn with(policy: Option<RetryPolicy>, budget: &Arc<RetryBudget>) -> CallConfig {
    let retry = Retry::new(policy.map(Arc::new), Arc::clone(budget));
    CallConfig { max_kept: 10, retry: Some(Box::new(retry)), ..CallConfig::default() }
}

fn call() -> ClientCall {
    ClientCall::new(with(Some(policy()), &budget(0)))
}

fn status(code: Code, pushback: &[&str]) -> Status {
    let mut metadata = Metadata::new();
    for value in pushback {
        metadata.append("grpc-retry-pushback-ms", value).expect("legal");
    }
    Status::new(code, "no").with_metadata(metadata)
}

/// An attempt that the server ends with `status`: milliseconds until the next one.
fn attempt(call: &mut ClientCall, now: Time, status: Status) -> Option<u128> {
    call.start_attempt();
    let mut end = AttemptEnd::finished(status, TransparentRetry::No, true);
    call.handle_end(now, &mut end);
    end.next.map(|next| next.since(now).as_millis())
}

fn fail(call: &mut ClientCall, code: Code) -> Option<u128> {
    attempt(call, at(0), status(code, &[]))
}

#[test]
fn as_often_as_the_policy_says_with_growing_waits() {
    let mut call = call();
    for (most, previous) in [(100, 0), (200, 1), (250, 2)] {
        assert_eq!(call.previous_attempts(), previous);
        let wait = fail(&mut call, Code::Unavailable).expect("another attempt");
        assert!((most * 8 / 10..=most * 12 / 10).contains(&wait), "{wait} of {most}");
    }
    assert_eq!(call.previous_attempts(), 3);
    assert_eq!(fail(&mut call, Code::Unavailable), None);
}

#[test]
fn waits_are_spread() {
    let budget = budget(0);
    let waits: Vec<_> = (0..50)
        .map(|_| {
            let mut call = ClientCall::new(with(Some(policy()), &budget));
            fail(&mut call, Code::Aborted).expect("another attempt")
        })
        .collect();
    assert!(waits.iter().any(|wait| *wait < 90) && waits.iter().any(|wait| *wait > 110));
}

#[test]
fn only_codes_of_the_policy() {
    assert_eq!(fail(&mut call(), Code::Internal), None);
    assert_eq!(fail(&mut call(), Code::Ok), None);
    let mut without = ClientCall::new(with(None, &budget(0)));
    assert_eq!(fail(&mut without, Code::Unavailable), None);
    let mut without = ClientCall::new(CallConfig::default());
    assert_eq!(fail(&mut without, Code::Unavailable), None);
}

#[test]
fn the_server_says_when() {
    let pushed = |values: &[&str]| attempt(&mut call(), at(0), status(Code::Unavailable, values));
    assert_eq!(pushed(&["0"]), Some(0));
    assert_eq!(pushed(&["1234"]), Some(1234));
    for never in ["-1", "", "x", "1.5", "5 5", "99999999999999999999"] {
        assert_eq!(pushed(&[never]), None, "{never:?}");
    }
    assert_eq!(pushed(&["1", "1"]), None);
    // A code that is not to be attempted again is not, whatever it says.
    assert_eq!(attempt(&mut call(), at(0), status(Code::Internal, &["5"])), None);
}

#[test]
fn the_waits_begin_anew_behind_what_the_server_says() {
    let mut call = call();
    assert!(fail(&mut call, Code::Unavailable).is_some());
    assert_eq!(attempt(&mut call, at(0), status(Code::Unavailable, &["5"])), Some(5));
    let wait = fail(&mut call, Code::Unavailable).expect("another attempt");
    assert!((80..=120).contains(&wait), "{wait}");
    assert_eq!(fail(&mut call, Code::Unavailable), None);
}

#[test]
fn headers_and_a_full_buffer_commit() {
    let mut answered = call();
    answered.start_attempt();
    answered.handle_headers();
    let mut end = AttemptEnd::finished(status(Code::Unavailable, &[]), TransparentRetry::No, true);
    answered.handle_end(at(0), &mut end);
    assert_eq!(end.next, None);

    let mut long = call();
    long.push(Message::plain(vec![0; 11]));
    long.start_attempt();
    assert!(long.next_messages().is_some());
    let mut end = AttemptEnd::finished(status(Code::Unavailable, &[]), TransparentRetry::No, true);
    long.handle_end(at(0), &mut end);
    assert_eq!(end.next, None);
}

#[test]
fn what_this_side_ends_is_over() {
    let ends = [
        AttemptEnd::local(Status::unavailable("given up")),
        AttemptEnd::late_for_stream(),
        AttemptEnd::closed(),
    ];
    for mut end in ends {
        let codes = CodeSet::default()
            .with(Code::Unavailable)
            .with(Code::DeadlineExceeded)
            .with(Code::Cancelled);
        let policy = RetryPolicy { codes, ..policy() };
        let mut call = ClientCall::new(with(Some(policy), &budget(0)));
        call.start_attempt();
        call.handle_end(at(0), &mut end);
        assert!(end.is_final(), "{end:?}");
    }
}

#[test]
fn what_may_have_been_lost_or_found_no_connection_is_attempted_again() {
    let ends = [
        AttemptEnd::dropped("gone"),
        AttemptEnd::unreachable(Status::unavailable("nobody listens")),
        AttemptEnd::finished(Status::unavailable("reset"), TransparentRetry::No, false),
    ];
    for mut end in ends {
        let mut call = call();
        call.start_attempt();
        call.handle_end(at(0), &mut end);
        assert!(!end.is_final(), "{end:?}");
        assert_eq!(call.previous_attempts(), 1);
    }
}

#[test]
fn repetitions_that_nobody_sees_are_no_attempts() {
    let mut call = call();
    let mut finish = |retry| {
        call.start_attempt();
        let mut end = AttemptEnd::finished(Status::unavailable("no"), retry, false);
        call.handle_end(at(0), &mut end);
        (end.next.map(|next| next.since(at(0)).as_millis()), call.previous_attempts())
    };
    assert_eq!(finish(TransparentRetry::Refused), (Some(0), 0));
    assert_eq!(finish(TransparentRetry::NeverSent), (Some(0), 0));
    // The second refusal is a failure like others.
    let (wait, previous) = finish(TransparentRetry::Refused);
    assert!(wait.is_some_and(|wait| wait >= 80) && previous == 1, "{wait:?}");
}

#[test]
fn too_many_failures_stop_all_calls_of_the_channel() {
    let budget = budget(4);
    let mut one = ClientCall::new(with(Some(policy()), &budget));
    // 3 of 4 tokens are left.
    assert!(fail(&mut one, Code::Unavailable).is_some());
    // 2 of 4: half of them is too few.
    assert_eq!(fail(&mut one, Code::Unavailable), None);
    // A server that says "never" counts whatever the code is, others do not.
    let mut other = ClientCall::new(with(None, &budget));
    assert_eq!(fail(&mut other, Code::Internal), None);
    let succeed = || {
        let mut good = ClientCall::new(with(None, &budget));
        assert_eq!(fail(&mut good, Code::Ok), None);
    };
    // 2, 2.5, 3, 3.5: a failure leaves 2.5.
    (0..3).for_each(|_| succeed());
    let mut another = ClientCall::new(with(Some(policy()), &budget));
    assert!(fail(&mut another, Code::Unavailable).is_some());
    assert_eq!(attempt(&mut other, at(0), status(Code::Internal, &["-1"])), None);
    // 1.5: with 2 more it would do.
    (0..2).for_each(|_| succeed());
    let mut last = ClientCall::new(with(Some(policy()), &budget));
    assert_eq!(fail(&mut last, Code::Unavailable), None);
}

#[test]
fn the_deadline_holds_for_all_attempts() {
    let config = CallConfig { deadline: Some(at(1000)), ..with(Some(policy()), &budget(0)) };
    let mut call = ClientCall::new(config);
    assert!(call.late().is_none());
    assert_eq!(attempt(&mut call, at(900), status(Code::Unavailable, &["500"])), Some(500));
    let pick = |_| -> Pick<()> { Pick::Wait };
    match call.request().step(at(900), pick) {
        Step::Wait(until) => assert_eq!(until, Some(at(1000))),
        other => panic!("{other:?}"),
    }
    assert!(matches!(call.request().step(at(1000), pick), Step::Late));
    let late = call.late().expect("it was attempted");
    assert_eq!(late.status.code(), Code::DeadlineExceeded);
    assert_eq!(
        late.status.message(),
        "the deadline passed before another attempt; the last one ended with UNAVAILABLE: no"
    );
    // An attempt that ends at the deadline is the last.
    assert_eq!(attempt(&mut call, at(1000), status(Code::Unavailable, &[])), None);
}

#[test]
fn the_server_is_told_how_often_the_call_was_attempted() {
    let mut pair = Pair::new();
    let mut seen = Vec::new();
    for attempts in 0..3 {
        let start = StartCall { previous_attempts: attempts, ..Pair::call() };
        pair.start_with(&start);
        pair.server.collect();
        while let Some(event) = pair.server.event() {
            if let Event::Call { head, .. } = event {
                seen.push(head.metadata.value("grpc-previous-rpc-attempts").map(str::to_owned));
            }
        }
    }
    assert_eq!(seen, [None, Some("1".to_owned()), Some("2".to_owned())]);
}

#[test]
fn what_the_server_says_about_another_attempt_reaches_the_call() {
    let mut pair = Pair::new();
    let mut call = call();
    let id = pair.start_with(&Pair::call());
    let server = pair.server.events.iter().find_map(|event| match event {
        Event::Call { call, .. } => Some(*call),
        _ => None,
    });
    let server = server.expect("the request came");
    pair.server.transport.reject(pair.now, server, &status(Code::Aborted, &["77"]));
    pair.drive();
    pair.client.collect();
    let ended = std::iter::from_fn(|| pair.client.event()).find_map(|event| match event {
        Event::Finished { call, status, retry, from_peer } if call == id => {
            Some(AttemptEnd::finished(status, retry, from_peer))
        }
        _ => None,
    });
    let mut end = ended.expect("it ended");
    call.start_attempt();
    call.handle_end(pair.now, &mut end);
    assert_eq!(end.next, Some(pair.now + Duration::from_millis(77)));
}
