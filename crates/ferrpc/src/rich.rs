//! Rich error details: `google.rpc.Status` and the messages within it.
//!
//! A [`Status`] may carry a serialised `google.rpc.Status` (`grpc-status-details-bin`): a code and
//! message like its own, and any number of messages of any types, packed as
//! `google.protobuf.Any`. Which message library packs and reads them is told by a [`Codec`].
//!
//! ```
//! use ferrpc::rich::{Any, RichStatus};
//! use ferrpc::{Code, Status, codec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A server (with a message type in place of raw bytes, and its codec):
//! let retry = bytes::Bytes::from_static(b"\x0a\x02\x08\x05");
//! let status = RichStatus::new(Code::ResourceExhausted, "try again later")
//!     .with(Any::pack("google.rpc.RetryInfo", &codec::raw(), &retry)?)
//!     .to_status();
//!
//! // A client:
//! let rich = RichStatus::of(&status).ok_or("no details")?;
//! let found = rich.find("google.rpc.RetryInfo", &codec::raw()).ok_or("no RetryInfo")??;
//! assert_eq!(found, retry);
//! # Ok(()) }
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::CodecError;
use crate::{Code, Codec, Status};

/// A `google.rpc.Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RichStatus {
    /// The code; never OK in a status that travels.
    pub code: Code,
    /// The message for people.
    pub message: String,
    /// The details for programs, in order.
    pub details: Vec<Any>,
}

/// A `google.protobuf.Any`: a message together with its type's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Any {
    /// "type.googleapis.com/" and the full name of the message's type, as a rule.
    pub type_url: String,
    /// The serialised message.
    pub value: Bytes,
}

impl RichStatus {
    /// A status without details yet.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// The same status with one detail more.
    #[must_use]
    pub fn with(mut self, detail: Any) -> Self {
        self.details.push(detail);
        self
    }

    /// What the details of `status` say; `None` if it has none, if they are no
    /// `google.rpc.Status`, or if their code is not the status's own: such details do not belong
    /// to it.
    pub fn of(status: &Status) -> Option<Self> {
        if status.details().is_empty() {
            return None;
        }
        Self::decode(status.details()).filter(|rich| rich.code == status.code())
    }

    /// The status that carries all of this.
    pub fn to_status(&self) -> Status {
        Status::new(self.code, self.message.clone()).with_details(self.encode())
    }

    /// The first detail of a type, read: `None` if there is none, an error if it cannot be read.
    pub fn find<T>(&self, type_name: &str, codec: &Codec<T>) -> Option<Result<T, CodecError>> {
        let detail = self.details.iter().find(|detail| detail.type_name() == type_name)?;
        Some((codec.decode)(detail.value.clone()))
    }

    /// Reads a serialised `google.rpc.Status`; `None` if it is none, or its code is no gRPC code.
    /// A message that is not UTF-8 is repaired.
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let mut rich = Self::new(Code::Ok, "");
        let mut input = Reader(bytes.clone());
        while let Some(field) = input.field()? {
            match field {
                Field::Varint(1, code) => {
                    // An int32 is the low half of its varint.
                    rich.code = Code::from_number(code as u32)?;
                }
                Field::Bytes(2, text) => rich.message = String::from_utf8_lossy(&text).into_owned(),
                Field::Bytes(3, detail) => rich.details.push(Any::decode(detail)?),
                _ => {}
            }
        }
        Some(rich)
    }

    /// The serialised `google.rpc.Status`.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        if self.code != Code::Ok {
            put_varint(&mut out, 1 << 3);
            put_varint(&mut out, self.code as u64);
        }
        if !self.message.is_empty() {
            put_bytes(&mut out, 2, self.message.as_bytes());
        }
        for detail in &self.details {
            put_bytes(&mut out, 3, &detail.encode());
        }
        out.freeze()
    }
}

impl Any {
    /// Packs a message. `type_name` is the full name of its type, "google.rpc.RetryInfo" for
    /// instance.
    pub fn pack<T>(type_name: &str, codec: &Codec<T>, message: &T) -> Result<Self, CodecError> {
        Ok(Self {
            type_url: format!("type.googleapis.com/{type_name}"),
            value: codec.to_bytes(message)?,
        })
    }

    /// The full name of the message's type: what follows the last slash of the URL.
    pub fn type_name(&self) -> &str {
        self.type_url.rsplit_once('/').map_or(&self.type_url, |(_, name)| name)
    }

    fn decode(bytes: Bytes) -> Option<Self> {
        let mut any = Self::default();
        let mut input = Reader(bytes);
        while let Some(field) = input.field()? {
            match field {
                Field::Bytes(1, url) => any.type_url = String::from_utf8(url.to_vec()).ok()?,
                Field::Bytes(2, value) => any.value = value,
                _ => {}
            }
        }
        Some(any)
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        if !self.type_url.is_empty() {
            put_bytes(&mut out, 1, self.type_url.as_bytes());
        }
        if !self.value.is_empty() {
            put_bytes(&mut out, 2, &self.value);
        }
        out.freeze()
    }
}

impl From<RichStatus> for Status {
    fn from(rich: RichStatus) -> Self {
        rich.to_status()
    }
}

/// A protobuf message as its fields.
struct Reader(Bytes);

enum Field {
    Varint(u64, u64),
    Bytes(u64, Bytes),
    Other,
}

impl Reader {
    /// The next field; `Some(None)` at the end, `None` if this is no protobuf message.
    fn field(&mut self) -> Option<Option<Field>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return None;
        }
        Some(Some(match tag & 7 {
            0 => Field::Varint(number, self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                if length > self.0.len() {
                    return None;
                }
                Field::Bytes(number, self.0.split_to(length))
            }
            5 => self.skip(4)?,
            _ => return None,
        }))
    }

    fn skip(&mut self, length: usize) -> Option<Field> {
        if length > self.0.len() {
            return None;
        }
        drop(self.0.split_to(length));
        Some(Field::Other)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (at, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                drop(self.0.split_to(at + 1));
                return Some(value);
            }
        }
        None
    }
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn put_bytes(out: &mut BytesMut, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn what_is_packed_is_found_again() {
        let value = Bytes::from(vec![9; 300]);
        let rich = RichStatus::new(Code::NotFound, "gone \u{fc}ber")
            .with(Any::pack("a.B", &codec::raw(), &value).expect("raw never fails"))
            .with(Any::default());
        let status = rich.to_status();
        assert_eq!((status.code(), status.message()), (Code::NotFound, "gone \u{fc}ber"));
        let read = RichStatus::of(&status).expect("there are details");
        assert_eq!(read, rich);
        assert_eq!(read.find("a.B", &codec::raw()).expect("it is there").expect("raw"), value);
        assert!(read.find("a.C", &codec::raw()).is_none());
    }

    #[test]
    fn the_bytes_are_those_of_protobuf() {
        let rich = RichStatus {
            code: Code::NotFound,
            message: "abc".to_owned(),
            details: vec![Any { type_url: "t/a.B".to_owned(), value: Bytes::from_static(b"v") }],
        };
        let bytes = b"\x08\x05\x12\x03abc\x1a\x0a\x0a\x05t/a.B\x12\x01v";
        assert_eq!(rich.encode(), &bytes[..]);
        // Unknown fields are passed over.
        let bytes = b"\x20\x01\x29abcdefgh\x32\x01a\x3dabcd\x08\x05";
        let read = RichStatus::decode(&Bytes::from_static(bytes)).expect("a message");
        assert_eq!(read, RichStatus::new(Code::NotFound, ""));
    }

    #[test]
    fn what_does_not_belong_to_the_status_is_not_taken() {
        assert_eq!(RichStatus::of(&Status::new(Code::NotFound, "")), None);
        let other = RichStatus::new(Code::Aborted, "").encode();
        assert_eq!(RichStatus::of(&Status::new(Code::NotFound, "").with_details(other)), None);
        for bytes in [&b"\x08"[..], b"\x08\x63", b"\x12\x04abc", b"\x1a\x02\x0a\x05", b"\x00\x01"] {
            assert_eq!(RichStatus::decode(&Bytes::from_static(bytes)), None, "{bytes:x?}");
        }
    }
}
