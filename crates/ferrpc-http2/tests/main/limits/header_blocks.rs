//! Rows 3, 4, 5, 7: header blocks that are endless, or larger than they look.

use ferrpc_http2::{Config, Reason};
use ferrpc_testing::wire::{self, Seen, Subject, flag, frame, kind};

use super::{CALM, assert_ended};

/// `:method: POST`, `:scheme: http`, `:path: /`, from the static table.
const INDEXED_REQUEST: [u8; 3] = [0x83, 0x86, 0x84];

/// The newest entry of the dynamic table, in one byte.
const NEWEST: u8 = 0x80 | 62;

/// HEADERS of a whole block.
fn request(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, block)
}

/// A literal that enters the table.
fn indexing(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("a short text") & 0x7f;
    assert!(name.len() < 127 && value.len() < 127);
    [&[0x40, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// Row 3: eight CONTINUATION frames, not nine.
#[test]
fn continuations() {
    let block = wire::block(wire::REQUEST);
    let with = |count: usize, end: bool| {
        let mut bytes = frame(kind::HEADERS, flag::END_STREAM, 1, &block[..1]);
        for n in 0..count {
            let last = end && n + 1 == count;
            let rest = if n + 1 < count { &block[n + 1..n + 2] } else { &block[n + 1..] };
            let flags = if last { flag::END_HEADERS } else { 0 };
            bytes.extend(frame(kind::CONTINUATION, flags, 1, rest));
        }
        bytes
    };
    let mut server = Subject::server(Config::default());
    assert_eq!(server.feed(&with(8, true)).len(), 1);
    assert_eq!(server.error(), None);
    let mut server = Subject::server(Config::default());
    server.feed(&with(8, false));
    assert_eq!(server.error(), None);
    server.feed(&frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]));
    assert_ended(&mut server, CALM, "too_many_continuations");
}

/// A larger header limit alone lets larger lists in, in frames of the usual size.
#[test]
fn large_lists_if_allowed() {
    let mut config = Config::default();
    config.limits.max_header_list_size = 2 << 20;
    let mut server = Subject::server(config);
    let value = "v".repeat(50_000);
    let long = vec![("long", &value[..]); 20];
    let seen = server.feed(&in_frames(1, &wire::block(&[wire::REQUEST, &long].concat())));
    assert_eq!(server.error(), None);
    assert!(matches!(seen[..], [Seen::Opened { too_large: false, .. }]));
}

/// Row 3: a block of as many bytes as are taken, and of one byte more; it is decoded as it comes,
/// so little of it is ever held.
#[test]
fn block_bytes() {
    let mut config = Config { max_frame_size: 1 << 20, ..Config::default() };
    config.limits.max_header_list_size = 1000;
    config.limits.max_header_block = 1500;
    // Table size updates stand for anything that is long and means nothing: they are not fields.
    let filler = |length: usize| {
        let mut block = INDEXED_REQUEST.to_vec();
        while block.len() < length {
            let value = (length - block.len()).saturating_sub(4).min(100);
            block.extend([&[0, 1, b'a', value as u8][..], &vec![b'x'; value]].concat());
        }
        block.truncate(length);
        block
    };
    let cut = |block: &[u8], at: usize| {
        let (first, second) = block.split_at(at);
        [
            frame(kind::HEADERS, flag::END_STREAM, 1, first),
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, second),
        ]
        .concat()
    };
    let mut server = Subject::server(config.clone());
    let seen = server.feed(&cut(&filler(2000), 700));
    assert!(matches!(seen[..], [Seen::Opened { too_large: true, .. }]), "{seen:?}");
    let mut server = Subject::server(config.clone());
    server.feed(&cut(&filler(2001), 700));
    assert_ended(&mut server, CALM, "header_block_too_large");
    // In one frame it is seen from the frame's head, before any of it is held.
    let mut server = Subject::server(config);
    let head = &frame(kind::HEADERS, flag::END_HEADERS, 1, &filler(3000))[..9];
    server.feed(head);
    assert_ended(&mut server, CALM, "header_block_too_large");
}

/// Rows 4, 5, 7: a list that is too large costs its call, not the connection; the table stays in
/// step; what is held is within the limit.
#[test]
fn list_limits() {
    let (size, count) = (Config::default().limits.max_header_list_size as usize, 200);
    let mut server = Subject::server(Config::default());
    let entry = indexing("key", &"v".repeat(100));
    let prime = [&INDEXED_REQUEST[..], &entry].concat();
    assert_eq!(server.feed(&request(1, &prime)).len(), 1);
    // (10 + 33) + (11 + 32) + (6 + 32) bytes of pseudo-headers, 135 for each reference.
    let fixed = (7 + 4 + 32) + (7 + 4 + 32) + (5 + 1 + 32);
    let fitting = (size - fixed) / 135;
    for (references, expected) in [(fitting, false), (fitting + 1, true), (30_000, true)] {
        let id = 3 + 2 * references as u32;
        let block = [&INDEXED_REQUEST[..], &vec![NEWEST; references]].concat();
        let mut input = Vec::new();
        let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
        for (n, piece) in pieces.iter().enumerate() {
            let end = if n + 1 == pieces.len() { flag::END_HEADERS } else { 0 };
            input.extend(frame(if n == 0 { 1 } else { 9 }, end, id, piece));
        }
        let seen = server.feed(&input);
        let Some(Seen::Opened { fields, too_large, .. }) = seen.first() else {
            panic!("{references}: {seen:?}");
        };
        assert_eq!(*too_large, expected, "{references}");
        assert!(fields.list_size() <= size && fields.held_bytes() <= 3 * size);
    }
    // Still in step.
    let seen = server.feed(&request(100_001, &[&INDEXED_REQUEST[..], &[NEWEST]].concat()));
    let Some(Seen::Opened { fields, too_large: false, .. }) = seen.first() else {
        panic!("{seen:?}");
    };
    assert_eq!(fields.value(b"key"), Some("v".repeat(100).as_bytes()));
    assert_eq!(server.connection.counters().header_lists_too_large, 2);

    // The number of fields.
    for (references, expected) in [(count - 3, false), (count - 2, true)] {
        let mut config = Config::default();
        config.limits.max_header_fields = count as u32;
        let mut server = Subject::server(config);
        server.feed(&request(1, &[&INDEXED_REQUEST[..], &indexing("k", "")].concat()));
        let block = [&INDEXED_REQUEST[..], &vec![NEWEST; references]].concat();
        let seen = server.feed(&request(3, &block));
        let [Seen::Opened { too_large, .. }] = seen[..] else { panic!("{seen:?}") };
        assert_eq!(too_large, expected, "{references}");
    }
}

/// Rows 3, 4: one value of any length up to the block's limit costs its call alone, and so does a
/// list of any number of frames.
#[test]
fn large_values_cost_their_call() {
    for length in [20_000, 40_000, 70_000, 200_000, 1_000_000] {
        let mut server = Subject::server(Config::default());
        server.feed(&request(1, &[&INDEXED_REQUEST[..], &indexing("k", "v")].concat()));
        let seen = server.feed(&in_frames(3, &long_value(length)));
        let [Seen::Opened { too_large: true, fields, .. }] = &seen[..] else { panic!("{seen:?}") };
        assert!(fields.value(b"token").is_none() && fields.held_bytes() < 4096);
        let seen = server.feed(&request(5, &[&INDEXED_REQUEST[..], &[NEWEST]].concat()));
        let [Seen::Opened { too_large: false, fields, .. }] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(fields.value(b"k"), Some(&b"v"[..]));
        assert_eq!(server.error(), None);
    }
    let mut server = Subject::server(Config::default());
    server.feed(&in_frames(1, &long_value(1 << 20)));
    assert_ended(&mut server, CALM, "header_block_too_large");
}

/// A request with a value of `length` bytes, which does not enter the table.
fn long_value(length: usize) -> Vec<u8> {
    let mut block = [&INDEXED_REQUEST[..], b"\0\x05token\x7f"].concat();
    let mut rest = length - 127;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
    block.resize(block.len() + length, b'x');
    block
}

/// A block in HEADERS and CONTINUATION of the usual size.
fn in_frames(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut pieces = block.chunks(16_384).enumerate().peekable();
    let mut bytes = Vec::new();
    while let Some((n, piece)) = pieces.next() {
        let end = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        let kind = if n == 0 { kind::HEADERS } else { kind::CONTINUATION };
        bytes.extend(frame(kind, end, stream, piece));
    }
    bytes
}

/// Between a soft limit and the hard one, chance decides: the larger, the worse.
#[test]
fn soft_limit() {
    let refused = |size: usize, soft: Option<u32>| {
        let mut config = Config { seed: 5, ..Config::default() };
        config.limits.soft_header_list_size = soft;
        config.limits.max_held_headers = usize::MAX;
        let mut server = Subject::server(config);
        let known: usize =
            wire::REQUEST.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        let value = "x".repeat(size - known - 33);
        let block = wire::block(&[wire::REQUEST, &[("k", &value)]].concat());
        let seen: Vec<Seen> =
            (0..400).flat_map(|n| server.feed(&in_frames(2 * n + 1, &block))).collect();
        assert_eq!(seen.len(), 400);
        seen.iter().filter(|seen| matches!(seen, Seen::Opened { too_large: true, .. })).count()
    };
    assert_eq!(refused(8192, Some(8192)), 0);
    assert!((60..140).contains(&refused(10_240, Some(8192))));
    assert!((260..340).contains(&refused(14_336, Some(8192))));
    assert_eq!(refused(16_385, Some(8192)), 400);
    // Without one, nothing is left to chance.
    assert_eq!((refused(16_384, None), refused(16_385, None)), (0, 400));
}

/// Row 7: a list that is too large of a stream that is refused, closed or malformed changes the
/// table all the same.
#[test]
fn every_block_is_decoded() {
    let mut config = Config::default();
    config.limits.max_concurrent_streams = 2;
    let mut server = Subject::server(config);
    let plain = |id| request(id, &INDEXED_REQUEST);
    server.feed(&[plain(1), plain(3)].concat());
    let entry = |value| [&INDEXED_REQUEST[..], &indexing("k", value)].concat();
    // Refused.
    assert_eq!(server.feed(&request(5, &entry("refused"))), []);
    // Reset by us.
    server.connection.reset(server.key(3), Reason::CANCEL);
    assert_eq!(server.feed(&request(3, &entry("reset"))), []);
    // Malformed.
    assert_eq!(server.feed(&request(7, &indexing("k", "malformed"))), []);
    let block = [&INDEXED_REQUEST[..], &[NEWEST, NEWEST + 1, NEWEST + 2]].concat();
    let seen = server.feed(&request(9, &block));
    let Some(Seen::Opened { fields, .. }) = seen.first() else { panic!("{seen:?}") };
    let values: Vec<&[u8]> = fields.values(b"k").collect();
    assert_eq!(values, [&b"malformed"[..], b"reset", b"refused"]);
}

/// What is held when `streams` requests of `references` one-byte references each stay open: bytes
/// received, and bytes held above the allowance of 256 KiB and 1 KiB a stream.
fn bomb(references: usize, streams: u32, value: &str) -> (usize, usize) {
    let mut config = Config::default();
    // So that all of it arrives.
    config.limits.refused_streams.burst = streams;
    let mut server = Subject::server(config);
    let mut held = Vec::new();
    let mut received = 0;
    let mut feed = |server: &mut Subject, bytes: Vec<u8>| {
        received += bytes.len();
        for event in server.feed(&bytes) {
            if let Seen::Opened { fields, too_large: false, .. } = event {
                held.push(fields);
            }
        }
        server.frames();
    };
    feed(&mut server, wire::settings(&[(4, 0)]));
    feed(&mut server, request(1, &[&INDEXED_REQUEST[..], &indexing("k", value)].concat()));
    let block = [&INDEXED_REQUEST[..], &vec![NEWEST; references]].concat();
    for n in 1..=streams {
        feed(&mut server, request(2 * n + 1, &block));
    }
    assert_eq!(server.error(), None);
    let accounts = server.connection.accounts();
    let bytes: usize = held.iter().map(|fields| fields.held_bytes()).sum();
    assert!(accounts.held_headers <= Config::default().limits.max_held_headers);
    assert!(bytes <= accounts.held_headers, "what the user holds is accounted for");
    let allowance = (256 << 10) + (accounts.streams << 10);
    (received, (bytes + accounts.queued + accounts.output).saturating_sub(allowance))
}

/// Row 4: the figure. At most eight bytes held for each received, at both of the table's probes.
#[test]
fn held_per_byte_received() {
    for (references, streams) in [(230, 5000), (200, 1000)] {
        let (received, held) = bomb(references, streams, "");
        assert!(held <= 8 * received, "{references} x {streams}: {held} for {received}");
    }
    // Whatever the peer sends, it is never more than the budget.
    for references in [1, 10, 60, 100, 250] {
        let (_, held) = bomb(references, 2000, &"v".repeat(60));
        assert!(held <= 4 << 20, "{references}: {held}");
    }
}

/// Streams that end give their part of the budget back.
#[test]
fn held_headers_come_back() {
    let mut config = Config::default();
    config.limits.max_held_headers = 2000;
    let mut server = Subject::server(config);
    let mut large = Vec::new();
    for n in 0..10 {
        let id = 2 * n + 1;
        if let [Seen::Opened { too_large, .. }] =
            server.feed(&wire::headers(id, true, wire::REQUEST))[..]
        {
            large.push(too_large);
        }
    }
    let taken = large.iter().take_while(|large| !**large).count();
    assert!((1..10).contains(&taken) && large[taken..].iter().all(|large| *large), "{large:?}");
    server.feed(&wire::reset(1, 8));
    let seen = server.feed(&wire::headers(101, true, wire::REQUEST));
    assert!(matches!(seen[..], [Seen::Opened { too_large: false, .. }]), "{seen:?}");
    server.connection.assert_accounts();
}
