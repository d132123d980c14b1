//! DATA (RFC 9113, 6.1). Payloads are handed on in pieces as they arrive, never gathered here.

use super::{Fault, FrameHead, flag, kind};

pub(crate) fn check(head: FrameHead) -> Result<(), Fault> {
    if head.stream == 0 {
        return Err(Fault::protocol("DATA on stream 0"));
    }
    if head.has(flag::PADDED) && head.length == 0 {
        return Err(Fault::frame_size("padded frame without a pad length"));
    }
    Ok(())
}

pub(crate) fn head(stream: u32, length: usize, end_stream: bool) -> FrameHead {
    FrameHead {
        length: u32::try_from(length).expect("cut to the peer's frame size"),
        kind: kind::DATA,
        flags: if end_stream { flag::END_STREAM } else { 0 },
        stream,
    }
}
