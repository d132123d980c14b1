//! Message encodings: their names, which of them a peer takes, and the compression itself.

use bytes::Bytes;

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
        let _ = message;
        todo!()
    }

    /// Decompresses one message; never produces more than `limit` bytes (RESOURCE_EXHAUSTED), and
    /// corrupt input is INTERNAL.
    pub fn decompress(self, message: &[u8], limit: usize) -> Result<Bytes, Status> {
        let _ = (message, limit);
        todo!()
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

    /// Reads `grpc-accept-encoding`; unknown names are passed over.
    pub fn parse(value: &[u8]) -> Self {
        let _ = value;
        todo!()
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
