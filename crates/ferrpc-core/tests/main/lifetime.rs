//! Ends that time brings: deadlines, graceful shutdown, age, idleness, silence.

use std::time::Duration;

use ferrpc_core::transport::{
    CancelledBy, Cardinality, Config, Event, Message, StartCall, StartError, TransparentRetry,
};
use ferrpc_core::{Code, Encoding, Metadata, Status};
use ferrpc_http2::{CloseCause, Keepalive};
use ferrpc_testing::wire::{self, REQUEST, headers, kind, message};
use ferrpc_testing::{End, Pair, Scripted};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn ends(end: &mut End) -> Vec<(Code, bool)> {
    let ends = end.events.drain(..).filter_map(|event| match event {
        Event::Finished { status, from_peer, .. } => Some((status.code(), from_peer)),
        _ => None,
    });
    ends.collect()
}

fn answer(pair: &mut Pair, call: ferrpc_core::transport::CallId) {
    let (empty, identity) = (Metadata::new(), Encoding::Identity);
    let pong = Message::plain("pong");
    pair.server.transport.respond(pair.now, call, &empty, identity, pong, &empty);
    pair.drive();
}

#[test]
fn a_deadline_ends_each_call_at_its_time() {
    let mut pair = Pair::new();
    for after in [30, 10, 20, 10] {
        let deadline = Some(pair.now + millis(after));
        pair.start_with(&StartCall { deadline, ..Pair::call() });
        pair.accept(Cardinality::Unary);
    }
    for open in [4, 2, 1, 0] {
        assert_eq!(pair.client.transport.open_calls(), open);
        assert_eq!(pair.server.transport.open_calls(), open);
        pair.advance(millis(10));
    }
    assert_eq!(ends(&mut pair.client), [(Code::DeadlineExceeded, false); 4]);
    let by_deadline = pair
        .server
        .events
        .iter()
        .all(|event| matches!(event, Event::Cancelled { by: CancelledBy::Deadline, .. }));
    assert!(by_deadline && pair.server.events.len() == 4, "{:?}", pair.server.events);
    // Nothing is left to wake up for but what the connection itself needs.
    assert_eq!(pair.client.transport.poll_timeout(), None);
}

#[test]
fn deadlines_that_do_not_come() {
    let mut pair = Pair::new();
    // Thousands of calls with far deadlines that end early leave nothing behind.
    for _ in 0..5000 {
        let deadline = Some(pair.now + secs(3600));
        let call = pair.start_with(&StartCall { deadline, ..Pair::call() });
        pair.request(call, b"x");
        let (accepted, _) = pair.accept(Cardinality::Unary);
        answer(&mut pair, accepted);
        pair.server.events.clear();
    }
    assert_eq!(ends(&mut pair.client), vec![(Code::Ok, true); 5000]);
    assert_eq!(pair.client.transport.poll_timeout(), None);
    assert_eq!(pair.server.transport.poll_timeout(), None);
    pair.advance(secs(7200));
    assert!(pair.client.event().is_none() && pair.server.event().is_none());
    // An expired deadline is no call at all.
    let start = StartCall { deadline: Some(pair.now), ..Pair::call() };
    let refused = pair.client.transport.start_call(pair.now, &start);
    assert_eq!(refused, Err(StartError::DeadlineExceeded));
}

#[test]
fn a_server_tells_a_client_whose_clock_is_behind() {
    let mut server = Scripted::server(Config::default());
    server.feed(&headers(1, false, &[REQUEST, &[("grpc-timeout", "10m")]].concat()));
    server.accept(Cardinality::Unary);
    server.advance(millis(10));
    assert_eq!(server.answer(1, "grpc-status").as_deref(), Some("4"));
    let event = server.end.event();
    assert!(matches!(event, Some(Event::Cancelled { by: CancelledBy::Deadline, .. })), "{event:?}");
    assert_eq!(server.end.transport.open_calls(), 0);
}

#[test]
fn a_deadline_passes_behind_data_that_waits() {
    // The client gives no credit: the status cannot follow the data, so the stream is reset.
    let mut server = Scripted::server(Config::default());
    server.feed(&wire::settings(&[(4, 10)]));
    server.feed(&headers(1, false, &[REQUEST, &[("grpc-timeout", "10m")]].concat()));
    let call = server.accept(Cardinality::Bidirectional);
    server.end.transport.send_message(server.now, call, Message::plain(vec![0; 1000]));
    server.flush();
    server.advance(millis(10));
    assert_eq!(server.reset_of(1), Some(8));
    assert_eq!(server.end.transport.buffered(), 0);
}

#[test]
fn a_refused_request_behind_data_that_waits() {
    let mut server = Scripted::server(Config::default());
    server.feed(&wire::settings(&[(4, 10)]));
    server.feed(&headers(1, false, REQUEST));
    let call = server.accept(Cardinality::Bidirectional);
    server.end.transport.send_message(server.now, call, Message::plain(vec![7; 20]));
    server.flush();
    server.feed(&wire::data(1, false, &[9; 9]));
    let event = server.end.event();
    assert!(matches!(event, Some(Event::Cancelled { by: CancelledBy::Refused, .. })), "{event:?}");
    // What the client still sends is nobody's; what was sent before the end still goes out.
    server.feed(&wire::data(1, true, &message(b"more")));
    assert!(server.end.event().is_none());
    assert_eq!(server.answer(1, "grpc-status"), None);
    server.feed(&wire::window_update(1, 100));
    assert_eq!(server.answer(1, "grpc-status").as_deref(), Some("13"));
    let data = server.frames().into_iter().filter(|frame| frame.kind == kind::DATA);
    assert_eq!(data.map(|frame| frame.payload.len()).sum::<usize>(), 25);
    assert_eq!(server.end.transport.held_messages(), 0);
}

#[test]
fn a_graceful_shutdown_waits_as_long_as_it_is_told() {
    let mut pair = Pair::new();
    pair.start("/test.Test/Call", Cardinality::Unary);
    let (quick, _) = pair.accept(Cardinality::Unary);
    pair.start("/test.Test/Call", Cardinality::Unary);
    pair.accept(Cardinality::Unary);
    pair.server.transport.shutdown(pair.now, Some(secs(10)));
    pair.drive();
    assert!(pair.client.transport.is_draining());
    let refused = pair.client.transport.start_call(pair.now, &Pair::call());
    assert_eq!(refused, Err(StartError::Draining));
    pair.advance(secs(5));
    answer(&mut pair, quick);
    pair.advance(secs(5) - millis(1));
    assert_eq!(pair.client.transport.open_calls(), 1);
    pair.advance(millis(1));
    assert_eq!(ends(&mut pair.client), [(Code::Ok, true), (Code::Unavailable, false)]);
    let lost = pair
        .server
        .events
        .iter()
        .any(|event| matches!(event, Event::Cancelled { by: CancelledBy::ConnectionLost, .. }));
    assert!(lost, "{:?}", pair.server.events);
    assert!(pair.server.transport.is_finished() && pair.client.transport.is_finished());
}

#[test]
fn calls_on_their_way_when_shutdown_begins_are_served() {
    let mut pair = Pair::new();
    pair.server.transport.shutdown(pair.now, None);
    // The first GOAWAY is not there yet.
    let call = pair.client.transport.start_call(pair.now, &Pair::call()).expect("starts");
    let request = pair.client.output(pair.now);
    pair.server.feed(pair.now, &request);
    assert!(matches!(pair.server.event(), Some(Event::Draining)));
    let (accepted, _) = pair.accept(Cardinality::Unary);
    pair.request(call, b"x");
    answer(&mut pair, accepted);
    assert_eq!(ends(&mut pair.client), [(Code::Ok, true)]);
    assert!(pair.server.transport.is_finished());
}

#[test]
fn go_away_ends_what_was_not_processed() {
    let mut client = Scripted::client(Config::default(), &[]);
    client.start(Cardinality::Unary);
    client.start(Cardinality::Unary);
    client.feed(&wire::go_away(1, 0, ""));
    let (status, retry, from_peer) = client.finished().expect("the second call ended");
    assert_eq!((status.code(), retry), (Code::Unavailable, TransparentRetry::Refused));
    assert!(!from_peer);
    assert_eq!(client.end.transport.open_calls(), 1);
    let only = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")];
    client.feed(&headers(1, true, &only));
    assert_eq!(client.finished().map(|(status, ..)| status.code()), Some(Code::NotFound));
    assert!(client.end.transport.is_finished());
}

#[test]
fn what_never_left_may_go_again() {
    let retries = |client: &mut End| {
        let ends = client.events.drain(..).filter_map(|event| match event {
            Event::Finished { retry, .. } => Some(retry),
            _ => None,
        });
        ends.collect::<Vec<_>>()
    };
    use TransparentRetry::{NeverSent, No, Refused};
    let mut pair = Pair::new();
    pair.start("/a/b", Cardinality::Unary);
    pair.client.transport.start_call(pair.now, &Pair::call()).expect("starts");
    pair.cut();
    assert_eq!(retries(&mut pair.client), [No, NeverSent]);
    // Handed out, though perhaps not written: nobody knows.
    let mut pair = Pair::new();
    pair.client.transport.start_call(pair.now, &Pair::call()).expect("starts");
    let _ = pair.client.output(pair.now);
    pair.client.transport.start_call(pair.now, &Pair::call()).expect("starts");
    pair.cut();
    assert_eq!(retries(&mut pair.client), [No, NeverSent]);
    // The server says goodbye before it is handed out.
    let mut pair = Pair::new();
    pair.client.transport.start_call(pair.now, &Pair::call()).expect("starts");
    let _ = pair.client.output(pair.now);
    pair.client.transport.start_call(pair.now, &Pair::call()).expect("starts");
    pair.client.feed(pair.now, &wire::go_away(0, 0, ""));
    assert_eq!(retries(&mut pair.client), [Refused, NeverSent]);
}

#[test]
fn old_connections_end() {
    let end_of = |seed: u64, max_age: Duration| {
        let config = Config { max_age: Some(max_age), seed, ..Config::default() };
        let mut server = Scripted::server(config);
        // Else the time for it is the first to run out.
        server.feed(&wire::frame(kind::SETTINGS, 1, 0, &[]));
        server.end.transport.poll_timeout().map(|at| at.since(server.now))
    };
    let mut ages: Vec<_> = (0..100).filter_map(|seed| end_of(seed, secs(100))).collect();
    assert!(ages.iter().all(|age| (secs(90)..=secs(110)).contains(age)), "{ages:?}");
    ages.sort_unstable();
    ages.dedup();
    assert!(ages.len() > 90 && ages[99 - (100 - ages.len())] - ages[0] > secs(15), "{ages:?}");
    // "For ever" may be written as the longest duration.
    assert!(end_of(1, Duration::MAX).is_some_and(|age| age > secs(3600 * 24 * 365 * 100)));

    let config =
        Config { max_age: Some(secs(100)), max_age_grace: Some(secs(10)), ..Config::default() };
    let mut pair = Pair::with(Config::default(), config);
    pair.start("/test.Test/Call", Cardinality::Unary);
    pair.accept(Cardinality::Unary);
    pair.advance(secs(111));
    assert!(pair.client.transport.is_draining());
    pair.advance(secs(11));
    assert_eq!(ends(&mut pair.client), [(Code::Unavailable, false)]);
    assert!(pair.server.transport.is_finished());
}

/// Row 45: a client's GOAWAY, or its idleness, does not make it older than others may be.
#[test]
fn nothing_that_a_client_does_first_stops_age() {
    let config = Config {
        max_age: Some(secs(100)),
        max_age_grace: Some(secs(10)),
        max_idle: Some(secs(20)),
        ..Config::default()
    };
    let ways: [fn(&mut Scripted); 2] = [
        |server| {
            server.feed(&headers(1, false, REQUEST));
            server.feed(&wire::go_away(0, 0, ""));
        },
        // Idle; its call comes behind the announcement of the end, and before that.
        |server| {
            server.advance(secs(20));
            server.feed(&headers(1, false, REQUEST));
        },
    ];
    for way in ways {
        let mut server = Scripted::server(config.clone());
        server.feed(&wire::frame(kind::SETTINGS, 1, 0, &[]));
        way(&mut server);
        server.end.events.retain(|event| !matches!(event, Event::Draining));
        server.accept(Cardinality::Bidirectional);
        server.advance(secs(121));
        assert!(server.end.transport.is_finished());
        assert_eq!(server.end.transport.open_calls(), 0);
    }
}

#[test]
fn idle_connections_end() {
    let config = Config { max_idle: Some(secs(10)), ..Config::default() };
    let mut pair = Pair::with(Config::default(), config);
    pair.advance(secs(8));
    pair.start("/test.Test/Call", Cardinality::Unary);
    let (accepted, _) = pair.accept(Cardinality::Unary);
    pair.advance(secs(100));
    assert!(!pair.client.transport.is_draining(), "a call is open");
    pair.server.transport.finish(pair.now, accepted, &Status::not_found("x"));
    pair.advance(secs(10) - millis(1));
    assert!(!pair.client.transport.is_draining());
    pair.advance(millis(1));
    assert!(pair.client.transport.is_finished() && pair.server.transport.is_finished());
    assert_eq!(pair.server.transport.close_cause(), Some(&CloseCause::Graceful));
    assert_eq!(pair.server.transport.poll_timeout(), None);
}

#[test]
fn idle_connections_end_at_the_clients_wish() {
    let config = Config { max_idle: Some(secs(10)), ..Config::default() };
    let mut pair = Pair::with(config, Config::default());
    pair.advance(secs(8));
    let call = pair.start("/test.Test/Call", Cardinality::Unary);
    let (accepted, _) = pair.accept(Cardinality::Unary);
    pair.advance(secs(100));
    assert!(!pair.client.transport.is_draining(), "a call is open");
    pair.server.transport.finish(pair.now, accepted, &Status::not_found("x"));
    pair.drive();
    assert_eq!(ends(&mut pair.client), [(Code::NotFound, true)], "{call:?}");
    pair.advance(secs(10) - millis(1));
    assert!(!pair.client.transport.is_draining());
    pair.advance(millis(1));
    assert!(pair.client.transport.is_finished() && pair.server.transport.is_finished());
    assert_eq!(pair.client.transport.close_cause(), Some(&CloseCause::Graceful));
    assert_eq!(pair.client.transport.poll_timeout(), None);
}

#[test]
fn a_silent_peer_is_given_up() {
    let keepalive =
        Keepalive { interval: Some(secs(10)), timeout: secs(5), ..Keepalive::default() };
    let http2 = ferrpc_http2::Config { keepalive, ..Default::default() };
    let config = || Config { http2: http2.clone(), ..Config::default() };

    // Without calls nobody asks.
    let mut client = Scripted::client(config(), &[]);
    client.advance(secs(1000));
    assert!(client.frames().iter().all(|frame| frame.kind != kind::PING));

    let mut client = Scripted::client(config(), &[]);
    client.start(Cardinality::Unary);
    client.advance(secs(9));
    client.feed(&wire::settings(&[]));
    client.advance(secs(10) - millis(1));
    assert!(client.frames().iter().all(|frame| frame.kind != kind::PING));
    client.advance(millis(1));
    assert!(client.frames().iter().any(|frame| frame.kind == kind::PING));
    client.advance(secs(5));
    let (status, retry, _) = client.finished().expect("the call ended");
    assert_eq!((status.code(), retry), (Code::Unavailable, TransparentRetry::No));
    assert_eq!(client.end.transport.close_cause(), Some(&CloseCause::KeepaliveTimeout));

    // A peer that answers is alive, and a default server does not mind.
    let mut pair = Pair::with(config(), Config::default());
    pair.start("/test.Test/Call", Cardinality::Unary);
    pair.accept(Cardinality::Unary);
    pair.advance(secs(20));
    assert_eq!(pair.client.transport.open_calls(), 1);
}
