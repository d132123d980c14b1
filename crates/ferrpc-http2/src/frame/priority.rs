//! PRIORITY (RFC 9113, 6.3): checked, then ignored, since the scheme is deprecated (5.3.2).

use crate::Reason;

use super::{Fault, FrameHead};

/// Bytes of a priority: dependency and weight.
pub(crate) const SIZE: usize = 5;

pub(crate) fn check(head: FrameHead) -> Result<(), Fault> {
    if head.stream == 0 {
        return Err(Fault::protocol("PRIORITY on stream 0"));
    }
    if head.length as usize != SIZE {
        return Err(Fault::Stream(head.stream, Reason::FRAME_SIZE_ERROR));
    }
    Ok(())
}
