//! What only a client has to judge: responses, the server's limits, and what it must not send.

use ferrpc_http2::{HeadersKind, OpenError, Reason, ResetBy, Role};
use ferrpc_testing::wire::{self, Seen, Subject, flag, kind};

use super::config;

const OK: &[(&str, &str)] = &[(":status", "200")];

/// A client with streams 1 (open), 3 (ended by us), 5 (answered), 7 (reset by us).
fn client() -> Subject {
    let mut client = Subject::client(config());
    for id in [1, 3, 5, 7] {
        assert_eq!(client.open(wire::REQUEST, id > 1), Ok(id));
    }
    client.feed(&wire::headers(5, true, OK));
    client.connection.reset(client.key(7), Reason::CANCEL);
    client.frames();
    client
}

/// What ends the whole connection.
#[test]
fn connection_errors() {
    let promise = wire::frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2, 0x88]);
    let cases: &[(&str, Vec<u8>, Reason)] = &[
        ("PUSH_PROMISE", promise, Reason::PROTOCOL_ERROR),
        ("ENABLE_PUSH", wire::settings(&[(2, 1)]), Reason::PROTOCOL_ERROR),
        ("a stream of the server's", wire::headers(2, false, OK), Reason::PROTOCOL_ERROR),
        ("an idle stream", wire::headers(9, false, OK), Reason::PROTOCOL_ERROR),
        ("DATA, idle stream", wire::data(9, false, b"x"), Reason::PROTOCOL_ERROR),
        ("DATA, the server's stream", wire::data(2, false, b"x"), Reason::PROTOCOL_ERROR),
        ("RST_STREAM, idle stream", wire::reset(9, 8), Reason::PROTOCOL_ERROR),
        ("WINDOW_UPDATE, idle stream", wire::window_update(9, 1), Reason::PROTOCOL_ERROR),
        ("HEADERS, closed stream", wire::headers(5, true, OK), Reason::STREAM_CLOSED),
        ("MAX_FRAME_SIZE of 0", wire::settings(&[(5, 0)]), Reason::PROTOCOL_ERROR),
        ("MAX_FRAME_SIZE", wire::settings(&[(5, 1 << 24)]), Reason::PROTOCOL_ERROR),
    ];
    for (what, bytes, reason) in cases {
        let mut client = client();
        assert_eq!(client.feed(bytes), [Seen::Closed], "{what}");
        assert_eq!(client.error().map(|error| error.0), Some(*reason), "{what}");
        let sent = wire::last_go_away(&client.frames());
        assert_eq!(sent.map(|sent| sent.0), Some(reason.0), "{what}");
    }
}

/// What ends one stream only.
#[test]
fn stream_errors() {
    let malformed = |fields: &[(&str, &str)]| wire::headers(1, false, fields);
    let protocol = Reason::PROTOCOL_ERROR;
    let cases: &[(&str, Vec<u8>, Reason)] = &[
        ("DATA before headers", wire::data(1, false, b"x"), protocol),
        ("no status", malformed(&[("a", "b")]), protocol),
        ("two statuses", malformed(&[(":status", "200"), (":status", "200")]), protocol),
        ("a request's pseudo-header", malformed(&[(":status", "200"), (":path", "/")]), protocol),
        ("a late status", malformed(&[("a", "b"), (":status", "200")]), protocol),
        ("a status of letters", malformed(&[(":status", "abc")]), protocol),
        ("101", malformed(&[(":status", "101")]), protocol),
        ("1xx at the end", wire::headers(1, true, &[(":status", "100")]), protocol),
        ("upper case", malformed(&[(":status", "200"), ("A", "b")]), protocol),
        ("connection", malformed(&[(":status", "200"), ("connection", "close")]), protocol),
        ("line feed", malformed(&[(":status", "200"), ("a", "b\nc: d")]), protocol),
        (
            "trailers without end",
            [wire::headers(1, false, OK), wire::headers(1, false, &[("a", "b")])].concat(),
            protocol,
        ),
        (
            "trailers with a status",
            [wire::headers(1, false, OK), wire::headers(1, true, OK)].concat(),
            protocol,
        ),
        (
            "DATA after the end",
            [wire::headers(1, true, OK), wire::data(1, false, b"x")].concat(),
            Reason::STREAM_CLOSED,
        ),
        (
            "HEADERS after the end",
            [wire::headers(1, true, OK), wire::headers(1, true, OK)].concat(),
            Reason::STREAM_CLOSED,
        ),
        (
            "less than content-length",
            [
                wire::headers(1, false, &[(":status", "200"), ("content-length", "2")]),
                wire::headers(1, true, &[("a", "b")]),
            ]
            .concat(),
            protocol,
        ),
    ];
    for (what, bytes, reason) in cases {
        let mut client = client();
        let seen = client.feed(bytes);
        let reset = Seen::Reset { id: 1, reason: *reason, by: ResetBy::Rule, headers_sent: true };
        assert_eq!(seen.last(), Some(&reset), "{what}");
        assert_eq!(wire::reset_of(&client.frames(), 1), Some(reason.0), "{what}");
        // The other stream is unhurt.
        assert_eq!(client.feed(&wire::headers(3, true, OK)).len(), 1, "{what}");
        assert_eq!(client.error(), None, "{what}");
        client.connection.assert_accounts();
    }
}

/// What comes on a stream that we reset is dropped, and its data's credit given back.
#[test]
fn in_flight_on_a_reset_stream() {
    let mut client = client();
    let input = [
        wire::headers(7, false, OK),
        wire::data(7, false, &[0; 10_000]),
        wire::window_update(7, 10),
        wire::headers(7, true, &[("grpc-status", "0")]),
        wire::reset(7, 0),
    ];
    assert_eq!(client.feed(&input.concat()), []);
    assert_eq!((client.error(), client.frames()), (None, vec![]));
    client.connection.assert_accounts();
    assert_eq!(client.connection.accounts().credit_due, 10_000);
}

/// Row 32: eight informational responses pass, one more ends the stream.
#[test]
fn informational_responses() {
    let mut client = client();
    for _ in 0..8 {
        assert_eq!(client.feed(&wire::headers(1, false, &[(":status", "103")])), []);
    }
    let mut flooded = client;
    let seen = flooded.feed(&wire::headers(1, false, &[(":status", "103")]));
    assert!(matches!(seen[..], [Seen::Reset { id: 1, by: ResetBy::Rule, .. }]), "{seen:?}");

    let mut client = self::client();
    for _ in 0..8 {
        client.feed(&wire::headers(1, false, &[(":status", "100")]));
    }
    let seen = client.feed(&wire::headers(1, true, OK));
    assert!(
        matches!(seen[..], [Seen::Headers { kind: HeadersKind::Response(200), end: true, .. }]),
        "{seen:?}"
    );
}

/// The server's limit of streams, from its first SETTINGS on and as it changes.
#[test]
fn stream_limit() {
    let limit = |count| wire::settings(&[(3, count)]);
    let mut client = Subject::new(Role::Client, config());
    // A hundred before it is known (6.5.2).
    for n in 0..100 {
        assert_eq!(client.open(wire::REQUEST, true), Ok(2 * n + 1));
    }
    assert_eq!(client.open(wire::REQUEST, true), Err(OpenError::StreamLimit));
    assert_eq!(client.feed(&limit(101)), [Seen::Ready, Seen::StreamsAvailable]);
    assert_eq!(client.open(wire::REQUEST, true), Ok(201));
    assert_eq!(client.open(wire::REQUEST, true), Err(OpenError::StreamLimit));

    // Lowered below what is open: streams go on, and room is offered once there is some.
    assert_eq!(client.feed(&limit(99)), []);
    assert_eq!(client.connection.open_streams(), 101);
    for id in [1, 3] {
        assert_eq!(client.feed(&wire::headers(id, true, OK)).len(), 1, "no room yet");
    }
    let seen = client.feed(&wire::headers(5, true, OK));
    assert!(matches!(seen[..], [Seen::Headers { .. }, Seen::StreamsAvailable]), "{seen:?}");
    assert_eq!(client.open(wire::REQUEST, true), Ok(203));
    assert_eq!(client.open(wire::REQUEST, true), Err(OpenError::StreamLimit));

    // None at all, then as many as one likes.
    assert_eq!(client.feed(&limit(0)), []);
    assert_eq!(client.feed(&limit(u32::MAX)), [Seen::StreamsAvailable]);
    assert_eq!(client.open(wire::REQUEST, true), Ok(205));
}

/// A server that names no limit has none; one that refuses a stream is believed.
#[test]
fn no_limit_and_refusal() {
    let mut client = Subject::client(config());
    for n in 0..2000 {
        assert_eq!(client.open(wire::REQUEST, true), Ok(2 * n + 1));
    }
    let refused = client.feed(&wire::reset(3, Reason::REFUSED_STREAM.0));
    let expected = Seen::Reset {
        id: 3,
        reason: Reason::REFUSED_STREAM,
        by: ResetBy::Peer,
        headers_sent: true,
    };
    assert_eq!(refused, [expected]);
}

/// A header list that is too large does not hurt the connection: decoding goes on (row 7).
#[test]
fn response_too_large() {
    let mut client = client();
    let long = "x".repeat(20_000);
    let block = wire::block(&[(":status", "200"), ("long", &long)]);
    let (first, second) = block.split_at(16_000);
    client.feed(&wire::frame(kind::HEADERS, 0, 1, first));
    let seen = client.feed(&wire::frame(kind::CONTINUATION, flag::END_HEADERS, 1, second));
    assert!(matches!(seen[..], [Seen::Headers { id: 1, too_large: true, .. }]), "{seen:?}");
    assert_eq!(client.connection.counters().header_lists_too_large, 1);
    assert_eq!(client.feed(&wire::headers(3, true, OK)).len(), 1);
}
