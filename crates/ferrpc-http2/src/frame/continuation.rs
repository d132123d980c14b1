//! CONTINUATION (RFC 9113, 6.10).

use super::{FrameHead, flag, kind};

pub(crate) fn head(stream: u32, length: usize, end_headers: bool) -> FrameHead {
    FrameHead {
        length: u32::try_from(length).expect("cut to the peer's frame size"),
        kind: kind::CONTINUATION,
        flags: if end_headers { flag::END_HEADERS } else { 0 },
        stream,
    }
}
