//! HPACK: the header list of a usual call, with a value that changes.

use ferrpc_http2::Field;
use ferrpc_http2::hpack::{Decoder, Encoder, HeaderList, ListLimits};

use crate::batches;

/// Encodes blocks whose fields are in the table, but for one.
pub(crate) fn encode() {
    let mut encoder = Encoder::new();
    let mut number = 0;
    let mut out = Vec::new();
    batches(|count| {
        out.clear();
        let first = number;
        count(&mut || {
            for _ in 0..BLOCKS {
                number += 1;
                encoder.encode(fields(&number.to_string()), &mut out);
            }
        });
        assert_eq!(number - first, BLOCKS);
        assert!(out.len() > BLOCKS * FIELDS, "blocks of {} bytes", out.len());
    });
}

/// Decodes what `encode` made.
pub(crate) fn decode() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(TABLE));
    let mut number = 0;
    batches(|count| {
        let blocks: Vec<_> = (0..BLOCKS)
            .map(|_| {
                let mut block = Vec::new();
                number += 1;
                encoder.encode(fields(&number.to_string()), &mut block);
                block
            })
            .collect();
        count(&mut || decode_all(&mut decoder, &blocks));
    });
}

/// Decodes blocks of a peer that indexes nothing: literals, with names spelled out.
pub(crate) fn decode_literals() {
    let mut decoder = Decoder::new(TABLE);
    let mut number = 0_usize;
    batches(|count| {
        let blocks: Vec<_> = (0..BLOCKS)
            .map(|_| {
                number += 1;
                literals(&number.to_string())
            })
            .collect();
        count(&mut || decode_all(&mut decoder, &blocks));
    });
}

fn decode_all(decoder: &mut Decoder, blocks: &[Vec<u8>]) {
    for block in blocks {
        let mut list = HeaderList::new(ListLimits { max_size: 16 << 10, max_fields: 100 });
        decoder.decode(block, true, &mut list).expect("we encoded it");
        assert_eq!(list.into_fields().len(), FIELDS);
    }
}

fn fields(number: &str) -> [Field<'_>; FIELDS] {
    let field =
        |name: &'static str, value| Field { name: name.as_bytes(), value, sensitive: false };
    [
        field(":method", b"POST"),
        field(":scheme", b"http"),
        field(":path", b"/example.TestService/method"),
        field(":authority", b"localhost:50051"),
        field("te", b"trailers"),
        field("content-type", b"application/grpc"),
        field("user-agent", b"ferrpc/0.1.0"),
        field("x-request-id", number.as_bytes()),
    ]
}

/// Literals without indexing (RFC 7541, 6.2.2), no Huffman coding.
fn literals(number: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for Field { name, value, .. } in fields(number) {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend_from_slice(text);
        }
    }
    block
}

const FIELDS: usize = 8;
const BLOCKS: usize = 100;
const TABLE: usize = 4096;
