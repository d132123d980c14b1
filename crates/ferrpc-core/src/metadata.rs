//! What travels beside the messages of a call: initial and trailing metadata.

use std::borrow::Cow;
use std::fmt;

use ferrpc_http2::{Field, Fields};

use crate::{Status, binary};

/// An ordered list of keys and values.
///
/// Keys are lower case (`0-9 a-z _ - .`), may repeat, and must not begin with `grpc-` (but for
/// `grpc-trace-bin` and `grpc-tags-bin`). The values of keys that end in `-bin` are bytes; the
/// others are printable ASCII. Order holds among equal keys.
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

    /// The metadata in a decoded header list.
    ///
    /// What belongs to HTTP/2 or gRPC itself is dropped (`user-agent` stays), and so is what is no
    /// legal metadata. Works in place, without allocation, unless a binary value is padded or
    /// holds several, or a text value has spaces around it.
    pub(crate) fn from_received(mut fields: Fields) -> Result<Self, BadBinary> {
        if !fields.iter().any(|field| is_legal_key(field.name) && !is_reserved(field.name)) {
            return Ok(Self::new());
        }
        let mut rewrite = false;
        let mut bad = None;
        fields.retain(|field| {
            if !is_legal_key(field.name) || is_reserved(field.name) {
                return false;
            }
            match Kind::of(field.name) {
                Kind::Text => {
                    rewrite |= trim(field.value).len() != field.value.len();
                    is_printable(trim(field.value))
                }
                Kind::Binary if binary::is_valid(field.value) => {
                    rewrite |= field.value.ends_with(b"=");
                    true
                }
                Kind::Binary => {
                    rewrite = true;
                    if !parts(field.value).all(binary::is_valid) {
                        bad.get_or_insert_with(|| BadBinary { key: text(field.name).into() });
                    }
                    true
                }
            }
        });
        match bad {
            Some(bad) => Err(bad),
            None if rewrite => Ok(Self { fields: rewritten(&fields) }),
            None => Ok(Self { fields }),
        }
    }

    /// The fields as they travel.
    pub(crate) const fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// A received value of a binary key is not base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadBinary {
    /// The key.
    pub(crate) key: Box<str>,
}

impl From<MetadataError> for Status {
    /// INTERNAL: metadata that cannot be sent is a mistake of the program that made it.
    fn from(error: MetadataError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<BadBinary> for Status {
    fn from(bad: BadBinary) -> Self {
        Self::internal(format!("the value of metadata key {:?} is not base64", bad.key))
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
    if name.starts_with(b":") || is_reserved(name) || name == b"user-agent" {
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

/// `fields` with each binary value on its own and unpadded, and no spaces around text.
fn rewritten(fields: &Fields) -> Fields {
    let mut out = Fields::with_capacity(fields.len(), fields.list_size());
    for field in fields.iter() {
        match Kind::of(field.name) {
            Kind::Text => out.push_field(Field { value: trim(field.value), ..field }),
            Kind::Binary => {
                for part in parts(field.value) {
                    out.push_field(Field { value: binary::without_padding(part), ..field });
                }
            }
        }
    }
    out
}

/// The values in a list joined by commas.
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// Names that HTTP/2 or gRPC use themselves. (Those of pseudo-header fields are no legal keys.)
fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(b"grpc-") && !is_the_applications(name)
        || matches!(
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
        )
}

/// What OpenCensus passes on, which gRPC's implementations treat as the application's; and what
/// servers tell retrying clients (gRFC A6), which handlers may say too.
fn is_the_applications(name: &[u8]) -> bool {
    matches!(name, b"grpc-trace-bin" | b"grpc-tags-bin" | b"grpc-retry-pushback-ms")
}

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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::vectors;

    fn fields(list: &[(&str, &[u8])]) -> Fields {
        list.iter().map(|(name, value)| (name.as_bytes(), *value)).collect()
    }

    fn received(list: &[(&str, &[u8])]) -> Metadata {
        Metadata::from_received(fields(list)).unwrap()
    }

    #[test]
    fn what_is_not_for_the_application_is_dropped() {
        let metadata = received(&[
            (":method", b"POST"),
            (":path", b"/s/m"),
            ("te", b"trailers"),
            ("content-type", b"application/grpc"),
            ("grpc-timeout", b"1S"),
            ("grpc-other-bin", b"***"),
            ("host", b"h"),
            ("connection", b"close"),
            ("user-agent", b"test/1"),
            ("a", b"1"),
            ("Upper", b"1"),
            ("a b", b"1"),
            ("!", b"1"),
            ("", b"1"),
            ("a", b"\x7f"),
            ("a", "é".as_bytes()),
            ("a", b"tab\tinside"),
            ("a", b""),
            ("grpc", b"2"),
            ("a", b"~ ~"),
        ]);
        let expected: [(&str, &[u8]); 5] =
            [("user-agent", b"test/1"), ("a", b"1"), ("a", b""), ("grpc", b"2"), ("a", b"~ ~")];
        assert_eq!(*metadata.fields(), fields(&expected));
    }

    #[test]
    fn spaces_around_text_are_dropped() {
        let metadata = received(&[("a", b" \t1 2\t "), ("b", b"  "), ("c", b"3")]);
        assert_eq!(*metadata.fields(), fields(&[("a", b"1 2"), ("b", b""), ("c", b"3")]));
    }

    #[test]
    fn binary_values() {
        for [value, expected] in vectors::words(include_str!("../../../testdata/grpc/base64.txt")) {
            let list = [("x-bin", value.as_bytes()), ("a", b" 1")];
            let read = Metadata::from_received(fields(&list));
            if expected == "bad" {
                assert_eq!(read, Err(BadBinary { key: "x-bin".into() }), "{value}");
                continue;
            }
            let metadata = read.expect(value);
            assert_eq!(metadata.value("a"), Some("1"));
            let hex = |bytes: Vec<u8>| {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                if hex.is_empty() && expected.contains('-') { "-".into() } else { hex }
            };
            let values: Vec<String> = metadata.values_bin("x-bin").map(hex).collect();
            assert_eq!(values.join(","), expected, "{value}");
            assert!(metadata.fields().iter().all(|field| !field.value.contains(&b'=')));
            // What was read can be sent again and means the same.
            assert_eq!(Metadata::from_received(metadata.fields().clone()), Ok(metadata));
        }
        let status = Status::from(BadBinary { key: "x-bin".into() });
        assert_eq!(status.code(), crate::Code::Internal);
    }

    #[test]
    fn usual_lists_are_read_in_place() {
        let list = fields(&[
            (":path", b"/s/m"),
            ("te", b"trailers"),
            ("user-agent", b"x"),
            ("a", b"1"),
            ("b-bin", b"AAA"),
        ]);
        let held = list.held_bytes();
        let value = list.value(b"a").unwrap().as_ptr();
        let metadata = Metadata::from_received(list).unwrap();
        assert_eq!(metadata.len(), 3);
        assert_eq!(metadata.fields().held_bytes(), held);
        assert_eq!(metadata.fields().value(b"a").unwrap().as_ptr(), value);
    }

    #[test]
    fn sensitive_fields_stay_so() {
        let mut list = fields(&[("a", b" 1")]);
        list.push_sensitive(b"authorization", b" secret");
        list.push_sensitive(b"x-bin", b"AA,AQ");
        let metadata = Metadata::from_received(list).unwrap();
        let sensitive: Vec<bool> = metadata.fields().iter().map(|field| field.sensitive).collect();
        assert_eq!(sensitive, [false, true, true, true]);
    }

    proptest! {
        #[test]
        fn any_list_is_handled(list in vec((
            prop_oneof!["[:a-zA-Z.-]{0,5}", "[a-z]{1,2}-bin", "grpc-[a-z]"],
            prop_oneof![vec(any::<u8>(), 0..9), "[A-Za-z=, ]{0,9}".prop_map(String::into_bytes)],
        ), 0..8)) {
            let list: Fields = list.iter().map(|(n, v)| (n.as_bytes(), &v[..])).collect();
            if let Ok(metadata) = Metadata::from_received(list) {
                // All that was let in can be set by an application, and comes back the same.
                let mut copy = Metadata::new();
                for (key, value) in metadata.iter() {
                    match value {
                        MetadataValue::Text(text) => copy.append(key, text).unwrap(),
                        MetadataValue::Binary(bytes) => copy.append_bin(key, &bytes).unwrap(),
                    }
                }
                prop_assert!(copy.iter().eq(metadata.iter()));
                prop_assert_eq!(Metadata::from_received(copy.fields().clone()), Ok(copy));
            }
        }
    }
}
