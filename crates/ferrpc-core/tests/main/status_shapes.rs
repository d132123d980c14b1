//! A status in every shape that it may have on the wire, read by a client and written by a server.
//! Its code survives all of them.

use ferrpc_core::transport::{Cardinality, Config, Event, Message, TransparentRetry};
use ferrpc_core::{Code, Encoding, Metadata, Status};
use ferrpc_testing::wire::{self, REQUEST, data, flag, frame, headers, kind, message, reset};
use ferrpc_testing::{Pair, Scripted};
use proptest::collection::vec;
use proptest::prelude::*;

use Cardinality::{Bidirectional, Unary};

const HEAD: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];
const FAILED: &[(&str, &str)] =
    &[("grpc-status", "5"), ("grpc-message", "no such thing"), ("k", "v")];

/// What these frames make of a call on stream 1: its status, whether that is the server's, and how
/// many messages came before.
fn read(cardinality: Cardinality, frames: &[Vec<u8>]) -> (Status, bool, usize) {
    let mut client = Scripted::client(Config::default(), &[]);
    client.start(cardinality);
    client.feed(&frames.concat());
    let messages =
        client.end.events.iter().filter(|event| matches!(event, Event::Message { .. })).count();
    let (status, retry, from_peer) = client.finished().expect("the call ended");
    assert_eq!(retry, TransparentRetry::No);
    assert_eq!(client.end.transport.open_calls(), 0);
    client.start(Unary);
    (status, from_peer, messages)
}

/// The failure above, whole, whatever brought it.
fn assert_failed(frames: &[Vec<u8>]) {
    for cardinality in [Unary, Bidirectional] {
        let (status, from_peer, _) = read(cardinality, frames);
        assert_eq!((status.code(), from_peer), (Code::NotFound, true), "{status}");
        assert_eq!(status.message(), "no such thing");
        assert_eq!(status.metadata().value("k"), Some("v"));
    }
}

fn list(parts: &[&[(&'static str, &'static str)]]) -> Vec<(&'static str, &'static str)> {
    parts.concat()
}

#[test]
fn trailers_and_trailers_only() {
    assert_failed(&[headers(1, true, &list(&[HEAD, FAILED]))]);
    assert_failed(&[headers(1, false, HEAD), headers(1, true, FAILED)]);
    assert_failed(&[headers(1, false, HEAD), data(1, false, b""), headers(1, true, FAILED)]);
    let one = data(1, false, &message(b"x"));
    assert_failed(&[headers(1, false, HEAD), one.clone(), headers(1, true, FAILED)]);
    // Half of a message, which nobody will complete.
    assert_failed(&[headers(1, false, HEAD), data(1, false, &[0, 0]), headers(1, true, FAILED)]);
    // With informational responses before it.
    let hint = headers(1, false, &[(":status", "103"), ("grpc-status", "9")]);
    assert_failed(&[hint, headers(1, true, &list(&[HEAD, FAILED]))]);
}

/// Proxies make two frames of Trailers-Only: headers, and an end that is empty.
#[test]
fn headers_with_a_status_and_an_end_without_one() {
    let early = headers(1, false, &list(&[HEAD, FAILED]));
    assert_failed(&[early.clone(), data(1, true, b"")]);
    assert_failed(&[early.clone(), data(1, false, b""), data(1, true, b"")]);
    assert_failed(&[early.clone(), data(1, true, &message(b"x"))]);
    assert_failed(&[early.clone(), headers(1, true, &[("x", "y")])]);
    // However it ends, no other status came.
    for reason in [0, 2, 7, 8] {
        assert_failed(&[early.clone(), reset(1, reason)]);
    }
    let mut client = Scripted::client(Config::default(), &[]);
    client.start(Unary);
    client.feed(&early);
    client.end.close(client.now);
    let (status, _, from_peer) = client.finished().expect("the call ended");
    assert_eq!((status.code(), from_peer), (Code::NotFound, true));

    // The status of trailers counts, if there are any.
    let (status, from_peer, messages) = read(
        Unary,
        &[early, data(1, false, &message(b"x")), headers(1, true, &[("grpc-status", "0")])],
    );
    assert_eq!((status.code(), from_peer, messages), (Code::Ok, true, 1));

    // An OK is believed if nothing followed it: it cannot tell whether that was all.
    let early = headers(1, false, &list(&[HEAD, &[("grpc-status", "0")]]));
    let (status, from_peer, _) = read(Bidirectional, &[early.clone(), data(1, true, b"")]);
    assert_eq!((status.code(), from_peer), (Code::Ok, true));
    let (status, from_peer, _) =
        read(Bidirectional, &[early.clone(), data(1, true, &message(b"x"))]);
    assert_eq!((status.code(), from_peer), (Code::Unknown, false));
    let (status, from_peer, _) = read(Bidirectional, &[early, reset(1, 2)]);
    assert_eq!((status.code(), from_peer), (Code::Internal, false));
}

#[test]
fn a_status_beside_what_http_says() {
    for http in ["200", "403", "500", "503"] {
        for content_type in ["application/grpc", "APPLICATION/GRPC+proto", "text/html", ""] {
            let mut head = vec![(":status", http)];
            if !content_type.is_empty() {
                head.push(("content-type", content_type));
            }
            let with = list(&[&head, FAILED]);
            assert_failed(&[headers(1, true, &with)]);
            assert_failed(&[headers(1, false, &with), data(1, true, b"")]);
            assert_failed(&[headers(1, false, &with), data(1, true, b"<html>")]);
            // Trailers may follow, unless the body is somebody else's.
            if content_type != "text/html" && (http == "200" || !content_type.is_empty()) {
                assert_failed(&[headers(1, false, &head), headers(1, true, FAILED)]);
                assert_failed(&[
                    headers(1, false, &head),
                    data(1, false, b""),
                    headers(1, true, FAILED),
                ]);
            }
        }
    }
    // Without a status HTTP's counts, whatever else goes wrong.
    let head = headers(1, false, &[(":status", "503"), ("content-type", "application/grpc")]);
    for rest in [data(1, true, b""), data(1, true, b"<html>"), reset(1, 2), headers(1, true, &[])] {
        let (status, from_peer, _) = read(Unary, &[head.clone(), rest]);
        assert_eq!((status.code(), from_peer), (Code::Unavailable, false), "{status}");
        assert!(status.message().contains("HTTP status 503"), "{status}");
    }
}

/// HEADERS, and CONTINUATION where one frame is too small.
fn large_headers(end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let block = wire::block(fields);
    let mut frames = Vec::new();
    let mut pieces = block.chunks(16_384).peekable();
    let mut first = true;
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        let end = if first && end { flag::END_STREAM } else { 0 };
        let kind = if first { kind::HEADERS } else { kind::CONTINUATION };
        frames.extend(frame(kind, last | end, 1, piece));
        first = false;
    }
    frames
}

/// What is too large, or cannot be read, is missing; the code is there, and the rest.
#[test]
fn large_and_broken_statuses() {
    for size in [9_000, 15_000, 17_000, 40_000, 100_000, 900_000] {
        let long = "m".repeat(size);
        let small: &[(&str, &str)] = &[("grpc-status", "5"), ("a", "1")];
        let large_message: &[(&str, &str)] = &[("grpc-message", &long)];
        let large_metadata: &[(&str, &str)] = &[("grpc-message", "no"), ("big", &long)];
        for large in [large_message, large_metadata] {
            for fields in [[small, large].concat(), [large, small].concat()] {
                let shapes = [
                    vec![headers(1, false, HEAD), large_headers(true, &fields)],
                    vec![large_headers(true, &[HEAD, &fields].concat())],
                    vec![large_headers(false, &[HEAD, &fields].concat()), data(1, true, b"")],
                ];
                for frames in shapes {
                    let (status, from_peer, _) = read(Unary, &frames);
                    assert_eq!((status.code(), from_peer), (Code::NotFound, true), "{size}");
                    assert_eq!(status.metadata().value("a"), Some("1"));
                    let whole = size < 16_000;
                    let told = status.message().contains("parts of this status are missing");
                    assert_eq!(told, !whole, "{size}");
                    if whole {
                        assert!(status.message() == long || status.message() == "no");
                        let big = large == large_metadata;
                        assert_eq!(status.metadata().value("big").is_some(), big);
                    }
                }
            }
        }
        // A success is one only if all of it arrived.
        let fields = [("grpc-status", "0"), ("big", &*long)];
        let frames =
            [headers(1, false, HEAD), data(1, false, &message(b"x")), large_headers(true, &fields)];
        let (status, from_peer, _) = read(Unary, &frames);
        let whole = size < 16_000;
        let expected = if whole { Code::Ok } else { Code::ResourceExhausted };
        assert_eq!((status.code(), from_peer), (expected, whole), "{size}");
    }
    // Many small fields before the status.
    let keys: Vec<String> = (0..2000).map(|n| format!("k{n}")).collect();
    let mut fields: Vec<_> = keys.iter().map(|key| (&**key, "v")).collect();
    fields.extend([("grpc-status", "5"), ("grpc-message", "no")]);
    let (status, from_peer, _) =
        read(Unary, &[headers(1, false, HEAD), large_headers(true, &fields)]);
    assert_eq!((status.code(), from_peer), (Code::NotFound, true));
    assert!(status.metadata().len() > 256, "{}", status.metadata().len());

    let broken = [("grpc-status", "5"), ("grpc-message", "no"), ("x-bin", "*"), ("a", "1")];
    let (status, from_peer, _) = read(Unary, &[headers(1, false, HEAD), headers(1, true, &broken)]);
    assert_eq!((status.code(), from_peer), (Code::NotFound, true));
    assert!(status.message().starts_with("no (parts of this status are missing"), "{status}");
    assert_eq!(status.metadata().len(), 1);
}

fn server() -> (Scripted, impl FnMut(&mut Scripted) -> ferrpc_core::transport::CallId) {
    let mut next = 1;
    let call = move |server: &mut Scripted| {
        server.feed(&headers(next, false, REQUEST));
        next += 2;
        server.accept(Bidirectional)
    };
    (Scripted::server(Config::default()), call)
}

/// What a server writes: alone, or behind headers and messages.
#[test]
fn written() {
    let mut metadata = Metadata::new();
    metadata.append("a", "1").expect("legal");
    metadata.append_bin("b-bin", &[0, 255]).expect("legal");
    metadata.append("a", "2").expect("legal");
    let status =
        Status::not_found("k\u{e4}se\n").with_details(&b"any\0thing"[..]).with_metadata(metadata);
    let own: &[(&str, &str)] = &[
        ("grpc-status", "5"),
        ("grpc-message", "k%C3%A4se%0A"),
        ("grpc-status-details-bin", "YW55AHRoaW5n"),
        ("a", "1"),
        ("b-bin", "AP8"),
        ("a", "2"),
    ];
    let expected = |fields: &[(&str, &str)]| -> ferrpc_http2::Fields {
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    };
    let (mut server, mut call) = server();
    let now = server.now;
    let alone = call(&mut server);
    server.end.transport.finish(now, alone, &status);
    let after_headers = call(&mut server);
    server.end.transport.send_headers(now, after_headers, &Metadata::new(), Encoding::Identity);
    server.end.transport.finish(now, after_headers, &status);
    let after_message = call(&mut server);
    server.end.transport.send_message(now, after_message, Message::plain(&b"x"[..]));
    server.end.transport.finish(now, after_message, &status);
    server.flush();
    assert_eq!(server.lists(1), [expected(&[HEAD, own].concat())]);
    for stream in [3, 5] {
        assert_eq!(server.lists(stream), [expected(HEAD), expected(own)], "{stream}");
    }
    for stream in [1, 3, 5] {
        let frames = server.frames();
        let last =
            frames.iter().rfind(|frame| frame.stream == stream && frame.kind == kind::HEADERS);
        assert!(last.is_some_and(|frame| frame.flags & flag::END_STREAM != 0), "{stream}");
    }
}

/// Details that a program put among the metadata stay there, whatever they are and how many.
#[test]
fn details_among_the_metadata() {
    let key = "grpc-status-details-bin";
    let mut metadata = Metadata::new();
    metadata.append("a", "1").expect("legal");
    metadata.append_bin(key, b"x").expect("legal");
    metadata.append_bin(key, b"").expect("legal");
    metadata.append("b", "2").expect("legal");
    for code in [Code::Ok, Code::NotFound] {
        let mut pair = Pair::new();
        let call = pair.start("/test.Test/Call", Bidirectional);
        let (served, _) = pair.accept(Bidirectional);
        let status = Status::new(code, "").with_metadata(metadata.clone());
        pair.server.transport.finish(pair.now, served, &status);
        pair.drive();
        let received = ended(&mut pair, call).0;
        assert_eq!((received.code(), received.metadata()), (code, &metadata));
        assert_eq!(&received.details()[..], b"x");
        // Sent on, they are not doubled; replaced, they are not mixed.
        assert_eq!(
            received.clone().with_metadata(received.metadata().clone()).metadata(),
            &metadata
        );
        let replaced = received.with_details(&b"y"[..]);
        assert!(replaced.metadata().value_bin(key).is_none());
    }
}

fn ended(pair: &mut Pair, id: ferrpc_core::transport::CallId) -> (Status, bool) {
    pair.client
        .events
        .drain(..)
        .find_map(|event| match event {
            Event::Finished { call, status, from_peer, .. } if call == id => {
                Some((status, from_peer))
            }
            _ => None,
        })
        .expect("the call ended")
}

#[derive(Clone, Debug)]
struct Made {
    code: Code,
    message: String,
    details: Vec<u8>,
    entries: Vec<(usize, bool)>,
    headers: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let size = || prop_oneof![0usize..40, 0usize..3000, 0usize..40_000];
    let message = (size(), prop_oneof!["a", "%", " ", "\u{20ac}"]);
    (0usize..17, message, size(), vec((size(), any::<bool>()), 0..8), any::<bool>()).prop_map(
        |(code, (length, unit), details, entries, headers)| Made {
            code: Code::ALL[code],
            message: unit.repeat(length / unit.len()),
            details: vec![7; details],
            entries,
            headers,
        },
    )
}

proptest! {
    /// Our server sends nothing that our client refuses, whatever the limit: the code arrives, and
    /// the connection lives. A success arrives whole or becomes an error.
    #[test]
    fn what_is_sent_is_taken(limit in prop_oneof![0u32..400, 400u32..20_000], made in made()) {
        let mut client = Config::default();
        client.http2.limits.max_header_list_size = limit;
        let mut pair = Pair::with(client, Config::default());
        let call = pair.start("/test.Test/Call", Bidirectional);
        let (served, _) = pair.accept(Bidirectional);
        let mut metadata = Metadata::new();
        for (n, (size, binary)) in made.entries.iter().enumerate() {
            if *binary {
                metadata.append_bin(&format!("k{n}-bin"), &vec![1; *size]).expect("legal");
            } else {
                metadata.append(&format!("k{n}"), &"v".repeat(*size)).expect("legal");
            }
        }
        let status = Status::new(made.code, made.message.clone())
            .with_details(made.details.clone())
            .with_metadata(metadata.clone());
        if made.headers {
            pair.server.transport.send_headers(pair.now, served, &Metadata::new(), Encoding::Identity);
        }
        pair.server.transport.finish(pair.now, served, &status);
        pair.drive();
        // The least that a response can be.
        let fits = limit >= 150;
        let (received, from_peer) = ended(&mut pair, call);
        if !fits {
            prop_assert!(made.code == Code::Ok || !received.is_ok());
        } else if made.code == Code::Ok {
            prop_assert!(
                received.is_ok() && received.metadata() == &metadata
                    || received.code() == Code::ResourceExhausted,
                "{received}"
            );
        } else {
            prop_assert_eq!((received.code(), from_peer), (made.code, true));
            let whole = received.message() == made.message
                && received.metadata().len() == metadata.len() + usize::from(!made.details.is_empty());
            let told = received.message().contains("this status was shortened") || limit < 300;
            prop_assert!(whole || told, "{}", received);
            prop_assert!(!received.message().contains("missing"), "{}", received);
        }
        pair.start("/test.Test/Call", Unary);
        pair.accept(Unary);
    }
}
