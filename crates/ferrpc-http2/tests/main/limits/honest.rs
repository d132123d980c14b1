//! What an honest peer does, at rates and in numbers that are unusual, trips nothing.

use std::time::Duration;

use ferrpc_http2::{Budget, Config, Counters, Limits, Reason, Window};
use ferrpc_testing::wire::{self, Seen, Subject, flag, kind};

/// A million small calls on one connection, a tenth of them cancelled after their start; a
/// thousand at a time, ten thousand in a second. Charges are those of a gRPC server: a reset before
/// the answer is charged, an answer is credited.
#[test]
fn a_million_small_calls() {
    let mut server = Subject::server(Config::default());
    let request = wire::block(wire::REQUEST);
    let mut input = Vec::new();
    for batch in 0..10_000_u32 {
        input.clear();
        let ids: Vec<u32> = (0..100).map(|n| 2 * (batch * 100 + n) + 1).collect();
        for id in &ids {
            input.extend(wire::frame(kind::HEADERS, flag::END_HEADERS, *id, &request));
            input.extend(wire::data(*id, true, &wire::message(b"hello")));
        }
        assert_eq!(server.feed(&input).len(), 200, "batch {batch}: {:?}", server.error());
        let (cancelled, answered) = ids.split_at(10);
        input.clear();
        for id in cancelled {
            input.extend(wire::reset(*id, Reason::CANCEL.0));
        }
        // Some learn too late that there was nothing left to cancel.
        for id in answered.iter().take(10) {
            server.headers(*id, &[(":status", "200")], true);
            input.extend(wire::reset(*id, Reason::CANCEL.0));
            input.extend(wire::window_update(*id, 100));
        }
        for event in server.feed(&input) {
            assert!(matches!(event, Seen::Reset { headers_sent: false, .. }), "{event:?}");
            server.connection.charge_early_reset(server.now);
        }
        for id in &answered[10..] {
            server.headers(*id, &[(":status", "200")], false);
            server.data(*id, &wire::message(b"world"), false);
            server.trailers(*id, &[("grpc-status", "0")]);
        }
        for _ in answered {
            server.connection.credit_completed();
        }
        server.output();
        server.feed(&wire::window_update(0, 90 * 10));
        server.now = server.now + Duration::from_millis(10);
    }
    assert_eq!(server.error(), None);
    assert_eq!(server.connection.open_streams(), 0);
    let counters = *server.connection.counters();
    assert_eq!(counters.early_resets, 100_000);
    assert_eq!(
        Counters { early_resets: 0, idle_frames: 0, window_updates: 0, ..counters },
        Counters { streams_opened: 1_000_000, settings_received: 1, ..Counters::default() }
    );
}

/// A consumer that pauses for five minutes, with its window used up, keeps its stream; so does
/// one that reads slowly.
#[test]
fn a_consumer_that_pauses() {
    let mut server = Subject::server(Config::default());
    server.releases = false;
    server.feed(&wire::headers(1, false, wire::REQUEST));
    for _ in 0..4 {
        server.feed(&wire::data(1, false, &[0; 16_000]));
    }
    server.headers(1, &[(":status", "200")], false);
    server.data(1, &[0; 200_000], false);
    server.frames();
    assert_eq!(server.advance(Duration::from_secs(300)), []);
    server.connection.release(server.key(1), 64_000);
    server.feed(&wire::window_update(1, 1 << 20));
    server.feed(&wire::window_update(0, 1 << 20));
    let sent: usize =
        server.frames().iter().filter(|f| f.kind == kind::DATA).map(|f| f.payload.len()).sum();
    assert_eq!(sent, 200_000 - 65_535);
    assert_eq!(server.feed(&wire::data(1, true, b"done")).len(), 1);
    assert_eq!(server.error(), None);
}

/// A server that answers early, while requests are still on their way: what is in flight on the
/// streams that ended is no offence, however many they are.
#[test]
fn answers_before_the_request_ends() {
    let mut config = Config::default();
    config.limits.max_concurrent_streams = 10_000;
    let mut server = Subject::server(config);
    let ids = || (0..5000).map(|n| 2 * n + 1);
    for id in ids() {
        server.feed(&wire::headers(id, false, wire::REQUEST));
        server.headers(id, &[(":status", "200"), ("grpc-status", "12")], true);
    }
    server.frames();
    for id in ids() {
        server.feed(&wire::data(id, false, b"in flight"));
        server.feed(&wire::data(id, true, b""));
    }
    assert_eq!(server.error(), None);
    assert_eq!(server.frames(), []);
}

/// The same seen by a client: the server answers early and asks it to stop, after it had.
#[test]
fn resets_behind_the_answer() {
    let mut client = Subject::client(Config::default());
    let ids = || (0..5000).map(|n| 2 * n + 1);
    for id in ids() {
        assert_eq!(client.open(wire::REQUEST, true), Ok(id));
    }
    client.frames();
    for id in ids() {
        client.feed(&wire::headers(id, true, &[(":status", "200"), ("grpc-status", "12")]));
        client.feed(&wire::reset(id, 0));
    }
    assert_eq!(client.error(), None);
}

/// A client whose calls all time out at once, just before the server answers them all.
#[test]
fn answers_after_the_deadline() {
    let mut client = Subject::client(Config::default());
    let ids = || (0..5000).map(|n| 2 * n + 1);
    for id in ids() {
        assert_eq!(client.open(wire::REQUEST, true), Ok(id));
    }
    for id in ids() {
        client.connection.reset(client.key(id), Reason::CANCEL);
    }
    client.frames();
    for id in ids() {
        client.feed(&wire::headers(id, false, &[(":status", "200")]));
        client.feed(&wire::data(id, false, b"answer"));
        client.feed(&wire::headers(id, true, &[("grpc-status", "0")]));
    }
    assert_eq!(client.error(), None);
    assert_eq!(client.frames(), []);
    client.connection.assert_accounts();
}

/// A stream of small messages, each in its own frame, costs time only.
#[test]
fn tiny_frames() {
    let mut server = Subject::server(Config::default());
    server.feed(&wire::headers(1, false, wire::REQUEST));
    let input = wire::data(1, false, &[0; Limits::SMALL_PAYLOAD]).repeat(1000);
    for _ in 0..1000 {
        assert_eq!(server.feed(&input).len(), 1000);
        server.frames();
    }
    server.connection.assert_accounts();
    assert_eq!(server.error(), None);
    let counters = server.connection.counters();
    assert_eq!((counters.idle_frames, counters.small_frames), (0, 0));
}

/// Messages of a byte that come as gRPC frames them, the head in a frame of its own; and a peer
/// that had credit for no more than it sent.
#[test]
fn small_frames_that_are_paid_for() {
    let mut config = Config { window: Window::Fixed(65_535), ..Config::default() };
    config.limits.small_frames = Budget { burst: 20, per_second: 0 };
    let mut server = Subject::server(config);
    server.feed(&wire::headers(1, false, wire::REQUEST));
    for _ in 0..1000 {
        server.feed(&wire::data(1, false, &[0; 5]));
        server.feed(&wire::data(1, false, b"x"));
        server.frames();
    }
    assert_eq!(server.connection.counters().small_frames, 1000);
    server.releases = false;
    let credit = server.connection.accounts().credit;
    for _ in 0..3 {
        server.feed(&wire::data(1, false, &[0; 16_384]));
    }
    let rest = usize::try_from(credit).expect("there is some") % 16_384;
    server.feed(&wire::data(1, false, &vec![0; rest.saturating_sub(1)]));
    assert_eq!(server.error(), None);
}

/// A consumer that opens its windows for each byte of what it is sent, as fast as it is.
#[test]
fn window_updates_that_are_paid_for() {
    let mut server = Subject::server(Config::default());
    server.feed(&wire::settings(&[(4, 1 << 24)]));
    server.feed(&wire::window_update(0, 1 << 24));
    server.feed(&wire::headers(1, true, wire::REQUEST));
    server.headers(1, &[(":status", "200")], false);
    for _ in 0..100_000 {
        server.data(1, b"small", false);
        server.frames();
        server.feed(&wire::window_update(0, 5));
        server.feed(&wire::window_update(1, 5));
    }
    assert_eq!(server.error(), None);
    assert_eq!(server.connection.counters().window_updates, 200_001);
}

/// The same on streams that are given up meanwhile: what was under way is no offence.
#[test]
fn window_updates_for_streams_that_were_given_up() {
    let mut server = Subject::server(Config::default());
    server.feed(&wire::settings(&[(4, 1 << 24)]));
    server.feed(&wire::window_update(0, 1 << 24));
    for n in 0..20 {
        let id = 2 * n + 1;
        server.feed(&wire::headers(id, true, wire::REQUEST));
        server.headers(id, &[(":status", "200")], false);
        for _ in 0..500 {
            server.data(id, &[0; 1000], false);
            server.frames();
        }
        server.connection.reset(server.key(id), Reason::CANCEL);
        for _ in 0..500 {
            server.feed(&wire::window_update(id, 1000));
            server.feed(&wire::window_update(0, 1000));
        }
    }
    assert_eq!(server.error(), None);
}
