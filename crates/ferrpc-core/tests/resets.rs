//! Calls that are given up: what a server charges for, and what honest clients may do freely.

use std::time::Duration;

use ferrpc_core::transport::{Cardinality, Config, Event, Message, StartCall};
use ferrpc_core::{Encoding, Metadata, Status};
use ferrpc_testing::wire::{self, REQUEST, data, headers, message, reset};
use ferrpc_testing::{Pair, Scripted};

fn go_away(server: &Scripted) -> Option<(u32, String)> {
    wire::last_go_away(&server.frames())
}

#[test]
fn rapid_reset_is_stopped() {
    let mut server = Scripted::server(Config::default());
    let mut calls = 0;
    while go_away(&server).is_none() {
        let stream = 2 * calls + 1;
        server.feed(&headers(stream, false, REQUEST));
        if matches!(server.end.events.front(), Some(Event::Call { .. })) {
            server.accept(Cardinality::Unary);
        }
        server.feed(&reset(stream, 8));
        server.end.events.clear();
        calls += 1;
        assert!(calls < 1000, "nobody stopped it");
    }
    assert_eq!(go_away(&server), Some((0xb, "too_many_resets".into())));
    assert_eq!(calls, 201, "a burst of 200 is free");
    assert_eq!(server.end.transport.open_calls(), 0);
    assert_eq!(server.end.transport.counters().http2.early_resets, 201);
}

#[test]
fn slow_resets_and_those_paid_for_are_free() {
    // `completed` calls are served for each that is given up, `pause` apart.
    let check = |completed: u32, pause: Duration, trips: bool| {
        let mut server = Scripted::server(Config::default());
        let mut stream = 1;
        for _ in 0..2000 {
            for given_up in (0..=completed).map(|index| index == 0) {
                if go_away(&server).is_some() {
                    break;
                }
                server.feed(&headers(stream, false, REQUEST));
                let call = server.accept(Cardinality::Unary);
                if given_up {
                    server.feed(&reset(stream, 8));
                } else {
                    server.feed(&data(stream, true, &message(b"x")));
                    server.end.transport.finish(server.now, call, &Status::ok());
                    server.flush();
                }
                server.end.events.clear();
                stream += 2;
            }
            server.advance(pause);
        }
        assert_eq!(go_away(&server).is_some(), trips, "{completed} {pause:?}");
    };
    check(0, Duration::from_millis(20), false);
    check(0, Duration::from_millis(10), true);
    check(1, Duration::ZERO, false);
}

#[test]
fn only_calls_that_nobody_waited_for_are_charged() {
    // What happens between the headers and the reset; whether the reset is charged.
    let check = |charged: u64, timeout: &'static str, between: fn(&mut Scripted)| {
        let mut server = Scripted::server(Config::default());
        server.feed(&headers(1, false, &[REQUEST, &[("grpc-timeout", timeout)]].concat()));
        between(&mut server);
        server.feed(&reset(1, 8));
        assert_eq!(server.end.transport.counters().http2.early_resets, charged);
    };
    let accept = |server: &mut Scripted| {
        server.accept(Cardinality::Unary);
    };
    check(1, "10S", accept);
    check(1, "10S", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(99));
    });
    // The handler ran.
    check(0, "10S", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(100));
    });
    // Headers went out.
    check(0, "10S", |server| {
        let call = server.accept(Cardinality::Unary);
        let now = server.now;
        server.end.transport.send_headers(now, call, &Metadata::new(), Encoding::Identity);
        server.flush();
    });
    // The deadline was near: the two clocks and the network differ a little.
    check(1, "20m", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(17));
    });
    check(0, "20m", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(18));
    });
    check(0, "20m", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(20));
    });
}

#[test]
fn a_stuck_handler_and_short_deadlines_trip_nothing() {
    // 128 calls a second with a deadline of one second, never answered, for a minute.
    let mut pair = Pair::new();
    for _ in 0..60 * 128 {
        let deadline = Some(pair.now + Duration::from_secs(1));
        let call = pair.start_with(&StartCall { deadline, ..Pair::call() });
        pair.request(call, b"x");
        while !matches!(pair.server.events.front(), Some(Event::Call { .. })) {
            pair.server.events.pop_front().expect("a call came");
        }
        pair.accept(Cardinality::Unary);
        pair.advance(Duration::from_nanos(1_000_000_000 / 128));
        pair.client.events.clear();
    }
    pair.advance(Duration::from_secs(2));
    assert!(!pair.client.transport.is_draining());
    assert_eq!(pair.server.transport.counters().http2.early_resets, 0);
    assert_eq!((pair.client.transport.open_calls(), pair.server.transport.open_calls()), (0, 0));
}

#[test]
fn many_calls_with_large_answers_trip_nothing() {
    // The client gives credit back for streams that have ended meanwhile, several times a call.
    for size in [10_000, 40_000, 65_000] {
        let mut pair = Pair::new();
        for _ in 0..3000 {
            let call = pair.start("/test.Test/Call", Cardinality::Unary);
            pair.request(call, b"x");
            let (answered, _) = pair.accept(Cardinality::Unary);
            pair.server.transport.respond(
                pair.now,
                answered,
                &Metadata::new(),
                Encoding::Identity,
                Message::plain(vec![7; size]),
                &Metadata::new(),
            );
            pair.drive();
            pair.client.events.clear();
            pair.server.events.clear();
        }
        assert!(!pair.client.transport.is_draining(), "{:?}", pair.client.transport.close_cause());
        assert_eq!(pair.client.transport.counters().calls_ok, 3000);
    }
}

#[test]
fn many_calls_refused_early_trip_nothing() {
    // The server answers while the client still sends: both say that no more is wanted.
    let mut pair = Pair::new();
    for _ in 0..3000 {
        pair.start("/test.Test/Call", Cardinality::Bidirectional);
        let (answered, _) = pair.accept(Cardinality::Bidirectional);
        pair.server.transport.finish(pair.now, answered, &Status::unauthenticated("who?"));
        pair.drive();
        pair.client.events.clear();
        pair.server.events.clear();
    }
    assert!(!pair.client.transport.is_draining(), "{:?}", pair.client.transport.close_cause());
    assert_eq!(pair.client.transport.counters().calls_failed, 3000);
}

#[test]
fn many_calls_given_up_while_answers_come_trip_nothing() {
    // Each answer is on its way when the client loses interest.
    let mut pair = Pair::new();
    for _ in 0..20 {
        let mut calls = Vec::new();
        for _ in 0..200 {
            let call = pair.start("/test.Test/Call", Cardinality::ServerStreaming);
            pair.request(call, b"x");
            let (answered, _) = pair.accept(Cardinality::ServerStreaming);
            pair.server.events.clear();
            let now = pair.now;
            for _ in 0..3 {
                let message = Message::plain(vec![7; 3000]);
                pair.server.transport.send_message(now, answered, message);
            }
            calls.push(call);
        }
        let late = pair.server.output(pair.now);
        for call in calls {
            pair.client.transport.cancel(pair.now, call);
        }
        pair.client.feed(pair.now, &late);
        pair.drive();
        pair.client.events.clear();
        pair.server.events.clear();
    }
    assert!(!pair.client.transport.is_draining(), "{:?}", pair.client.transport.close_cause());
    assert_eq!((pair.client.transport.open_calls(), pair.server.transport.open_calls()), (0, 0));
}
