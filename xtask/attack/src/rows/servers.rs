//! What a hostile server does to a client: one connection, once a call was begun on it.

use std::time::Duration;

use ferrpc_testing::wire::{self, flag, kind};

use super::{CALM, COMPRESSION_ERROR, Expected, FLOW_CONTROL_ERROR, PROTOCOL_ERROR};
use crate::bomb;
use crate::frames::literal;
use crate::peer::Hostile;

/// One way to attack a client: what is sent behind the SETTINGS, when the call has come.
pub(crate) struct ClientRow {
    pub(crate) number: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Hostile, u32),
    pub(crate) expected: Expected,
    pub(crate) patience: Duration,
}

/// All rows against clients.
pub(crate) fn all() -> Vec<ClientRow> {
    let row =
        |number, what, expected, run| ClientRow { number, what, run, expected, patience: SOON };
    vec![
        row("8", "PING flood", Expected::GoAway(CALM, ""), |peer, _| {
            peer.flood(20_000, |_| wire::ping([7; 8]));
        }),
        row("9", "SETTINGS flood", Expected::GoAway(CALM, "too_many_settings"), |peer, _| {
            peer.flood(30_000, |_| wire::settings(&[(4, 65_535)]));
        }),
        row(
            "10",
            "SETTINGS_MAX_FRAME_SIZE = 0",
            Expected::GoAway(PROTOCOL_ERROR, ""),
            |peer, _| {
                peer.send(&wire::settings(&[(5, 0)]));
            },
        ),
        row("32", "SETTINGS_ENABLE_PUSH = 1", Expected::GoAway(PROTOCOL_ERROR, ""), |peer, _| {
            peer.send(&wire::settings(&[(2, 1)]));
        }),
        row("32", "PUSH_PROMISE", Expected::GoAway(PROTOCOL_ERROR, ""), |peer, stream| {
            let promised = [&[0, 0, 0, 2][..], &head()].concat();
            peer.send(&wire::frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, &promised));
        }),
        row(
            "3",
            "CONTINUATION without end",
            Expected::GoAway(CALM, "continuations"),
            |peer, stream| {
                peer.send(&wire::frame(kind::HEADERS, 0, stream, &head()));
                let more = wire::frame(kind::CONTINUATION, 0, stream, &literal(b"a", b"b", false));
                peer.flood(20_000, |_| more.clone());
            },
        ),
        row("5", "an index that is not there", Expected::GoAway(COMPRESSION_ERROR, ""), {
            |peer, stream| {
                let block = [head(), vec![0xbe + 5]].concat();
                peer.send(&wire::frame(kind::HEADERS, flag::END_HEADERS, stream, &block));
            }
        }),
        row("11", "empty DATA", Expected::GoAway(CALM, "too_many_empty_frames"), |peer, stream| {
            peer.send(&wire::frame(kind::HEADERS, flag::END_HEADERS, stream, &head()));
            peer.flood(50_000, |_| wire::data(stream, false, b""));
        }),
        row("15", "unknown frames", Expected::GoAway(CALM, "too_many_idle_frames"), |peer, _| {
            peer.flood(100_000, |_| wire::frame(0x77, 0, 0, b"what?"));
        }),
        row(
            "16",
            "the connection's window above 2^31",
            Expected::GoAway(FLOW_CONTROL_ERROR, ""),
            {
                |peer, _| {
                    peer.send(&wire::window_update(0, u32::MAX >> 1).repeat(2));
                }
            },
        ),
        row("20", "a message of 4 GB, announced", Expected::Reset(CANCEL), |peer, stream| {
            peer.send(&wire::frame(kind::HEADERS, flag::END_HEADERS, stream, &head()));
            peer.send(&wire::data(stream, false, &[0, 255, 255, 255, 255]));
        }),
        row("21", "a compression bomb", Expected::Lives, |peer, stream| {
            let block = [head(), literal(b"grpc-encoding", b"gzip", false)].concat();
            peer.send(&wire::frame(kind::HEADERS, flag::END_HEADERS, stream, &block));
            let message = bomb::message(32 << 20);
            peer.send_with_credit(stream, &message, &mut 0, true);
            std::thread::sleep(Duration::from_millis(300));
        }),
        row(
            "32",
            "100 responses of status 103",
            Expected::Reset(PROTOCOL_ERROR),
            |peer, stream| {
                let block = literal(b":status", b"103", false);
                let early = wire::frame(kind::HEADERS, flag::END_HEADERS, stream, &block);
                peer.flood(100, |_| early.clone());
            },
        ),
        row("36", "a -bin value of commas", Expected::Lives, |peer, stream| {
            let name = [[b'k'; 1500].as_slice(), b"-bin"].concat();
            let status = literal(b"grpc-status", b"0", false);
            let block = [head(), status, literal(&name, &[b','; 5000], false)].concat();
            let end = flag::END_HEADERS | flag::END_STREAM;
            peer.send(&wire::frame(kind::HEADERS, end, stream, &block));
            std::thread::sleep(Duration::from_millis(300));
        }),
        row("30", "grpc-status: junk", Expected::Lives, |peer, stream| {
            let block = [head(), literal(b"grpc-status", b"seventeen", false)].concat();
            let end = flag::END_HEADERS | flag::END_STREAM;
            peer.send(&wire::frame(kind::HEADERS, end, stream, &block));
        }),
    ]
}

/// The first fields of an answer.
fn head() -> Vec<u8> {
    let content = literal(b"content-type", b"application/grpc", false);
    [literal(b":status", b"200", false), content].concat()
}

use super::CANCEL;

/// For a machine that is busy.
const SOON: Duration = Duration::from_secs(20);
