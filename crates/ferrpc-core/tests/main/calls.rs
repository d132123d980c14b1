//! Calls over a pair of transports: each kind, each way to end.

use std::time::Duration;

use bytes::Bytes;
use ferrpc_core::transport::{
    CancelledBy, Cardinality, Event, Message, StartCall, TransparentRetry,
};
use ferrpc_core::{Code, Encoding, Metadata, Status};
use ferrpc_testing::Pair;

#[test]
fn unary() {
    let mut pair = Pair::new();
    let mut metadata = Metadata::new();
    metadata.append("color", "blue").expect("legal");
    metadata.append_bin("trace-bin", &[0, 1, 255]).expect("legal");
    let call = pair.start_with(&StartCall { metadata: &metadata, ..Pair::call() });
    pair.request(call, b"ping");
    let (answered, head) = pair.accept(Cardinality::Unary);
    assert_eq!(&*head.path, "/test.Test/Call");
    assert_eq!(head.authority.as_deref(), Some("localhost"));
    assert_eq!(head.metadata.value("color"), Some("blue"));
    assert_eq!(head.metadata.value_bin("trace-bin"), Some(vec![0, 1, 255]));
    let event = pair.server.event();
    assert!(
        matches!(&event, Some(Event::Message { message, .. }) if message.payload == "ping"),
        "{event:?}"
    );
    assert!(matches!(pair.server.event(), Some(Event::RemoteDone { .. })));
    let mut trailing = Metadata::new();
    trailing.append("cost", "3").expect("legal");
    pair.server.transport.respond(
        pair.now,
        answered,
        &metadata,
        Encoding::Identity,
        Message::plain("pong"),
        &trailing,
    );
    pair.drive();
    let event = pair.client.event();
    assert!(
        matches!(&event, Some(Event::Headers { metadata, .. }) if metadata.value("color") == Some("blue")),
        "{event:?}"
    );
    let event = pair.client.event();
    assert!(
        matches!(&event, Some(Event::Message { message, .. }) if message.payload == "pong"),
        "{event:?}"
    );
    let event = pair.client.event();
    let Some(Event::Finished { status, from_peer: true, .. }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(status.code(), Code::Ok);
    assert_eq!(status.metadata().value("cost"), Some("3"));
    assert_eq!((pair.client.transport.open_calls(), pair.server.transport.open_calls()), (0, 0));
}

#[test]
fn a_status_with_text_and_details() {
    let mut pair = Pair::new();
    let call = pair.start("/test.Test/Call", Cardinality::Unary);
    pair.request(call, b"");
    let (answered, _) = pair.accept(Cardinality::Unary);
    // google.rpc.Status { code: 5 }
    let status = Status::not_found("k\u{e4}se\tfehlt").with_details(Bytes::from_static(&[8, 5]));
    pair.server.transport.finish(pair.now, answered, &status);
    pair.drive();
    let event = pair.client.event();
    let Some(Event::Finished { status, from_peer: true, .. }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "k\u{e4}se\tfehlt");
    assert_eq!(status.details(), &[8, 5][..]);
}

#[test]
fn a_large_message_crosses_small_windows() {
    let mut pair = Pair::new();
    let call = pair.start("/test.Test/Call", Cardinality::Bidirectional);
    let payload = vec![7; 3 << 20];
    pair.request(call, &payload);
    let (answered, _) = pair.accept(Cardinality::Bidirectional);
    let event = pair.server.event();
    assert!(
        matches!(&event, Some(Event::Message { message, .. }) if message.payload == payload),
        "no message"
    );
    pair.server.transport.release(pair.now, answered, 1, payload.len());
    assert!(matches!(pair.server.event(), Some(Event::RemoteDone { .. })));
    pair.server.transport.finish(pair.now, answered, &Status::ok());
    pair.drive();
    let finished = pair.client.events.iter().any(|event| matches!(event, Event::Finished { .. }));
    assert!(finished, "{:?}", pair.client.events);
}

#[test]
fn deadlines_end_calls_on_both_sides() {
    let mut pair = Pair::new();
    let deadline = Some(pair.now + Duration::from_millis(50));
    pair.start_with(&StartCall { deadline, ..Pair::call() });
    let (_, head) = pair.accept(Cardinality::Unary);
    assert_eq!(head.deadline, deadline);
    pair.advance(Duration::from_millis(49));
    assert!(pair.client.event().is_none());
    pair.advance(Duration::from_millis(1));
    let event = pair.client.event();
    let Some(Event::Finished { status, from_peer: false, .. }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let event = pair.server.event();
    assert!(matches!(event, Some(Event::Cancelled { by: CancelledBy::Deadline, .. })), "{event:?}");
}

#[test]
fn cancelling_reaches_the_server() {
    let mut pair = Pair::new();
    let call = pair.start("/test.Test/Call", Cardinality::Bidirectional);
    pair.accept(Cardinality::Bidirectional);
    pair.client.transport.cancel(pair.now, call);
    pair.drive();
    let event = pair.server.event();
    assert!(matches!(event, Some(Event::Cancelled { by: CancelledBy::Peer, .. })), "{event:?}");
    assert!(pair.client.event().is_none());
}

#[test]
fn a_lost_connection_ends_calls() {
    let mut pair = Pair::new();
    pair.start("/test.Test/Call", Cardinality::Unary);
    pair.accept(Cardinality::Unary);
    // Started, and never handed out.
    let start = Pair::call();
    let unsent = pair.client.transport.start_call(pair.now, &start).expect("starts");
    pair.cut();
    let mut retries = Vec::new();
    while let Some(event) = pair.client.event() {
        if let Event::Finished { call, status, retry, .. } = event {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            retries.push((call == unsent, retry));
        }
    }
    assert_eq!(retries, [(false, TransparentRetry::No), (true, TransparentRetry::NeverSent)]);
    let event = pair.server.event();
    let lost = CancelledBy::ConnectionLost;
    assert!(matches!(event, Some(Event::Cancelled { by, .. }) if by == lost), "{event:?}");
}

#[test]
fn a_graceful_end_loses_nothing() {
    let mut pair = Pair::new();
    let call = pair.start("/test.Test/Call", Cardinality::Unary);
    let (answered, _) = pair.accept(Cardinality::Unary);
    pair.server.transport.shutdown(pair.now, None);
    pair.drive();
    assert!(matches!(pair.client.event(), Some(Event::Draining)));
    pair.request(call, b"late");
    pair.server.transport.respond(
        pair.now,
        answered,
        &Metadata::new(),
        Encoding::Identity,
        Message::plain("done"),
        &Metadata::new(),
    );
    pair.drive();
    let ok = pair
        .client
        .events
        .iter()
        .any(|event| matches!(event, Event::Finished { status, .. } if status.is_ok()));
    assert!(ok, "{:?}", pair.client.events);
    assert!(pair.server.transport.is_finished());
    assert!(pair.client.transport.is_finished());
}
