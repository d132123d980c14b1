//! HEADERS (RFC 9113, 6.2), and PUSH_PROMISE's refusal.

use super::{Fault, FrameHead, flag, kind, priority, strip_padding};

/// The fragment of the header block; priority, if present, is checked and dropped.
pub(crate) fn fragment(head: FrameHead, payload: &[u8]) -> Result<&[u8], Fault> {
    let payload = strip_padding(head, payload)?;
    if !head.has(flag::PRIORITY) {
        return Ok(payload);
    }
    let (dependency, fragment) = payload
        .split_first_chunk::<{ priority::SIZE }>()
        .ok_or(Fault::frame_size("HEADERS too short for its priority"))?;
    // Self-dependency is not checked: RFC 9113 (5.3.2) deprecates the whole field.
    let _ = dependency;
    Ok(fragment)
}

pub(crate) fn check(head: FrameHead) -> Result<(), Fault> {
    if head.stream == 0 {
        return Err(Fault::protocol("HEADERS on stream 0"));
    }
    Ok(())
}

/// Appends a header block as HEADERS and, where it exceeds `max_frame`, CONTINUATION frames. The
/// block stands at `block_start` in `out`, after room for one frame head.
pub(crate) fn finish_block(
    out: &mut Vec<u8>,
    frame_start: usize,
    stream: u32,
    end_stream: bool,
    max_frame: usize,
) {
    let block_start = frame_start + FrameHead::SIZE;
    let length = out.len() - block_start;
    let end = if end_stream { flag::END_STREAM } else { 0 };
    let first = length.min(max_frame);
    let whole = if first == length { flag::END_HEADERS } else { 0 };
    let head = FrameHead {
        length: u32::try_from(first).expect("cut to the peer's frame size"),
        kind: kind::HEADERS,
        flags: end | whole,
        stream,
    };
    out[frame_start..block_start].copy_from_slice(&head.encode());
    if first < length {
        let rest = out.split_off(block_start + first);
        let mut pieces = rest.chunks(max_frame).peekable();
        while let Some(piece) = pieces.next() {
            let head = super::continuation::head(stream, piece.len(), pieces.peek().is_none());
            out.extend_from_slice(&head.encode());
            out.extend_from_slice(piece);
        }
    }
}
