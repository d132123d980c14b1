//! Pings and their policing between two ends (gRFC A8), over hours of made-up time: neither may call
//! the other abusive unless it is.

use std::time::Duration;

use ferrpc_core::transport::{Cardinality, Config, Event, Message};
use ferrpc_core::{Code, Encoding, Metadata};
use ferrpc_http2::{CloseCause, Keepalive, PingPolicy, Reason};
use ferrpc_testing::Pair;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn pings_every(interval: Duration) -> Keepalive {
    Keepalive {
        interval: Some(interval),
        timeout: Duration::from_secs(20),
        without_streams: true,
        max_pings_without_data: 0,
    }
}

fn end(keepalive: Keepalive, pings: PingPolicy) -> Config {
    let mut config = Config::default();
    config.http2.keepalive = keepalive;
    config.http2.limits.pings = pings;
    config
}

fn policy(min_interval: Duration, without_streams: bool) -> PingPolicy {
    PingPolicy { min_interval, without_streams, max_strikes: 2 }
}

/// Every five minutes, with calls only; two strikes.
fn default_policy() -> PingPolicy {
    Config::default().http2.limits.pings
}

fn quiet() -> Keepalive {
    Keepalive { interval: None, ..Keepalive::default() }
}

/// A silent stream for hours, calls now and then, hours without one.
fn live(pair: &mut Pair) {
    pair.start("/test.Test/Call", Cardinality::Bidirectional);
    let (silent, _) = pair.accept(Cardinality::Bidirectional);
    pair.advance(6 * HOUR);
    for _ in 0..20 {
        pair.advance(7 * MINUTE);
        pair.start("/test.Test/Call", Cardinality::Unary);
        let (call, _) = pair.accept(Cardinality::Unary);
        answer(pair, call);
    }
    pair.advance(6 * HOUR);
    answer(pair, silent);
    pair.advance(6 * HOUR);
}

fn answer(pair: &mut Pair, call: ferrpc_core::transport::CallId) {
    let (empty, pong) = (Metadata::new(), Message::plain("pong"));
    pair.server.transport.respond(pair.now, call, &empty, Encoding::Identity, pong, &empty);
    pair.drive();
}

/// A client's keepalive, a server's, what the server allows, and the strikes that come of it.
#[track_caller]
fn check_honest(client: Keepalive, server: Keepalive, pings: PingPolicy) {
    let mut pair = Pair::with(end(client, default_policy()), end(server, pings));
    live(&mut pair);
    assert_eq!(pair.server.transport.close_cause(), None);
    assert_eq!(pair.client.transport.close_cause(), None);
    let counters = pair.server.transport.counters().http2;
    assert_eq!(counters.ping_strikes, 0);
    // Hours of silence have pings; where both are to send them, those of one are a sign of life to
    // the other.
    if server.interval.is_none() {
        assert!(counters.pings_received > 50, "{}", counters.pings_received);
    }
    let to_client = pair.client.transport.counters().http2.pings_received;
    assert_eq!(to_client > 50, server.interval.is_some(), "{to_client}");
}

#[test]
fn honest_ends() {
    // As often as it is allowed, with calls and without.
    check_honest(pings_every(10 * MINUTE), quiet(), policy(10 * MINUTE, true));
    check_honest(pings_every(MINUTE), quiet(), policy(MINUTE, true));
    // The defaults of the policy, and pings with calls only.
    let with_calls = Keepalive { without_streams: false, ..pings_every(5 * MINUTE) };
    check_honest(with_calls, quiet(), default_policy());
    // A server's pings are no client's business, and its answers are no pings.
    check_honest(quiet(), pings_every(MINUTE), default_policy());
    check_honest(with_calls, pings_every(MINUTE), default_policy());
    check_honest(pings_every(MINUTE), pings_every(MINUTE), policy(MINUTE, true));
}

/// Two strikes are forgiven, the third is the end: of the calls as well.
#[test]
fn pings_that_come_too_often() {
    let client = end(pings_every(MINUTE), default_policy());
    let mut pair = Pair::with(client, end(quiet(), default_policy()));
    pair.start("/test.Test/Call", Cardinality::Bidirectional);
    let (call, _) = pair.accept(Cardinality::Bidirectional);
    pair.advance(4 * MINUTE - Duration::from_secs(1));
    assert_eq!(pair.server.transport.counters().http2.ping_strikes, 2);
    // What is sent wipes them out.
    pair.server.transport.send_headers(pair.now, call, &Metadata::new(), Encoding::Identity);
    pair.drive();
    pair.advance(4 * MINUTE - Duration::from_secs(1));
    assert_eq!(pair.client.transport.close_cause(), None);
    assert_eq!(pair.server.transport.counters().http2.ping_strikes, 4);
    pair.advance(Duration::from_secs(1));
    let cause = pair.client.transport.close_cause().expect("the server ends it");
    let CloseCause::PeerGoAway { reason, debug, .. } = cause else { panic!("{cause:?}") };
    assert_eq!((*reason, &**debug), (Reason::ENHANCE_YOUR_CALM, "too_many_pings"));
    let status = pair.client.events.drain(..).find_map(|event| match event {
        Event::Finished { status, .. } => Some(status),
        _ => None,
    });
    assert_eq!(status.expect("the call ends").code(), Code::Unavailable);
}

/// Without calls, pings are good every two hours unless the server permits them.
#[test]
fn pings_without_calls() {
    let ends_within = |pings: PingPolicy, time: Duration| {
        let client = end(pings_every(10 * MINUTE), default_policy());
        let mut pair = Pair::with(client, end(quiet(), pings));
        pair.advance(time);
        pair.server.transport.close_cause().is_some()
    };
    assert!(!ends_within(policy(5 * MINUTE, false), 39 * MINUTE));
    assert!(ends_within(policy(5 * MINUTE, false), 41 * MINUTE));
    assert!(!ends_within(policy(5 * MINUTE, true), 24 * HOUR));
}

/// Each end gives up the other when it falls silent, calls or none.
#[test]
fn silence_is_noticed_by_both() {
    for calls in [false, true] {
        let ends = || end(pings_every(MINUTE), policy(MINUTE, true));
        let mut pair = Pair::with(ends(), ends());
        if calls {
            pair.start("/test.Test/Call", Cardinality::Unary);
            pair.accept(Cardinality::Unary);
        }
        pair.advance(10 * MINUTE);
        // From here on nothing arrives.
        for end in [&mut pair.client, &mut pair.server] {
            for (after, dead) in [(79, false), (81, true)] {
                let until = pair.now + Duration::from_secs(after);
                while let Some(at) = end.transport.poll_timeout().filter(|at| *at <= until) {
                    end.transport.handle_timeout(at);
                    end.output(at);
                }
                let silent = end.transport.close_cause() == Some(&CloseCause::KeepaliveTimeout);
                assert_eq!(silent, dead, "after {after} s");
            }
        }
    }
}
