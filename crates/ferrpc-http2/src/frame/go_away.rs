//! GOAWAY (RFC 9113, 6.8).

use crate::Reason;

use super::settings::read_u32;
use super::{Fault, FrameHead, kind};

pub(crate) struct GoAway<'a> {
    pub(crate) last_stream: u32,
    pub(crate) reason: Reason,
    pub(crate) debug: &'a [u8],
}

pub(crate) fn check(head: FrameHead) -> Result<(), Fault> {
    if head.stream != 0 {
        return Err(Fault::protocol("GOAWAY on a stream"));
    }
    if head.length < 8 {
        return Err(Fault::frame_size("GOAWAY of less than 8 bytes"));
    }
    Ok(())
}

pub(crate) fn parse(payload: &[u8]) -> GoAway<'_> {
    GoAway {
        last_stream: read_u32(payload) & 0x7fff_ffff,
        reason: Reason(read_u32(&payload[4..])),
        debug: &payload[8..],
    }
}

pub(crate) fn encode(last_stream: u32, reason: Reason, debug: &str, out: &mut Vec<u8>) {
    let length = u32::try_from(8 + debug.len()).expect("debug texts are short");
    let head = FrameHead { length, kind: kind::GOAWAY, flags: 0, stream: 0 };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&last_stream.to_be_bytes());
    out.extend_from_slice(&reason.0.to_be_bytes());
    out.extend_from_slice(debug.as_bytes());
}
