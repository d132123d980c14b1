//! Requests that are malformed (RFC 9113, 8.1-8.3; rows 14, 23, 25, 34): their stream ends, with
//! PROTOCOL_ERROR, and nobody hears of them.

use ferrpc_http2::Reason;
use ferrpc_testing::wire::{self, Seen, Subject};

use super::Expect::{Fine, Stream};
use super::{IDLE, OPEN, check, config};

const METHOD: (&str, &str) = (":method", "POST");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/a/b");

fn malformed(what: &str, fields: &[(&str, &str)]) {
    let expect = Stream(IDLE, Reason::PROTOCOL_ERROR);
    check(what, &wire::headers(IDLE, true, fields), expect);
    let mut server = Subject::server(config());
    assert_eq!(server.feed(&wire::headers(1, true, fields)), [], "{what} was reported");
}

fn fine(what: &str, fields: &[(&str, &str)]) {
    check(what, &wire::headers(IDLE, true, fields), Fine);
}

#[test]
fn pseudo_headers() {
    fine("all that is needed", &[METHOD, SCHEME, PATH]);
    fine("in another order", &[PATH, SCHEME, METHOD, (":authority", "x")]);
    fine("host beside authority", &[METHOD, SCHEME, PATH, (":authority", "x"), ("host", "y")]);
    malformed("no method", &[SCHEME, PATH]);
    malformed("no scheme", &[METHOD, PATH]);
    malformed("no path", &[METHOD, SCHEME]);
    malformed("empty path", &[METHOD, SCHEME, (":path", "")]);
    malformed("empty method", &[(":method", ""), SCHEME, PATH]);
    malformed("two methods", &[METHOD, METHOD, SCHEME, PATH]);
    malformed("two schemes", &[METHOD, SCHEME, SCHEME, PATH]);
    malformed("two paths", &[METHOD, SCHEME, PATH, PATH]);
    malformed("two authorities", &[METHOD, SCHEME, PATH, (":authority", "x"), (":authority", "x")]);
    malformed("unknown", &[METHOD, SCHEME, PATH, (":protocol", "x")]);
    malformed("a response's", &[METHOD, SCHEME, PATH, (":status", "200")]);
    malformed("behind a field", &[METHOD, SCHEME, ("a", "b"), PATH]);
    malformed("upper case", &[METHOD, SCHEME, (":Path", "/")]);
    malformed("nothing", &[]);
}

#[test]
fn fields() {
    let with = |name, value| [METHOD, SCHEME, PATH, (name, value)];
    for (name, value) in [
        ("te", "trailers"),
        ("a", ""),
        ("a-b_c.d", "x"),
        ("tab", "a\tb"),
        ("latin", "\u{e9}"),
        ("control", "a\u{1}b"),
        ("content-length", "0"),
    ] {
        fine(name, &with(name, value));
    }
    for (name, value) in [
        ("", "x"),
        ("A", "x"),
        ("a b", "x"),
        ("a:b", "x"),
        ("a\r\nb", "x"),
        ("a\0", "x"),
        ("\u{e9}", "x"),
        ("\u{7f}", "x"),
        ("a", "x\r\ny: z"),
        ("a", "x\n"),
        ("a", "\0"),
        ("connection", "close"),
        ("connection", "te"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("content-length", "1"),
        ("content-length", "x"),
        ("content-length", "+0"),
        ("content-length", ""),
        ("content-length", "99999999999999999999"),
    ] {
        malformed(&format!("{name:?}: {value:?}"), &with(name, value));
    }
    let (method, scheme, path) = (METHOD, SCHEME, PATH);
    let lengths = [method, scheme, path, ("content-length", "0"), ("content-length", "1")];
    malformed("two lengths", &lengths);
}

/// 8.1.1: content-length and the data that comes.
#[test]
fn content_length() {
    let request = |length| {
        let fields = [METHOD, SCHEME, PATH, ("content-length", length)];
        wire::headers(IDLE, false, &fields)
    };
    let data = |end, payload: &[u8]| wire::data(IDLE, end, payload);
    let trailers = wire::headers(IDLE, true, &[("a", "b")]);
    let bad = Stream(IDLE, Reason::PROTOCOL_ERROR);
    let go = |what: &str, length, rest: &[Vec<u8>], expect| {
        check(what, &[&[request(length)], rest].concat().concat(), expect);
    };
    go("exact", "3", &[data(true, b"abc")], Fine);
    go("in pieces", "3", &[data(false, b"a"), data(false, b"bc"), data(true, b"")], Fine);
    go("with trailers", "3", &[data(false, b"abc"), trailers.clone()], Fine);
    go("nothing", "0", &[data(true, b"")], Fine);
    go("more", "3", &[data(true, b"abcd")], bad);
    go("more, not at the end", "3", &[data(false, b"abcd")], bad);
    go("less", "3", &[data(true, b"ab")], bad);
    go("less, in pieces", "3", &[data(false, b"ab"), data(true, b"")], bad);
    go("less, with trailers", "3", &[data(false, b"ab"), trailers], bad);
    // Padding is no content.
    let padded = |padding: u8, payload: &[u8]| {
        wire::frame(0, 9, IDLE, &[&[padding], payload, &vec![0; padding.into()]].concat())
    };
    go("padded", "3", &[padded(9, b"abc")], Fine);
    go("padded, more", "3", &[padded(1, b"abcd")], bad);
    go("padded, less", "3", &[padded(1, b"ab")], bad);
}

/// None of a frame that is too much is handed on.
#[test]
fn excess_is_not_handed_on() {
    let fields = [METHOD, SCHEME, PATH, ("content-length", "3")];
    let input = [wire::headers(1, false, &fields), wire::data(1, true, b"abcd")].concat();
    let mut server = Subject::server(config());
    let seen: Vec<Seen> = input.chunks(1).flat_map(|byte| server.feed(byte)).collect();
    assert!(matches!(seen[..], [Seen::Opened { .. }, Seen::Reset { .. }]), "{seen:?}");
}

#[test]
fn trailers() {
    let bad = Stream(OPEN, Reason::PROTOCOL_ERROR);
    let check = |what: &str, fields: &[(&str, &str)], expect| {
        check(what, &wire::headers(OPEN, true, fields), expect);
    };
    check("a field", &[("a", "b")], Fine);
    check("none", &[], Fine);
    check("pseudo-header", &[(":path", "/")], bad);
    check("status", &[(":status", "200")], bad);
    check("upper case", &[("A", "b")], bad);
    check("connection", &[("connection", "close")], bad);
    check("line feed", &[("a", "b\nc")], bad);
}

/// Blocks seen before are not decoded again: that must not show. What was good as a request is not
/// as trailers, and what an index stands for changes with the table.
#[test]
fn repeated_blocks() {
    let head = |id, end: bool, block: &[u8]| {
        let end = if end { wire::flag::END_STREAM } else { 0 };
        wire::frame(wire::kind::HEADERS, wire::flag::END_HEADERS | end, id, block)
    };
    let indexing = |value: u8| vec![0x83, 0x86, 0x84, 0x40, 1, b'k', 1, value];
    let newest = [0x83, 0x86, 0x84, 0x80 | 62];
    let resize = [&[0x20, 0x3f, 0xe1, 0x1f][..], &newest[..3]].concat();
    let mut server = Subject::server(config());
    let mut id = 1;
    let mut request = |server: &mut Subject, block: &[u8]| {
        id += 2;
        match server.feed(&head(id, false, block)).pop() {
            Some(Seen::Opened { fields, too_large: false, .. }) => {
                (id, fields.value(b"k").map(<[u8]>::to_vec))
            }
            seen => panic!("{seen:?}"),
        }
    };
    for value in [b'a', b'b'] {
        request(&mut server, &indexing(value));
        for _ in 0..4 {
            let (id, found) = request(&mut server, &newest);
            assert_eq!(found, Some(vec![value]));
            // The same block as trailers: pseudo-header fields.
            server.feed(&head(id, true, &newest));
            let reset = wire::reset_of(&server.frames(), id);
            assert_eq!(reset, Some(Reason::PROTOCOL_ERROR.0));
        }
    }
    // An emptied table: the index stands for nothing.
    assert_eq!(request(&mut server, &resize).1, None);
    assert_eq!(server.feed(&head(1001, true, &newest)), [Seen::Closed]);
    assert_eq!(server.error().map(|error| error.0), Some(Reason::COMPRESSION_ERROR));
}
