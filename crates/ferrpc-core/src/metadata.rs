//! What travels beside the messages of a call: initial and trailing metadata.

use std::borrow::Cow;
use std::fmt;

use ferrpc_http2::Fields;

/// An ordered list of keys and values.
///
/// Keys are lower case (`0-9 a-z _ - .`), may repeat, and must not begin with `grpc-`. The values
/// of keys that end in `-bin` are bytes; the others are printable ASCII. Order holds among equal
/// keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Binary values are held as they travel: in base64.
    pub(crate) fields: Fields,
}

/// Why a key or value cannot be metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// The key is empty or has a character other than `0-9 a-z _ - .`.
    IllegalKey(String),
    /// The key belongs to gRPC or HTTP/2 itself.
    ReservedKey(String),
    /// The key ends in `-bin` and the value was given as text, or the other way round.
    WrongKind(String),
    /// The value of this key is not printable ASCII.
    IllegalValue(String),
}

impl Metadata {
    /// No metadata; allocates nothing.
    pub const fn new() -> Self {
        Self { fields: Fields::new() }
    }

    /// Adds a text value after those the key already has.
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let _ = (key, value);
        todo!()
    }

    /// Adds a binary value; the key ends in `-bin`.
    pub fn append_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        let _ = (key, value);
        todo!()
    }

    /// Replaces the values of a key by one text value.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let _ = (key, value);
        todo!()
    }

    /// Replaces the values of a key by one binary value; the key ends in `-bin`.
    pub fn insert_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        let _ = (key, value);
        todo!()
    }

    /// Removes all values of a key; whether there were any.
    pub fn remove(&mut self, key: &str) -> bool {
        let _ = key;
        todo!()
    }

    /// The first text value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        let _ = key;
        todo!()
    }

    /// All text values of a key, in order.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let _ = key;
        std::iter::empty()
    }

    /// The first binary value of a key.
    pub fn value_bin(&self, key: &str) -> Option<Vec<u8>> {
        let _ = key;
        todo!()
    }

    /// All binary values of a key, in order.
    pub fn values_bin<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Vec<u8>> {
        let _ = key;
        std::iter::empty()
    }

    /// All keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, MetadataValue<'_>)> {
        std::iter::empty()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds all of `other`, after what is here.
    pub fn extend(&mut self, other: &Self) {
        let _ = other;
        todo!()
    }
}

/// A value of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataValue<'a> {
    /// Printable ASCII.
    Text(&'a str),
    /// Any bytes; the key ends in `-bin`.
    Binary(Cow<'a, [u8]>),
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(f)
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IllegalKey(key) => {
                write!(f, "metadata key {key:?} may only hold 0-9, a-z, '_', '-' and '.'")
            }
            Self::ReservedKey(key) => write!(f, "metadata key {key:?} is reserved"),
            Self::WrongKind(key) => write!(
                f,
                "metadata key {key:?}: keys that end in \"-bin\" take bytes, the others text"
            ),
            Self::IllegalValue(key) => {
                write!(f, "the value of metadata key {key:?} is not printable ASCII")
            }
        }
    }
}

impl std::error::Error for MetadataError {}
