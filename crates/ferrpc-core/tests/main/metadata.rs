//! Metadata as an application sees it.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::borrow::Cow;

use ferrpc_core::{Metadata, MetadataError, MetadataValue};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn order_and_repeated_keys() {
    let mut metadata = Metadata::new();
    assert!(metadata.is_empty());
    metadata.append("a", "1").unwrap();
    metadata.append_bin("b-bin", b"\0\xff").unwrap();
    metadata.append("a", "2").unwrap();
    assert_eq!(metadata.len(), 3);
    assert_eq!(metadata.value("a"), Some("1"));
    assert_eq!(metadata.values("a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(metadata.value_bin("b-bin").unwrap(), b"\0\xff");
    let all: Vec<_> = metadata.iter().collect();
    assert_eq!(
        all,
        [
            ("a", MetadataValue::Text("1")),
            ("b-bin", MetadataValue::Binary(Cow::Borrowed(b"\0\xff"))),
            ("a", MetadataValue::Text("2")),
        ]
    );
}

#[test]
fn the_kind_of_a_key_decides() {
    let mut metadata = Metadata::new();
    metadata.append("a", "AAAA").unwrap();
    metadata.append_bin("a-bin", b"abc").unwrap();
    assert_eq!(metadata.value("a-bin"), None);
    assert_eq!(metadata.values("a-bin").count(), 0);
    assert_eq!(metadata.value_bin("a"), None);
    assert_eq!(metadata.values_bin("a").count(), 0);
    let wrong = |key: &str| Err(MetadataError::WrongKind(key.into()));
    assert_eq!(metadata.append("a-bin", "x"), wrong("a-bin"));
    assert_eq!(metadata.insert("a-bin", "x"), wrong("a-bin"));
    assert_eq!(metadata.append_bin("a", b"x"), wrong("a"));
    assert_eq!(metadata.insert_bin("a", b"x"), wrong("a"));
    assert_eq!(metadata.len(), 2);
}

#[test]
fn insert_and_remove() {
    let mut metadata = Metadata::new();
    for value in ["1", "2", "3"] {
        metadata.append("a", value).unwrap();
        metadata.append_bin("a-bin", value.as_bytes()).unwrap();
    }
    metadata.append("b", "4").unwrap();
    metadata.insert("a", "5").unwrap();
    metadata.insert_bin("a-bin", b"6").unwrap();
    assert_eq!(metadata.values("a").collect::<Vec<_>>(), ["5"]);
    assert_eq!(metadata.values_bin("a-bin").collect::<Vec<_>>(), [b"6"]);
    assert!(metadata.remove("a"));
    assert!(!metadata.remove("a"));
    assert!(metadata.remove("a-bin"));
    assert_eq!(metadata.iter().collect::<Vec<_>>(), [("b", MetadataValue::Text("4"))]);
}

#[test]
fn an_illegal_value_replaces_nothing() {
    let mut metadata = Metadata::new();
    metadata.append("a", "1").unwrap();
    assert_eq!(metadata.insert("a", "é"), Err(MetadataError::IllegalValue("a".into())));
    assert_eq!(metadata.value("a"), Some("1"));
}

#[test]
fn keys() {
    let mut metadata = Metadata::new();
    for key in ["a", "0", "a_b-c.d9", "-", "grpc", "grpcx-a", "tea", "hosts"] {
        metadata.append(key, "x").unwrap();
    }
    for key in ["", "A", "GRPC-a", "a b", "a:b", "é", "a\0", "a\n", "a/b"] {
        assert_eq!(metadata.append(key, "x"), Err(MetadataError::IllegalKey(key.into())));
    }
    for key in [
        ":path",
        ":",
        "grpc-status",
        "grpc-message",
        "grpc-timeout",
        "grpc-encoding",
        "grpc-accept-encoding",
        "grpc-message-type",
        "grpc-previous-rpc-attempts",
        "te",
        "content-type",
        "user-agent",
        "connection",
        "transfer-encoding",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "host",
        "content-length",
    ] {
        assert_eq!(metadata.append(key, "x"), Err(MetadataError::ReservedKey(key.into())));
        assert_eq!(metadata.insert(key, "x"), Err(MetadataError::ReservedKey(key.into())));
    }
    // Not the application's by the specification, and yet there are such applications.
    assert_eq!(metadata.append("grpc-client-name", "x"), Ok(()));
    assert_eq!(metadata.append_bin("grpc-server-stats-bin", b"x"), Ok(()));
    assert_eq!(metadata.append_bin("grpc-status-details-bin", b"x"), Ok(()));
    assert_eq!(metadata.append_bin("grpc-trace-bin", b"x"), Ok(()));
    assert_eq!(metadata.append_bin("grpc-tags-bin", b"x"), Ok(()));
}

#[test]
fn text_values() {
    let mut metadata = Metadata::new();
    for (value, held) in [("", ""), (" !~ ", "!~"), ("a  b", "a  b"), ("a,b", "a,b")] {
        metadata.insert("k", value).unwrap();
        assert_eq!(metadata.value("k"), Some(held));
    }
    for value in ["é", "a\tb", "a\0", "a\r\nb: c", "\x7f"] {
        let error = metadata.append("k", value).unwrap_err();
        assert_eq!(error, MetadataError::IllegalValue("k".into()), "{value:?}");
    }
}

#[test]
fn extend() {
    let mut one = Metadata::new();
    one.append("a", "1").unwrap();
    let mut two = Metadata::new();
    two.extend(&one);
    assert_eq!(two, one);
    two.append("b", "2").unwrap();
    one.extend(&two);
    let values: Vec<_> = one.iter().map(|(key, _)| key).collect();
    assert_eq!(values, ["a", "a", "b"]);
}

proptest! {
    #[test]
    fn binary_values_come_back(values in vec(vec(any::<u8>(), 0..300), 0..6)) {
        let mut metadata = Metadata::new();
        for value in &values {
            metadata.append_bin("k-bin", value).unwrap();
        }
        prop_assert!(metadata.values_bin("k-bin").eq(values));
    }
}
