//! Frames (RFC 9113, 4 and 6): a file for each kind, its layout and the checks that need no state.

pub(crate) mod continuation;
pub(crate) mod data;
pub(crate) mod go_away;
pub(crate) mod headers;
pub(crate) mod ping;
pub(crate) mod priority;
pub(crate) mod reset;
pub(crate) mod settings;
pub(crate) mod window_update;

use crate::Reason;

/// The nine bytes before each frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHead {
    pub(crate) const SIZE: usize = 9;

    pub(crate) fn parse(bytes: &[u8; Self::SIZE]) -> Self {
        Self {
            length: u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]),
            kind: bytes[3],
            flags: bytes[4],
            // The reserved bit is ignored (4.1).
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) & 0x7fff_ffff,
        }
    }

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        let length = self.length.to_be_bytes();
        let stream = self.stream.to_be_bytes();
        [
            length[1], length[2], length[3], self.kind, self.flags, stream[0], stream[1],
            stream[2], stream[3],
        ]
    }

    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Frame kinds.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub(crate) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// A broken rule: what it costs and whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends with this GOAWAY.
    Connection(Reason, &'static str),
    /// The stream ends with this RST_STREAM.
    Stream(u32, Reason),
}

impl Fault {
    pub(crate) const fn protocol(text: &'static str) -> Self {
        Self::Connection(Reason::PROTOCOL_ERROR, text)
    }

    pub(crate) const fn frame_size(text: &'static str) -> Self {
        Self::Connection(Reason::FRAME_SIZE_ERROR, text)
    }

    pub(crate) const fn calm(text: &'static str) -> Self {
        Self::Connection(Reason::ENHANCE_YOUR_CALM, text)
    }
}

/// Cuts the padding off a payload whose first byte may say how long it is (6.1, 6.2).
pub(crate) fn strip_padding(head: FrameHead, payload: &[u8]) -> Result<&[u8], Fault> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (&padding, rest) =
        payload.split_first().ok_or(Fault::frame_size("padded frame without a pad length"))?;
    let end = rest
        .len()
        .checked_sub(padding as usize)
        .ok_or(Fault::protocol("padding longer than the frame"))?;
    Ok(&rest[..end])
}
