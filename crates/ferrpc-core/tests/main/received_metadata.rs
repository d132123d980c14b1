//! Metadata on the wire: what is let in, what ends the call, and what ends nothing else.

use ferrpc_core::transport::{
    CallLimits, Cardinality, Config, Event, SendState, StartCall, StartError,
};
use ferrpc_core::{Code, Encoding, Metadata, Status};
use ferrpc_testing::wire::{self, REQUEST, data, headers, message};
use ferrpc_testing::{Pair, Scripted};

const HEAD: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];

fn request(extra: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [REQUEST, extra].concat()
}

/// The metadata that a server reports.
fn offered(extra: &[(&'static str, &'static str)]) -> Metadata {
    let mut server = Scripted::server(Config::default());
    server.feed(&headers(1, false, &request(extra)));
    match server.end.event() {
        Some(Event::Call { head, .. }) => head.metadata,
        event => panic!("{extra:?}: {event:?}"),
    }
}

#[test]
fn what_the_application_sees() {
    let metadata = offered(&[
        ("user-agent", "test/1"),
        ("grpc-foo", "x"),
        ("grpc-previous-rpc-attempts", "1"),
        ("grpc-trace-bin", "AQI="),
        ("grpc-tags-bin", "AwQ"),
        ("a", "1"),
        ("b", "caf\u{e9}"),
        ("c", "tab\tinside"),
        ("a", "2"),
        ("we!rd", "x"),
    ]);
    let keys: Vec<_> = metadata.iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(
        keys,
        [
            "user-agent",
            "grpc-foo",
            "grpc-previous-rpc-attempts",
            "grpc-trace-bin",
            "grpc-tags-bin",
            "a",
            "a"
        ]
    );
    assert_eq!(metadata.value_bin("grpc-trace-bin"), Some(vec![1, 2]));
    assert_eq!(metadata.value_bin("grpc-tags-bin"), Some(vec![3, 4]));
    assert_eq!(metadata.values("a").collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn binary_values() {
    let check = |value: &'static str, expected: &[&[u8]]| {
        let metadata = offered(&[("x-bin", value)]);
        assert_eq!(metadata.values_bin("x-bin").collect::<Vec<_>>(), expected, "{value}");
    };
    check("AQ", &[&[1]]);
    check("AQ==", &[&[1]]);
    check("AQ,AgM=", &[&[1], &[2, 3]]);
    check("AQ, AgM", &[&[1], &[2, 3]]);
    check("", &[&[]]);
    check("AQ,,Ag", &[&[1], &[], &[2]]);
}

#[test]
fn bad_base64_ends_its_call_only() {
    let mut server = Scripted::server(Config::default());
    server.feed(&headers(1, false, REQUEST));
    server.accept(Cardinality::Unary);
    for (stream, value) in [(3, "A"), (5, "a b"), (7, "AQ,*"), (9, "AQ="), (11, "AQ===")] {
        server.feed(&headers(stream, false, &request(&[("x-bin", value)])));
        let code = server.answer(stream, "grpc-status");
        // One "=" too few is taken, as other implementations do; too many are not.
        let expected = if value == "AQ=" { None } else { Some("13") };
        assert_eq!(code.as_deref(), expected, "{value}");
        if value == "AQ=" {
            server.accept(Cardinality::Unary);
        }
    }
    server.feed(&data(1, true, &message(b"x")));
    assert!(matches!(server.end.event(), Some(Event::Message { .. })), "the first call lives");

    let mut client = Scripted::client(Config::default(), &[]);
    let [early, late, other] = [(); 3].map(|()| client.start(Cardinality::Bidirectional));
    client.feed(&headers(1, false, &[HEAD, &[("x-bin", "*")]].concat()));
    client.feed(&headers(3, false, HEAD));
    client.feed(&headers(3, true, &[("grpc-status", "0"), ("x-bin", "*")]));
    client.feed(&headers(5, false, HEAD));
    client.feed(&headers(5, true, &[("grpc-status", "0")]));
    let mut ends = Vec::new();
    while let Some(event) = client.end.event() {
        if let Event::Finished { call, status, from_peer, .. } = event {
            ends.push((call, status.code(), from_peer));
        }
    }
    let bad = (Code::Internal, false);
    assert_eq!(ends, [(early, bad.0, bad.1), (late, bad.0, bad.1), (other, Code::Ok, true)]);
}

#[test]
fn malformed_fields_are_errors_of_their_stream() {
    for (name, value) in [
        ("Upper", "x"),
        ("a", "x\r\ny"),
        ("a", "\0"),
        ("", "x"),
        ("connection", "close"),
        ("te", "x"),
    ] {
        let mut server = Scripted::server(Config::default());
        server.feed(&headers(1, false, &request(&[(name, value)])));
        assert_eq!(server.reset_of(1), Some(1), "{name}: {value:?}");
        server.feed(&headers(3, false, REQUEST));
        assert!(matches!(server.end.event(), Some(Event::Call { .. })), "{name}: {value:?}");
    }
}

const COMMAS: &str = ",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,";

/// Row 36: each value that a comma separates gets the name, so that a few bytes stand for many. What
/// they stand for counts, before it is made.
#[test]
fn joined_values_count_as_what_they_become() {
    let name = format!("{}-bin", "k".repeat(996));
    let fields = |commas: usize| [REQUEST, &[(&*name, &COMMAS[..commas])]].concat();
    // Each value is 1,032 bytes.
    for (commas, refused) in [(1, false), (14, false), (15, true), (72, true)] {
        let mut server = Scripted::server(Config::default());
        server.feed(&headers(1, false, &fields(commas)));
        let event = server.end.event();
        if refused {
            assert!(event.is_none());
            assert_eq!(server.answer(1, "grpc-status").as_deref(), Some("8"));
            let text = server.answer(1, "grpc-message").expect("a text");
            assert!(text.contains("exceeds hard limit"), "{text}");
        } else {
            let Some(Event::Call { head, .. }) = event else { panic!("{event:?}") };
            assert_eq!(head.metadata.values_bin(&name).count(), commas + 1);
        }
        server.feed(&headers(3, false, REQUEST));
        assert!(matches!(server.end.event(), Some(Event::Call { .. })), "the connection lives");
    }
}

/// The same with any limit: what all calls of a connection hold is bounded.
#[test]
fn joined_values_are_held_like_others() {
    let mut config = Config::default();
    config.http2.limits.max_header_list_size = 64 << 20;
    let budget = config.http2.limits.max_held_headers;
    let mut server = Scripted::server(config);
    let mut encoder = ferrpc_http2::hpack::Encoder::new();
    let name = format!("{}-bin", "k".repeat(796));
    let (mut made, mut taken) = (0, 0);
    for stream in (0..400).map(|n| 2 * n + 1) {
        let list = [REQUEST, &[(&*name, COMMAS)]].concat();
        let mut block = Vec::new();
        let fields = list.iter().map(|(name, value)| ferrpc_http2::Field {
            name: name.as_bytes(),
            value: value.as_bytes(),
            sensitive: false,
        });
        // Equal blocks would be read once.
        let unique = stream.to_string();
        let unique = ferrpc_http2::Field { name: b"x", value: unique.as_bytes(), sensitive: true };
        encoder.encode(fields.chain([unique]), &mut block);
        server.feed(&wire::frame(wire::kind::HEADERS, wire::flag::END_HEADERS, stream, &block));
        match server.end.event() {
            Some(Event::Call { call, head }) => {
                taken += 1;
                made += head.metadata.iter().map(|(key, _)| key.len()).sum::<usize>();
                server.end.transport.accept(call, Cardinality::Unary, CallLimits::default());
            }
            _ => assert_eq!(server.answer(stream, "grpc-status").as_deref(), Some("8")),
        }
    }
    assert!((50..400).contains(&taken), "{taken} calls");
    assert!(made <= budget, "{made} bytes of metadata");
}

/// And at a client, which server's headers and trailers reach.
#[test]
fn joined_values_at_a_client() {
    let name = format!("{}-bin", "k".repeat(996));
    let bomb = [(&*name, COMMAS)];
    let outcome = |frames: &[Vec<u8>]| {
        let mut client = Scripted::client(Config::default(), &[]);
        client.start(Cardinality::Bidirectional);
        client.start(Cardinality::Bidirectional);
        client.feed(&frames.concat());
        let end = client.finished().expect("the call ended");
        assert_eq!(client.end.transport.open_calls(), 1, "the other call lives");
        end
    };
    let (status, _, from_peer) = outcome(&[headers(1, false, &[HEAD, &bomb].concat())]);
    assert_eq!((status.code(), from_peer), (Code::ResourceExhausted, false));
    for (code, expected, from_peer) in
        [("0", Code::ResourceExhausted, false), ("5", Code::NotFound, true)]
    {
        let end = [&[("grpc-status", code), ("a", "1")][..], &bomb].concat();
        let shapes = [
            vec![headers(1, false, HEAD), headers(1, true, &end)],
            vec![headers(1, true, &[HEAD, &end].concat())],
        ];
        for frames in shapes {
            let (status, _, by_peer) = outcome(&frames);
            assert_eq!((status.code(), by_peer), (expected, from_peer));
            assert!(status.message().contains("exceeds hard limit"), "{status}");
            assert!(status.metadata().len() <= 1);
        }
    }
}

/// A header list of more than 16 KiB that fills the table of the decoder.
fn oversized() -> Vec<(String, String)> {
    (0..20).map(|index| (format!("k{index}"), "v".repeat(1000))).collect()
}

#[test]
fn oversized_metadata_ends_its_call_only() {
    // A real encoder, whose table the skipped fields fill: later lists need them decoded.
    let mut encoder = ferrpc_http2::hpack::Encoder::new();
    let mut block = |stream: u32, fields: &[(&str, &str)]| {
        let mut out = Vec::new();
        let fields = fields.iter().map(|(name, value)| ferrpc_http2::Field {
            name: name.as_bytes(),
            value: value.as_bytes(),
            sensitive: false,
        });
        encoder.encode(fields, &mut out);
        let (first, rest) = out.split_at(out.len().min(16_000));
        let last = rest.is_empty();
        let end = if last { wire::flag::END_HEADERS } else { 0 };
        let mut frames = wire::frame(wire::kind::HEADERS, end, stream, first);
        if !last {
            let end = wire::flag::END_HEADERS;
            frames.extend(wire::frame(wire::kind::CONTINUATION, end, stream, rest));
        }
        frames
    };
    let large = oversized();
    let extra: Vec<_> = large.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut server = Scripted::server(Config::default());
    server.feed(&block(1, &[REQUEST, &extra].concat()));
    assert_eq!(server.answer(1, "grpc-status").as_deref(), Some("8"));
    assert!(server.end.event().is_none());
    server.feed(&block(3, &[REQUEST, &extra[19..]].concat()));
    let event = server.end.event();
    let Some(Event::Call { head, .. }) = event else { panic!("{event:?}") };
    assert_eq!(head.metadata.value("k19").map(str::len), Some(1000));
}

#[test]
fn oversized_answers() {
    let large = oversized();
    let extra: Vec<_> = large.iter().map(|(name, value)| (&**name, &**value)).collect();
    let frames = |end, fields: &[(&str, &str)]| {
        let block = wire::block(fields);
        let (first, rest) = block.split_at(16_000);
        let flags = if end { wire::flag::END_STREAM } else { 0 };
        let mut frames = wire::frame(wire::kind::HEADERS, flags, 1, first);
        frames.extend(wire::frame(wire::kind::CONTINUATION, wire::flag::END_HEADERS, 1, rest));
        frames
    };
    let check = |bytes: &[u8]| {
        let mut client = Scripted::client(Config::default(), &[]);
        client.start(Cardinality::Bidirectional);
        client.start(Cardinality::Bidirectional);
        client.feed(bytes);
        let (status, _, from_peer) = client.finished().expect("the call ended");
        assert_eq!((status.code(), from_peer), (Code::ResourceExhausted, false));
        assert_eq!(client.end.transport.open_calls(), 1);
    };
    check(&frames(false, &[HEAD, &extra].concat()));
    check(&frames(true, &[HEAD, &extra].concat()));
    let trailers = [&[("grpc-status", "0")][..], &extra].concat();
    check(&[headers(1, false, HEAD), frames(true, &trailers)].concat());
}

fn metadata(bytes: usize) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.append("k", &"v".repeat(bytes)).expect("legal");
    metadata
}

#[test]
fn what_the_peer_does_not_take_is_not_sent() {
    // SETTINGS_MAX_HEADER_LIST_SIZE
    let mut client = Scripted::client(Config::default(), &[(6, 1000)]);
    let large = metadata(1000);
    let refused = client
        .end
        .transport
        .start_call(client.now, &StartCall { metadata: &large, ..Pair::call() });
    assert!(
        matches!(refused, Err(StartError::MetadataTooLarge { size, limit: 1000 }) if size > 1000),
        "{refused:?}"
    );
    // The path is of the list, too.
    let path = format!("/test.Test/{}", "p".repeat(1000));
    let refused =
        client.end.transport.start_call(client.now, &StartCall { path: &path, ..Pair::call() });
    assert!(matches!(refused, Err(StartError::MetadataTooLarge { .. })), "{refused:?}");
    client.start_with(&StartCall { metadata: &metadata(100), ..Pair::call() });

    let mut server = Scripted::server(Config::default());
    server.feed(&wire::settings(&[(6, 1000)]));
    let mut next = 1;
    let mut call = |server: &mut Scripted| {
        server.feed(&headers(next, false, REQUEST));
        next += 2;
        server.accept(Cardinality::Bidirectional)
    };
    let now = server.now;
    let identity = Encoding::Identity;

    let initial = call(&mut server);
    let state = server.end.transport.send_headers(now, initial, &large, identity);
    assert_eq!(state, SendState::Gone);
    let trailing = call(&mut server);
    server.end.transport.send_headers(now, trailing, &metadata(100), identity);
    server.end.transport.finish(now, trailing, &Status::ok().with_metadata(large.clone()));
    let failed = call(&mut server);
    let status = Status::not_found("x").with_metadata(large);
    server.end.transport.finish(now, failed, &status);
    let text = call(&mut server);
    server.end.transport.finish(now, text, &Status::not_found("m".repeat(600)));
    server.flush();
    // The code of a failure is worth more than the reason why its metadata is missing.
    for (stream, code) in [(1, "8"), (3, "8"), (5, "5"), (7, "5")] {
        assert_eq!(server.answer(stream, "grpc-status").as_deref(), Some(code), "{stream}");
        let size = server.lists(stream).last().map(ferrpc_http2::Fields::list_size);
        assert!(size.is_some_and(|size| size <= 1000), "{stream}: {size:?}");
    }
    assert_eq!(server.answer(7, "grpc-message").map(|text| text.len()), Some(600));
    assert_eq!(server.end.transport.open_calls(), 0);
}
