//! Messages: too large, never complete, or not to be read by anybody.

use std::time::{Duration, Instant};

use ferrpc_testing::wire;

use super::{Attack, Expected, Row};
use crate::bomb;
use crate::frames::{call, call_with, nth};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("20", "a message of 4 GB, announced", Expected::Status("8"), |attack| {
            let peer = attack.greeted()?;
            peer.streams += 1;
            peer.send(
                &[call(1, "UnaryCall"), wire::data(1, false, &[0, 255, 255, 255, 255])].concat(),
            );
            Ok(())
        }),
        Row::new("21", "a compression bomb", Expected::Status("8"), |attack| {
            let calls = 5;
            let message = bomb::message(64 << 20);
            attack.greeted()?;
            for stream in (0..calls).map(nth) {
                let peer = attack.last()?;
                peer.streams += 1;
                peer.send(&call_with(stream, "UnaryCall", &[(b"grpc-encoding", b"gzip")]));
                upload(attack, &[stream], &message, true);
            }
            Ok(())
        })
        // Each may have as much as a message may have, 16 MiB here.
        .at_most((5 * 16 + 32) << 20),
        Row::new("37", "whole requests without END_STREAM", Expected::Status("0"), |attack| {
            let calls = attack.count(200, 60);
            let streams = begin(attack, calls, "UnaryCall")?;
            upload(attack, &streams, &wire::message(&padding(4_000_000)), false);
            Ok(())
        })
        .at_most(160 << 20),
        Row::new("40", "large messages that are never finished", Expected::Status("0"), |attack| {
            let streams = begin(attack, 100, "UnaryCall")?;
            let begun = [&[0, 0, 0x3f, 0xff, 0xf8][..], &[0x7a; 1 << 20]].concat();
            upload(attack, &streams, &begun, false);
            // A neighbour whose message is larger than its window.
            let peer = attack.last()?;
            peer.streams += 1;
            let stream = nth(100);
            peer.send(&call(stream, "StreamingInputCall"));
            let message = wire::message(&padding(1 << 20));
            upload(attack, &[stream], &message, true);
            Ok(())
        })
        .within(Duration::from_secs(60))
        .at_most(200 << 20),
    ]
}

/// Opens calls of a method on a connection of their own.
fn begin(attack: &mut Attack, count: u32, method: &str) -> anyhow::Result<Vec<u32>> {
    let peer = attack.greeted()?;
    peer.streams += count;
    peer.flood(count, |n| call(nth(n), method));
    Ok((0..count).map(nth).collect())
}

/// The same bytes on each of these streams, in turn, as there is credit, until no more comes.
fn upload(attack: &mut Attack, streams: &[u32], bytes: &[u8], end: bool) {
    let Ok(peer) = attack.last() else { return };
    let mut offsets = vec![0; streams.len()];
    let mut last = Instant::now();
    while last.elapsed() < NO_CREDIT && !peer.ended() {
        let mut all = true;
        for (stream, offset) in streams.iter().zip(&mut offsets) {
            let before = *offset;
            all &= peer.send_with_credit(*stream, bytes, offset, end);
            if *offset > before {
                last = Instant::now();
            }
        }
        if all {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A message of protobuf with a field of so many bytes that nobody knows.
fn padding(size: usize) -> Vec<u8> {
    let mut message = vec![0x7a];
    let mut rest = size;
    while rest >= 128 {
        message.push(rest.to_le_bytes()[0] | 128);
        rest >>= 7;
    }
    message.push(rest.to_le_bytes()[0]);
    message.resize(message.len() + size, 0);
    message
}

/// No credit for so long: there will be none.
const NO_CREDIT: Duration = Duration::from_millis(2500);
