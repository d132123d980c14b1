//! Bytes to frames as they arrive, header blocks to the status that is in them, and header fields to
//! bytes, with no compression and no check.

use ferrpc_http2::hpack::{Decoder, HeaderList, ListLimits};
use ferrpc_testing::wire::{self, Frame, flag, kind};

/// Cuts what arrives into frames.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    taken: usize,
}

impl Frames {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend(bytes);
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let rest = &self.bytes[self.taken..];
        let head = rest.get(..HEAD)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let frame = rest.get(..HEAD + length)?;
        let parsed = Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & (u32::MAX >> 1),
            payload: frame[HEAD..].to_vec(),
        };
        self.taken += frame.len();
        Some(parsed)
    }
}

/// The header lists of one connection.
pub(crate) struct Lists {
    decoder: Decoder,
    open: Option<HeaderList>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { decoder: Decoder::new(4096), open: None }
    }
}

impl Lists {
    /// The `grpc-status` of a list that ends with this frame. What does not decode has none.
    pub(crate) fn status(&mut self, frame: &Frame) -> Option<String> {
        let limits = ListLimits { max_size: 1 << 20, max_fields: 10_000 };
        let mut list = self.open.take().unwrap_or_else(|| HeaderList::new(limits));
        let end = frame.flags & flag::END_HEADERS != 0;
        self.decoder.decode(&frame.payload, end, &mut list).ok()?;
        if !end {
            self.open = Some(list);
            return None;
        }
        let fields = list.into_fields();
        let status = fields.value(b"grpc-status")?;
        Some(String::from_utf8_lossy(status).into_owned())
    }
}

/// A field as a literal with a new name, as it is (RFC 7541, 6.2).
pub(crate) fn literal(name: &[u8], value: &[u8], indexed: bool) -> Vec<u8> {
    let mut out = vec![if indexed { 0x40 } else { 0 }];
    for text in [name, value] {
        integer(text.len(), &mut out);
        out.extend(text);
    }
    out
}

/// An integer with a prefix of seven bits (RFC 7541, 5.1).
fn integer(value: usize, out: &mut Vec<u8>) {
    if value < 127 {
        out.push(value.to_le_bytes()[0]);
        return;
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push(rest.to_le_bytes()[0] | 128);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// The header block of a call of a method of `grpc.testing.TestService`, and more fields.
pub(crate) fn call_block(method: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let path = format!("/grpc.testing.TestService/{method}");
    let fields: [(&[u8], &[u8]); 6] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.as_bytes()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ];
    fields.iter().chain(more).flat_map(|(name, value)| literal(name, value, false)).collect()
}

/// HEADERS that begin a call.
pub(crate) fn call(stream: u32, method: &str) -> Vec<u8> {
    call_with(stream, method, &[])
}

/// The same with more fields.
pub(crate) fn call_with(stream: u32, method: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    wire::frame(kind::HEADERS, flag::END_HEADERS, stream, &call_block(method, more))
}

/// The stream that a client opens as its `n`th, from 0 on.
pub(crate) fn nth(n: u32) -> u32 {
    2 * n + 1
}

const HEAD: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_pieces() {
        let bytes = [wire::ping([7; 8]), wire::data(3, true, b"hello")].concat();
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for piece in bytes.chunks(4) {
            frames.push(piece);
            while let Some(frame) = frames.next() {
                seen.push(frame);
            }
        }
        assert_eq!(seen, wire::parse(&bytes));
    }

    #[test]
    fn literals_decode() {
        let value = vec![b'v'; 1000];
        let block = [literal(b"grpc-status", b"8", true), literal(b"x", &value, false)].concat();
        let frame =
            Frame { kind: kind::HEADERS, flags: flag::END_HEADERS, stream: 1, payload: block };
        assert_eq!(Lists::default().status(&frame).as_deref(), Some("8"));
    }
}
