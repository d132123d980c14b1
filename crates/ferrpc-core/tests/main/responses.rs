//! A client and a server written by hand: what answers mean.

use std::time::Duration;

use ferrpc_core::transport::{Cardinality, Config, Event, StartCall, TransparentRetry};
use ferrpc_core::{Code, EncodingSet, Status};
use ferrpc_testing::wire::{data, headers, message, reset};
use ferrpc_testing::{Pair, Scripted};

use Cardinality::{Bidirectional, ClientStreaming, ServerStreaming, Unary};

const HEAD: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];

/// What `frames` make of a call on stream 1.
fn outcome(cardinality: Cardinality, frames: &[Vec<u8>]) -> (Status, bool) {
    let mut client = Scripted::client(Config::default(), &[]);
    client.start(cardinality);
    client.feed(&frames.concat());
    let (status, retry, from_peer) = client.finished().expect("the call ended");
    assert_eq!(retry, TransparentRetry::No);
    assert_eq!(client.end.transport.open_calls(), 0);
    // The connection lives on.
    client.start(Cardinality::Unary);
    (status, from_peer)
}

fn head() -> Vec<u8> {
    headers(1, false, HEAD)
}

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    headers(1, true, fields)
}

fn ok() -> Vec<u8> {
    trailers(&[("grpc-status", "0")])
}

#[test]
fn statuses() {
    let check = |fields: &[(&str, &str)], code: Code, from_peer: bool| {
        let whole = [head(), data(1, false, &message(b"x")), trailers(fields)];
        let (status, by_peer) = outcome(Unary, &whole);
        assert_eq!((status.code(), by_peer), (code, from_peer), "{fields:?}");
        // Trailers-Only says the same, but for an OK without a message.
        if code != Code::Ok {
            let only = [HEAD, fields].concat();
            let (status, by_peer) = outcome(Unary, &[headers(1, true, &only)]);
            assert_eq!((status.code(), by_peer), (code, from_peer), "{fields:?}");
        }
    };
    check(&[("grpc-status", "0")], Code::Ok, true);
    check(&[("grpc-status", "00")], Code::Ok, true);
    check(&[("grpc-status", "005")], Code::NotFound, true);
    check(&[("grpc-status", "16")], Code::Unauthenticated, true);
    for junk in
        ["17", "99", "", "-1", "+1", "0x1", "OK", "1 2", "4294967296", "18446744073709551616"]
    {
        check(&[("grpc-status", junk)], Code::Unknown, true);
    }
    check(&[], Code::Unknown, false);
    check(&[("grpc-message", "lost")], Code::Unknown, false);
    // Proxies join fields of one name, or leave them.
    for joined in ["5,5", "5, 5", " 5 ", "0,5", "5, 0"] {
        check(&[("grpc-status", joined)], Code::NotFound, true);
    }
    check(&[("grpc-status", "5"), ("grpc-status", "5")], Code::NotFound, true);
    check(&[("grpc-status", "0"), ("k", "v"), ("grpc-status", "5")], Code::NotFound, true);
    check(&[("grpc-status", "0"), ("grpc-status", "0")], Code::Ok, true);
    // A status "cancelled" is the server's word, whatever the time.
    check(&[("grpc-status", "1")], Code::Cancelled, true);
}

#[test]
fn messages_of_statuses() {
    let check = |value: &str, text: &str| {
        let (status, _) = outcome(
            Unary,
            &[headers(1, true, &[HEAD, &[("grpc-status", "2"), ("grpc-message", value)]].concat())],
        );
        assert_eq!(status.message(), text, "{value}");
    };
    check("plain text", "plain text");
    check("k%C3%A4se", "käse");
    check("k%c3%a4se", "käse");
    check("100%", "100%");
    check("%zz%2", "%zz%2");
    check("%ff", "\u{fffd}");
    check("%0A", "\n");
}

/// What is in them is the programs' business.
#[test]
fn details_are_what_was_sent() {
    let check = |code: &str, details: &str, received: &[u8]| {
        let fields =
            [("a", "1"), ("grpc-status-details-bin", details), ("b", "2"), ("grpc-status", code)];
        let (status, from_peer) = outcome(Bidirectional, &[head(), trailers(&fields)]);
        assert!(from_peer);
        assert_eq!(status.details(), received, "{code} {details}");
        let metadata: Vec<_> = status.metadata().iter().map(|(key, _)| key).collect();
        assert_eq!(metadata, ["a", "grpc-status-details-bin", "b"]);
        let mut values = status.metadata().values_bin("grpc-status-details-bin");
        assert_eq!(values.next().as_deref(), Some(received));
    };
    // google.rpc.Status { code: 5 }
    check("5", "CAU", &[8, 5]);
    check("5", "CAU=", &[8, 5]);
    check("6", "CAU", &[8, 5]);
    check("0", "CAA", &[8, 0]);
    check("99", "CGM", &[8, 99]);
    check("5", "eyJ3aHkiOiAxfQ", b"{\"why\": 1}");
    check("5", "", &[]);
    // What is not base64 cannot be told; the code can.
    let fields = [("grpc-status", "5"), ("grpc-message", "m"), ("grpc-status-details-bin", "***")];
    let (status, from_peer) = outcome(Bidirectional, &[head(), trailers(&fields)]);
    assert_eq!((status.code(), from_peer, status.details().len()), (Code::NotFound, true, 0));
    let text = "m (parts of this status are missing: the value of metadata key \
                \"grpc-status-details-bin\" is not base64)";
    assert_eq!(status.message(), text);
}

#[test]
fn cardinality() {
    let one = message(b"x");
    let check = |cardinality, bodies: &[&[u8]], status: &str, code: Code| {
        let mut frames = vec![head()];
        frames.extend(bodies.iter().map(|body| data(1, false, body)));
        frames.push(trailers(&[("grpc-status", status)]));
        let (outcome, _) = outcome(cardinality, &frames);
        assert_eq!(outcome.code(), code, "{cardinality:?} {bodies:?} {outcome}");
    };
    for single in [Unary, ClientStreaming] {
        check(single, &[&one], "0", Code::Ok);
        check(single, &[], "0", Code::Unimplemented);
        check(single, &[], "5", Code::NotFound);
        check(single, &[&one, &one], "0", Code::Unimplemented);
        check(single, &[&one, &one[..2]], "0", Code::Unimplemented);
    }
    for many in [ServerStreaming, Bidirectional] {
        check(many, &[], "0", Code::Ok);
        check(many, &[&one, &one], "0", Code::Ok);
        check(many, &[&one, &one[..2]], "0", Code::Internal);
        check(many, &[&one, &one[..2]], "5", Code::NotFound);
    }
    for any in [Unary, ClientStreaming, ServerStreaming, Bidirectional] {
        check(any, &[&one[..2], &one[2..]], "0", Code::Ok);
        check(any, &[&[2, 0, 0, 0, 0]], "0", Code::Internal);
        check(any, &[&[1, 0, 0, 0, 0]], "0", Code::Internal);
        check(any, &[&[0, 255, 255, 255, 255, 1]], "0", Code::ResourceExhausted);
    }
    // An OK that does not fit is answered here, not by the peer.
    assert!(!outcome(Unary, &[head(), ok()]).1);
    assert!(!outcome(Bidirectional, &[head(), data(1, false, &one[..2]), ok()]).1);
}

#[test]
fn encodings() {
    let check = |name: &str, accept: EncodingSet, flag: u8, code: Code| {
        let mut client = Scripted::client(Config { accept, ..Config::default() }, &[]);
        client.start(Bidirectional);
        client.feed(&headers(1, false, &[HEAD, &[("grpc-encoding", name)]].concat()));
        client.feed(&data(1, false, &[flag, 0, 0, 0, 1, 7]));
        client.feed(&ok());
        let (status, ..) = client.finished().expect("the call ended");
        assert_eq!(status.code(), code, "{name} {flag}");
    };
    check("gzip", EncodingSet::ALL, 1, Code::Ok);
    check("gzip", EncodingSet::ALL, 0, Code::Ok);
    check("deflate", EncodingSet::ALL, 1, Code::Ok);
    check("identity", EncodingSet::ALL, 0, Code::Ok);
    check("identity", EncodingSet::ALL, 1, Code::Internal);
    check("snappy", EncodingSet::ALL, 0, Code::Internal);
    check("gzip", EncodingSet::IDENTITY, 0, Code::Internal);
}

#[test]
fn http_statuses() {
    for http in 200..=599 {
        let code = match http {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502..=504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        let http = http.to_string();
        for content_type in ["text/html", "application/grpc", "application/grpc-web"] {
            let fields = [(":status", &*http), ("content-type", content_type)];
            let (status, from_peer) = outcome(Unary, &[headers(1, true, &fields)]);
            assert_eq!((status.code(), from_peer), (code, false), "{http} {content_type}");
            if http != "200" || content_type != "application/grpc" {
                let frames = [headers(1, false, &fields), data(1, true, b"<html>")];
                let (status, _) = outcome(Unary, &frames);
                assert_eq!(status.code(), code, "{http} {content_type}");
            }
        }
        // A status that was sent counts, whatever HTTP says.
        let fields = [(":status", &*http), ("grpc-status", "9")];
        let (status, from_peer) = outcome(Unary, &[headers(1, true, &fields)]);
        assert_eq!((status.code(), from_peer), (Code::FailedPrecondition, true), "{http}");
    }
}

#[test]
fn informational_responses_are_skipped() {
    let hint = headers(1, false, &[(":status", "103"), ("grpc-status", "5")]);
    let rest = [head(), data(1, false, &message(b"x")), ok()].concat();
    let check = |hints: usize, code| {
        let (status, _) = outcome(Unary, &[hint.repeat(hints), rest.clone()]);
        assert_eq!(status.code(), code, "{hints}");
    };
    check(1, Code::Ok);
    check(8, Code::Ok);
    check(9, Code::Internal);
}

#[test]
fn resets() {
    for reason in (0..=0x10).chain([0xff, u32::MAX]) {
        let code = match reason {
            7 => Code::Unavailable,
            8 => Code::Cancelled,
            0xb => Code::ResourceExhausted,
            0xc => Code::PermissionDenied,
            _ => Code::Internal,
        };
        for before in [vec![], vec![head(), data(1, false, &message(b"x"))]] {
            let mut client = Scripted::client(Config::default(), &[]);
            client.start(Unary);
            client.feed(&before.concat());
            client.feed(&reset(1, reason));
            let (status, retry, from_peer) = client.finished().expect("the call ended");
            assert_eq!((status.code(), from_peer), (code, false), "{reason}");
            assert_eq!(retry == TransparentRetry::Refused, reason == 7);
            // Nothing is sent for a stream that is gone.
            assert_eq!(client.reset_of(1), None);
        }
        // After the status it means nothing.
        let (status, from_peer) =
            outcome(Unary, &[head(), data(1, false, &message(b"x")), ok(), reset(1, reason)]);
        assert_eq!((status.code(), from_peer), (Code::Ok, true), "{reason}");
    }
}

#[test]
fn a_cancel_after_the_deadline_is_the_deadline() {
    let check = |wait: u64, frame: Vec<u8>, code: Code| {
        let mut client = Scripted::client(Config::default(), &[]);
        let deadline = Some(client.now + Duration::from_millis(10));
        client.start_with(&StartCall { deadline, ..Pair::call() });
        // The bytes are read before the timer is looked at.
        client.now = client.now + Duration::from_millis(wait);
        client.feed(&frame);
        let (status, ..) = client.finished().expect("the call ended");
        assert_eq!(status.code(), code, "{wait}");
    };
    check(9, reset(1, 8), Code::Cancelled);
    check(10, reset(1, 8), Code::DeadlineExceeded);
    check(10, reset(1, 2), Code::Internal);
    check(10, headers(1, true, &[HEAD, &[("grpc-status", "1")]].concat()), Code::Cancelled);
}

#[test]
fn bodies_without_trailers() {
    let (status, from_peer) = outcome(Unary, &[head(), data(1, true, &message(b"x"))]);
    assert_eq!((status.code(), from_peer), (Code::Unknown, false));
    let (status, _) = outcome(Unary, &[head(), data(1, true, b"")]);
    assert_eq!(status.code(), Code::Unknown);
}

#[test]
fn ok_without_a_response() {
    let only = || vec![headers(1, true, &[HEAD, &[("grpc-status", "0")]].concat())];
    let cut_off = || vec![head(), data(1, false, &message(b"x")[..3]), ok()];
    for cardinality in [Unary, ClientStreaming] {
        let end = |frames: &[Vec<u8>], response_optional| {
            let mut client = Scripted::client(Config::default(), &[]);
            client.start_with(&StartCall { cardinality, response_optional, ..Pair::call() });
            client.feed(&frames.concat());
            let (status, _, from_peer) = client.finished().expect("the call ended");
            (status.code(), from_peer)
        };
        for frames in [only(), vec![head(), ok()]] {
            assert_eq!(end(&frames, false), (Code::Unimplemented, false));
            assert_eq!(end(&frames, true), (Code::Ok, true));
        }
        // Part of one is not none.
        assert_eq!(end(&cut_off(), true), (Code::Internal, false));
        let two = [head(), data(1, false, &[message(b"x"), message(b"y")].concat()), ok()];
        assert_eq!(end(&two, true), (Code::Unimplemented, false));
    }
}

#[test]
fn rules_of_http_broken_on_a_stream() {
    let check = |frames: &[Vec<u8>]| {
        let (status, from_peer) = outcome(Unary, frames);
        assert_eq!((status.code(), from_peer), (Code::Internal, false));
    };
    check(&[data(1, false, b"x")]);
    check(&[headers(1, false, &[("content-type", "application/grpc")])]);
    check(&[head(), headers(1, false, &[("grpc-status", "0")])]);
    check(&[head(), headers(1, true, &[(":status", "200"), ("grpc-status", "0")])]);
    check(&[head(), headers(1, true, &[("grpc-status", "0"), ("Upper", "x")])]);
}

#[test]
fn a_status_ends_what_is_still_being_sent() {
    let mut client = Scripted::client(Config::default(), &[]);
    client.start(Bidirectional);
    client.feed(&[head(), ok()].concat());
    assert!(client.finished().is_some());
    assert_eq!(client.reset_of(1), Some(0));

    let mut client = Scripted::client(Config::default(), &[]);
    let call = client.start(Bidirectional);
    client.end.transport.half_close(client.now, call);
    client.flush();
    client.feed(&[head(), ok(), reset(1, 0)].concat());
    assert!(client.finished().is_some_and(|(status, ..)| status.is_ok()));
    assert_eq!(client.reset_of(1), None);
}

#[test]
fn messages_come_before_the_status() {
    let mut client = Scripted::client(Config::default(), &[]);
    client.start(Bidirectional);
    let many = message(b"x").repeat(100);
    client.feed(&[head(), data(1, false, &many), ok()].concat());
    let events: Vec<_> = client.end.events.drain(..).collect();
    assert!(matches!(events[0], Event::Headers { .. }));
    assert!(events[1..101].iter().all(|event| matches!(event, Event::Message { .. })));
    assert!(matches!(events[101], Event::Finished { .. }));
    assert_eq!(events.len(), 102);
}
