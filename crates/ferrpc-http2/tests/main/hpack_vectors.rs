//! HPACK against the facts of RFC 7541: its examples (appendix C) and its Huffman code (B).

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use ferrpc_http2::hpack::{DecodeError, Decoder, Encoder, HeaderList, ListLimits};
use ferrpc_http2::{Field, Fields};

const APPENDIX_C: &str = include_str!("../../../../testdata/hpack/rfc7541_appendix_c.txt");
const HUFFMAN_CODE: &str = include_str!("../../../../testdata/hpack/huffman_code.txt");

#[test]
fn examples_of_appendix_c() {
    let mut decoder = Decoder::new(4096);
    let (mut fields, mut table) = (Fields::new(), Fields::new());
    let (mut name, mut blocks) = ("", 0);
    for line in APPENDIX_C.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (kind, rest) = line.split_once(' ').unwrap();
        match kind {
            "connection" => {
                decoder = Decoder::new(4096);
                name = rest;
                if rest.ends_with(" 256") {
                    decode(&mut decoder, &[0x3f, 0xe1, 0x01]).unwrap();
                }
            }
            "block" => {
                fields = decode(&mut decoder, &unhex(rest)).unwrap();
                table = table_of(&mut decoder);
                blocks += 1;
            }
            "field" | "secret" => {
                let first = fields.field(0).unwrap();
                assert_eq!(split(rest, kind == "secret"), first, "{name}");
                fields = fields.iter().skip(1).collect_fields();
            }
            "entry" => {
                assert_eq!(split(rest, false), table.field(0).unwrap(), "{name}");
                table = table.iter().skip(1).collect_fields();
            }
            "size" => {
                assert!(fields.is_empty() && table.is_empty(), "{name}: {fields:?} {table:?}");
                let entries = table_of(&mut decoder);
                assert_eq!(rest, entries.list_size().to_string(), "{name}");
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(blocks, 16);
}

#[test]
fn huffman_code_of_every_symbol() {
    for (symbol, code, length) in huffman_code() {
        // Eight of one code fill whole bytes.
        let coded = pack(&[(code, length); 8]);
        let mut block = vec![0x00, 0x01, b'n', 0x80 | coded.len() as u8];
        block.extend_from_slice(&coded);
        let result = decode(&mut Decoder::new(4096), &block);
        let Ok(symbol) = u8::try_from(symbol) else {
            assert_eq!(result, Err(DecodeError::InvalidHuffman), "EOS");
            continue;
        };
        assert_eq!(result.unwrap().value(b"n"), Some(&[symbol; 8][..]));
        // Huffman coded only where that is shorter.
        let mut fields = Fields::new();
        fields.push(b"n", &[symbol; 8]);
        let mut out = Vec::new();
        Encoder::new().encode(fields.iter(), &mut out);
        let expected = if length < 8 { &coded[..] } else { &[symbol; 8] };
        assert!(out.ends_with(expected), "{symbol}");
    }
}

#[test]
fn huffman_code_of_every_pair() {
    let code: Vec<_> = huffman_code().into_iter().take(256).collect();
    for first in &code {
        for second in &code {
            let mut codes = vec![(first.1, first.2), (second.1, second.2)];
            let spare = (8 - (first.2 + second.2) % 8) % 8;
            codes.push(((1 << spare) - 1, spare));
            let mut block = vec![0x00, 0x01, b'n', 0];
            block.extend_from_slice(&pack(&codes));
            block[3] = 0x80 | (block.len() - 4) as u8;
            let fields = decode(&mut Decoder::new(4096), &block).unwrap();
            assert_eq!(fields.value(b"n"), Some(&[first.0 as u8, second.0 as u8][..]));
        }
    }
}

#[test]
fn huffman_padding() {
    // "a" is 00011, so 0x1f is "a" and three ones.
    check_text(&[0x1f], Ok(b"a"));
    check_text(&[0x1e], Err(DecodeError::InvalidHuffman));
    check_text(&[0x18], Err(DecodeError::InvalidHuffman));
    check_text(&[0x1f, 0xff], Err(DecodeError::InvalidHuffman));
    check_text(&[0xff], Err(DecodeError::InvalidHuffman));
    check_text(&[0xff; 4], Err(DecodeError::InvalidHuffman));
    check_text(&[0xff; 64], Err(DecodeError::InvalidHuffman));
    check_text(&[], Ok(b""));
    // "aaaaaaaa" needs no padding: eight ones are too many.
    check_text(&[0x18, 0xc6, 0x31, 0x8c, 0x63], Ok(b"aaaaaaaa"));
    check_text(&[0x18, 0xc6, 0x31, 0x8c, 0x63, 0xff], Err(DecodeError::InvalidHuffman));
}

fn check_text(coded: &[u8], expected: Result<&[u8], DecodeError>) {
    let mut block = vec![0x00, 0x01, b'n', 0x80 | coded.len() as u8];
    block.extend_from_slice(coded);
    let result = decode(&mut Decoder::new(4096), &block);
    assert_eq!(result.as_ref().map(|f| f.value(b"n").unwrap()), expected.as_ref().map(|e| *e));
}

fn huffman_code() -> Vec<(u16, u32, u32)> {
    let lines = HUFFMAN_CODE.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let mut parts = line.split(' ');
        let symbol = parts.next()?.parse().ok()?;
        let code = u32::from_str_radix(parts.next()?, 16).ok()?;
        Some((symbol, code, parts.next()?.parse().ok()?))
    };
    let code: Vec<_> = lines.map(|line| parse(line).unwrap()).collect();
    assert_eq!(code.len(), 257);
    code
}

/// The codes, most significant bit first, which together fill whole bytes.
fn pack(codes: &[(u32, u32)]) -> Vec<u8> {
    let bits: Vec<u8> = codes
        .iter()
        .flat_map(|&(code, length)| (0..length).rev().map(move |at| (code >> at & 1) as u8))
        .collect();
    assert_eq!(bits.len() % 8, 0);
    bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, DecodeError> {
    let limits = ListLimits { max_size: usize::MAX, max_fields: usize::MAX };
    let mut list = HeaderList::new(limits);
    decoder.decode(block, true, &mut list)?;
    Ok(list.into_fields())
}

/// The dynamic table, which references do not change.
fn table_of(decoder: &mut Decoder) -> Fields {
    let mut entries = Fields::new();
    for index in 62.. {
        match decode(decoder, &[0x80 | index]) {
            Ok(fields) => entries.push_field(fields.field(0).unwrap()),
            Err(error) => {
                assert_eq!(error, DecodeError::InvalidIndex);
                break;
            }
        }
    }
    entries
}

fn split(field: &str, sensitive: bool) -> Field<'_> {
    // Not at the colon that begins a pseudo-header field.
    let colon = field[1..].find(": ").unwrap() + 1;
    let (name, value) = (&field.as_bytes()[..colon], &field.as_bytes()[colon + 2..]);
    Field { name, value, sensitive }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

trait CollectFields {
    fn collect_fields(self) -> Fields;
}

impl<'a, I: Iterator<Item = Field<'a>>> CollectFields for I {
    fn collect_fields(self) -> Fields {
        let mut fields = Fields::new();
        self.for_each(|field| fields.push_field(field));
        fields
    }
}
