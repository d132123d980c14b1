//! Each kind of frame in each state of a stream (RFC 9113, 4, 5.1, 6), after h2spec's cases.

use ferrpc_http2::{Config, Reason, Role};
use ferrpc_testing::wire::{self, Seen, Subject, flag, frame, kind};

use super::Expect::{Connection, Fine, Stream};
use super::{CLOSED, HALF_CLOSED, IDLE, OPEN, RESET_BY_PEER, RESET_BY_US, check, config};

const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;
const SIZE: Reason = Reason::FRAME_SIZE_ERROR;
const STREAM_CLOSED: Reason = Reason::STREAM_CLOSED;

/// 5.1: what each state permits.
#[test]
fn states_of_streams() {
    let request = |id| wire::headers(id, true, wire::REQUEST);
    let trailers = |id| wire::headers(id, true, &[("a", "b")]);
    let data = |id| wire::data(id, true, b"data");
    let reset = |id| wire::reset(id, 8);
    let update = |id| wire::window_update(id, 1);
    let priority = |id| frame(kind::PRIORITY, 0, id, &[0; 5]);

    check("idle: HEADERS", &request(IDLE), Fine);
    check("idle: DATA", &data(IDLE), Connection(PROTOCOL));
    check("idle: RST_STREAM", &reset(IDLE), Connection(PROTOCOL));
    check("idle: WINDOW_UPDATE", &update(IDLE), Connection(PROTOCOL));
    check("idle: PRIORITY", &priority(IDLE), Fine);
    check("idle: PRIORITY on a far stream", &priority(0x7fff_fffe), Fine);

    check("open: trailers", &trailers(OPEN), Fine);
    check("open: DATA", &data(OPEN), Fine);
    check("open: RST_STREAM", &reset(OPEN), Fine);
    check("open: WINDOW_UPDATE", &update(OPEN), Fine);
    check("open: PRIORITY", &priority(OPEN), Fine);
    check(
        "open: a second request",
        &wire::headers(OPEN, false, wire::REQUEST),
        Stream(OPEN, PROTOCOL),
    );
    let section = wire::headers(OPEN, false, &[("a", "b")]);
    check("open: trailers without end", &section, Stream(OPEN, PROTOCOL));

    check("half closed: trailers", &trailers(HALF_CLOSED), Stream(HALF_CLOSED, STREAM_CLOSED));
    check("half closed: DATA", &data(HALF_CLOSED), Stream(HALF_CLOSED, STREAM_CLOSED));
    check("half closed: RST_STREAM", &reset(HALF_CLOSED), Fine);
    check("half closed: WINDOW_UPDATE", &update(HALF_CLOSED), Fine);
    check("half closed: PRIORITY", &priority(HALF_CLOSED), Fine);

    for id in [CLOSED, RESET_BY_PEER] {
        check("closed: HEADERS", &request(id), Connection(STREAM_CLOSED));
        check("closed: DATA", &data(id), Stream(id, STREAM_CLOSED));
        check("closed: RST_STREAM", &reset(id), Fine);
        check("closed: WINDOW_UPDATE", &update(id), Fine);
        check("closed: PRIORITY", &priority(id), Fine);
    }
    // The peer may not know of the reset yet.
    check("reset: HEADERS", &request(RESET_BY_US), Fine);
    check("reset: DATA", &data(RESET_BY_US), Fine);
    check("reset: RST_STREAM", &reset(RESET_BY_US), Fine);
    check("reset: WINDOW_UPDATE", &update(RESET_BY_US), Fine);
    check("reset: PRIORITY", &priority(RESET_BY_US), Fine);

    // 5.1.1, row 31.
    check("even id", &request(12), Connection(PROTOCOL));
    check("even id below", &request(2), Connection(PROTOCOL));
    let back = [request(IDLE + 8), request(IDLE + 2)].concat();
    check("decreasing id", &back, Connection(PROTOCOL));
    let skipped = [request(IDLE + 8), data(IDLE + 2)].concat();
    check("DATA on a skipped id", &skipped, Stream(IDLE + 2, STREAM_CLOSED));
}

/// 6: frames on the wrong kind of stream, and of wrong sizes.
#[test]
fn layout() {
    let payload = |length: usize| vec![0; length];
    let at = |kind, stream, length| frame(kind, 0, stream, &payload(length));
    check("DATA on the connection", &at(kind::DATA, 0, 1), Connection(PROTOCOL));
    check("HEADERS on the connection", &at(kind::HEADERS, 0, 1), Connection(PROTOCOL));
    check("PRIORITY on the connection", &at(kind::PRIORITY, 0, 5), Connection(PROTOCOL));
    check("RST_STREAM on the connection", &at(kind::RST_STREAM, 0, 4), Connection(PROTOCOL));
    check("CONTINUATION on the connection", &at(kind::CONTINUATION, 0, 1), Connection(PROTOCOL));
    check("SETTINGS on a stream", &at(kind::SETTINGS, OPEN, 0), Connection(PROTOCOL));
    check("PING on a stream", &at(kind::PING, OPEN, 8), Connection(PROTOCOL));
    check("GOAWAY on a stream", &at(kind::GOAWAY, OPEN, 8), Connection(PROTOCOL));
    check("PUSH_PROMISE of a client", &at(kind::PUSH_PROMISE, OPEN, 4), Connection(PROTOCOL));

    for length in [0, 4, 6, 100] {
        check("PRIORITY", &at(kind::PRIORITY, OPEN, length), Stream(OPEN, SIZE));
        check("PRIORITY, closed", &at(kind::PRIORITY, CLOSED, length), Stream(CLOSED, SIZE));
        // An idle stream cannot be reset (5.1); a stream error may count as more (5.4.1).
        check("PRIORITY, idle", &at(kind::PRIORITY, IDLE, length), Connection(SIZE));
    }
    for length in [0, 3, 5] {
        check("RST_STREAM", &at(kind::RST_STREAM, OPEN, length), Connection(SIZE));
        check("WINDOW_UPDATE", &at(kind::WINDOW_UPDATE, OPEN, length), Connection(SIZE));
        check("WINDOW_UPDATE", &at(kind::WINDOW_UPDATE, 0, length), Connection(SIZE));
    }
    for length in [0, 7, 9] {
        check("PING", &at(kind::PING, 0, length), Connection(SIZE));
    }
    for length in [1, 5, 7] {
        check("SETTINGS", &at(kind::SETTINGS, 0, length), Connection(SIZE));
    }
    check("GOAWAY", &at(kind::GOAWAY, 0, 7), Connection(SIZE));
    let ack = frame(kind::SETTINGS, flag::ACK, 0, &payload(6));
    check("SETTINGS ACK with a payload", &ack, Connection(SIZE));
}

/// 4.2: the largest frame, and one byte more.
#[test]
fn frame_size() {
    let most = 16_384;
    let data = |length: usize| wire::data(OPEN, true, &vec![0; length]);
    check("largest DATA", &data(most), Fine);
    check("DATA too large", &data(most + 1), Connection(SIZE));
    let unknown = |length: usize| frame(0x42, 0, 0, &vec![0; length]);
    check("largest unknown frame", &unknown(most), Fine);
    check("unknown frame too large", &unknown(most + 1), Connection(SIZE));
    check(
        "HEADERS too large",
        &frame(kind::HEADERS, 4, IDLE, &vec![0; most + 1]),
        Connection(SIZE),
    );

    // What is enforced is what is advertised, also if that was asked to be less than is allowed.
    for (asked, size) in [(0, 16_384), (20_000, 20_000), (u32::MAX, 16_777_215)] {
        let mut server = Subject::new(Role::Server, Config { max_frame_size: asked, ..config() });
        let greeting = server.frames();
        let entry = [&[0, 5][..], &u32::to_be_bytes(size)].concat();
        assert!(greeting[0].payload.chunks(6).any(|it| it == entry), "{greeting:?}");
        server.feed(&wire::client_hello());
        server.feed(&frame(0x42, 0, 0, &vec![0; size as usize]));
        assert_eq!(server.error(), None, "{asked}");
    }
}

/// 6.1, 6.2: padding.
#[test]
fn padding() {
    let data = |payload: &[u8]| frame(kind::DATA, flag::PADDED, OPEN, payload);
    check("padding of 0", &data(&[0, 1, 2]), Fine);
    check("padding only", &data(&[2, 0, 0]), Fine);
    check("padding of the whole frame", &data(&[3, 0, 0]), Connection(PROTOCOL));
    check("no pad length", &data(&[]), Connection(SIZE));
    check("padding, closed stream", &frame(kind::DATA, 8, RESET_BY_US, &[2, 0, 0]), Fine);
    let mut block = wire::block(wire::REQUEST);
    let headers =
        |flags, payload: &[u8]| frame(kind::HEADERS, flags | flag::END_HEADERS, IDLE, payload);
    let padded = [&[3], &block[..], &[0; 3]].concat();
    check("HEADERS, padded", &headers(flag::PADDED, &padded), Fine);
    let over = u8::try_from(block.len() + 1).expect("a short block");
    block.insert(0, over);
    check("HEADERS, padding too long", &headers(flag::PADDED, &block), Connection(PROTOCOL));
    check("HEADERS, no pad length", &headers(flag::PADDED, &[]), Connection(SIZE));
    check("HEADERS, no priority", &headers(flag::PRIORITY, &[0; 4]), Connection(SIZE));
    // 5.3.2: deprecated, with all its rules.
    let own = [&IDLE.to_be_bytes()[..], &[7], &wire::block(wire::REQUEST)].concat();
    check("HEADERS that depends on itself", &headers(flag::PRIORITY, &own), Fine);
    let own = [&OPEN.to_be_bytes()[..], &[7]].concat();
    check("PRIORITY that depends on itself", &frame(kind::PRIORITY, 0, OPEN, &own), Fine);
}

/// 6.10: a header block is one thing.
#[test]
fn header_blocks() {
    let block = wire::block(wire::REQUEST);
    let (a, b) = block.split_at(10);
    let begin = frame(kind::HEADERS, flag::END_STREAM, IDLE, a);
    let end = frame(kind::CONTINUATION, flag::END_HEADERS, IDLE, b);
    let with = |middle: &[u8]| [&begin[..], middle, &end].concat();
    check("two frames", &with(&[]), Fine);
    check("an empty one between", &with(&frame(kind::CONTINUATION, 0, IDLE, &[])), Fine);
    let nothing = frame(kind::HEADERS, 0, IDLE, &[]);
    let whole = frame(kind::CONTINUATION, flag::END_HEADERS, IDLE, &block);
    check("empty HEADERS", &[nothing, whole].concat(), Fine);
    let between: &[(&str, Vec<u8>)] = &[
        ("DATA", wire::data(OPEN, false, b"x")),
        ("HEADERS", wire::headers(IDLE, false, wire::REQUEST)),
        ("HEADERS of another", wire::headers(IDLE + 2, false, wire::REQUEST)),
        ("PRIORITY", frame(kind::PRIORITY, 0, IDLE, &[0; 5])),
        ("RST_STREAM", wire::reset(IDLE, 8)),
        ("SETTINGS", wire::settings(&[])),
        ("PING", wire::ping([0; 8])),
        ("GOAWAY", wire::go_away(0, 0, "")),
        ("WINDOW_UPDATE", wire::window_update(0, 1)),
        ("CONTINUATION of another", frame(kind::CONTINUATION, flag::END_HEADERS, OPEN, &[])),
        ("an unknown frame", frame(0x42, 0, 0, &[])),
    ];
    for (what, bytes) in between {
        check(what, &with(bytes), Connection(PROTOCOL));
    }
    check("CONTINUATION alone", &frame(kind::CONTINUATION, 4, OPEN, b), Connection(PROTOCOL));
    let twice = [with(&[]), end.clone()].concat();
    check("CONTINUATION behind the end", &twice, Connection(PROTOCOL));
    // HPACK's errors are the connection's (4.3), whoever the stream was.
    let bad = |id| frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, &[0xff; 8]);
    for id in [IDLE, OPEN, HALF_CLOSED, CLOSED, RESET_BY_US] {
        check("a block that cannot be decoded", &bad(id), Connection(Reason::COMPRESSION_ERROR));
    }
    let cut = frame(kind::HEADERS, flag::END_HEADERS, IDLE, &block[..block.len() - 1]);
    check("a block that is cut off", &cut, Connection(Reason::COMPRESSION_ERROR));
}

/// 4.1, 5.5, 6.5.2: what is unknown is ignored.
#[test]
fn extensions() {
    check("unknown frame", &frame(0x42, 0xff, 0, b"payload"), Fine);
    check("unknown frame, idle stream", &frame(0x42, 0xff, IDLE, b""), Fine);
    check("unknown setting", &wire::settings(&[(0xff, 1), (0, 0xffff_ffff)]), Fine);
    check("unknown flags", &frame(kind::DATA, 0xf6, OPEN, b"data"), Fine);
    check("unknown flags of PING", &frame(kind::PING, 0xfe, 0, &[0; 8]), Fine);
    check("unknown error code", &wire::reset(OPEN, 0xff), Fine);
    let mut reserved = wire::data(OPEN, false, b"data");
    reserved[5] |= 0x80;
    check("reserved bit", &reserved, Fine);
}

/// 6.5.2: the values of settings; row 10.
#[test]
fn settings() {
    let one = |id, value| wire::settings(&[(id, value)]);
    check("ENABLE_PUSH 0", &one(2, 0), Fine);
    check("ENABLE_PUSH 1", &one(2, 1), Fine);
    check("ENABLE_PUSH 2", &one(2, 2), Connection(PROTOCOL));
    for size in [0, 1, 16_383, 16_777_216, u32::MAX] {
        check("MAX_FRAME_SIZE", &one(5, size), Connection(PROTOCOL));
    }
    for size in [16_384, 16_777_215] {
        check("MAX_FRAME_SIZE", &one(5, size), Fine);
    }
    check("HEADER_TABLE_SIZE of 4 GiB", &one(1, u32::MAX), Fine);
    check("the last entry is wrong", &wire::settings(&[(1, 0), (5, 0)]), Connection(PROTOCOL));
}

/// 3.4: what a connection begins with.
#[test]
fn preface() {
    let start = |bytes: &[u8]| {
        let mut server = Subject::new(Role::Server, config());
        let seen = server.feed(bytes);
        (server, seen)
    };
    let bad: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx",
        &[0x16, 3, 1],
        &[wire::PREFACE, &wire::ping([0; 8])].concat(),
        &[wire::PREFACE, &wire::headers(1, true, wire::REQUEST)].concat(),
        &[wire::PREFACE, &frame(kind::SETTINGS, flag::ACK, 0, &[])].concat(),
        &[wire::PREFACE, &frame(0x42, 0, 0, &[])].concat(),
    ];
    for bytes in bad {
        let (mut server, seen) = start(bytes);
        assert_eq!(seen, [Seen::Closed], "{bytes:?}");
        assert_eq!(server.error().map(|error| error.0), Some(PROTOCOL));
        // Our SETTINGS come first all the same.
        assert_eq!(server.frames()[0].kind, kind::SETTINGS);
    }
    let (mut server, seen) = start(&wire::client_hello());
    assert_eq!(seen, [Seen::Ready]);
    let sent = server.frames();
    assert_eq!((sent[0].kind, sent[0].flags), (kind::SETTINGS, 0));
    assert!(sent.contains(&wire::parse(&frame(kind::SETTINGS, flag::ACK, 0, &[]))[0]));
    // Nothing is said after the end.
    let (mut server, _) = start(b"GET / HTTP/1.1\r\n");
    server.frames();
    assert_eq!(server.feed(&wire::client_hello()), []);
    assert_eq!(server.frames(), []);
}

/// 6.7: every ping has its own answer, in order.
#[test]
fn pongs() {
    let mut server = Subject::server(config());
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for n in 0..100_u64 {
        sent.extend(wire::ping(n.to_be_bytes()));
        expected.extend(frame(kind::PING, flag::ACK, 0, &n.to_be_bytes()));
    }
    server.feed(&sent);
    assert_eq!(server.output(), expected);
}
