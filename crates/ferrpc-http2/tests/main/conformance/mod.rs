//! RFC 9113, rule by rule: a server or a client is fed frames by hand.
//!
//! Server cases start from one connection whose streams are in all the states there are.

mod client;
mod fragmentation;
mod frames;
mod interleavings;
mod messages;
mod shutdown;
mod windows;

use std::time::Duration;

use ferrpc_http2::{Config, PingPolicy, Reason};
use ferrpc_testing::wire::{self, Seen, Subject, kind};

/// The streams of [`states`].
const OPEN: u32 = 1;
const HALF_CLOSED: u32 = 3;
const CLOSED: u32 = 5;
const RESET_BY_PEER: u32 = 7;
const RESET_BY_US: u32 = 9;
const IDLE: u32 = 11;

/// What a frame must bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// Nothing bad.
    Fine,
    /// RST_STREAM on this stream; the connection lives on.
    Stream(u32, Reason),
    /// GOAWAY.
    Connection(Reason),
}

/// Settings under which pings are no offence.
fn config() -> Config {
    let mut config = Config::default();
    config.limits.pings =
        PingPolicy { min_interval: Duration::ZERO, without_streams: true, max_strikes: 0 };
    config
}

/// A server with a stream in every state.
fn states() -> Subject {
    let mut server = Subject::server(config());
    for id in [OPEN, HALF_CLOSED, CLOSED, RESET_BY_PEER, RESET_BY_US] {
        let end = id == HALF_CLOSED || id == CLOSED;
        assert_eq!(server.feed(&wire::headers(id, end, wire::REQUEST)).len(), 1);
    }
    server.headers(CLOSED, &[(":status", "200")], true);
    assert_eq!(server.feed(&wire::reset(RESET_BY_PEER, 8)).len(), 1);
    server.connection.reset(server.key(RESET_BY_US), Reason::CANCEL);
    server.frames();
    server
}

/// Feeds `bytes` to a server with a stream in every state, and compares.
fn check(what: &str, bytes: &[u8], expect: Expect) {
    for whole in [true, false] {
        let mut server = states();
        let pieces: Vec<&[u8]> = if whole { vec![bytes] } else { bytes.chunks(1).collect() };
        for piece in pieces {
            server.feed(piece);
        }
        let frames = server.frames();
        let resets: Vec<u32> = frames
            .iter()
            .filter(|frame| frame.kind == kind::RST_STREAM)
            .map(|frame| frame.stream)
            .collect();
        let what = format!("{what} (whole: {whole}): {frames:?}");
        match expect {
            Expect::Connection(reason) => {
                assert_eq!(server.error().map(|error| error.0), Some(reason), "{what}");
                let (code, text) = wire::last_go_away(&frames).expect("GOAWAY");
                assert_eq!(code, reason.0, "{what}");
                assert!(!text.is_empty(), "{what}: no debug text");
                continue;
            }
            Expect::Stream(id, reason) => {
                assert_eq!(resets, [id], "{what}");
                assert_eq!(wire::reset_of(&frames, id), Some(reason.0), "{what}");
            }
            Expect::Fine => assert_eq!(resets, [0; 0], "{what}"),
        }
        assert_alive(&mut server, &what);
    }
}

/// The connection goes on: it answers a ping and takes a new stream and its data.
fn assert_alive(server: &mut Subject, what: &str) {
    assert_eq!(server.error(), None, "{what}");
    let input = [
        wire::ping(*b"alive?!?"),
        wire::headers(1001, false, wire::REQUEST),
        wire::data(1001, true, b"data"),
    ];
    let seen = server.feed(&input.concat());
    assert!(matches!(seen[0], Seen::Opened { id: 1001, .. }), "{what}: {seen:?}");
    assert_eq!(seen[1], Seen::Data { id: 1001, payload: b"data".to_vec(), end: true }, "{what}");
    let ack = wire::frame(kind::PING, wire::flag::ACK, 0, b"alive?!?");
    assert!(server.output().windows(ack.len()).any(|bytes| bytes == ack), "{what}: no pong");
    server.connection.assert_accounts();
}
