//! What travels beside the messages of a call: initial and trailing metadata.

mod received;

use std::borrow::Cow;
use std::fmt;

use ferrpc_http2::Fields;

use crate::{Status, binary};

/// An ordered list of keys and values.
///
/// Keys are lower case (`0-9 a-z _ - .`) and may repeat. The values of keys that end in `-bin` are
/// bytes; the others are printable ASCII. Order holds among equal keys. Keys that gRPC or HTTP/2 use
/// themselves are not the application's; others that begin with `grpc-` should not be used either, but
/// programs do, and they pass, as in gRPC's C core.
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

    /// Adds a text value after those the key already has. Spaces around the value are dropped:
    /// HTTP/2 cannot carry them.
    pub fn append(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let value = checked_text(key, value)?;
        self.fields.push(key.as_bytes(), value);
        Ok(())
    }

    /// Adds a binary value; the key ends in `-bin`.
    pub fn append_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        check_key(key, Kind::Binary)?;
        binary::encode_with(value, |text| self.fields.push(key.as_bytes(), text));
        Ok(())
    }

    /// Replaces the values of a key by one text value.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let value = checked_text(key, value)?;
        self.remove(key);
        self.fields.push(key.as_bytes(), value);
        Ok(())
    }

    /// Replaces the values of a key by one binary value; the key ends in `-bin`.
    pub fn insert_bin(&mut self, key: &str, value: &[u8]) -> Result<(), MetadataError> {
        check_key(key, Kind::Binary)?;
        self.remove(key);
        self.append_bin(key, value)
    }

    /// Removes all values of a key; whether there were any.
    pub fn remove(&mut self, key: &str) -> bool {
        if self.fields.value(key.as_bytes()).is_none() {
            return false;
        }
        // A new list, because `retain` leaves the bytes behind and inserting may go on for ever.
        let mut fields = Fields::new();
        for field in self.fields.iter().filter(|field| field.name != key.as_bytes()) {
            fields.push_field(field);
        }
        self.fields = fields;
        true
    }

    /// The first text value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        if Kind::of(key.as_bytes()) == Kind::Binary {
            return None;
        }
        self.fields.value(key.as_bytes()).map(text)
    }

    /// All text values of a key, in order.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let is_text = Kind::of(key.as_bytes()) == Kind::Text;
        self.fields.values(key.as_bytes()).filter(move |_| is_text).map(text)
    }

    /// The first binary value of a key.
    pub fn value_bin(&self, key: &str) -> Option<Vec<u8>> {
        self.values_bin(key).next()
    }

    /// All binary values of a key, in order. Each is decoded when its turn comes.
    pub fn values_bin<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Vec<u8>> {
        let is_binary = Kind::of(key.as_bytes()) == Kind::Binary;
        self.fields.values(key.as_bytes()).filter(move |_| is_binary).map(bytes)
    }

    /// All keys and values in order. Binary values are decoded when their turn comes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, MetadataValue<'_>)> {
        self.fields.iter().map(|field| {
            let value = match Kind::of(field.name) {
                Kind::Text => MetadataValue::Text(text(field.value)),
                Kind::Binary => MetadataValue::Binary(Cow::Owned(bytes(field.value))),
            };
            (text(field.name), value)
        })
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
        if self.is_empty() {
            self.fields = other.fields.clone();
            return;
        }
        for field in other.fields.iter() {
            self.fields.push_field(field);
        }
    }

    /// The fields as they travel.
    pub(crate) const fn fields(&self) -> &Fields {
        &self.fields
    }
}

impl From<MetadataError> for Status {
    /// INTERNAL: metadata that cannot be sent is a mistake of the program that made it.
    fn from(error: MetadataError) -> Self {
        Self::internal(error.to_string())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Kind {
    fn of(key: &[u8]) -> Self {
        if key.ends_with(b"-bin") { Self::Binary } else { Self::Text }
    }
}

/// Whether an application may use `key` for values of `kind`.
fn check_key(key: &str, kind: Kind) -> Result<(), MetadataError> {
    let name = key.as_bytes();
    if name.starts_with(b":") || is_reserved(name) || READ_ONLY.contains(&name) {
        Err(MetadataError::ReservedKey(key.into()))
    } else if !is_legal_key(name) {
        Err(MetadataError::IllegalKey(key.into()))
    } else if Kind::of(name) != kind {
        Err(MetadataError::WrongKind(key.into()))
    } else {
        Ok(())
    }
}

/// The value as it travels, if `key` may have it.
fn checked_text<'a>(key: &str, value: &'a str) -> Result<&'a [u8], MetadataError> {
    check_key(key, Kind::Text)?;
    let value = trim(value.as_bytes());
    if !is_printable(value) {
        return Err(MetadataError::IllegalValue(key.into()));
    }
    Ok(value)
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// Names that HTTP/2 or gRPC use themselves. (Those of pseudo-header fields are no legal keys.)
fn is_reserved(name: &[u8]) -> bool {
    match name.strip_prefix(b"grpc-") {
        Some(rest) => is_the_protocols(rest),
        None => matches!(
            name,
            b"te"
                | b"host"
                | b"upgrade"
                | b"connection"
                | b"keep-alive"
                | b"content-type"
                | b"content-length"
                | b"proxy-connection"
                | b"transfer-encoding"
        ),
    }
}

/// What follows `grpc-` in the names that gRPC's protocol has for itself. Not among them: what servers
/// and retrying clients tell each other (gRFC A6), which handlers may read or say too, and the details
/// of a status, which programs read and write as they like.
fn is_the_protocols(rest: &[u8]) -> bool {
    matches!(
        rest,
        b"status"
            | b"message"
            | b"timeout"
            | b"encoding"
            | b"accept-encoding"
            | b"message-type"
            | b"internal-encoding-request"
    )
}

/// Keys that are received as metadata, and sent by the engine alone.
const READ_ONLY: [&[u8]; 2] = [b"user-agent", b"grpc-previous-rpc-attempts"];

/// Where the details of a status travel.
pub(crate) const DETAILS_KEY: &str = "grpc-status-details-bin";
pub(crate) const DETAILS: &[u8] = DETAILS_KEY.as_bytes();

// Both fold rather than stop at the first miss: the loop is then free of branches.

fn is_legal_key(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().fold(true, |ok, byte| ok & IS_KEY[*byte as usize])
}

fn is_printable(value: &[u8]) -> bool {
    value.iter().fold(true, |ok, byte| ok & (byte.wrapping_sub(b' ') <= b'~' - b' '))
}

/// Keys and text values were checked when they came in: they are ASCII.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Binary values were checked when they came in: they are base64.
fn bytes(text: &[u8]) -> Vec<u8> {
    binary::decode(text).unwrap_or_default()
}

const IS_KEY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = matches!(byte as u8, b'0'..=b'9' | b'a'..=b'z' | b'_' | b'-' | b'.');
        byte += 1;
    }
    table
};

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
