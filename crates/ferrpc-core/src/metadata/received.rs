//! Metadata as it is received: what is let in, and what becomes of it.

use std::fmt;

use ferrpc_http2::{Field, Fields};

use super::{Kind, Metadata, is_legal_key, is_printable, is_reserved, trim};
use crate::shown::Shown;
use crate::{Status, binary};

impl Metadata {
    /// The metadata in a decoded header list, and what is wrong with it.
    ///
    /// What belongs to HTTP/2 or gRPC itself is dropped (`user-agent` stays), and so is what is no
    /// legal metadata. Binary values that cannot be read are left out, which the second part tells.
    /// Works in place, without allocation, unless a binary value is padded or holds several, or a
    /// text value has spaces around it.
    ///
    /// Several values joined by commas become fields of their own, each with the name: `grow` is
    /// asked before, with the list's size and by how much it becomes larger. If it does not agree,
    /// they are left out.
    pub(crate) fn from_received<E>(
        mut fields: Fields,
        grow: impl FnOnce(usize, usize) -> Result<(), E>,
    ) -> (Self, Option<Unreadable<E>>) {
        // Most names are gRPC's own, and that is found out soonest.
        let ours = |name: &[u8]| is_reserved(name) || !is_legal_key(name);
        if fields.iter().all(|field| ours(field.name)) {
            return (Self::new(), None);
        }
        let mut rewrite = false;
        let mut growth = 0usize;
        let mut unreadable = None;
        fields.retain(|field| {
            if ours(field.name) {
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
                Kind::Binary if parts(field.value).all(binary::is_valid) => {
                    rewrite = true;
                    let more = parts(field.value).count() - 1;
                    growth = growth.saturating_add(more.saturating_mul(field.name.len() + 32));
                    true
                }
                Kind::Binary => {
                    unreadable.get_or_insert_with(|| Unreadable::not_base64(field.name));
                    false
                }
            }
        });
        if growth > 0
            && let Err(error) = grow(fields.list_size(), growth)
        {
            unreadable = Some(Unreadable::TooLarge(error));
            fields.retain(|field| !is_joined(field));
        }
        let fields = if rewrite { rewritten(&fields) } else { fields };
        (Self { fields }, unreadable)
    }
}

/// Why some of the metadata that was received was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable<E> {
    /// The value of this binary key is not base64.
    NotBase64(Box<str>),
    /// Its joined values are too large when they are separate.
    TooLarge(E),
}

impl<E> Unreadable<E> {
    fn not_base64(key: &[u8]) -> Self {
        Self::NotBase64(Shown(key).to_string().into())
    }
}

impl<E: fmt::Display> fmt::Display for Unreadable<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBase64(key) => {
                write!(f, "the value of metadata key \"{key}\" is not base64")
            }
            Self::TooLarge(error) => write!(f, "received metadata size {error}"),
        }
    }
}

impl<E: fmt::Display> From<Unreadable<E>> for Status {
    fn from(unreadable: Unreadable<E>) -> Self {
        let text = unreadable.to_string();
        match unreadable {
            Unreadable::NotBase64(_) => Self::internal(text),
            Unreadable::TooLarge(_) => Self::resource_exhausted(text),
        }
    }
}

/// `fields` with each binary value on its own and unpadded, and no spaces around text.
fn rewritten(fields: &Fields) -> Fields {
    let (mut count, mut bytes) = (0, 0);
    separate(fields, |field| {
        count += 1;
        bytes += field.name.len() + field.value.len();
    });
    let mut out = Fields::with_capacity(count, bytes);
    separate(fields, |field| out.push_field(field));
    out
}

fn separate(fields: &Fields, mut take: impl FnMut(Field<'_>)) {
    for field in fields.iter() {
        match Kind::of(field.name) {
            Kind::Text => take(Field { value: trim(field.value), ..field }),
            Kind::Binary => {
                for part in parts(field.value) {
                    take(Field { value: binary::without_padding(part), ..field });
                }
            }
        }
    }
}

/// Whether a field has several values.
fn is_joined(field: Field<'_>) -> bool {
    Kind::of(field.name) == Kind::Binary && field.value.contains(&b',')
}

/// The values in a list joined by commas.
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::{MetadataValue, vectors};

    fn fields(list: &[(&str, &[u8])]) -> Fields {
        list.iter().map(|(name, value)| (name.as_bytes(), *value)).collect()
    }

    type Read = (Metadata, Option<Unreadable<&'static str>>);

    fn read(fields: Fields) -> Read {
        Metadata::from_received(fields, |_, _| Ok(()))
    }

    fn received(list: &[(&str, &[u8])]) -> Metadata {
        let (metadata, None) = read(fields(list)) else { panic!("{list:?}") };
        metadata
    }

    #[test]
    fn what_is_not_for_the_application_is_dropped() {
        let metadata = received(&[
            (":method", b"POST"),
            (":path", b"/s/m"),
            ("te", b"trailers"),
            ("content-type", b"application/grpc"),
            ("grpc-timeout", b"1S"),
            ("grpc-message", b"x"),
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
        for [value, expected] in
            vectors::words(include_str!("../../../../testdata/grpc/base64.txt"))
        {
            let list = [("x-bin", value.as_bytes()), ("a", b" 1")];
            let (metadata, unreadable) = read(fields(&list));
            if expected == "bad" {
                assert_eq!(unreadable, Some(Unreadable::NotBase64("x-bin".into())), "{value}");
                assert_eq!(*metadata.fields(), fields(&[("a", b"1")]), "{value}");
                continue;
            }
            assert_eq!(unreadable, None, "{value}");
            assert_eq!(metadata.value("a"), Some("1"));
            let hex = |bytes: Vec<u8>| {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                if hex.is_empty() && expected.contains('-') { "-".into() } else { hex }
            };
            let values: Vec<String> = metadata.values_bin("x-bin").map(hex).collect();
            assert_eq!(values.join(","), expected, "{value}");
            assert!(metadata.fields().iter().all(|field| !field.value.contains(&b'=')));
            // What was read can be sent again and means the same.
            assert_eq!(read(metadata.fields().clone()), (metadata, None));
        }
        let status = Status::from(Unreadable::<&str>::NotBase64("x-bin".into()));
        assert_eq!(status.code(), crate::Code::Internal);
    }

    /// Each of the values that commas join gets the name: who decides is asked first.
    #[test]
    fn joined_values_are_counted_before_they_are_copied() {
        let name = format!("{}-bin", "k".repeat(1000));
        let list =
            fields(&[(&name, &[b','; 999]), ("x-bin", b"AQ,Ag"), ("y-bin", b"AA"), ("a", b"1")]);
        let size = list.list_size();
        let mut asked = None;
        let (metadata, unreadable) = Metadata::from_received(list.clone(), |size, more| {
            asked = Some((size, more));
            Err("too much")
        });
        assert_eq!(asked, Some((size, 999 * (1004 + 32) + 5 + 32)));
        assert_eq!(unreadable, Some(Unreadable::TooLarge("too much")));
        assert_eq!(*metadata.fields(), fields(&[("y-bin", b"AA"), ("a", b"1")]));
        assert!(metadata.fields().held_bytes() < 4096);

        let (metadata, None) = read(list) else { panic!("it was granted") };
        assert_eq!(metadata.len(), 1000 + 2 + 2);
        let most = size + asked.unwrap().1;
        assert!(metadata.fields().held_bytes() <= most, "what is held is what was asked for");
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
        let (metadata, _) = read(list);
        assert_eq!(metadata.len(), 3);
        assert_eq!(metadata.fields().held_bytes(), held);
        assert_eq!(metadata.fields().value(b"a").unwrap().as_ptr(), value);
    }

    #[test]
    fn sensitive_fields_stay_so() {
        let mut list = fields(&[("a", b" 1")]);
        list.push_sensitive(b"authorization", b" secret");
        list.push_sensitive(b"x-bin", b"AA,AQ");
        let (metadata, _) = read(list);
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
            let (metadata, _) = read(list);
            // All that was let in can be set by an application, and comes back the same.
            let mut copy = Metadata::new();
            for (key, value) in metadata.iter() {
                match value {
                    MetadataValue::Text(text) => copy.append(key, text).unwrap(),
                    MetadataValue::Binary(bytes) => copy.append_bin(key, &bytes).unwrap(),
                }
            }
            prop_assert!(copy.iter().eq(metadata.iter()));
            prop_assert_eq!(read(copy.fields().clone()), (copy, None));
        }
    }
}
