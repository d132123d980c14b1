//! Calls that are given up: what a server charges for, and what honest clients may do freely.

use std::time::Duration;

use ferrpc_core::transport::{CallId, Cardinality, Config, Event, Message, StartCall};
use ferrpc_core::{Encoding, Metadata, Status};
use ferrpc_testing::wire::{self, REQUEST, data, headers, message, reset};
use ferrpc_testing::{Pair, Scripted};

fn go_away(server: &Scripted) -> Option<(u32, String)> {
    wire::last_go_away(&server.frames())
}

/// Makes calls, one after the other, until the connection ends; how many it took.
fn until_stopped(one: impl Fn(&mut Scripted, u32)) -> u32 {
    let mut server = Scripted::server(Config::default());
    let mut calls = 0;
    while server.end.transport.close_cause().is_none() {
        one(&mut server, 2 * calls + 1);
        server.end.events.clear();
        calls += 1;
        assert!(calls < 20_000, "nobody stopped it");
    }
    assert_eq!(go_away(&server), Some((0xb, "too_many_resets".into())));
    assert_eq!(server.end.transport.open_calls(), 0);
    assert_eq!(server.end.transport.counters().http2.early_resets, u64::from(calls));
    calls
}

/// The next call, if there is one, is taken and its handler started.
fn serve(server: &mut Scripted) -> Option<CallId> {
    let offered = matches!(server.end.events.front(), Some(Event::Call { .. }));
    let call = offered.then(|| server.accept(Cardinality::Unary))?;
    server.end.transport.may_start(server.now, call);
    Some(call)
}

#[test]
fn calls_that_cost_their_caller_nothing_are_stopped() {
    // Given up at once.
    let calls = until_stopped(|server, stream| {
        server.feed(&headers(stream, false, REQUEST));
        serve(server);
        server.feed(&reset(stream, 8));
    });
    assert_eq!(calls, 10_001);
    // With deadlines that pass at once.
    let calls = until_stopped(|server, stream| {
        server.feed(&headers(stream, false, &[REQUEST, &[("grpc-timeout", "1u")]].concat()));
        serve(server);
        server.advance(Duration::from_micros(1));
    });
    assert!((10_001..10_100).contains(&calls), "{calls}");
    // With messages that are refused: too large, badly framed.
    for bad in [&[0, 255, 255, 255, 255][..], &[2, 0, 0, 0, 0]] {
        let calls = until_stopped(|server, stream| {
            server.feed(&[headers(stream, false, REQUEST), data(stream, false, bad)].concat());
            serve(server);
        });
        assert_eq!(calls, 10_001);
    }
}

#[test]
fn slow_resets_and_those_paid_for_are_free() {
    // Of `given_up` calls one is served; `pause` between two of these groups.
    let check = |given_up: u32, served: bool, pause: Duration, trips: bool| {
        let mut server = Scripted::server(Config::default());
        let mut stream = 1;
        for _ in 0..30_000 / given_up {
            for n in 0..=given_up {
                if server.end.transport.close_cause().is_some() || n == 0 && !served {
                    continue;
                }
                server.feed(&headers(stream, false, REQUEST));
                let call = serve(&mut server).expect("a call");
                if n == 0 {
                    server.feed(&data(stream, true, &message(b"x")));
                    server.end.transport.finish(server.now, call, &Status::ok());
                    server.flush();
                } else {
                    server.feed(&reset(stream, 8));
                }
                server.end.events.clear();
                stream += 2;
            }
            server.advance(pause);
        }
        assert_eq!(go_away(&server).is_some(), trips, "{given_up} {served} {pause:?}");
    };
    check(1000, false, Duration::from_millis(500), false);
    check(1000, false, Duration::from_millis(250), true);
    // The first answer ends the calls that it was raced by.
    check(4, true, Duration::ZERO, false);
    check(10, true, Duration::ZERO, true);
}

#[test]
fn only_calls_that_nobody_waited_for_are_charged() {
    // What happens between the headers and the reset; whether the reset is charged.
    let check = |charged: u64, timeout: &'static str, between: fn(&mut Scripted)| {
        let mut server = Scripted::server(Config::default());
        server.feed(&headers(1, false, &[REQUEST, &[("grpc-timeout", timeout)]].concat()));
        between(&mut server);
        server.feed(&reset(1, 8));
        assert_eq!(server.end.transport.counters().http2.early_resets, charged, "{timeout}");
    };
    check(1, "10S", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(9));
    });
    // It had one of the places for calls for a while.
    check(0, "10S", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(10));
    });
    // Headers went out.
    check(0, "10S", |server| {
        let call = server.accept(Cardinality::Unary);
        let now = server.now;
        server.end.transport.send_headers(now, call, &Metadata::new(), Encoding::Identity);
        server.flush();
    });
    // The same for what its deadline ends.
    check(1, "9m", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(9));
    });
    check(0, "10m", |server| {
        server.accept(Cardinality::Unary);
        server.advance(Duration::from_millis(10));
    });
}

/// A thousand calls that are given up together, each second for a minute; a stream beside them.
#[test]
fn a_program_that_gives_up_a_thousand_calls_a_second() {
    let mut pair = Pair::new();
    let stream = pair.start("/test.Test/Call", Cardinality::Bidirectional);
    let (beside, _) = pair.accept(Cardinality::Bidirectional);
    for _ in 0..60 {
        let mut calls = Vec::new();
        let mut late = 0;
        for _ in 0..999 {
            calls.push(pair.start("/test.Test/Call", Cardinality::Unary));
            let (call, _) = pair.accept(Cardinality::Unary);
            late += u32::from(!pair.server.transport.may_start(pair.now, call));
        }
        assert_eq!(late, 0, "all handlers start at once");
        for call in calls {
            pair.client.transport.cancel(pair.now, call);
        }
        pair.drive();
        pair.advance(Duration::from_secs(1));
        pair.server.events.clear();
        pair.client.transport.send_message(pair.now, stream, Message::plain("still here"));
        pair.drive();
        assert!(matches!(pair.server.event(), Some(Event::Message { call, .. }) if call == beside));
        pair.server.transport.release(pair.now, beside, 1, 10);
    }
    assert_eq!(pair.server.transport.counters().http2.early_resets, 60 * 999);
    assert_eq!(pair.server.transport.open_calls(), 1);
}

/// Who gives up much more than that has fewer handlers started, and the rest later or never.
#[test]
fn handlers_are_started_no_faster_than_they_answer() {
    let mut server = Scripted::server(Config::default());
    let (mut started, mut stream) = (0, 1);
    // Four seconds of calls that live just long enough not to be charged.
    for _ in 0..400 {
        let streams: Vec<u32> = (0..200).map(|n| stream + 2 * n).collect();
        for id in &streams {
            server.feed(&headers(*id, false, REQUEST));
            let call = server.accept(Cardinality::Unary);
            started += u32::from(server.end.transport.may_start(server.now, call));
        }
        server.advance(Duration::from_millis(10));
        for id in &streams {
            server.feed(&reset(*id, 8));
        }
        server.end.events.clear();
        stream += 400;
    }
    assert_eq!(go_away(&server), None);
    assert!((20_000..=26_000).contains(&started), "{started} of 80,000");
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
