//! Peers that are slow: to begin, or to read.

use std::time::Duration;

use ferrpc_testing::wire::{self, kind};

use super::{Attack, CALM, Expected, Row};
use crate::frames::{call, call_block, nth};
use crate::peer::Hostile;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("13", "large answers, window 0", Expected::Lives, |attack| {
            let peer = attack.greeted_with(&[(4, 0)])?;
            ask(peer, 0..400, "UnaryCall", &large_answer());
            std::thread::sleep(HOLD);
            // What handlers had begun with is made; nothing more is.
            ask(peer, 400..900, "UnaryCall", &large_answer());
            std::thread::sleep(HOLD);
            Ok(())
        })
        .at_most(ANSWERS),
        Row::new("13", "large answers, nobody reads the socket", Expected::Closes, |attack| {
            let peer = attack.deaf()?;
            peer.send(&[wire::client_hello(), wire::window_update(0, 1 << 30)].concat());
            ask(peer, 0..400, "UnaryCall", &large_answer());
            std::thread::sleep(HOLD);
            Ok(())
        })
        .within(Duration::from_secs(180))
        .at_most(ANSWERS),
        Row::new("18", "a connection without a byte", Expected::Closes, |attack| {
            attack.silent()?;
            Ok(())
        })
        .within(SECONDS),
        Row::new("18", "half of the preface", Expected::Closes, |attack| {
            attack.silent()?.send(&wire::PREFACE[..10]);
            Ok(())
        })
        .within(SECONDS),
        Row::new("18", "the preface, no SETTINGS", Expected::Closes, |attack| {
            attack.silent()?.send(wire::PREFACE);
            Ok(())
        })
        .within(SECONDS),
        Row::new(
            "18",
            "a header block that does not end",
            Expected::GoAway(CALM, "header_block_timeout"),
            |attack| {
                let block = call_block("UnaryCall", &[]);
                attack.greeted()?.send(&wire::frame(kind::HEADERS, 0, 1, &block));
                Ok(())
            },
        )
        .within(SECONDS),
        Row::new(
            "47",
            "neighbours of answers that nobody reads",
            Expected::Status("0"),
            |attack| {
                let peer = attack.greeted()?;
                // Their windows are the first 64 KiB, the connection's is enough for all.
                peer.send(&wire::window_update(0, 1 << 30));
                ask(peer, 0..40, "UnaryCall", &large_answer());
                std::thread::sleep(HOLD);
                let before = peer.lock().statuses.clone();
                anyhow::ensure!(before.is_empty(), "an answer of a megabyte ended: {before:?}");
                ask(peer, 40..41, "EmptyCall", b"");
                Ok(())
            },
        )
        .at_most(SOME_ANSWERS),
    ]
}

/// Calls with this request, whole.
fn ask(peer: &mut Hostile, calls: std::ops::Range<u32>, method: &str, request: &[u8]) {
    for stream in calls.map(nth) {
        peer.streams += 1;
        let request = wire::data(stream, true, &wire::message(request));
        if !peer.send(&[call(stream, method), request].concat()) {
            return;
        }
    }
}

/// A SimpleRequest for a megabyte: `response_size`, field 2.
fn large_answer() -> Vec<u8> {
    vec![0x10, 0x80, 0x80, 0x40]
}

impl Attack {
    /// The newest connection.
    pub(super) fn last(&mut self) -> anyhow::Result<&mut Hostile> {
        self.peers.last_mut().ok_or_else(|| anyhow::anyhow!("there is no connection"))
    }
}

/// `send_memory` of a connection is 256 MiB; what handlers that had begun make comes on top of it:
/// nobody knows it before. They are 400 answers of a megabyte.
const ANSWERS: u64 = (400 + 64) << 20;
/// 40 of them.
const SOME_ANSWERS: u64 = 64 << 20;
/// How long an attack looks at what it has done.
const HOLD: Duration = Duration::from_secs(1);
/// For limits of ten seconds.
const SECONDS: Duration = Duration::from_secs(25);
