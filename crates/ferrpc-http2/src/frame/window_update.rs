//! WINDOW_UPDATE (RFC 9113, 6.9).

use super::{Fault, FrameHead, kind};

pub(crate) fn check(head: FrameHead) -> Result<(), Fault> {
    if head.length != 4 {
        return Err(Fault::frame_size("WINDOW_UPDATE of other than 4 bytes"));
    }
    Ok(())
}

pub(crate) fn parse(payload: &[u8]) -> u32 {
    super::settings::read_u32(payload) & 0x7fff_ffff
}

pub(crate) fn encode(stream: u32, increment: u32, out: &mut Vec<u8>) {
    let head = FrameHead { length: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&increment.to_be_bytes());
}
