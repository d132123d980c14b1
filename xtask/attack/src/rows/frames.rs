//! Frames that say nothing, or that no peer may send.

use ferrpc_testing::wire::{self, flag, kind};

use super::{CALM, Expected, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, Row, STREAM_CLOSED};
use crate::frames::{call, literal};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("8", "PING flood", Expected::GoAway(CALM, "too_many_pings"), |attack| {
            attack.greeted()?.flood(20_000, |_| wire::ping([7; 8]));
            Ok(())
        }),
        Row::new("9", "SETTINGS flood", Expected::GoAway(CALM, "too_many_settings"), |attack| {
            attack.greeted()?.flood(30_000, |_| wire::settings(&[(4, 65_535)]));
            Ok(())
        }),
        Row::new(
            "9",
            "SETTINGS with 40 entries",
            Expected::GoAway(CALM, "too_many_settings_entries"),
            |attack| {
                attack.greeted()?.send(&wire::settings(&[(99, 1); 40]));
                Ok(())
            },
        ),
        Row::new(
            "10",
            "SETTINGS_MAX_FRAME_SIZE = 0",
            Expected::GoAway(PROTOCOL_ERROR, ""),
            |attack| {
                attack.greeted()?.send(&wire::settings(&[(5, 0)]));
                Ok(())
            },
        ),
        Row::new("11", "empty DATA", Expected::GoAway(CALM, "too_many_empty_frames"), |attack| {
            let peer = attack.greeted()?;
            peer.streams += 1;
            peer.send(&call(1, "UnaryCall"));
            peer.flood(100_000, |_| wire::data(1, false, b""));
            Ok(())
        }),
        Row::new(
            "12",
            "DATA of one byte",
            Expected::GoAway(CALM, "too_many_small_frames"),
            |attack| {
                let peer = attack.greeted()?;
                peer.streams += 1;
                peer.send(&call(1, "UnaryCall"));
                peer.send(&wire::data(1, false, &[0, 0, 0x10, 0, 0]));
                peer.flood(60_000, |_| wire::data(1, false, b"x"));
                Ok(())
            },
        ),
        Row::new(
            "15",
            "PRIORITY churn",
            Expected::GoAway(CALM, "too_many_idle_frames"),
            |attack| {
                attack.greeted()?.flood(100_000, |n| {
                    wire::frame(kind::PRIORITY, 0, 2 * (n % 1000) + 1, &[0, 0, 0, 0, 9])
                });
                Ok(())
            },
        ),
        Row::new(
            "15",
            "frames of unknown kinds",
            Expected::GoAway(CALM, "too_many_idle_frames"),
            |attack| {
                attack.greeted()?.flood(100_000, |_| wire::frame(0x77, 0, 0, b"what?"));
                Ok(())
            },
        ),
        Row::new("16", "WINDOW_UPDATE of 0", Expected::GoAway(PROTOCOL_ERROR, ""), |attack| {
            attack.greeted()?.send(&wire::window_update(0, 0));
            Ok(())
        }),
        Row::new(
            "16",
            "the connection's window above 2^31",
            Expected::GoAway(FLOW_CONTROL_ERROR, ""),
            |attack| {
                attack.greeted()?.send(&wire::window_update(0, u32::MAX >> 1).repeat(2));
                Ok(())
            },
        ),
        Row::new(
            "16",
            "a stream's window above 2^31",
            Expected::Reset(FLOW_CONTROL_ERROR),
            |attack| {
                let peer = attack.greeted()?;
                peer.streams += 1;
                peer.send(&call(1, "UnaryCall"));
                peer.send(&wire::window_update(1, u32::MAX >> 1).repeat(2));
                Ok(())
            },
        ),
        Row::new(
            "16",
            "SETTINGS_INITIAL_WINDOW_SIZE = 2^31",
            Expected::GoAway(FLOW_CONTROL_ERROR, ""),
            |attack| {
                attack.greeted()?.send(&wire::settings(&[(4, 1 << 31)]));
                Ok(())
            },
        ),
        Row::new(
            "16",
            "WINDOW_UPDATE flood",
            Expected::GoAway(CALM, "too_many_window_updates"),
            |attack| {
                attack.greeted()?.flood(100_000, |_| wire::window_update(0, 1));
                Ok(())
            },
        ),
        Row::new(
            "32",
            "PUSH_PROMISE from a client",
            Expected::GoAway(PROTOCOL_ERROR, ""),
            |attack| {
                let promise = wire::frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2]);
                attack.greeted()?.send(&promise);
                Ok(())
            },
        ),
        Row::new("34", "DATA after END_STREAM", Expected::Reset(STREAM_CLOSED), |attack| {
            let peer = attack.greeted()?;
            peer.streams += 1;
            let call = [
                call(1, "StreamingInputCall"),
                wire::data(1, true, b""),
                wire::data(1, false, b"x"),
            ];
            peer.send(&call.concat());
            Ok(())
        }),
        Row::new(
            "34",
            "trailers that do not end the stream",
            Expected::Reset(PROTOCOL_ERROR),
            |attack| {
                let peer = attack.greeted()?;
                peer.streams += 1;
                let more =
                    wire::frame(kind::HEADERS, flag::END_HEADERS, 1, &literal(b"a", b"b", false));
                peer.send(&[call(1, "UnaryCall"), more].concat());
                Ok(())
            },
        ),
    ]
}
