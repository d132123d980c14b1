//! What turns messages into bytes and back.

use std::error::Error;
use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{Code, Status};

/// How messages of type `T` become bytes and bytes become messages.
///
/// The gRPC layer itself sees bytes only; which library made the messages is the user's choice.
/// A codec is two plain functions, so that a [`Method`](crate::Method) can be a constant.
///
/// ```
/// use ferrpc::{Codec, codec};
///
/// const RAW: Codec<bytes::Bytes> = codec::raw();
/// let bytes = RAW.to_bytes(&bytes::Bytes::from_static(b"as it is")).unwrap();
/// assert_eq!(&bytes[..], b"as it is");
/// ```
pub struct Codec<T> {
    /// Appends the encoded message to the buffer.
    pub encode: fn(&T, &mut BytesMut) -> Result<(), CodecError>,
    /// Reads one whole message. The bytes are shared, not copied, so that a message may keep
    /// parts of them.
    pub decode: fn(Bytes) -> Result<T, CodecError>,
    /// The same from bytes that are only lent.
    pub(crate) decode_slice: Option<DecodeSlice<T>>,
}

/// Reads one whole message, and keeps nothing of its bytes.
pub(crate) type DecodeSlice<T> = fn(&[u8]) -> Result<T, CodecError>;

/// A message that could not be encoded or decoded.
///
/// As a [`Status`] it is INTERNAL, on both sides.
#[derive(Debug)]
pub struct CodecError {
    operation: Operation,
    source: Box<dyn Error + Send + Sync>,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Encode,
    Decode,
}

impl<T> Codec<T> {
    /// A codec of two functions.
    pub const fn new(
        encode: fn(&T, &mut BytesMut) -> Result<(), CodecError>,
        decode: fn(Bytes) -> Result<T, CodecError>,
    ) -> Self {
        Self { encode, decode, decode_slice: None }
    }

    /// With a third function, that reads a message without keeping a part of its bytes. It is used
    /// for small messages of streams: they come many in one piece of memory, which is shared for
    /// each of them, and kept as long as a part of one, where there is no such function.
    #[must_use]
    pub const fn from_slices(mut self, decode: fn(&[u8]) -> Result<T, CodecError>) -> Self {
        self.decode_slice = Some(decode);
        self
    }

    /// The encoded message in a buffer of its own.
    pub fn to_bytes(&self, message: &T) -> Result<Bytes, CodecError> {
        let mut buffer = BytesMut::new();
        (self.encode)(message, &mut buffer)?;
        Ok(buffer.freeze())
    }
}

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

impl<T> fmt::Debug for Codec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec<{}>", std::any::type_name::<T>())
    }
}

/// Bytes as they are: for proxies, and for calls whose types are not known when compiling.
pub const fn raw() -> Codec<Bytes> {
    fn encode(message: &Bytes, buffer: &mut BytesMut) -> Result<(), CodecError> {
        buffer.extend_from_slice(message);
        Ok(())
    }
    Codec::new(encode, Ok)
}

/// Messages of the crate `buffa`.
#[cfg(feature = "buffa")]
pub const fn buffa<T: buffa::Message>() -> Codec<T> {
    fn encode<T: buffa::Message>(message: &T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let mut sizes = buffa::SizeCache::new();
        let size = buffa::checked_encode_size(message.compute_size(&mut sizes))
            .map_err(CodecError::encode)?;
        // At once, rather than field by field.
        buffer.reserve(size as usize);
        message.write_to(&mut sizes, buffer);
        Ok(())
    }
    fn decode<T: buffa::Message>(bytes: Bytes) -> Result<T, CodecError> {
        // Not from the slice: from `Bytes`, fields of type `bytes` are shared, not copied.
        let mut bytes = bytes;
        T::decode(&mut bytes).map_err(CodecError::decode)
    }
    fn decode_slice<T: buffa::Message>(bytes: &[u8]) -> Result<T, CodecError> {
        let mut bytes = bytes;
        T::decode(&mut bytes).map_err(CodecError::decode)
    }
    Codec::new(encode::<T>, decode::<T>).from_slices(decode_slice::<T>)
}

/// Messages of the crate `prost`.
#[cfg(feature = "prost")]
pub const fn prost<T: prost::Message + Default>() -> Codec<T> {
    fn encode<T: prost::Message>(message: &T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        message.encode(buffer).map_err(CodecError::encode)
    }
    fn decode<T: prost::Message + Default>(bytes: Bytes) -> Result<T, CodecError> {
        T::decode(bytes).map_err(CodecError::decode)
    }
    fn decode_slice<T: prost::Message + Default>(bytes: &[u8]) -> Result<T, CodecError> {
        T::decode(bytes).map_err(CodecError::decode)
    }
    Codec::new(encode::<T>, decode::<T>).from_slices(decode_slice::<T>)
}

impl CodecError {
    /// The message could not be written.
    pub fn encode(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { operation: Operation::Encode, source: source.into() }
    }

    /// The bytes are no such message.
    pub fn decode(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { operation: Operation::Decode, source: source.into() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Operation::Encode => write!(f, "the message could not be encoded: {}", self.source),
            Operation::Decode => write!(f, "the message could not be decoded: {}", self.source),
        }
    }
}

impl Error for CodecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

impl From<CodecError> for Status {
    fn from(error: CodecError) -> Self {
        Self::new(Code::Internal, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_bytes_go_through_unchanged() {
        let bytes = Bytes::from_static(b"\x00any\xff");
        assert_eq!(raw().to_bytes(&bytes).expect("raw never fails"), bytes);
        assert_eq!((raw().decode)(bytes.clone()).expect("raw never fails"), bytes);
    }

    #[test]
    fn an_error_is_internal_and_says_which_way() {
        let status = Status::from(CodecError::decode("varint too long"));
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.message(), "the message could not be decoded: varint too long");
    }
}
