//! Message encodings: their names, which of them a peer takes, and the compression itself.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress};

use crate::Status;

/// How the messages of a stream are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950 (zlib), as gRPC understands the name.
    Deflate,
}

/// A set of encodings, as in `grpc-accept-encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingSet(u8);

impl Encoding {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The encoding of a name on the wire.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"identity" => Some(Self::Identity),
            b"gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// Compresses one message.
    pub fn compress(self, message: &[u8]) -> Bytes {
        if self == Self::Identity {
            return Bytes::copy_from_slice(message);
        }
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        if self == Self::Gzip {
            out.extend_from_slice(&GZIP_HEADER);
        }
        STATES.with_borrow_mut(|states| {
            if self == Self::Gzip {
                let raw = states.raw.get_or_insert_with(|| Compress::new(LEVEL, false));
                deflate(raw, message, &mut out);
            } else {
                let zlib = states.zlib.get_or_insert_with(|| Compress::new(LEVEL, true));
                deflate(zlib, message, &mut out);
            }
        });
        if self == Self::Gzip {
            out.extend_from_slice(&gzip_trailer(message));
        }
        out.into()
    }

    /// Decompresses one message; never produces more than `limit` bytes (RESOURCE_EXHAUSTED), and
    /// corrupt input is INTERNAL.
    pub fn decompress(self, message: &[u8], limit: usize) -> Result<Bytes, Status> {
        if self == Self::Identity {
            return if message.len() > limit {
                Err(too_large(limit))
            } else {
                Ok(Bytes::copy_from_slice(message))
            };
        }
        let guess = message.len().saturating_mul(4).saturating_add(64);
        let mut out = Vec::with_capacity(guess.min(limit.saturating_add(1)));
        STATES.with_borrow_mut(|states| {
            let state = states.inflate.get_or_insert_with(|| Decompress::new(true));
            if self == Self::Gzip {
                return gunzip(state, message, &mut out, limit);
            }
            state.reset(true);
            match inflate(state, message, &mut out, limit)? {
                [] => Ok(()),
                _ => Err(corrupt("bytes follow the deflate stream")),
            }
        })?;
        Ok(out.into())
    }
}

impl EncodingSet {
    /// Only identity.
    pub const IDENTITY: Self = Self(1);
    /// All that this crate has.
    pub const ALL: Self = Self(7);

    /// The set with `encoding` added.
    pub const fn with(self, encoding: Encoding) -> Self {
        Self(self.0 | (1 << encoding as u8))
    }

    /// Whether `encoding` is in it; identity always is.
    pub const fn contains(self, encoding: Encoding) -> bool {
        self.0 & (1 << encoding as u8) != 0
    }

    /// Those that are in `other` too.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// `encoding` if it is in the set, else none at all.
    pub const fn or_identity(self, encoding: Encoding) -> Encoding {
        if self.contains(encoding) { encoding } else { Encoding::Identity }
    }

    /// Reads `grpc-accept-encoding`; unknown names are passed over.
    pub fn parse(value: &[u8]) -> Self {
        value
            .split(|byte| *byte == b',')
            .filter_map(|name| Encoding::from_name(name.trim_ascii()))
            .fold(Self::IDENTITY, Self::with)
    }

    /// The value of `grpc-accept-encoding`.
    pub const fn header(self) -> &'static str {
        match self.0 & 6 {
            0 => "identity",
            2 => "identity,gzip",
            4 => "identity,deflate",
            _ => "identity,deflate,gzip",
        }
    }
}

/// Compressors are large (deflate's about 300 KiB): each thread makes those it needs once.
#[derive(Default)]
struct States {
    raw: Option<Compress>,
    zlib: Option<Compress>,
    /// For both formats: a reset chooses.
    inflate: Option<Decompress>,
}

thread_local! {
    static STATES: RefCell<States> = RefCell::default();
}

/// Appends `input` compressed.
fn deflate(state: &mut Compress, input: &[u8], out: &mut Vec<u8>) {
    state.reset();
    loop {
        let rest = &input[state.total_in() as usize..];
        match state.compress_vec(rest, out, FlushCompress::Finish) {
            Ok(flate2::Status::StreamEnd) => return,
            Ok(_) => out.reserve(out.len().max(64)),
            Err(error) => unreachable!("deflate of a whole buffer cannot fail: {error}"),
        }
    }
}

/// Appends the stream at the start of `input` decompressed; returns what follows it. `out` never
/// has room for more than one byte beyond `limit`.
fn inflate<'a>(
    state: &mut Decompress,
    input: &'a [u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<&'a [u8], Status> {
    loop {
        let before = (state.total_in(), out.len());
        if out.len() == out.capacity() {
            let most = limit.saturating_add(1) - out.len();
            out.reserve_exact(out.len().max(256).min(most));
        }
        let rest = &input[state.total_in() as usize..];
        let status = state
            .decompress_vec(rest, out, FlushDecompress::Finish)
            .map_err(|_| corrupt("the deflate stream is invalid"))?;
        if out.len() > limit {
            return Err(too_large(limit));
        }
        if status == flate2::Status::StreamEnd {
            return Ok(&input[state.total_in() as usize..]);
        }
        if before == (state.total_in(), out.len()) {
            return Err(corrupt("the deflate stream is cut off"));
        }
    }
}

/// Decompresses the members of `input` (RFC 1952, 2.2).
///
/// Done here on raw streams because flate2's gzip reader cannot keep its state from one message to
/// the next.
fn gunzip(
    state: &mut Decompress,
    mut input: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Status> {
    loop {
        let start = out.len();
        let stream = skip_gzip_header(input).ok_or_else(|| corrupt("not a gzip header"))?;
        state.reset(false);
        let rest = inflate(state, stream, out, limit)?;
        let Some((trailer, rest)) = rest.split_first_chunk() else {
            return Err(corrupt("the gzip trailer is cut off"));
        };
        if *trailer != gzip_trailer(&out[start..]) {
            return Err(corrupt("the gzip checksum does not match"));
        }
        if rest.is_empty() {
            return Ok(());
        }
        input = rest;
    }
}

/// What follows the header of a gzip member (RFC 1952, 2.3).
fn skip_gzip_header(input: &[u8]) -> Option<&[u8]> {
    let (header, mut rest) = input.split_first_chunk::<10>()?;
    let [0x1f, 0x8b, 8, flags, ..] = *header else { return None };
    if flags & 0xe0 != 0 {
        return None;
    }
    if flags & FEXTRA != 0 {
        let (length, extra) = rest.split_first_chunk()?;
        rest = extra.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [FNAME, FCOMMENT] {
        if flags & text != 0 {
            rest = &rest[rest.iter().position(|byte| *byte == 0)? + 1..];
        }
    }
    if flags & FHCRC != 0 {
        let sum = checksum(&input[..input.len() - rest.len()]) as u16;
        rest = rest.strip_prefix(&sum.to_le_bytes())?;
    }
    Some(rest)
}

fn gzip_trailer(content: &[u8]) -> [u8; 8] {
    // The length is counted modulo 2^32.
    let [a, b, c, d] = (content.len() as u32).to_le_bytes();
    let [e, f, g, h] = checksum(content).to_le_bytes();
    [e, f, g, h, a, b, c, d]
}

fn checksum(content: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(content);
    crc.sum()
}

fn corrupt(what: &'static str) -> Status {
    Status::internal(format!("compressed message is corrupt: {what}"))
}

fn too_large(limit: usize) -> Status {
    Status::resource_exhausted(format!("message is larger than {limit} bytes when decompressed"))
}

/// zlib's default, which grpcio and grpc-go use too.
const LEVEL: Compression = Compression::new(6);

/// No flags, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
