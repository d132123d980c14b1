//! Frames by hand: to say what no correct peer would, and to read what was answered.

mod subject;

use ferrpc_http2::hpack::Encoder;
use ferrpc_http2::{Field, Fields};

pub use subject::{Seen, Subject};

/// The client's preface.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame kinds (RFC 9113, 6).
pub mod kind {
    #![expect(missing_docs, reason = "the names are the RFC's")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub mod flag {
    #![expect(missing_docs, reason = "the names are the RFC's")]
    pub const NONE: u8 = 0;
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
}

/// A frame as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's length has 24 bits");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// SETTINGS with these entries.
pub fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in entries {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(kind::SETTINGS, flag::NONE, 0, &payload)
}

/// What a client begins with: preface and empty SETTINGS.
pub fn client_hello() -> Vec<u8> {
    [PREFACE, &settings(&[])].concat()
}

/// A header block of these fields, encoded without the dynamic table.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let fields = fields.iter().map(|(name, value)| Field {
        name: name.as_bytes(),
        value: value.as_bytes(),
        sensitive: false,
    });
    Encoder::with_max_table_size(0).encode(fields, &mut out);
    out
}

/// HEADERS of these fields in one frame.
pub fn headers(stream: u32, end_stream: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let end = if end_stream { flag::END_STREAM } else { 0 };
    frame(kind::HEADERS, flag::END_HEADERS | end, stream, &block(fields))
}

/// The fields of a plain gRPC request.
pub const REQUEST: &[(&str, &str)] = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Test/Call"),
    (":authority", "localhost"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
];

/// DATA.
pub fn data(stream: u32, end_stream: bool, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, if end_stream { flag::END_STREAM } else { 0 }, stream, payload)
}

/// A gRPC message, not compressed.
pub fn message(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a message's length has 32 bits");
    [&[0], &length.to_be_bytes()[..], payload].concat()
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// PING.
pub fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(kind::PING, 0, 0, &payload)
}

/// WINDOW_UPDATE.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// GOAWAY.
pub fn go_away(last: u32, code: u32, debug: &str) -> Vec<u8> {
    let payload = [&last.to_be_bytes()[..], &code.to_be_bytes(), debug.as_bytes()].concat();
    frame(kind::GOAWAY, 0, 0, &payload)
}

/// Cuts output into frames (a client's preface first, if there is one).
///
/// # Panics
/// If the bytes do not end with a frame.
pub fn parse(bytes: &[u8]) -> Vec<Frame> {
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let (payload, tail) = tail.split_at(length);
        frames.push(Frame { kind: head[3], flags: head[4], stream, payload: payload.to_vec() });
        rest = tail;
    }
    frames
}

/// The code and debug text of the last GOAWAY among `frames`.
pub fn last_go_away(frames: &[Frame]) -> Option<(u32, String)> {
    let frame = frames.iter().rev().find(|frame| frame.kind == kind::GOAWAY)?;
    let code = u32::from_be_bytes(frame.payload[4..8].try_into().ok()?);
    Some((code, String::from_utf8_lossy(&frame.payload[8..]).into_owned()))
}

/// The code of the RST_STREAM of `stream` among `frames`.
pub fn reset_of(frames: &[Frame], stream: u32) -> Option<u32> {
    let frame =
        frames.iter().find(|frame| frame.kind == kind::RST_STREAM && frame.stream == stream)?;
    Some(u32::from_be_bytes(frame.payload[..4].try_into().ok()?))
}

/// Decodes the header lists of a byte stream's frames, in order: (stream, fields).
pub fn header_lists(frames: &[Frame]) -> Vec<(u32, Fields)> {
    use ferrpc_http2::hpack::{Decoder, HeaderList, ListLimits};
    let mut decoder = Decoder::new(4096);
    let limits = ListLimits { max_size: 1 << 20, max_fields: 10_000 };
    let mut lists = Vec::new();
    let mut list = None;
    for frame in frames {
        if !matches!(frame.kind, kind::HEADERS | kind::CONTINUATION) {
            continue;
        }
        let mut current = list.take().unwrap_or_else(|| HeaderList::new(limits));
        let end = frame.flags & flag::END_HEADERS != 0;
        decoder.decode(&frame.payload, end, &mut current).expect("our own blocks decode");
        if end {
            lists.push((frame.stream, current.into_fields()));
        } else {
            list = Some(current);
        }
    }
    lists
}
