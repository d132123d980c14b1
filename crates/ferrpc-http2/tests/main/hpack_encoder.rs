//! What the HPACK encoder chooses, and that its blocks decode to what it was given.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use ferrpc_http2::Fields;
use ferrpc_http2::hpack::{Decoder, Encoder, HeaderList, ListLimits};
use proptest::collection::vec;
use proptest::prelude::*;

const UNLIMITED: ListLimits = ListLimits { max_size: usize::MAX, max_fields: usize::MAX };

#[test]
fn a_repeated_call_costs_a_byte_a_field() {
    let call = fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/helloworld.Greeter/SayHello"),
        (":authority", "localhost:50051"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "grpc-rust-ferrpc/0.1.0"),
    ]);
    let mut encoder = Encoder::new();
    encode(&mut encoder, &call);
    assert_eq!(encode(&mut encoder, &call).len(), call.len());
}

#[test]
fn repeated_trailers_cost_a_byte() {
    let mut encoder = Encoder::new();
    encode(&mut encoder, &fields(&[("grpc-status", "0")]));
    assert_eq!(encode(&mut encoder, &fields(&[("grpc-status", "0")])), [0xbe]);
}

#[test]
fn unique_by_nature_is_never_indexed() {
    for name in ["grpc-timeout", "grpc-message", "content-length", "grpc-status-details-bin"] {
        check_kind(name, "1", [0x00, 0x00, 0x00]);
    }
}

#[test]
fn other_fields_are_indexed_at_second_sight() {
    check_kind("x-request-kind", "batch", [0x00, 0x40, 0x80]);
    check_kind("grpc-status", "5", [0x00, 0x40, 0x80]);
}

#[test]
fn long_values_are_not_indexed() {
    check_kind("x-token", &"v".repeat(1024), [0x00, 0x40, 0x80]);
    check_kind("x-token", &"v".repeat(1025), [0x00, 0x00, 0x00]);
    check_kind(":path", &"v".repeat(1025), [0x00, 0x00, 0x00]);
}

#[test]
fn short_credentials_are_never_indexed() {
    for name in ["authorization", "cookie"] {
        check_kind(name, "0123456789012345678", [0x10, 0x10, 0x10]);
        check_kind(name, "01234567890123456789", [0x00, 0x40, 0x80]);
    }
}

#[test]
fn sensitive_fields_are_never_indexed() {
    let mut list = Fields::new();
    list.push_sensitive(b"x-secret", b"0123456789012345678901234567890123456789");
    list.push_sensitive(b":method", b"GET");
    let mut encoder = Encoder::new();
    let mut decoder = Decoder::new(4096);
    for _ in 0..3 {
        let block = encode(&mut encoder, &list);
        assert_eq!(kind(block[0]), 0x10);
        let decoded = decode(&mut decoder, &block);
        assert!(decoded.iter().all(|field| field.sensitive));
        assert_eq!(decoded, list);
    }
}

#[test]
fn unique_values_do_not_flush_the_table() {
    let mut encoder = Encoder::new();
    encode(&mut encoder, &fields(&[(":path", "/helloworld.Greeter/SayHello")]));
    for id in 0..1000 {
        encode(&mut encoder, &fields(&[("x-request-id", &id.to_string())]));
    }
    let block = encode(&mut encoder, &fields(&[(":path", "/helloworld.Greeter/SayHello")]));
    assert_eq!(block.len(), 1);
}

#[test]
fn table_size_updates() {
    // The smallest size since the last block, then the final one (4.2); nothing if none changed.
    check_updates(&[4096], &[]);
    check_updates(&[65_536], &[]);
    check_updates(&[0], &[0x20]);
    check_updates(&[30, 10, 20], &[0x20 | 10, 0x20 | 20]);
    check_updates(&[0, 65_536], &[0x20, 0x3f, 0xe1, 0x1f]);
    check_updates(&[30, 30], &[0x20 | 30]);
}

fn check_updates(sizes: &[u32], expected: &[u8]) {
    let mut encoder = Encoder::new();
    sizes.iter().for_each(|size| encoder.set_peer_table_size(*size));
    assert_eq!(encode(&mut encoder, &Fields::new()), expected, "{sizes:?}");
    assert!(encode(&mut encoder, &Fields::new()).is_empty(), "{sizes:?}, told once");
}

#[test]
fn a_smaller_cap_is_told_and_a_greater_one_used_only_when_offered() {
    let mut small = Encoder::with_max_table_size(20);
    assert_eq!(encode(&mut small, &Fields::new()), [0x20 | 20]);
    let mut great = Encoder::with_max_table_size(8192);
    assert!(encode(&mut great, &Fields::new()).is_empty());
    great.set_peer_table_size(10_000);
    assert_eq!(encode(&mut great, &Fields::new()), [0x3f, 0xe1, 0x3f]);
}

#[test]
fn an_empty_table_is_not_used() {
    let mut encoder = Encoder::new();
    encoder.set_peer_table_size(0);
    encode(&mut encoder, &Fields::new());
    for _ in 0..3 {
        assert_eq!(kind(encode(&mut encoder, &fields(&[("te", "trailers")]))[0]), 0x00);
    }
}

/// Encodes a field three times and compares the kinds of its representations.
fn check_kind(name: &str, value: &str, expected: [u8; 3]) {
    let mut encoder = Encoder::new();
    let list = fields(&[(name, value)]);
    let kinds = expected.map(|_| kind(encode(&mut encoder, &list)[0]));
    assert_eq!(kinds, expected, "{name}: {value}");
}

/// The pattern of the representation that begins with `byte`.
fn kind(byte: u8) -> u8 {
    [0x80, 0x40, 0x20, 0x10].into_iter().find(|pattern| byte & pattern != 0).unwrap_or(0)
}

/// What happens on a connection.
#[derive(Debug, Clone)]
enum Step {
    Resize(u32),
    /// Fields by name, value and whether sensitive, and the length of the block's fragments.
    Block(Vec<(Vec<u8>, Vec<u8>, bool)>, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            ":path", ":method", ":status", "te", "cookie", "date", "grpc-timeout", "grpc-status",
            "x-a", "x-b", "", "Upper", "accept-encoding",
        ]).prop_map(|name| name.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..80),
    ];
    let value = prop_oneof![
        4 => prop::sample::select(vec!["", "0", "GET", "POST", "trailers", "/a/b", "gzip, deflate"])
            .prop_map(|value| value.as_bytes().to_vec()),
        2 => (0u8..20, 0usize..200).prop_map(|(byte, length)| vec![byte * 12; length]),
        1 => vec(any::<u8>(), 0..300),
        1 => vec(any::<u8>(), 0..1500),
    ];
    let field = (name, value, prop::bool::weighted(0.1));
    let size = prop_oneof![0u32..200, 0u32..8192, Just(0u32), Just(4096u32), Just(u32::MAX)];
    prop_oneof![
        1 => size.prop_map(Step::Resize),
        4 => (vec(field, 0..12), 1usize..40).prop_map(|(fields, cut)| Step::Block(fields, cut)),
    ]
}

proptest! {
    #[test]
    fn blocks_decode_to_what_was_encoded(
        steps in vec(step(), 0..20),
        cap in prop_oneof![Just(4096usize), 0usize..8192],
    ) {
        let mut encoder = Encoder::with_max_table_size(cap);
        let mut whole = Decoder::new(8192);
        let mut cut = Decoder::new(8192);
        let mut bytewise = Decoder::new(8192);
        for step in steps {
            let (fields, length) = match step {
                Step::Resize(size) => {
                    encoder.set_peer_table_size(size);
                    continue;
                }
                Step::Block(fields, length) => (fields, length),
            };
            let mut list = Fields::new();
            for (name, value, sensitive) in &fields {
                if *sensitive { list.push_sensitive(name, value) } else { list.push(name, value) }
            }
            let block = encode(&mut encoder, &list);
            let decoded = decode(&mut whole, &block);
            // Credentials come back marked, having been sent so.
            prop_assert!(decoded.iter().map(|f| (f.name, f.value))
                .eq(list.iter().map(|f| (f.name, f.value))));
            prop_assert!(decoded.iter().zip(list.iter()).all(|(d, l)| d.sensitive || !l.sensitive));
            prop_assert_eq!(&decode_cut(&mut cut, &block, length), &decoded);
            prop_assert_eq!(&decode_cut(&mut bytewise, &block, 1), &decoded);
        }
    }

    #[test]
    fn cut_blocks_decode_as_whole_ones(bytes in vec(any::<u8>(), 0..200), length in 1usize..20) {
        let (mut whole, mut cut) = (Decoder::new(4096), Decoder::new(4096));
        let mut list = HeaderList::new(UNLIMITED);
        let mut cut_list = HeaderList::new(UNLIMITED);
        let result = whole.decode(&bytes, true, &mut list);
        let cut_result = bytes
            .chunks(length)
            .try_for_each(|fragment| cut.decode(fragment, false, &mut cut_list))
            .and_then(|()| cut.decode(&[], true, &mut cut_list));
        prop_assert_eq!(result, cut_result);
        prop_assert_eq!(list.into_fields(), cut_list.into_fields());
    }

    #[test]
    fn any_bytes_are_survived(
        blocks in vec((vec(any::<u8>(), 0..300), any::<bool>()), 0..10),
        max_size in 0usize..2000,
    ) {
        // Goes on after errors too, which a connection does not.
        let mut decoder = Decoder::new(4096);
        for (block, end) in blocks {
            let limits = ListLimits { max_size, max_fields: 20 };
            let mut list = HeaderList::new(limits);
            let _ = decoder.decode(&block, end, &mut list);
            let fields = list.into_fields();
            prop_assert!(fields.list_size() <= max_size && fields.len() <= 20);
        }
    }
}

fn encode(encoder: &mut Encoder, fields: &Fields) -> Vec<u8> {
    let mut out = b"kept".to_vec();
    encoder.encode(fields.iter(), &mut out);
    assert_eq!(out[..4], *b"kept");
    out.split_off(4)
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Fields {
    decode_cut(decoder, block, block.len().max(1))
}

fn decode_cut(decoder: &mut Decoder, block: &[u8], length: usize) -> Fields {
    let mut list = HeaderList::new(UNLIMITED);
    for fragment in block.chunks(length) {
        decoder.decode(fragment, false, &mut list).unwrap();
    }
    decoder.decode(&[], true, &mut list).unwrap();
    list.into_fields()
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}
