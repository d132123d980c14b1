//! Header blocks and header lists.

use ferrpc_testing::wire::{self, flag, kind};

use super::{CALM, COMPRESSION_ERROR, Expected, PROTOCOL_ERROR, Row};
use crate::frames::{call_block, call_with, literal, nth};
use crate::peer::Hostile;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(
            "3",
            "CONTINUATION without end (CVE-2024-27316)",
            Expected::GoAway(CALM, "too_many_continuations"),
            |attack| {
                let peer = attack.greeted()?;
                peer.streams += 1;
                peer.send(&wire::frame(kind::HEADERS, 0, 1, &call_block("UnaryCall", &[])));
                let more = wire::frame(kind::CONTINUATION, 0, 1, &literal(b"a", b"b", false));
                peer.flood(20_000, |_| more.clone());
                Ok(())
            },
        ),
        Row::new(
            "3",
            "a header block without end",
            Expected::GoAway(CALM, "header_block_too_large"),
            |attack| {
                let peer = attack.greeted()?;
                peer.streams += 1;
                peer.send(&wire::frame(kind::HEADERS, 0, 1, &call_block("UnaryCall", &[])));
                let value = vec![b'v'; 16_000];
                let more = wire::frame(kind::CONTINUATION, 0, 1, &literal(b"a", &value, false));
                peer.flood(1000, |_| more.clone());
                Ok(())
            },
        ),
        Row::new("4", "HTTP/2 bomb, held by window 0", Expected::Status("8"), |attack| {
            bomb(attack.greeted_with(&[(4, 0)])?, 900, b"v", 400);
            Ok(())
        }),
        Row::new("5", "a field of 4 KB, 300 times a call", Expected::Status("8"), |attack| {
            bomb(attack.greeted()?, 900, &[b'v'; 3900], 300);
            Ok(())
        }),
        Row::new(
            "5",
            "an integer of HPACK without end",
            Expected::GoAway(COMPRESSION_ERROR, ""),
            |attack| broken(attack.greeted()?, &[0x7f, 255, 255, 255, 255, 255, 255, 1]),
        ),
        Row::new(
            "5",
            "a table larger than allowed",
            Expected::GoAway(COMPRESSION_ERROR, ""),
            |attack| broken(attack.greeted()?, &[0x3f, 0xe2, 0x1f]),
        ),
        Row::new(
            "5",
            "an index that is not there",
            Expected::GoAway(COMPRESSION_ERROR, ""),
            |attack| broken(attack.greeted()?, &[0xbe + 5]),
        ),
        Row::new("6", "SETTINGS_HEADER_TABLE_SIZE = 4 GB", Expected::Status("0"), |attack| {
            let calls = attack.count(900, 300);
            let peer = attack.greeted_with(&[(1, u32::MAX), (4, u32::MAX >> 1)])?;
            peer.streams += calls;
            peer.flood(calls, |n| {
                let value = format!("{n:0>900}");
                let echo: &[(&[u8], &[u8])] = &[(b"x-grpc-test-echo-initial", value.as_bytes())];
                let request = wire::data(nth(n), true, &[0; 5]);
                [call_with(nth(n), "UnaryCall", echo), request].concat()
            });
            Ok(())
        }),
        Row::new("7", "tables behind a list that is refused", Expected::Status("0"), |attack| {
            // Were the first block not decoded to its end, the second would name what is not there.
            let peer = attack.greeted()?;
            peer.streams += 2;
            let mut first = call_block("UnaryCall", &[]);
            first.extend(literal(b"a", &[b'v'; 60], true));
            first.extend(vec![FIRST_ENTRY; 400]);
            first.extend(literal(b"late", b"entry", true));
            let second = [call_block("EmptyCall", &[]), vec![FIRST_ENTRY]].concat();
            peer.send(&wire::frame(kind::HEADERS, flag::END_HEADERS, 1, &first));
            peer.send(&wire::frame(kind::HEADERS, flag::END_HEADERS, 3, &second));
            peer.send(&wire::data(3, true, &[0; 5]));
            Ok(())
        }),
        Row::new("14", "a header without a name", Expected::Reset(PROTOCOL_ERROR), |attack| {
            one(attack.greeted()?, b"", b"x")
        }),
        Row::new("23", "connection: close", Expected::Reset(PROTOCOL_ERROR), |attack| {
            one(attack.greeted()?, b"connection", b"close")
        }),
        Row::new("23", "te: gzip", Expected::Reset(PROTOCOL_ERROR), |attack| {
            one(attack.greeted()?, b"te", b"gzip")
        }),
        Row::new("24", "a path of two slashes", Expected::Status("12"), |attack| {
            path(attack.greeted()?, b"//grpc.testing.TestService/EmptyCall")
        }),
        Row::new("24", "a path with %", Expected::Status("12"), |attack| {
            path(attack.greeted()?, b"/grpc.testing.TestService/%45mptyCall")
        }),
        Row::new("25", "CR in a value", Expected::Reset(PROTOCOL_ERROR), |attack| {
            one(attack.greeted()?, b"x", b"a\rb")
        }),
        Row::new("25", "NUL in a value", Expected::Reset(PROTOCOL_ERROR), |attack| {
            one(attack.greeted()?, b"x", b"a\0b")
        }),
        Row::new("25", "an upper-case name", Expected::Reset(PROTOCOL_ERROR), |attack| {
            one(attack.greeted()?, b"Name", b"x")
        }),
        Row::new("27", "a -bin value that is not base64", Expected::Status("13"), |attack| {
            one(attack.greeted()?, b"x-bin", b"!!!")
        }),
        Row::new("29", "grpc-timeout: 123456789S", Expected::Status("13"), |attack| {
            one(attack.greeted()?, b"grpc-timeout", b"123456789S")
        }),
        Row::new("36", "a -bin value of commas", Expected::Status("8"), |attack| {
            let calls = attack.count(900, 300);
            let peer = attack.greeted()?;
            peer.streams += calls;
            let name = [[b'k'; 1500].as_slice(), b"-bin"].concat();
            bombs(peer, calls, &literal(&name, &[b','; 2000], true), 1);
            Ok(())
        }),
    ]
}

/// Calls whose lists are one entry of the table, many times. The first call defines it.
fn bomb(peer: &mut Hostile, streams: u32, value: &[u8], times: usize) {
    peer.streams += streams;
    bombs(peer, streams, &literal(b"a", value, true), times);
}

fn bombs(peer: &mut Hostile, streams: u32, entry: &[u8], times: usize) {
    peer.flood(streams, |n| {
        let mut block = call_block("UnaryCall", &[]);
        if n == 0 {
            block.extend(entry);
        } else {
            block.extend(vec![FIRST_ENTRY; times]);
        }
        wire::frame(kind::HEADERS, flag::END_HEADERS, nth(n), &block)
    });
}

/// A call with this behind its fields.
fn broken(peer: &mut Hostile, bytes: &[u8]) -> anyhow::Result<()> {
    peer.streams += 1;
    let block = [call_block("UnaryCall", &[]).as_slice(), bytes].concat();
    peer.send(&wire::frame(kind::HEADERS, flag::END_HEADERS, 1, &block));
    Ok(())
}

/// A call with one field more, and its message.
fn one(peer: &mut Hostile, name: &[u8], value: &[u8]) -> anyhow::Result<()> {
    peer.streams += 1;
    let call = call_with(1, "EmptyCall", &[(name, value)]);
    peer.send(&[call, wire::data(1, true, &[0; 5])].concat());
    Ok(())
}

/// A call of this path.
fn path(peer: &mut Hostile, path: &[u8]) -> anyhow::Result<()> {
    peer.streams += 1;
    let fields: [(&[u8], &[u8]); 6] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ];
    let block: Vec<u8> =
        fields.iter().flat_map(|(name, value)| literal(name, value, false)).collect();
    let call = wire::frame(kind::HEADERS, flag::END_HEADERS, 1, &block);
    peer.send(&[call, wire::data(1, true, &[0; 5])].concat());
    Ok(())
}

/// The newest entry of the dynamic table (RFC 7541, 2.3.3), indexed.
const FIRST_ENTRY: u8 = 0x80 | 62;
