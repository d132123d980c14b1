//! Row 8 and gRFC A8: pings that come too often.

use std::time::Duration;

use ferrpc_http2::{Config, PingPolicy};
use ferrpc_testing::wire::{self, Seen, Subject};

use super::{CALM, assert_ended};

const MINUTE: Duration = Duration::from_secs(60);

fn server(policy: PingPolicy) -> Subject {
    let mut config = Config::default();
    config.limits.pings = policy;
    Subject::server(config)
}

fn policy() -> PingPolicy {
    Config::default().limits.pings
}

fn open(server: &mut Subject, id: u32) {
    server.feed(&wire::headers(id, false, wire::REQUEST));
}

/// Pings after these many minutes each, and whether each is good.
fn check(what: &str, mut server: Subject, minutes: &[u32], good: &[bool]) {
    for (wait, good) in minutes.iter().zip(good) {
        server.advance(MINUTE * *wait);
        let before = server.connection.counters().ping_strikes;
        server.feed(&wire::ping(*b"ping?!?!"));
        server.frames();
        let strikes = server.connection.counters().ping_strikes - before;
        assert_eq!(strikes == 0, *good, "{what}: after {wait} min");
    }
    assert_eq!(server.error(), None, "{what}");
}

#[test]
fn what_is_a_strike() {
    let with_stream = || {
        let mut server = server(policy());
        open(&mut server, 1);
        server
    };
    check("the first is good", with_stream(), &[0], &[true]);
    check("five minutes apart", with_stream(), &[0, 5, 5, 5, 6], &[true; 5]);
    check("four minutes apart", with_stream(), &[0, 4, 2, 4], &[true, false, true, false]);
    let idle = || server(policy());
    check("without streams: two hours", idle(), &[0, 5, 115, 120], &[true, false, true, true]);
    let permitted = || server(PingPolicy { without_streams: true, ..policy() });
    check("permitted without streams", permitted(), &[0, 5, 5, 4], &[true, true, true, false]);
    let every = || {
        server(PingPolicy { min_interval: Duration::ZERO, without_streams: true, max_strikes: 1 })
    };
    check("every ping permitted", every(), &[0; 50], &[true; 50]);
}

/// Two strikes are allowed; 0 allows any number.
#[test]
fn strikes() {
    for allowed in [1, 2, 5] {
        let mut server = server(PingPolicy { max_strikes: allowed, ..policy() });
        open(&mut server, 1);
        for n in 0..=allowed {
            server.feed(&wire::ping([n as u8; 8]));
            assert_eq!(server.error(), None, "{allowed} allowed, {n} made");
        }
        assert_eq!(server.feed(&wire::ping([0; 8])), [Seen::Closed]);
        assert_eq!(server.connection.counters().ping_strikes, u64::from(allowed) + 1);
        assert_eq!(server.connection.counters().pings_received, u64::from(allowed) + 2);
        assert_ended(&mut server, CALM, "too_many_pings");
    }
    let mut server = server(PingPolicy { max_strikes: 0, ..policy() });
    for _ in 0..500 {
        server.feed(&wire::ping([0; 8]));
    }
    assert_eq!(server.error(), None);
    assert_eq!(server.frames().len(), 500);
}

/// HEADERS and DATA that we send wipe strikes out, and what we receive does not.
#[test]
fn data_sent_forgives() {
    let mut server = server(policy());
    open(&mut server, 1);
    server.headers(1, &[(":status", "200")], false);
    for n in 0..100 {
        // Good, strike, strike.
        server.feed(&wire::ping([n; 8]).repeat(3));
        assert_eq!(server.error(), None);
        server.data(1, b"x", false);
        server.frames();
    }
    server.feed(&wire::ping([0; 8]).repeat(3));
    server.feed(&wire::data(1, false, b"data"));
    open(&mut server, 3);
    server.feed(&wire::ping([0; 8]));
    assert_ended(&mut server, CALM, "too_many_pings");
}

/// A client answers pings, as many as come, while a stream is open.
#[test]
fn client_answers() {
    let mut client = Subject::client(Config::default());
    assert_eq!(client.open(wire::REQUEST, true), Ok(1));
    client.frames();
    for _ in 0..10 {
        client.feed(&wire::ping([1; 8]).repeat(1000));
        assert_eq!(client.frames().len(), 1000);
    }
    assert_eq!(client.error(), None);
    assert_eq!(client.connection.counters().read_pauses, 0);
    client.feed(&wire::ping([1; 8]).repeat(1001));
    assert_eq!(client.connection.counters().read_pauses, 1);
    assert!(!client.connection.wants_read());
    client.frames();
    assert!(client.connection.wants_read());
}
