//! Streams without end: opened, given up, refused.

use ferrpc_testing::wire::{self, flag, kind};

use super::{Attack, CALM, CANCEL, Expected, PROTOCOL_ERROR, REFUSED_STREAM, Row};
use crate::frames::{call, call_with, nth};
use crate::peer::Hostile;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            "1",
            "rapid reset (CVE-2023-44487)",
            Expected::GoAway(CALM, "too_many_resets"),
            |attack| {
                given_up(attack, |id| [call(id, "UnaryCall"), wire::reset(id, CANCEL)].concat())
            },
        ),
        Row::new(
            "1",
            "rapid reset of calls whose handlers begin",
            Expected::GoAway(CALM, "too_many_resets"),
            |attack| {
                given_up(attack, |id| {
                    [call(id, "FullDuplexCall"), wire::reset(id, CANCEL)].concat()
                })
            },
        ),
        Row::new(
            "1",
            "deadlines of a microsecond",
            Expected::Either(CALM, "too_many_resets", "4"),
            |attack| given_up(attack, |id| call_with(id, "UnaryCall", &[(b"grpc-timeout", b"1u")])),
        ),
        Row::new(
            "1",
            "calls that are refused for their messages",
            Expected::GoAway(CALM, "too_many_resets"),
            |attack| {
                given_up(attack, |id| {
                    [call(id, "UnaryCall"), wire::data(id, false, &[0, 255, 255, 255, 255])]
                        .concat()
                })
            },
        ),
        Row::new(
            "2",
            "resets that we are made to send (CVE-2025-8671)",
            Expected::GoAway(CALM, "too_many_stream_errors"),
            |attack| {
                given_up(attack, |id| [call(id, "UnaryCall"), wire::window_update(id, 0)].concat())
            },
        ),
        Row::new("31", "an even stream", Expected::GoAway(PROTOCOL_ERROR, ""), |attack| {
            attack.greeted()?.send(&call(2, "UnaryCall"));
            Ok(())
        }),
        Row::new("31", "a stream below the last", Expected::GoAway(PROTOCOL_ERROR, ""), |attack| {
            attack.greeted()?.send(&[call(9, "UnaryCall"), call(3, "UnaryCall")].concat());
            Ok(())
        }),
        Row::new(
            "33",
            "1100 streams before the first SETTINGS",
            Expected::Reset(REFUSED_STREAM),
            {
                |attack| {
                    let peer = attack.silent()?;
                    peer.streams += 1100;
                    peer.send(&wire::client_hello());
                    peer.flood(1100, |n| call(nth(n), "UnaryCall"));
                    Ok(())
                }
            },
        ),
        Row::new(
            "35",
            "streams above the limit without end",
            Expected::GoAway(CALM, "too_many_refused_streams"),
            |attack| {
                let peer = attack.greeted()?;
                peer.streams += 1000;
                peer.flood(20_000, |n| call(nth(n), "UnaryCall"));
                Ok(())
            },
        ),
        Row::new("38", "many connections", Expected::Lives, |attack| {
            for _ in 0..attack.count(400, 200) {
                let peer = attack.silent()?;
                peer.streams += 1;
                peer.send(&[wire::client_hello(), call(1, "UnaryCall")].concat());
            }
            attack.greeted()?;
            Ok(())
        }),
        Row::new("45", "GOAWAY, and calls all the same", Expected::Closes, |attack| {
            let peer = attack.greeted()?;
            peer.streams += 100;
            peer.send(&wire::go_away(0, 0, "bye"));
            peer.flood(100, |n| call(nth(n), "UnaryCall"));
            Ok(())
        }),
        Row::new("34", "trailers with a path", Expected::Reset(PROTOCOL_ERROR), |attack| {
            let peer = attack.greeted()?;
            peer.streams += 1;
            let flags = flag::END_HEADERS | flag::END_STREAM;
            let block = crate::frames::literal(b":path", b"/a/b", false);
            let trailers = wire::frame(kind::HEADERS, flags, 1, &block);
            peer.send(&[call(1, "UnaryCall"), trailers].concat());
            Ok(())
        }),
    ]
}

/// Streams as fast as they can be written, each begun and ended as `one` has it.
fn given_up(attack: &mut Attack, one: fn(u32) -> Vec<u8>) -> anyhow::Result<()> {
    let count = attack.count(100_000, 40_000);
    let peer: &mut Hostile = attack.greeted()?;
    peer.streams += 1000;
    peer.flood(count, |n| one(nth(n)));
    Ok(())
}
