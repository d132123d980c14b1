//! SETTINGS (RFC 9113, 6.5): layout and the values that are never allowed.

use crate::Reason;

use super::{Fault, FrameHead, flag, kind};

/// Setting identifiers (6.5.2).
pub(crate) mod id {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(crate) const MAX_FRAME_SIZE: u16 = 5;
    pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

pub(crate) fn check(head: FrameHead, max_entries: u32) -> Result<(), Fault> {
    if head.stream != 0 {
        return Err(Fault::protocol("SETTINGS on a stream"));
    }
    if head.has(flag::ACK) && head.length != 0 {
        return Err(Fault::frame_size("SETTINGS acknowledgement with a payload"));
    }
    if !head.length.is_multiple_of(6) {
        return Err(Fault::frame_size("SETTINGS of a size that is no multiple of 6"));
    }
    if head.length / 6 > max_entries {
        return Err(Fault::calm("too_many_settings_entries"));
    }
    Ok(())
}

/// The entries, each checked for its range.
pub(crate) fn entries(payload: &[u8]) -> impl Iterator<Item = Result<(u16, u32), Fault>> {
    payload.as_chunks::<6>().0.iter().map(|entry| {
        let id = u16::from_be_bytes([entry[0], entry[1]]);
        let value = read_u32(&entry[2..]);
        match id {
            id::ENABLE_PUSH if value > 1 => Err(Fault::protocol("ENABLE_PUSH above 1")),
            id::INITIAL_WINDOW_SIZE if value > MAX_WINDOW => Err(Fault::Connection(
                Reason::FLOW_CONTROL_ERROR,
                "INITIAL_WINDOW_SIZE above 2^31-1",
            )),
            id::MAX_FRAME_SIZE if !(MIN_FRAME_SIZE..=MAX_FRAME_SIZE).contains(&value) => {
                Err(Fault::protocol("MAX_FRAME_SIZE outside 16,384 to 16,777,215"))
            }
            _ => Ok((id, value)),
        }
    })
}

pub(crate) fn encode(entries: &[(u16, u32)], out: &mut Vec<u8>) {
    let length = u32::try_from(entries.len() * 6).expect("a handful of settings");
    let head = FrameHead { length, kind: kind::SETTINGS, flags: 0, stream: 0 };
    out.extend_from_slice(&head.encode());
    for (id, value) in entries {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn encode_ack(out: &mut Vec<u8>) {
    let head = FrameHead { length: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 };
    out.extend_from_slice(&head.encode());
}

/// The first four bytes; callers have checked the frame's length.
pub(crate) fn read_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The largest flow-control window (6.9.1).
pub(crate) const MAX_WINDOW: u32 = 0x7fff_ffff;

/// Bounds of SETTINGS_MAX_FRAME_SIZE (6.5.2).
pub(crate) const MIN_FRAME_SIZE: u32 = 16_384;
pub(crate) const MAX_FRAME_SIZE: u32 = 16_777_215;
