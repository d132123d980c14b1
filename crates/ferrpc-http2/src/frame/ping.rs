//! PING (RFC 9113, 6.7).

use super::{Fault, FrameHead, flag, kind};

pub(crate) fn check(head: FrameHead) -> Result<(), Fault> {
    if head.stream != 0 {
        return Err(Fault::protocol("PING on a stream"));
    }
    if head.length != 8 {
        return Err(Fault::frame_size("PING of other than 8 bytes"));
    }
    Ok(())
}

pub(crate) fn encode(payload: [u8; 8], ack: bool, out: &mut Vec<u8>) {
    let flags = if ack { flag::ACK } else { 0 };
    let head = FrameHead { length: 8, kind: kind::PING, flags, stream: 0 };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(&payload);
}
