//! A server and a client written by hand: what requests are answered with.

use std::time::Duration;

use ferrpc_core::transport::{CancelledBy, Cardinality, Config, Event};
use ferrpc_core::{Code, Encoding, EncodingSet, Status};
use ferrpc_http2::Fields;
use ferrpc_testing::Scripted;
use ferrpc_testing::wire::{self, REQUEST, kind};

/// The fields of a plain request, some of them replaced, removed or added.
fn request(changes: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let changed = |name| changes.iter().find(|(changed, _)| *changed == name);
    let mut fields: Vec<_> = REQUEST
        .iter()
        .map(|(name, value)| changed(*name).copied().unwrap_or((name, value)))
        .collect();
    fields.extend(changes.iter().filter(|(name, _)| REQUEST.iter().all(|(old, _)| old != name)));
    fields.retain(|(_, value)| *value != "-");
    fields
}

fn serve(changes: &[(&'static str, &'static str)]) -> Scripted {
    let mut server = Scripted::server(Config::default());
    server.feed(&wire::headers(1, false, &request(changes)));
    server
}

#[test]
fn content_types_and_methods() {
    let check = |changes: &[_], expected: Option<&str>| {
        let mut server = serve(changes);
        let offered = matches!(server.end.event(), Some(Event::Call { .. }));
        assert_eq!(offered, expected.is_none(), "{changes:?}");
        assert_eq!(server.answer(1, ":status").as_deref(), expected, "{changes:?}");
        // The connection lives on, and a client that still sends is told to stop.
        assert_eq!(server.reset_of(1), expected.map(|_| 0));
        server.feed(&wire::headers(3, true, REQUEST));
        if expected.is_some() {
            assert_eq!(server.end.transport.open_calls(), 1, "{changes:?}");
        }
    };
    check(&[], None);
    check(&[("content-type", "application/grpc+proto")], None);
    check(&[("content-type", "application/grpc;charset=utf-8")], None);
    check(&[("te", "-")], None);
    check(&[("content-type", "application/grpc-web")], Some("415"));
    check(&[("content-type", "application/grpc-web+proto")], Some("415"));
    check(&[("content-type", "application/grpcx")], Some("415"));
    check(&[("content-type", "text/html")], Some("415"));
    check(&[("content-type", "")], Some("415"));
    check(&[(":method", "GET")], Some("405"));
    check(&[(":method", "post")], Some("405"));
    check(&[(":method", "GET"), ("content-type", "text/html")], Some("415"));
}

#[test]
fn paths_are_of_a_service_unless_any_will_do() {
    let check = |path: &'static str, well: bool| {
        let offered = |any_path| {
            let mut server = Scripted::server(Config { any_path, ..Config::default() });
            // Twice: a repeated request may be remembered.
            let mut seen = [1, 3].map(|stream| {
                server.feed(&wire::headers(stream, false, &request(&[(":path", path)])));
                match server.end.event() {
                    Some(Event::Call { head, .. }) => Some(head.path.to_string()),
                    None => None,
                    event => panic!("{event:?}"),
                }
            });
            assert_eq!(seen[0], seen[1]);
            seen[0].take()
        };
        assert_eq!(offered(true).as_deref(), Some(path));
        assert_eq!(offered(false).as_deref(), well.then_some(path));
    };
    check("/example.Test/Method", true);
    for path in ["Method", "/Method", "//Method", "/a/b/", "/a/50%", "/a b/c", "/a?b#c", "/", "*"] {
        check(path, false);
    }
}

#[test]
fn plain_http_goes_to_the_fallback() {
    let mut server = serve(&[("content-type", "-"), (":path", "/")]);
    assert!(server.end.event().is_none(), "its body has not passed");
    server.feed(&wire::data(1, true, b"x=1"));
    let event = server.end.event();
    let Some(Event::Http { call, fields }) = event else { panic!("{event:?}") };
    assert_eq!(fields.value(b":path"), Some(&b"/"[..]));
    let list: Fields = [(&b"content-type"[..], &b"text/plain"[..])].into_iter().collect();
    server.end.transport.respond_http(server.now, call, 404, &list, "no\n".into());
    server.flush();
    assert_eq!(server.answer(1, ":status").as_deref(), Some("404"));
    let body = server.frames().into_iter().find(|frame| frame.kind == kind::DATA).expect("a body");
    assert_eq!((&body.payload[..], body.flags), (&b"no\n"[..], wire::flag::END_STREAM));
    assert_eq!(server.end.transport.open_calls(), 0);
}

#[test]
fn plain_http_given_up_before_its_body_passed_is_no_event() {
    let mut server = serve(&[("content-type", "-")]);
    server.feed(&wire::reset(1, 8));
    assert!(server.end.event().is_none());
    server.feed(&wire::headers(3, false, &request(&[("content-type", "-")])));
    server.end.close(server.now);
    assert!(matches!(server.end.event(), Some(Event::Closed { .. })));
    assert_eq!(server.end.transport.open_calls(), 0);
}

#[test]
fn respond_http_leaves_grpc_calls_alone() {
    let mut server = serve(&[]);
    let call = server.accept(Cardinality::Unary);
    server.end.transport.respond_http(server.now, call, 200, &Fields::new(), "x".into());
    server.flush();
    assert_eq!(server.lists(1).len(), 0);
    assert_eq!(server.end.transport.open_calls(), 1);
}

/// A refused request is answered by a single header list with END_STREAM.
fn check_refused(changes: &[(&'static str, &'static str)], code: Code) -> Scripted {
    let mut server = serve(changes);
    assert!(server.end.event().is_none(), "{changes:?}");
    assert_eq!(server.answer(1, ":status").as_deref(), Some("200"), "{changes:?}");
    let number = code.number().to_string();
    assert_eq!(server.answer(1, "grpc-status"), Some(number), "{changes:?}");
    assert_eq!(server.answer(1, "content-type").as_deref(), Some("application/grpc"));
    let list = server.frames().into_iter().find(|frame| frame.kind == kind::HEADERS);
    assert_eq!(list.map(|frame| frame.flags & wire::flag::END_STREAM), Some(1), "{changes:?}");
    assert_eq!(server.end.transport.open_calls(), 0);
    server
}

#[test]
fn paths() {
    for path in
        ["s/m", "//m", "/s/", "/s", "/", "/s//m", "/s/%6d", "/s/m?x", "/s/m#x", "*", "/s/ m"]
    {
        check_refused(&[(":path", path)], Code::Unimplemented);
    }
    // Case counts, and nothing is normalised.
    for path in ["/S/m", "/a/b/c", "/./m", "/s/.."] {
        let mut server = serve(&[(":path", path)]);
        let event = server.end.event();
        assert!(
            matches!(&event, Some(Event::Call { head, .. }) if *head.path == *path),
            "{event:?}"
        );
    }
}

#[test]
fn timeouts() {
    for value in ["", "1", "S", "123456789S", "-1S", "+1S", "1s", "1 S", "1.5S", "0x1S", "1SS"] {
        check_refused(&[("grpc-timeout", value)], Code::Internal);
    }
    for value in ["0n", "0H", "00000000S"] {
        check_refused(&[("grpc-timeout", value)], Code::DeadlineExceeded);
    }
    let check = |value, timeout: Duration| {
        let mut server = serve(&[("grpc-timeout", value)]);
        let Some(Event::Call { head, .. }) = server.end.event() else { panic!("{value}") };
        assert_eq!(head.deadline, Some(server.now + timeout), "{value}");
    };
    check("1n", Duration::from_nanos(1));
    check("007S", Duration::from_secs(7));
    check("99999999m", Duration::from_millis(99_999_999));
    // Beyond what a time holds: as good as infinite.
    check("99999999H", Duration::MAX);
}

#[test]
fn encodings() {
    let server = check_refused(&[("grpc-encoding", "snappy")], Code::Unimplemented);
    let accepted = server.answer(1, "grpc-accept-encoding");
    assert_eq!(accepted.as_deref(), Some("identity,deflate,gzip"));
    check_refused(&[("grpc-encoding", "")], Code::Unimplemented);

    // Supported, but not wanted.
    let config = Config { accept: EncodingSet::IDENTITY, ..Config::default() };
    let mut server = Scripted::server(config);
    server.feed(&wire::headers(1, false, &request(&[("grpc-encoding", "gzip")])));
    assert_eq!(server.answer(1, "grpc-status").as_deref(), Some("12"));
    assert_eq!(server.answer(1, "grpc-accept-encoding").as_deref(), Some("identity"));

    let mut server = serve(&[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "x, gzip ,")]);
    let Some(Event::Call { head, .. }) = server.end.event() else { panic!("no call") };
    assert_eq!(head.encoding, Encoding::Gzip);
    assert_eq!(head.accept, EncodingSet::IDENTITY.with(Encoding::Gzip));
}

/// Sends `body` on a call of `cardinality`; the code it is refused with, if it is.
fn body(
    cardinality: Cardinality,
    changes: &[(&'static str, &'static str)],
    body: &[u8],
) -> Option<u32> {
    let mut server = serve(changes);
    server.accept(cardinality);
    server.feed(&wire::data(1, true, body));
    let refused = server
        .end
        .events
        .iter()
        .any(|event| matches!(event, Event::Cancelled { by: CancelledBy::Refused, .. }));
    assert_eq!(server.answer(1, "grpc-status").is_some(), refused);
    assert_eq!(server.end.transport.open_calls(), usize::from(!refused));
    server.answer(1, "grpc-status").and_then(|code| code.parse().ok())
}

#[test]
fn bodies() {
    use Cardinality::{Bidirectional, ClientStreaming, ServerStreaming, Unary};
    let one = wire::message(b"one");
    let two = [&one[..], &one].concat();
    let check = |cardinality, wire: &[u8], expected: Option<Code>| {
        let code = body(cardinality, &[], wire);
        assert_eq!(code, expected.map(Code::number), "{cardinality:?} {wire:?}");
    };
    for single in [Unary, ServerStreaming] {
        check(single, &one, None);
        check(single, &[], Some(Code::Unimplemented));
        check(single, &two, Some(Code::Unimplemented));
        check(single, &two[..9], Some(Code::Unimplemented));
    }
    for many in [ClientStreaming, Bidirectional] {
        check(many, &one, None);
        check(many, &[], None);
        check(many, &two, None);
        check(many, &two[..9], Some(Code::Internal));
    }
    for any in [Unary, ServerStreaming, ClientStreaming, Bidirectional] {
        check(any, &one[..3], Some(Code::Internal));
        check(any, &one[..7], Some(Code::Internal));
        check(any, &[2, 0, 0, 0, 0], Some(Code::Internal));
        check(any, &[255, 0, 0, 0, 0], Some(Code::Internal));
        // The compressed flag, and no encoding.
        check(any, &[1, 0, 0, 0, 0], Some(Code::Internal));
        check(any, &[0, 255, 255, 255, 255, 7], Some(Code::ResourceExhausted));
        check(any, &[1, 0, 64, 0, 1, 7], Some(Code::ResourceExhausted));
    }
    // A good message before a bad one, in the same bytes.
    let mixed = [&one[..], &[9, 0, 0, 0, 0]].concat();
    check(Bidirectional, &mixed, Some(Code::Internal));
    check(Unary, &mixed, Some(Code::Internal));
    // With an encoding the flag is right, and what is compressed is not looked into here.
    let gzip = [("grpc-encoding", "gzip")];
    assert_eq!(body(Unary, &gzip, &[1, 0, 0, 0, 1, 7]), None);
    let identity = [("grpc-encoding", "identity")];
    assert_eq!(body(Unary, &identity, &[1, 0, 0, 0, 1, 7]), Some(13));
}

#[test]
fn a_request_may_end_with_its_headers() {
    let check = |cardinality, status: Option<&str>| {
        let mut server = Scripted::server(Config::default());
        server.feed(&wire::headers(1, true, REQUEST));
        server.accept(cardinality);
        assert_eq!(server.answer(1, "grpc-status").as_deref(), status, "{cardinality:?}");
        let done = server.end.events.iter().any(|event| matches!(event, Event::RemoteDone { .. }));
        assert_eq!(done, status.is_none());
    };
    check(Cardinality::Unary, Some("12"));
    check(Cardinality::ServerStreaming, Some("12"));
    check(Cardinality::ClientStreaming, None);
    check(Cardinality::Bidirectional, None);
}

#[test]
fn trailers_of_a_client_end_its_half() {
    let mut server = serve(&[]);
    server.accept(Cardinality::Unary);
    server.feed(&wire::data(1, false, &wire::message(b"x")));
    server.feed(&wire::headers(1, true, &[("grpc-status", "5"), ("a", "b")]));
    assert!(matches!(server.end.event(), Some(Event::Message { .. })));
    assert!(matches!(server.end.event(), Some(Event::RemoteDone { .. })));
    assert!(server.end.event().is_none());
}

#[test]
fn what_follows_the_end_is_an_error_of_its_stream() {
    // Half-closed: STREAM_CLOSED for DATA; malformed trailers: PROTOCOL_ERROR.
    let check = |end: bool, frame: Vec<u8>, reason: u32| {
        let mut server = serve(&[]);
        server.accept(Cardinality::Bidirectional);
        server.feed(&wire::data(1, end, &wire::message(b"x")));
        server.end.events.clear();
        server.feed(&frame);
        assert_eq!(server.reset_of(1), Some(reason));
        assert!(matches!(server.end.event(), Some(Event::Cancelled { .. })));
        let event = server.end.event();
        assert!(event.is_none(), "{event:?}");
        server.feed(&wire::headers(3, true, REQUEST));
        assert!(matches!(server.end.event(), Some(Event::Call { .. })));
    };
    check(true, wire::data(1, false, b"x"), 5);
    check(true, wire::headers(1, true, &[("a", "b")]), 5);
    check(false, wire::headers(1, false, &[("a", "b")]), 1);
    check(false, wire::headers(1, true, &[(":path", "/")]), 1);
    check(false, wire::headers(1, true, &[("Upper", "x")]), 1);
}

#[test]
fn an_early_end_says_that_no_more_is_wanted() {
    let mut server = serve(&[]);
    let call = server.accept(Cardinality::ClientStreaming);
    server.end.transport.finish(server.now, call, &Status::not_found("gone"));
    server.flush();
    assert_eq!(server.answer(1, "grpc-status").as_deref(), Some("5"));
    assert_eq!(server.reset_of(1), Some(0));
    // What was in flight is no error.
    server.feed(&wire::data(1, true, &wire::message(b"late")));
    assert!(server.end.event().is_none());
    assert_eq!(wire::last_go_away(&server.frames()), None);
}
