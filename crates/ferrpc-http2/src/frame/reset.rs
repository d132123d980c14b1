//! RST_STREAM (RFC 9113, 6.4).

use crate::Reason;

use super::{Fault, FrameHead, kind};

pub(crate) fn check(head: FrameHead) -> Result<(), Fault> {
    if head.stream == 0 {
        return Err(Fault::protocol("RST_STREAM on stream 0"));
    }
    if head.length != 4 {
        return Err(Fault::frame_size("RST_STREAM of other than 4 bytes"));
    }
    Ok(())
}

pub(crate) fn parse(payload: &[u8]) -> Reason {
    Reason(super::settings::read_u32(payload))
}

pub(crate) fn encode(stream: u32, reason: Reason, out: &mut Vec<u8>) {
    let head = FrameHead { length: 4, kind: kind::RST_STREAM, flags: 0, stream };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&reason.0.to_be_bytes());
}
