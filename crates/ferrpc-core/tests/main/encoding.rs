//! Compression: round trips, limits, and what a hostile or sloppy peer may send.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use ferrpc_core::{Code, Encoding, EncodingSet};
use proptest::collection::vec;
use proptest::prelude::*;

const COMPRESSED: [Encoding; 2] = [Encoding::Gzip, Encoding::Deflate];

proptest! {
    #[test]
    fn round_trip(message in vec(any::<u8>(), 0..1000), repeat in 1usize..8) {
        let message = message.repeat(repeat);
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate] {
            let wire = encoding.compress(&message);
            prop_assert_eq!(&encoding.decompress(&wire, message.len()).unwrap()[..], &message[..]);
            if let Some(limit) = message.len().checked_sub(1) {
                let status = encoding.decompress(&wire, limit).unwrap_err();
                prop_assert_eq!(status.code(), Code::ResourceExhausted);
            }
        }
    }

    #[test]
    fn any_bytes_are_handled(wire in vec(any::<u8>(), 0..200), limit in 0usize..300) {
        for encoding in COMPRESSED {
            if let Ok(message) = encoding.decompress(&wire, limit) {
                prop_assert!(message.len() <= limit);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed(
        message in vec(any::<u8>(), 1..500),
        at in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        for encoding in COMPRESSED {
            let mut wire = encoding.compress(&message).to_vec();
            let at = at.index(wire.len());
            wire[at] ^= change;
            // gzip's time, flags and system say nothing about the message.
            if let Ok(read) = encoding.decompress(&wire, 1000) {
                prop_assert_eq!(&read[..], &message[..]);
            }
        }
    }
}

#[test]
fn cut_off_anywhere() {
    for encoding in COMPRESSED {
        let wire = encoding.compress(&[b'x'; 3000]);
        for end in 0..wire.len() {
            let status = encoding.decompress(&wire[..end], 3000).unwrap_err();
            assert_eq!(status.code(), Code::Internal, "{encoding:?} cut at {end}");
        }
    }
}

#[test]
fn bytes_after_the_end() {
    for encoding in COMPRESSED {
        for garbage in [&b"\0"[..], b"garbage that is longer than a header"] {
            let wire = [&encoding.compress(b"message"), garbage].concat();
            let status = encoding.decompress(&wire, 100).unwrap_err();
            assert_eq!(status.code(), Code::Internal);
        }
    }
}

#[test]
fn gzip_members_are_joined() {
    let member = |text: &[u8]| Encoding::Gzip.compress(text);
    let wire = [member(b"one, "), member(b""), member(b"two")].concat();
    assert_eq!(&Encoding::Gzip.decompress(&wire, 8).unwrap()[..], b"one, two");
    let status = Encoding::Gzip.decompress(&wire, 7).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    // zlib (RFC 1950) knows no members.
    let two = [Encoding::Deflate.compress(b"a"), Encoding::Deflate.compress(b"b")].concat();
    assert_eq!(Encoding::Deflate.decompress(&two, 8).unwrap_err().code(), Code::Internal);
}

#[test]
fn vectors_of_other_implementations() {
    for line in include_str!("../../../../testdata/grpc/compressed.txt").lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(wire), Some(expected)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if name.starts_with('#') {
            continue;
        }
        let encoding = Encoding::from_name(name.as_bytes()).unwrap();
        let read = encoding.decompress(&from_hex(wire), 1000);
        match expected {
            "corrupt" => assert_eq!(read.unwrap_err().code(), Code::Internal, "{line}"),
            hex => assert_eq!(&read.expect(line)[..], from_hex(hex), "{line}"),
        }
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    for encoding in COMPRESSED {
        let wire = encoding.compress(&vec![0; 16 << 20]);
        assert!(wire.len() < 100_000);
        let status = encoding.decompress(&wire, 4 << 20).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("4194304"), "{status}");
    }
}

#[test]
fn limits_at_the_ends_of_the_range() {
    for encoding in COMPRESSED {
        let empty = encoding.compress(b"");
        assert!(encoding.decompress(&empty, 0).unwrap().is_empty());
        assert!(encoding.decompress(&empty, usize::MAX).unwrap().is_empty());
        let status = encoding.decompress(&encoding.compress(b"x"), 0).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
}

#[test]
fn accept_encoding() {
    let check = |value: &str, header: &str| {
        assert_eq!(EncodingSet::parse(value.as_bytes()).header(), header, "{value:?}");
    };
    check("", "identity");
    check("gzip", "identity,gzip");
    check("identity, deflate,\tgzip ", "identity,deflate,gzip");
    check("br,deflate,snappy", "identity,deflate");
    check("GZIP,,", "identity");
    assert_eq!(EncodingSet::parse(b"gzip,deflate"), EncodingSet::ALL);
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate] {
        assert!(EncodingSet::IDENTITY.with(encoding).contains(encoding));
        assert_eq!(Encoding::from_name(encoding.name().as_bytes()), Some(encoding));
    }
    assert!(!EncodingSet::IDENTITY.contains(Encoding::Gzip));
}

fn from_hex(hex: &str) -> Vec<u8> {
    let hex = if hex == "-" { "" } else { hex };
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
